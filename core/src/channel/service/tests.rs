//! A service over an anonymous segment, with threads for peers.

use super::cells::{Cells, Control, Head, Heads, Standing};
use super::*;
use crate::Segment;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

fn service_with(options: ServiceOptions<'_>) -> Service {
    Segment::anonymous(1 << 20).unwrap().create_service_with("s", options).unwrap()
}

fn service() -> Service {
    service_with(ServiceOptions::new(256, 256).calls(4))
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_millis(20))
}

fn in_time() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// Answers one request with itself, backwards.
fn turn_round(service: &Service) {
    let request = service.receive_until(in_time()).unwrap();
    let mut bytes = request.to_vec().unwrap();
    bytes.reverse();
    assert!(request.reply(&bytes).unwrap());
}

#[test]
fn an_answer_comes_back_to_the_one_who_asked() {
    let service = service();
    for size in [0, 1, 47, 48, 49, 256] {
        let request: Vec<u8> = (0..size as u8 as usize).map(|i| i as u8).chain((0..size / 256).map(|_| 7)).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| turn_round(&service));
            let mut answer = [0xEE; 256];
            let got = service.call_until(&request, &mut answer, in_time()).unwrap();
            assert_eq!(answer[..got], request.iter().rev().copied().collect::<Vec<u8>>(), "{size} bytes");
        });
    }
    assert!(service.memory.cells().states().all(|state| state == Ok(State::Free)));
}

#[test]
fn the_oldest_request_is_served_first() {
    let service = service();
    for round in 0..20u8 {
        let calls: Vec<Call<'_>> = (0..4).map(|i| service.start(&[round, i]).unwrap()).collect();
        assert!(service.try_start(b"one more").unwrap().is_none());
        assert_eq!(service.len(), 4);
        for i in 0..4 {
            let request = service.try_receive().unwrap().unwrap();
            assert_eq!(request.to_vec().unwrap(), [round, i]);
            request.reply(&[i]).unwrap();
        }
        assert!(service.try_receive().unwrap().is_none());
        for (i, call) in calls.iter().enumerate().rev() {
            let mut answer = [0; 256];
            assert!(call.try_wait().unwrap());
            assert_eq!((call.read(&mut answer).unwrap(), answer[0]), (1, i as u8));
        }
    }
}

#[test]
fn a_slow_client_is_in_nobodys_way_and_comes_up_when_it_has_sent() {
    let service = service();
    let mut slow = service.reserve(100).unwrap();
    slow.write(0, &[1; 60]).unwrap();
    let quick = service.start(b"quick").unwrap();
    assert_eq!(service.receive().unwrap().to_vec().unwrap(), b"quick");
    drop(quick);
    let slow = slow.send(60).unwrap();
    // Others that come again and again, always where the server looks first.
    let again = service.start(b"again").unwrap();
    let request = service.receive().unwrap();
    assert_eq!(request.to_vec().unwrap(), [1; 60]);
    request.reply(b"").unwrap();
    assert!(slow.try_wait().unwrap());
    assert_eq!(slow.size(), Some(0));
    drop(again);
}

#[test]
fn stamps_that_wrap_keep_the_order() {
    let service = service();
    service.memory.control().set_stamp(u32::MAX - 2);
    let calls: Vec<Call<'_>> = (0..4).map(|i| service.start(&[i]).unwrap()).collect();
    for i in 0..4 {
        let request = service.try_receive().unwrap().unwrap();
        assert_eq!(request.to_vec().unwrap(), [i]);
        request.reply(&[]).unwrap();
    }
    assert!(calls.iter().all(|call| call.try_wait().unwrap()));
}

#[test]
fn written_and_answered_in_place() {
    let service = service_with(ServiceOptions::new(100_000, 100_000).calls(2));
    let mut room = service.reserve(100_000).unwrap();
    assert!(room.as_mut_ptr().addr().is_multiple_of(64));
    room.write(99_990, b"0123456789").unwrap();
    assert_eq!(room.write(99_991, b"0123456789").unwrap_err().kind(), ErrorKind::TooLarge);
    let call = room.send(100_000).unwrap();
    let mut request = service.receive().unwrap();
    assert_eq!(request.size(), 100_000);
    assert_eq!(request.client_pid(), Some(std::process::id()));
    assert_eq!(&request.to_vec().unwrap()[99_990..], b"0123456789");
    request.write(50_000, b"answer").unwrap();
    assert_eq!(request.write(99_999, b"ab").unwrap_err().kind(), ErrorKind::TooLarge);
    assert!(request.commit(50_006).unwrap());
    call.wait().unwrap();
    let mut answer = vec![0; 100_000];
    assert_eq!(call.read(&mut answer).unwrap(), 50_006);
    assert_eq!(&answer[50_000..50_006], b"answer");
    assert_eq!(call.read(&mut [0; 5]).unwrap_err().kind(), ErrorKind::TooLarge);
}

