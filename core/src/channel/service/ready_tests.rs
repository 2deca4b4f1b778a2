//! Calls and free cells as members of a wait set.

use super::*;
use crate::{Interest, Segment, Token, WaitSet};
use std::time::Duration;

fn service() -> Service {
    Segment::anonymous(1 << 20).unwrap().create_service_with("s", ServiceOptions::new(64, 64).calls(2)).unwrap()
}

/// Sets with nothing but objects in them, and with a lookout, which a lent descriptor needs.
fn sets() -> [WaitSet; 2] {
    let (plain, mut watched) = (WaitSet::new().unwrap(), WaitSet::new().unwrap());
    watched.fd().unwrap();
    [plain, watched]
}

fn tokens(set: &mut WaitSet) -> Vec<Token> {
    let ready = set.wait_until(Deadline::after(Duration::from_secs(60))).unwrap();
    ready.iter().map(|member| member.token).collect()
}

/// Answers so many requests with what they ask for: "no" is a refusal.
fn serve(service: &Service, count: usize) {
    for _ in 0..count {
        let request = service.receive().unwrap();
        match request.to_vec().unwrap().as_slice() {
            b"no" => assert!(request.fail("no").unwrap()),
            text => assert!(request.reply(text).unwrap()),
        }
    }
}

#[test]
fn a_set_tells_of_answers_and_takes_none() {
    for mut set in sets() {
        let service = service();
        let (yes, no) = (service.start(b"yes").unwrap(), service.start(b"no").unwrap());
        let (one, other) = (set.add(&yes, Interest::Receive).unwrap(), set.add(&no, Interest::Receive).unwrap());
        assert!(set.try_wait().unwrap().is_empty());
        std::thread::scope(|scope| {
            scope.spawn(|| serve(&service, 2));
            let mut told = Vec::new();
            while !(told.contains(&one) && told.contains(&other)) {
                told.extend(tokens(&mut set));
            }
        });
        let mut answer = [0; 64];
        assert!(yes.try_wait().unwrap());
        assert_eq!(yes.read(&mut answer).unwrap(), 3);
        assert_eq!(no.try_wait().unwrap_err().kind(), ErrorKind::Failed);
    }
}

#[test]
fn a_call_that_has_ended_is_no_member_any_more() {
    for mut set in sets() {
        let service = service();
        let call = service.start(b"x").unwrap();
        let token = set.add(&call, Interest::Receive).unwrap();
        drop(call);
        // Its cell is another's by now, and that one's answer is not told.
        let next = service.start(b"y").unwrap();
        serve(&service, 1);
        let error = set.try_wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotOwner, "{error}");
        set.remove(token).unwrap();
        assert!(set.try_wait().unwrap().is_empty());
        assert!(next.try_wait().unwrap());
    }
}

#[test]
fn a_shutdown_makes_calls_ready_that_nobody_serves() {
    for mut set in sets() {
        let service = service();
        let (begun, waiting) = (service.start(b"1").unwrap(), service.start(b"2").unwrap());
        let request = service.receive().unwrap();
        set.add(&begun, Interest::Receive).unwrap();
        let token = set.add(&waiting, Interest::Receive).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| service.shutdown());
            assert_eq!(tokens(&mut set), [token]);
        });
        assert_eq!(waiting.try_wait().unwrap_err().kind(), ErrorKind::Closed);
        request.reply(b"").unwrap();
    }
}

#[test]
fn a_set_tells_of_a_free_cell() {
    for mut set in sets() {
        let service = service();
        let token = set.add(&service, Interest::Send).unwrap();
        assert_eq!(tokens(&mut set), [token]);
        let calls = [service.start(b"1").unwrap(), service.start(b"2").unwrap()];
        assert!(set.try_wait().unwrap().is_empty());
        std::thread::scope(|scope| {
            scope.spawn(|| drop(calls));
            assert_eq!(tokens(&mut set), [token]);
        });
        let _call = service.try_start(b"3").unwrap().unwrap();
        let _other = service.try_start(b"4").unwrap().unwrap();
        assert!(set.try_wait().unwrap().is_empty());
        service.shutdown();
        assert_eq!(tokens(&mut set), [token]);
    }
}

#[test]
fn a_call_is_waited_for_with_receive_only() {
    let service = service();
    let call = service.start(b"x").unwrap();
    for interest in [Interest::Send, Interest::Room(8), Interest::AnyFlag(1)] {
        assert_eq!(WaitSet::new().unwrap().add(&call, interest).unwrap_err().kind(), ErrorKind::Invalid);
    }
    assert_eq!(WaitSet::new().unwrap().add(&service, Interest::AnyFlag(1)).unwrap_err().kind(), ErrorKind::Invalid);
}
