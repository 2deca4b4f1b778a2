//! What the header of C and `Segment::remove` say of an object whose name was removed: calls that need not wait go on;
//! those that would have to, and polls that find nothing, say `Removed`, and so does who asks for a role.

use crate::channel::topic::{Start, TopicPolicy};
use crate::{CellOptions, Deadline, ErrorKind, MailboxOptions, Order, Result, Segment, ServiceOptions, TopicOptions};

fn segment() -> Segment {
    Segment::anonymous(1 << 20).unwrap()
}

#[track_caller]
fn removed<T>(result: Result<T>) {
    match result {
        Ok(_) => panic!("went on"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Removed, "{error}"),
    }
}

/// Far away, so that who waits in vain fails by the clock of the test runner and not by chance.
fn later() -> Deadline {
    Deadline::after(std::time::Duration::from_secs(3600))
}

#[test]
fn ring() {
    let segment = segment();
    let ring = segment.ring("r", 256).unwrap();
    let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    assert_eq!(consumer.try_read(&mut [0; 64]).unwrap(), None);
    producer.write(b"before").unwrap();
    segment.remove("r").unwrap();
    let mut room = 0;
    while !matches!(producer.try_write(b"after"), Err(error) if error.kind() == ErrorKind::Removed) {
        room += 1;
        assert!(room < 100);
    }
    assert!(room > 0);
    removed(producer.write_until(b"x", later()));
    for _ in 0..=room {
        assert!(consumer.read_until(&mut [0; 64], later()).unwrap() > 0);
    }
    removed(consumer.try_read(&mut [0; 64]));
    removed(consumer.read_until(&mut [0; 64], later()));
    drop(producer);
    removed(ring.producer());
}

#[test]
fn every_mailbox() {
    let bounded = MailboxOptions::new(2, 8);
    for options in
        [bounded, bounded.order(Order::Priority), MailboxOptions::new(crate::Capacity::Unbounded { ceiling: 2 }, 8)]
    {
        let segment = segment();
        let mailbox = segment.mailbox_with("m", options).unwrap();
        assert!(mailbox.try_receive(&mut [0; 8]).unwrap().is_none());
        segment.remove("m").unwrap();
        assert!(mailbox.try_send(b"1").unwrap());
        mailbox.send_until(b"2", later()).unwrap();
        removed(mailbox.try_send(b"3"));
        if options.capacity != (crate::Capacity::Unbounded { ceiling: 2 }) {
            removed(mailbox.send_until(b"3", later()));
        }
        assert_eq!(mailbox.receive(&mut [0; 8]).unwrap().size, 1);
        assert!(mailbox.try_receive(&mut [0; 8]).unwrap().is_some());
        removed(mailbox.try_receive(&mut [0; 8]));
        removed(mailbox.receive_until(&mut [0; 8], later()));
        removed(mailbox.try_peek(&mut [0; 8]));
    }
    let segment = segment();
    let mailbox = segment.mailbox("m", 0, 8).unwrap();
    segment.remove("m").unwrap();
    removed(mailbox.send_until(b"1", later()));
    removed(mailbox.try_send(b"1"));
    removed(mailbox.try_receive(&mut [0; 8]));
}

#[test]
fn topic_of_every_policy() {
    for policy in [TopicPolicy::Block, TopicPolicy::DropOldest, TopicPolicy::DropNewest] {
        let segment = segment();
        let topic = segment.topic_with("t", TopicOptions::new(2, 8).policy(policy)).unwrap();
        let (mut publisher, mut subscriber) = (topic.publisher().unwrap(), topic.subscriber(Start::Oldest).unwrap());
        assert_eq!(subscriber.try_receive(&mut [0; 8]).unwrap(), None);
        segment.remove("t").unwrap();
        assert!(publisher.try_publish(b"1").unwrap());
        assert!(publisher.publish_until(b"2", later()).unwrap());
        if policy == TopicPolicy::DropOldest {
            assert!(publisher.publish(b"3").unwrap());
            assert_eq!(subscriber.try_receive(&mut [0; 8]).unwrap_err().kind(), ErrorKind::Lost);
        } else {
            removed(publisher.try_publish(b"3"));
            removed(publisher.publish_until(b"3", later()));
        }
        assert!(subscriber.receive(&mut [0; 8]).is_ok());
        if policy != TopicPolicy::DropOldest {
            assert!(subscriber.try_receive(&mut [0; 8]).unwrap().is_some());
        }
        removed(subscriber.try_receive(&mut [0; 8]));
        removed(subscriber.try_wait());
        removed(subscriber.receive_until(&mut [0; 8], later()));
        removed(topic.subscriber(Start::Oldest));
        drop(publisher);
        removed(topic.publisher());
    }
}

#[test]
fn service() {
    let segment = segment();
    let service = segment.service_with("s", ServiceOptions::new(8, 8).calls(1)).unwrap();
    assert!(service.try_receive().unwrap().is_none());
    let call = service.start(b"1").unwrap();
    segment.remove("s").unwrap();
    removed(service.try_start(b"2"));
    removed(service.start_until(b"2", later()));
    removed(call.wait_until(later()));
    service.receive_until(later()).unwrap().reply(b"1").unwrap();
    assert!(call.wait_until(later()).is_ok());
    drop(call);
    removed(service.try_receive());
    removed(service.receive_until(later()));
}

#[test]
fn port() {
    let segment = segment();
    let port = segment.port("p").unwrap();
    let send = port.send_right().unwrap();
    send.send(b"1").unwrap();
    segment.remove("p").unwrap();
    port.receive_until(&mut [0; 1024], later()).unwrap();
    removed(port.try_receive(&mut [0; 1024]));
    removed(port.receive_until(&mut [0; 1024], later()));
    for _ in 0..port.capacity() {
        assert!(send.try_send(b"2").unwrap());
    }
    removed(send.try_send(b"3"));
    removed(send.send_until(b"3", later()));
}

#[test]
fn cell() {
    let segment = segment();
    let cell = segment.cell_with("c", &CellOptions::bytes(8)).unwrap();
    let seen = cell.store(&[1; 8]).unwrap();
    segment.remove("c").unwrap();
    assert_eq!(cell.load(&mut [0; 8]).unwrap(), Some(seen));
    assert!(cell.try_store(&[2; 8]).unwrap().is_some());
    let seen = cell.store_until(&[3; 8], later()).unwrap();
    assert!(cell.load_newer_until(0, &mut [0; 8], later()).is_ok());
    removed(cell.try_load_newer(seen, &mut [0; 8]));
    removed(cell.load_newer_until(seen, &mut [0; 8], later()));
    let typed = cell.typed::<u64>().unwrap();
    assert!(typed.load().unwrap().is_some());
    removed(typed.try_load_newer(seen));
    removed(typed.load_newer_until(seen, later()));
}

#[test]
fn array() {
    let segment = segment();
    let array = segment.raw_array("a", "d", &[8]).unwrap();
    segment.remove("a").unwrap();
    let mut bytes = [0; 64];
    assert!(array.write_until(later()).is_ok());
    assert!(array.try_write().unwrap().is_some());
    array.snapshot_until(&mut bytes, later()).unwrap();
    assert!(array.try_snapshot(&mut bytes).unwrap());
}