#[test]
fn a_request_that_nobody_answers_fails_with_a_sentence() {
    for idempotent in [false, true] {
        let service = service_with(ServiceOptions::new(8, 0).idempotent(idempotent));
        let call = service.start(b"x").unwrap();
        drop(service.receive().unwrap());
        let error = call.wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Failed);
        assert!(error.to_string().contains("without an answer"), "{error}");
        drop(call);
        let call = service.start(b"x").unwrap();
        let long = "ä".repeat(200);
        assert!(service.receive().unwrap().fail(&long).unwrap());
        let error = call.wait_until(in_time()).unwrap_err().to_string();
        assert!(error.ends_with(&"ä".repeat(128)), "{error}");
        assert_eq!(call.size(), None);
        assert_eq!(call.read(&mut []).unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}

#[test]
fn who_gives_up_gets_no_late_answer_and_leaves_no_cell_behind() {
    let service = service_with(ServiceOptions::new(8, 8).calls(1));
    let mut answer = [0; 8];
    let began = Instant::now();
    let error = service.call_until(b"nobody", &mut answer, soon()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(began.elapsed() >= Duration::from_millis(20));
    assert!(service.try_receive().unwrap().is_none(), "it was taken back");

    let call = service.start(b"slow").unwrap();
    let request = service.receive().unwrap();
    assert!(!request.is_cancelled());
    assert_eq!(call.wait_until(soon()).unwrap_err().kind(), ErrorKind::Timeout);
    drop(call);
    assert!(request.is_cancelled());
    assert!(service.try_start(b"other").unwrap().is_none(), "the server still has the cell");
    assert!(!request.reply(b"late").unwrap());
    let next = service.try_start(b"next").unwrap().expect("the cell is free");
    let request = service.receive().unwrap();
    assert!(request.reply(b"answer").unwrap());
    next.wait().unwrap();
    assert_eq!(next.read(&mut answer).unwrap(), 6);
    assert_eq!(&answer[..6], b"answer");
}

#[test]
fn what_is_too_large_is_refused_and_changes_nothing() {
    let service = service_with(ServiceOptions::new(8, 8).calls(1));
    assert_eq!(service.call(&[0; 9], &mut [0; 8]).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(service.call(&[0; 8], &mut [0; 7]).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(service.reserve(9).err().unwrap().kind(), ErrorKind::TooLarge);
    assert!(service.is_empty());
    let call = service.start(&[0; 8]).unwrap();
    let error = service.receive().unwrap().reply(&[0; 9]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(call.wait().unwrap_err().kind(), ErrorKind::Failed);
    drop(call);
    let room = service.reserve(4).unwrap();
    assert_eq!(room.send(5).err().unwrap().kind(), ErrorKind::TooLarge);
    assert!(service.try_reserve(8).unwrap().is_some(), "the room was given back");
}

#[test]
fn options_out_of_range_and_other_shapes_are_refused() {
    let segment = Segment::anonymous(1 << 20).unwrap();
    for options in [
        ServiceOptions::new(8, 8).calls(0),
        ServiceOptions::new(8, 8).calls(1025),
        ServiceOptions::new(1 << 28, 8),
        ServiceOptions::new(8, 1 << 28),
    ] {
        assert_eq!(segment.create_service_with("s", options).err().unwrap().kind(), ErrorKind::Invalid);
    }
    let service = segment.service_with("s", ServiceOptions::new(8, 16).type_tag("T{d:request:2d:response:}")).unwrap();
    assert_eq!((service.calls(), service.request_size(), service.response_size()), (16, 8, 16));
    assert!(!service.is_idempotent());
    assert_eq!(service.type_tag().unwrap().as_deref(), Some("T{d:request:2d:response:}"));
    let error = segment.service("s", 8, 8).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert!(error.to_string().contains("answers of 16 bytes"), "{error}");
    let error = segment.service_with("s", ServiceOptions::new(8, 16).idempotent(true)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    assert_eq!(segment.open_service("s").unwrap().request_size(), 8);
}

#[test]
fn a_shutdown_takes_back_what_is_not_served_and_lets_the_rest_end() {
    let service = service();
    let served = service.start(b"served").unwrap();
    let request = service.receive().unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| service.call_until(b"waiting", &mut [0; 256], in_time()).unwrap_err().kind());
        while service.is_empty() {
            std::thread::yield_now();
        }
        service.shutdown();
        assert_eq!(waiting.join().unwrap(), ErrorKind::Closed);
    });
    assert!(service.is_shut_down());
    assert_eq!(service.start(b"x").err().unwrap().kind(), ErrorKind::Closed);
    assert_eq!(service.try_start(b"x").err().unwrap().kind(), ErrorKind::Closed);
    assert_eq!(service.receive().err().unwrap().kind(), ErrorKind::Closed);
    assert_eq!(service.try_receive().err().unwrap().kind(), ErrorKind::Closed);
    assert!(request.reply(b"done").unwrap());
    served.wait().unwrap();
    assert_eq!(served.size(), Some(4));
}

#[test]
fn servers_drain_what_was_asked_before_the_shutdown() {
    let service = service();
    let call = service.start(b"asked").unwrap();
    service.shutdown();
    let request = service.receive().unwrap();
    assert!(request.reply(b"answered").unwrap());
    call.wait().unwrap();
    assert_eq!(service.receive().err().unwrap().kind(), ErrorKind::Closed);
}

#[test]
fn a_shutdown_ends_a_server_and_a_client_that_sleep() {
    let segment = Segment::anonymous(1 << 20).unwrap();
    let service = segment.create_service_with("s", ServiceOptions::new(8, 8).calls(1)).unwrap();
    std::thread::scope(|scope| {
        let server = scope.spawn(|| service.serve(|_, _| Ok(())));
        let held = service.start(b"x").unwrap();
        held.wait_until(in_time()).unwrap();
        let client = scope.spawn(|| service.call_until(b"y", &mut [0; 8], in_time()).unwrap_err().kind());
        let end = std::time::Instant::now() + Duration::from_secs(20);
        while segment.waits().unwrap().len() < 2 {
            assert!(std::time::Instant::now() < end, "they do not sleep");
            std::thread::yield_now();
        }
        service.shutdown();
        assert_eq!(client.join().unwrap(), ErrorKind::Closed);
        server.join().unwrap().unwrap();
    });
}

#[test]
fn servers_counts_the_processes_that_serve() {
    let segment = Segment::anonymous(1 << 20).unwrap();
    let service = segment.service("s", 8, 8).unwrap();
    let server = service.clone();
    assert_eq!(service.servers(), 0);
    assert!(server.try_receive().unwrap().is_none());
    assert_eq!(service.servers(), 1);
    drop(server);
    assert_eq!(service.servers(), 0);
}

#[test]
fn raw_calls_and_requests_that_are_stale_are_refused() {
    let service = service();
    let room = service.reserve(8).unwrap().into_raw();
    let call = service.resume_room(room).unwrap().send(8).unwrap().into_raw();
    assert_eq!(service.resume_room(room).err().unwrap().kind(), ErrorKind::NotOwner);
    let request = service.receive().unwrap().into_raw();
    assert_eq!(service.resume_request(request).unwrap().size(), 8);
    let call_again = service.start(b"").unwrap().into_raw();
    let request = service.receive().unwrap();
    let raw = RawRequest { word: request.into_raw().word, index: u32::MAX, size: 1 };
    assert_eq!(service.resume_request(raw).err().unwrap().kind(), ErrorKind::NotOwner);
    let lost = service.resume_call(call).unwrap().wait().unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Failed, "the resumed request was dropped");
    assert_eq!(service.resume_call(call).err().unwrap().kind(), ErrorKind::NotOwner);
    let forged = RawCall { index: 9, ..call_again };
    assert_eq!(service.resume_call(forged).err().unwrap().kind(), ErrorKind::NotOwner);
    drop(service.resume_call(call_again).unwrap());
    assert_eq!(service.resume_call(call_again).err().unwrap().kind(), ErrorKind::NotOwner);
}

#[test]
fn many_clients_and_servers_get_their_own_answers() {
    const CLIENTS: u32 = 4;
    const CALLS: u32 = 500;
    let service = service_with(ServiceOptions::new(64, 64).calls(3));
    let served = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let server = service.clone();
            let served = &served;
            scope.spawn(move || {
                server
                    .serve(|request, answer| {
                        served.fetch_add(1, SeqCst);
                        answer.extend(request.iter().rev());
                        Ok(())
                    })
                    .unwrap();
            });
        }
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let service = service.clone();
                scope.spawn(move || {
                    let mut answer = [0; 64];
                    for call in 0..CALLS {
                        let request: Vec<u8> = [client.to_le_bytes(), call.to_le_bytes()]
                            .concat()
                            .into_iter()
                            .chain(std::iter::repeat_n(call as u8, call as usize % 57))
                            .collect();
                        let size = service.call_until(&request, &mut answer, in_time()).unwrap();
                        assert!(answer[..size].iter().rev().eq(request.iter()), "a foreign answer");
                    }
                })
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().unwrap());
        service.shutdown();
    });
    assert_eq!(served.load(SeqCst), CLIENTS * CALLS);
}

