//! Ports through their handles, in one process.

use super::*;
use crate::{Deadline, Interest, PortSet, WaitSet};
use std::thread;
use std::time::Duration;

fn segment() -> Segment {
    Segment::anonymous(4 << 20).unwrap()
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

fn small() -> PortOptions {
    PortOptions::default().message_size(64)
}

fn text(buffer: &[u8], delivery: &Delivery) -> String {
    String::from_utf8(buffer[..delivery.size].to_vec()).unwrap()
}

#[test]
fn eight_messages_fit_and_come_in_order() {
    let segment = segment();
    let port = segment.create_port_with("p", small()).unwrap();
    let sender = segment.open_port("p").unwrap();
    assert_eq!((port.right(), sender.right(), port.capacity()), (Right::Receive, Right::Send, 8));
    let mut buffer = [0; 64];
    for round in 0..5 {
        for i in 0..8 {
            assert!(sender.try_send(format!("{round} {i}").as_bytes()).unwrap());
        }
        assert!(!sender.try_send(b"too many").unwrap());
        assert_eq!(sender.send_until(b"too many", Deadline::now()).unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(port.len(), 8);
        for i in 0..8 {
            let delivery = port.try_receive(&mut buffer).unwrap().unwrap();
            assert_eq!(text(&buffer, &delivery), format!("{round} {i}"));
            assert_eq!((delivery.rights.len(), delivery.lost, delivery.redelivered), (0, 0, 0));
        }
        assert!(port.try_receive(&mut buffer).unwrap().is_none());
    }
}

#[test]
fn there_is_one_receiver() {
    let segment = segment();
    let port = segment.port("p").unwrap();
    let error = segment.port("p").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    assert_eq!(segment.create_port("p").unwrap_err().kind(), ErrorKind::Exists);
    let sender = segment.open_port("p").unwrap();
    let mut buffer = [0; 1024];
    assert_eq!(sender.receive(&mut buffer).unwrap_err().kind(), ErrorKind::NotOwner);
    assert_eq!(port.send(b"to myself").unwrap_err().kind(), ErrorKind::NotOwner);
    assert_eq!(port.receive(&mut buffer[1..]).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(sender.send(&[0; 1025]).unwrap_err().kind(), ErrorKind::TooLarge);
    drop(port);
    assert_eq!(sender.send(b"nobody").unwrap_err().kind(), ErrorKind::PeerDead);
    let port = segment.port("p").unwrap();
    sender.send(b"again").unwrap();
    assert_eq!(port.receive(&mut buffer).unwrap().size, 5);
}

#[test]
fn what_nobody_received_is_there_for_the_next_receiver() {
    let segment = segment();
    let port = segment.port("p").unwrap();
    segment.open_port("p").unwrap().send(b"left").unwrap();
    port.deallocate().unwrap();
    let mut buffer = [0; 1024];
    assert_eq!(port.receive(&mut buffer).unwrap_err().kind(), ErrorKind::NotOwner);
    assert_eq!(port.deallocate().unwrap_err().kind(), ErrorKind::NotOwner);
    assert_eq!(segment.port("p").unwrap().receive(&mut buffer).unwrap().size, 4);
}

#[test]
fn a_right_that_was_given_away_is_refused_and_works_where_it_went() {
    let segment = segment();
    let (a, b) = (segment.port("a").unwrap(), segment.port("b").unwrap());
    let (to_a, to_b) = (segment.open_port("a").unwrap(), segment.open_port("b").unwrap());
    to_b.send(b"before").unwrap();
    to_a.send_rights(b"take b", &[&b, &to_b], soon()).unwrap();
    let mut buffer = [0; 1024];
    for error in [b.receive(&mut buffer).unwrap_err(), to_b.send(b"x").unwrap_err(), b.send_right().unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::NotOwner);
        assert!(error.to_string().contains("given away"), "{error}");
    }
    assert_eq!(segment.port("b").unwrap_err().kind(), ErrorKind::Busy, "the right is in a message");
    let other = segment.open_port("b").unwrap();
    other.send(b"while it travels").unwrap();
    let delivery = a.receive(&mut buffer).unwrap();
    assert_eq!(text(&buffer, &delivery), "take b");
    let [new_b, new_to_b] = &delivery.rights[..] else { panic!("{delivery:?}") };
    assert_eq!((new_b.right(), new_b.name(), new_to_b.right()), (Right::Receive, "b", Right::Send));
    assert_eq!(b.try_receive(&mut buffer).unwrap_err().kind(), ErrorKind::NotOwner, "it came back, to another handle");
    drop((b, to_b));
    new_to_b.send(b"after").unwrap();
    for expected in ["before", "while it travels", "after"] {
        let delivery = new_b.receive(&mut buffer).unwrap();
        assert_eq!(text(&buffer, &delivery), expected);
    }
}

#[test]
fn what_cannot_be_given_stays() {
    let segment = segment();
    let (a, b) = (segment.port("a").unwrap(), segment.port("b").unwrap());
    let to_a = segment.open_port("a").unwrap();
    let refused = |rights: &[&Port]| to_a.send_rights(b"", rights, soon()).unwrap_err().kind();
    assert_eq!(refused(&[&a]), ErrorKind::Invalid, "its own port");
    assert_eq!(refused(&[&to_a]), ErrorKind::Invalid, "the right it is sent through");
    assert_eq!(refused(&[&b, &b]), ErrorKind::NotOwner, "twice");
    let twice = to_a.send_rights(b"", &[&b, &b], soon()).unwrap_err().to_string();
    assert!(twice.contains("/b\"") && twice.contains("named twice"), "{twice}");
    let rights: Vec<Port> = (0..5).map(|_| b.send_right().unwrap()).collect();
    assert_eq!(refused(&rights.iter().collect::<Vec<_>>()), ErrorKind::Invalid, "too many");
    let stranger = Segment::anonymous(1 << 20).unwrap();
    assert_eq!(refused(&[&stranger.port("b").unwrap()]), ErrorKind::Invalid, "another segment");
    assert!(a.is_empty());
    for right in &rights {
        right.send(b"still mine").unwrap();
    }
    let mut buffer = [0; 1024];
    assert_eq!(b.receive(&mut buffer).unwrap().size, 10);
    to_a.send_rights(b"", &rights.iter().take(4).collect::<Vec<_>>(), soon()).unwrap();
    assert_eq!(a.receive(&mut buffer).unwrap().rights.len(), 4);
}

#[test]
fn a_right_is_lost_with_the_port_that_carries_it() {
    let segment = segment();
    let (a, b) = (segment.port("a").unwrap(), segment.port("b").unwrap());
    let to_b = segment.open_port("b").unwrap();
    segment.open_port("a").unwrap().send_rights(b"", &[&b], soon()).unwrap();
    to_b.send(b"waits").unwrap();
    drop(a);
    // Whoever sends asks now and then what became of it.
    let error = loop {
        match to_b.try_send(b"?") {
            Ok(_) => thread::yield_now(),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::PeerDead);
    let a = segment.port("a").unwrap();
    let mut buffer = [0; 1024];
    let delivery = a.receive(&mut buffer).unwrap();
    assert_eq!((delivery.rights.len(), delivery.lost), (0, 1));
    let b = segment.port("b").unwrap();
    assert_eq!(b.receive(&mut buffer).unwrap().size, 5);
}

#[test]
fn rights_that_go_round_in_a_circle_are_lost() {
    let segment = segment();
    let (a, b) = (segment.port("a").unwrap(), segment.port("b").unwrap());
    let (to_a, to_b) = (segment.open_port("a").unwrap(), segment.open_port("b").unwrap());
    to_a.send_rights(b"", &[&b], soon()).unwrap();
    to_b.send_rights(b"", &[&a], soon()).unwrap();
    let error = loop {
        match to_a.try_send(b"?") {
            Ok(_) => thread::yield_now(),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::PeerDead);
}

#[test]
fn a_call_is_answered_and_late_answers_are_refused() {
    let segment = segment();
    let server = segment.port("s").unwrap();
    let client = segment.open_port("s").unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; 1024];
            for _ in 0..100 {
                let delivery = server.receive(&mut buffer).unwrap();
                let reply = delivery.reply.unwrap();
                reply.send(&buffer[..delivery.size]).unwrap();
                assert_eq!(reply.send(b"twice").unwrap_err().kind(), ErrorKind::NotOwner);
            }
        });
        let mut buffer = [0; 1024];
        for i in 0..100u32 {
            let delivery = client.call(&i.to_le_bytes(), &mut buffer, soon()).unwrap();
            assert_eq!(buffer[..delivery.size], i.to_le_bytes());
        }
    });
    let mut buffer = [0; 1024];
    let error = client.call(b"nobody answers", &mut buffer, Deadline::after(Duration::from_millis(5))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let late = server.receive(&mut buffer).unwrap();
    assert!(late.reply.is_none() && late.lost == 1, "nobody waits any more");
    thread::scope(|scope| {
        let server = &server;
        let slow = scope.spawn(move || {
            let late = server.receive(&mut [0; 1024]).unwrap().reply.unwrap();
            while late.right.memory.rights().has(late.right.ticket, late.right.object.me().unwrap()) {
                thread::yield_now();
            }
            late.send(b"late").unwrap_err().kind()
        });
        let error = client.call(b"?", &mut buffer, Deadline::after(Duration::from_millis(50))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert_eq!(slow.join().unwrap(), ErrorKind::NotOwner);
    });
    thread::scope(|scope| {
        let server = &server;
        scope.spawn(move || {
            let mut buffer = [0; 1024];
            drop(server.receive(&mut buffer).unwrap());
        });
        let error = client.call(b"dropped", &mut buffer, soon()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PeerDead);
    });
    drop(client);
    assert!(!segment.objects().unwrap().iter().any(|object| object.name.starts_with("answers")), "left behind");
}

#[test]
fn one_message_of_a_sender_can_be_pending() {
    let segment = segment();
    let port = segment.create_port_with("p", small().capacity(1)).unwrap();
    let notify = segment.create_port_with("n", small()).unwrap();
    let (one, two) = (segment.open_port("p").unwrap(), segment.open_port("p").unwrap());
    let mut buffer = [0; 64];
    assert!(one.send_pending(b"1", &notify).unwrap());
    assert!(!one.send_pending(b"2", &notify).unwrap());
    assert_eq!(one.send_pending(b"3", &notify).unwrap_err().kind(), ErrorKind::Busy);
    assert!(!two.send_pending(b"3", &notify).unwrap());
    assert!(notify.try_receive(&mut buffer).unwrap().is_none());
    let told = |expected| {
        let mut buffer = [0; 64];
        let told = notify.try_receive(&mut buffer).unwrap().and_then(|delivery| delivery.notification);
        let accepted = Notification { event: PortEvent::Accepted, port: "p".into() };
        assert_eq!(told, Some(accepted).filter(|_| expected));
    };
    for (text_, accepted) in [("1", false), ("2", true), ("3", true)] {
        let delivery = port.receive(&mut buffer).unwrap();
        assert_eq!(text(&buffer, &delivery), text_);
        told(accepted);
    }
    told(false);
    assert!(one.send_pending(b"4", &notify).unwrap());
}

#[test]
fn a_port_tells_when_senders_or_receivers_are_gone() {
    let segment = segment();
    let (port, notify) = (segment.port("p").unwrap(), segment.port("n").unwrap());
    port.request_notification(PortEvent::NoSenders, &notify).unwrap();
    let mut buffer = [0; 1024];
    let mut told = || notify.try_receive(&mut buffer).unwrap().and_then(|delivery| delivery.notification);
    assert_eq!(told(), None, "nobody has ever sent");
    let (one, two) = (segment.open_port("p").unwrap(), segment.open_port("p").unwrap());
    drop(one);
    assert_eq!(told(), None);
    let to_notify = segment.open_port("n").unwrap();
    to_notify.send_rights(b"a right", &[&two], soon()).unwrap();
    drop(two);
    let mut buffer = [0; 1024];
    let mut delivery = notify.try_receive(&mut buffer).unwrap().unwrap();
    assert_eq!(delivery.notification, None, "a right in a message is one");
    delivery.rights.clear();
    let mut told = || notify.try_receive(&mut buffer).unwrap().and_then(|delivery| delivery.notification);
    assert_eq!(told(), Some(Notification { event: PortEvent::NoSenders, port: "p".into() }));
    assert_eq!(told(), None, "once");
    let sender = segment.open_port("p").unwrap();
    assert_eq!(sender.request_notification(PortEvent::NoSenders, &notify).unwrap_err().kind(), ErrorKind::NotOwner);
    sender.request_notification(PortEvent::DeadName, &notify).unwrap();
    assert_eq!(told(), None);
    thread::scope(|scope| {
        let waits = scope.spawn(|| {
            let mut buffer = [0; 1024];
            notify.receive_until(&mut buffer, soon()).unwrap().notification
        });
        drop(port);
        let expected = Notification { event: PortEvent::DeadName, port: "p".into() };
        assert_eq!(waits.join().unwrap(), Some(expected));
    });
    for _ in 0..16 {
        sender.request_notification(PortEvent::DeadName, &sender).unwrap();
    }
    assert_eq!(sender.request_notification(PortEvent::DeadName, &sender).unwrap_err().kind(), ErrorKind::NoSpace);
}

#[test]
fn a_set_receives_from_its_members_in_turn() {
    let segment = segment();
    let ports: Vec<Port> = ["a", "b", "c"].map(|name| segment.port(name).unwrap()).into();
    let mut set = PortSet::new().unwrap();
    ports.iter().for_each(|port| set.add(port).unwrap());
    let mut buffer = [0; 1024];
    assert_eq!(ports[0].receive(&mut buffer).unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(set.add(&ports[0]).unwrap_err().kind(), ErrorKind::Busy);
    for name in ["a", "b", "c"] {
        let sender = segment.open_port(name).unwrap();
        (0..8).for_each(|_| sender.send(name.as_bytes()).unwrap());
    }
    let mut order = String::new();
    for _ in 0..24 {
        order.push_str(set.receive_until(&mut buffer, soon()).unwrap().0.name());
    }
    assert_eq!(order, "abc".repeat(8));
    assert!(set.try_receive(&mut buffer).unwrap().is_none());
    thread::scope(|scope| {
        let waits = scope.spawn(|| set.receive_until(&mut [0; 1024], soon()).unwrap().1.size);
        segment.open_port("b").unwrap().send(b"wakes").unwrap();
        assert_eq!(waits.join().unwrap(), 5);
    });
    set.remove(&ports[1]).unwrap();
    assert_eq!(set.remove(&ports[1]).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(ports[1].try_receive(&mut buffer).unwrap().is_none());
    drop(set);
    assert!(ports[0].try_receive(&mut buffer).unwrap().is_none());
}

#[test]
fn a_wait_set_takes_both_sides_of_a_port() {
    let segment = segment();
    let port = segment.create_port_with("p", small().capacity(1)).unwrap();
    let sender = segment.open_port("p").unwrap();
    let mut set = WaitSet::new().unwrap();
    assert_eq!(set.add(&port, Interest::Send).unwrap_err().kind(), ErrorKind::Invalid);
    let (receives, sends) = (set.add(&port, Interest::Receive).unwrap(), set.add(&sender, Interest::Send).unwrap());
    let ready = |set: &mut WaitSet| set.try_wait().unwrap().iter().map(|ready| ready.token).collect::<Vec<_>>();
    assert_eq!(ready(&mut set), [sends]);
    sender.send(b"full").unwrap();
    assert_eq!(ready(&mut set), [receives]);
}

#[test]
fn processes_name_each_other_or_only_one() {
    let segment = segment();
    let p = segment.process("p").unwrap();
    let taken = segment.process("p").unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::Busy);
    assert!(taken.to_string().starts_with("process name \"p\" is taken; wait until"), "{taken}");
    let mut buffer = [0; 1024];
    // Before its partner starts.
    p.send("q", b"early", soon()).unwrap();
    let error = p.receive_from("q", &mut buffer, Deadline::after(Duration::from_millis(2))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "q may start yet");
    let (q, r) = (segment.process("q").unwrap(), segment.process("r").unwrap());
    r.send("q", b"from r", soon()).unwrap();
    p.send("q", b"from p", soon()).unwrap();
    segment.open_port("process q").unwrap().send(b"from nobody").unwrap();
    let delivery = q.receive_from("r", &mut buffer, soon()).unwrap();
    assert_eq!(text(&buffer, &delivery), "from r");
    for (sender, message) in [("p", "early"), ("p", "from p"), ("", "from nobody")] {
        let (from, delivery) = q.receive(&mut buffer, soon()).unwrap();
        assert_eq!((from.as_str(), text(&buffer, &delivery).as_str()), (sender, message));
    }
    r.send("q", b"last words", soon()).unwrap();
    drop(r);
    assert_eq!(q.receive_from("r", &mut buffer, soon()).unwrap().size, 10);
    assert_eq!(q.receive_from("r", &mut buffer, soon()).unwrap_err().kind(), ErrorKind::PeerDead);
    assert_eq!(q.send("r", b"?", soon()).unwrap_err().kind(), ErrorKind::PeerDead);
    assert_eq!((q.name(), q.send("a/b", b"", soon()).unwrap_err().kind()), ("q", ErrorKind::Invalid));
}

#[test]
fn rights_to_send_run_out_and_come_back() {
    let segment = segment();
    let port = segment.create_port_with("p", small().rights(2)).unwrap();
    let (one, _two) = (segment.open_port("p").unwrap(), port.send_right().unwrap());
    assert_eq!(segment.open_port("p").unwrap_err().kind(), ErrorKind::NoSpace);
    drop(one);
    assert_eq!(segment.open_port("p").unwrap().right(), Right::Send);
}

#[test]
fn bad_geometry_is_refused() {
    let segment = segment();
    for options in [
        PortOptions::default().capacity(0),
        PortOptions::default().capacity(1017),
        PortOptions::default().message_size(0),
        PortOptions::default().rights(0),
        PortOptions::default().rights(4097),
    ] {
        assert_eq!(segment.create_port_with("p", options).unwrap_err().kind(), ErrorKind::Invalid, "{options:?}");
    }
    segment.create_port("p").unwrap();
    let other = segment.port_with("p", small()).unwrap_err();
    assert_eq!(other.kind(), ErrorKind::Incompatible);
    segment.mailbox("m", 1, 8).unwrap();
    assert_eq!(segment.open_port("m").unwrap_err().kind(), ErrorKind::Incompatible);
}

#[test]
fn many_threads_lose_and_double_nothing() {
    let segment = segment();
    let port = segment.create_port_with("p", small().capacity(3)).unwrap();
    let (senders, each) = (3u64, 2000u64);
    thread::scope(|scope| {
        for sender in 0..senders {
            let to = port.send_right().unwrap();
            scope.spawn(move || {
                for n in 0..each {
                    to.send_until(&(sender << 32 | n).to_le_bytes(), soon()).unwrap();
                }
            });
        }
        let mut next = [0; 3];
        let mut buffer = [0; 64];
        for _ in 0..senders * each {
            port.receive_until(&mut buffer, soon()).unwrap();
            let message = u64::from_le_bytes(buffer[..8].try_into().unwrap());
            let (sender, n) = ((message >> 32) as usize, message & 0xFFFF_FFFF);
            assert_eq!(n, next[sender], "sender {sender}");
            next[sender] += 1;
        }
    });
}

#[test]
fn a_name_that_is_too_long_for_a_process_is_refused_as_it_was_given() {
    let segment = Segment::anonymous(1 << 20).unwrap();
    let (longest, longer) = ("x".repeat(55), "x".repeat(56));
    let process = segment.process(&longest).unwrap();
    process.send(&longest, b"", Deadline::never()).unwrap();
    for error in [segment.process(&longer).unwrap_err(), process.send(&longer, b"", Deadline::never()).unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.to_string(), format!("process name {longer:?} has 56 bytes; the longest has 55"));
    }
}