/// Cells on the heap.
struct Row(Vec<Head>);

// SAFETY: heads of a vector that does not change, one for each index.
unsafe impl Heads for Row {
    fn head(&self, index: u32) -> &Head {
        &self.0[index as usize]
    }
}

/// One call of client 1, taken by server 2, and what becomes of it when `dead` is repaired.
fn after_death(idempotent: bool, dead: u32) -> (Standing, Option<u32>) {
    let (control, row) = (Control::new(), Row(vec![Head::new()]));
    let cells = Cells { control: &control, heads: &row, calls: 1, idempotent };
    let claim = cells.claim(1, 0).unwrap().unwrap();
    let call = cells.publish(claim, false).unwrap();
    cells.take(2, &Trail::default(), true).unwrap().unwrap();
    cells.repair(dead);
    let again = cells.take(3, &Trail::default(), true).unwrap().map(|claim| claim.server());
    (cells.look(call).unwrap(), again)
}

#[test]
fn a_death_is_told_or_mended() {
    assert_eq!(after_death(false, 2), (Standing::Died, None));
    assert_eq!(after_death(true, 2), (Standing::Served(3), Some(3)));
    assert_eq!(after_death(true, 1), (Standing::Over, None));
    assert_eq!(after_death(false, 9), (Standing::Served(2), None));
}

#[test]
fn a_request_that_kills_its_servers_is_not_queued_for_ever() {
    let (control, row) = (Control::new(), Row(vec![Head::new()]));
    let cells = Cells { control: &control, heads: &row, calls: 1, idempotent: true };
    let call = cells.publish(cells.claim(1, 0).unwrap().unwrap(), false).unwrap();
    for server in 2..2 + cells::MOST_DEATHS {
        cells.take(server, &Trail::default(), true).unwrap().expect("queued again");
        cells.repair(server);
    }
    assert_eq!(cells.look(call).unwrap(), Standing::Died);
    assert!(cells.withdraw(call));
    assert!(row.0[0].is_free());
}

#[test]
fn the_answer_to_a_call_whose_client_died_frees_the_cell() {
    let (control, row) = (Control::new(), Row(vec![Head::new()]));
    let cells = Cells { control: &control, heads: &row, calls: 1, idempotent: false };
    cells.publish(cells.claim(1, 0).unwrap().unwrap(), false).unwrap();
    let claim = cells.take(2, &Trail::default(), true).unwrap().unwrap();
    cells.repair(1);
    assert!(cells.is_cancelled(claim));
    assert!(cells.claim(3, 0).unwrap().is_none());
    assert_eq!(cells.answer(claim, false, true), cells::Answered::Late);
    assert_eq!(cells.answer(claim, false, true), cells::Answered::NotOurs);
    assert!(row.0[0].is_free());
}

#[test]
fn a_word_that_no_service_writes_is_reported() {
    let service = service();
    service.memory.cells().heads.head(2).set_word(0x9);
    assert_eq!(service.receive().err().unwrap().kind(), ErrorKind::Corrupt);
    service.memory.cells().heads.head(2).set_word(0);
    // A server that cannot be: nobody may wait for it for ever.
    let call = service.start(b"x").unwrap();
    let raw = call.into_raw();
    service.memory.cells().heads.head(raw.index).set_word(raw.word & !0xF | 3 | 4000 << 16);
    assert_eq!(service.resume_call(raw).unwrap().wait().unwrap_err().kind(), ErrorKind::Corrupt);
    // A length that cannot be: the client is told, too.
    let call = service.start(b"x").unwrap();
    let raw = call.into_raw();
    service.memory.cells().heads.head(raw.index).len.store(49, Relaxed);
    assert_eq!(service.receive().err().unwrap().kind(), ErrorKind::Corrupt);
    assert_eq!(service.resume_call(raw).unwrap().wait().unwrap_err().kind(), ErrorKind::Failed);
}
