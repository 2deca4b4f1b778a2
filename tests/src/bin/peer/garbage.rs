//! A segment full of everything, and everything done to segments full of garbage.

use super::{message, stay};
use std::time::Duration;
use triveni::{
    After, Capacity, CellOptions, Deadline, Error, LockError, MailboxOptions, Port, PortEvent, PortOptions, RawArray,
    RawCell, Result, RwLock, RwPolicy, Segment, SemaphoreOptions, Service, Start, TopicOptions,
};

/// Fills a segment with one of everything, in use: a held mutex, a claim, a peeked record. Says `holding`.
pub fn everything(segment: &Segment) -> Result<()> {
    segment.semaphore("semaphore", 3)?;
    let mutex = segment.mutex("mutex")?;
    let _guard = mutex.lock()?;
    let free = segment.mutex("free")?;
    drop(free.lock()?);
    let mailbox = segment.mailbox("mailbox", 8, 64)?;
    for seq in 0..5 {
        mailbox.send(&message(seq))?;
    }
    mailbox.receive(&mut [0; 64])?;
    let _loan = mailbox.reserve(10)?;
    let unbounded = segment.mailbox_with("unbounded", MailboxOptions::new(Capacity::Unbounded { ceiling: 8 }, 60))?;
    for seq in 0..5 {
        unbounded.send(&message(seq))?;
    }
    unbounded.receive(&mut [0; 60])?;
    let _lent = unbounded.borrow()?;
    let meeting = segment.mailbox("rendezvous", 0, 64)?;
    let meets = meeting.clone();
    std::thread::spawn(move || meets.send(&message(0)));
    let _met = meeting.borrow()?;
    let ring = segment.ring("ring", 4096)?;
    let (mut producer, mut consumer) = (ring.producer()?, ring.consumer()?);
    for seq in 0..20 {
        producer.write(&message(seq))?;
    }
    let _room = producer.reserve(30)?;
    let _record = consumer.peek()?;
    let packed = segment.ring_of("packed", 16, 16)?;
    let (mut packer, mut unpacker) = (packed.producer()?, packed.consumer()?);
    packer.write_packed(&[7; 160])?;
    packer.reserve_packed(3)?.stage(48)?;
    unpacker.peek_packed(2)?.hold()?;
    let topic = segment.topic_with("topic", TopicOptions::new(4, 60).subscribers(3))?;
    let (mut publisher, _lapped) = (topic.publisher()?, topic.subscriber(Start::Latest)?);
    for seq in 0..3 {
        publisher.publish(&message(seq))?;
    }
    let mut subscriber = topic.subscriber(Start::Oldest)?;
    let _message = subscriber.peek()?;
    let _slot = publisher.reserve(30)?;
    let service = segment.service("service", 64, 64)?;
    let _asked = [service.start(&message(0))?, service.start(&message(1))?];
    let _asking = service.reserve(10)?;
    let _question = service.receive()?;
    let little = PortOptions::default().capacity(2).message_size(64).rights(4);
    let (port, other) = (segment.port_with("port", little)?, segment.port_with("other port", little)?);
    let to_port = segment.open_port("port")?;
    to_port.send_rights(b"a right", &[&other.send_right()?, &other], Deadline::now())?;
    to_port.request_notification(PortEvent::DeadName, &port)?;
    to_port.send(b"full")?;
    to_port.send_pending(b"pending", &port)?;
    let array = segment.raw_array("array", "d", &[4, 5])?;
    let _writes = array.write()?;
    let cell = segment.cell_with("cell", &CellOptions::bytes(40))?;
    cell.store(&[7; 40])?;
    segment.mailbox("removed", 2, 8)?;
    segment.remove("removed")?;
    let leased = segment.semaphore_with("leased", SemaphoreOptions::leased(5))?;
    leased.wait_n(3)?;
    let monitor = segment.monitor("monitor")?;
    monitor.condition("c")?;
    let _inside = monitor.enter()?;
    let rwlocks = [RwPolicy::ReadersFirst, RwPolicy::WritersFirst, RwPolicy::Fair];
    let rwlocks: Vec<RwLock> =
        rwlocks.into_iter().map(|policy| segment.rwlock(policy.name(), policy)).collect::<Result<_>>()?;
    let _writing = rwlocks[0].write()?;
    let _reading = rwlocks[1].read()?;
    segment.barrier("barrier", 3)?;
    segment.event("event", 0b1010)?;
    // Threads that sleep, for the board.
    for object in ["mutex", "readers first", "barrier"] {
        let segment = segment.clone();
        std::thread::spawn(move || -> Result<()> {
            match object {
                "mutex" => drop(segment.open_mutex(object)?.lock()?),
                "barrier" => drop(segment.open_barrier(object)?.wait()?),
                _ => drop(segment.open_rwlock(object)?.read()?),
            }
            Ok(())
        });
    }
    while segment.waits()?.len() < 3 {
        std::thread::yield_now();
    }
    println!("holding");
    stay()
}

/// Does everything there is to do with each of these segments, which may hold any bytes. Each call has a second
/// of CPU time, and ten of waiting; then the kernel ends the process. Says `NAME CALLS ERRORS`, and with
/// `TRIVENI_VERBOSE` every call before it is made.
pub fn attack(names: &[&str]) -> Result<()> {
    let verbose = std::env::var_os("TRIVENI_VERBOSE").is_some();
    for name in names {
        println!("at {name}");
        let mut tried = Tried { calls: 0, errors: 0, verbose };
        tried.segment(name);
        println!("{name} {} {}", tried.calls, tried.errors);
    }
    Ok(())
}

struct Tried {
    calls: u64,
    errors: u64,
    verbose: bool,
}

impl Tried {
    fn call<T>(&mut self, name: &'static str, call: impl FnOnce() -> Result<T>) -> Option<T> {
        if self.verbose {
            println!("call {name}");
        }
        let second = libc::timeval { tv_sec: 1, tv_usec: 0 };
        let zero = libc::timeval { tv_sec: 0, tv_usec: 0 };
        let timer = libc::itimerval { it_interval: zero, it_value: second };
        // SAFETY: `timer` is a valid itimerval; both calls touch nothing else. SIGPROF and SIGALRM end the process.
        unsafe {
            libc::setitimer(libc::ITIMER_PROF, &timer, std::ptr::null_mut());
            libc::alarm(10);
        }
        self.calls += 1;
        call()
            .inspect_err(|error| {
                self.errors += 1;
                assert!(!error.to_string().is_empty());
            })
            .ok()
    }

    fn successes(&self) -> u64 {
        self.calls - self.errors
    }

    fn service(&mut self, service: &Service) {
        let soon = || Deadline::after(Duration::from_millis(2));
        let mut answer = vec![0; service.response_size().min(1 << 20)];
        self.call("service", || Ok((service.len(), service.servers(), service.type_tag()?)));
        for _ in 0..4 {
            let call = self.call("start", || service.start_until(&[7; 9], soon()));
            let room = self.call("reserve", || service.reserve_until(9, soon()));
            let other = room.and_then(|room| self.call("send", || room.send(3)));
            let request = self.call("receive", || service.receive_until(soon()));
            if let Some(request) = request {
                self.call("request", || Ok((request.to_vec()?.len(), request.client_pid(), request.is_cancelled())));
                self.call("reply", || request.reply(&[8; 9]));
            }
            if let Some(request) = self.call("receive", || service.receive_until(soon())) {
                self.call("fail", || request.fail("garbage"));
            }
            for call in call.into_iter().chain(other) {
                self.call("wait", || call.wait_until(soon()));
                self.call("read", || call.read(&mut answer));
                self.call("cancel", || {
                    drop(call);
                    Ok(())
                });
            }
        }
        self.call("call", || service.call_until(b"x", &mut answer, soon()));
        self.call("shutdown", || {
            service.shutdown();
            Ok(())
        });
    }

    fn array(&mut self, array: &RawArray) {
        let soon = || Deadline::after(Duration::from_millis(2));
        let mut copy = vec![0; array.size().min(1 << 20)];
        self.call("array", || Ok((array.type_tag().len(), array.shape().len(), array.strides(), array.len())));
        self.call("writer", || Ok((array.writer(), array.owner_died(), array.version())));
        for _ in 0..2 {
            self.call("read", || array.read(0, &mut copy));
            self.call("write_at", || array.write_at(0, &[7; 8]));
            self.call("snapshot", || array.snapshot_until(&mut copy, soon()));
            self.call("write", || match array.write_until(soon()) {
                Ok(_guard) => Ok(()),
                Err(LockError::OwnerDied(guard)) => {
                    guard.recover();
                    Ok(())
                }
                Err(failed) => Err(failed.into()),
            });
            self.call("end_write", || array.end_write());
        }
    }

    fn cell(&mut self, cell: &RawCell) {
        let soon = || Deadline::after(Duration::from_millis(2));
        let mut value = vec![0; cell.size().min(1 << 20)];
        self.call("type_tag", || cell.type_tag());
        for _ in 0..3 {
            let seen = cell.version();
            self.call("load", || cell.load(&mut value));
            self.call("load_newer", || cell.load_newer_until(seen, &mut value, soon()));
            self.call("store", || cell.store_until(&value, soon()));
            self.call("load_newer", || cell.load_newer_until(seen, &mut value, soon()));
        }
    }

    fn segment(&mut self, name: &str) {
        let soon = || Deadline::after(Duration::from_millis(2));
        self.call("inspect", || Segment::inspect(name));
        let Some(segment) = self.call("open", || Segment::open(name)) else { return };
        self.call("participants", || segment.participants());
        self.call("snapshot", || segment.snapshot());
        self.call("waits", || Ok(segment.waits()?.iter().map(ToString::to_string).collect::<String>()));
        self.call("deadlocks", || segment.deadlocks());
        let objects = self.call("objects", || segment.objects()).unwrap_or_default();
        let names = objects.iter().map(|object| object.name.as_str());
        for object in names
            .chain(["semaphore", "mutex", "free", "mailbox", "ring", "packed", "removed", "leased", "monitor", "fair"])
            .collect::<Vec<_>>()
        {
            if let Some(semaphore) = self.call("open_semaphore", || segment.open_semaphore(object)) {
                self.call("value", || Ok(semaphore.value()));
                self.call("post", || semaphore.post());
                self.call("wait", || semaphore.wait_until(soon()));
                self.call("wait", || semaphore.wait_until(soon()));
                self.call("wait_n", || semaphore.wait_n_until(2, soon()));
                self.call("post_n", || semaphore.post_n(2));
                self.call("max", || Ok((semaphore.max(), semaphore.is_leased())));
            }
            if let Some(monitor) = self.call("open_monitor", || segment.open_monitor(object)) {
                let condition = self.call("condition", || monitor.condition("c"));
                self.call("condition", || monitor.condition("another"));
                if let Some(inside) = self.call("enter", || Ok(monitor.enter_until(soon())?)) {
                    if let Some(condition) = condition {
                        self.call("wait", || condition.wait_until(soon()));
                        self.call("signal", || condition.signal());
                        self.call("broadcast", || condition.broadcast());
                    }
                    inside.recover();
                }
            }
            if let Some(lock) = self.call("open_rwlock", || segment.open_rwlock(object)) {
                self.call("readers", || Ok((lock.readers(), lock.writer(), lock.owner_died())));
                self.call("try_read", || lock.try_read().map(drop).map_err(Error::from));
                self.call("read", || lock.read_until(soon()).map(drop).map_err(Error::from));
                self.call("try_write", || lock.try_write().map(drop).map_err(Error::from));
                self.call("write", || match lock.write_until(soon()) {
                    Ok(guard) => {
                        drop(guard.downgrade());
                        Ok(())
                    }
                    Err(LockError::OwnerDied(guard)) => {
                        guard.recover();
                        Ok(())
                    }
                    Err(failed) => Err(failed.into()),
                });
                self.call("unlock", || lock.unlock());
            }
            if let Some(barrier) = self.call("open_barrier", || segment.open_barrier(object)) {
                self.call("arrived", || Ok((barrier.arrived(), barrier.parties(), barrier.is_broken())));
                self.call("try_wait", || barrier.try_wait());
                self.call("wait", || barrier.wait_until(soon()));
                self.call("reset", || barrier.reset());
                self.call("wait", || barrier.wait_until(soon()));
            }
            if let Some(event) = self.call("open_event", || segment.open_event(object)) {
                self.call("set", || event.set(0xFF));
                self.call("wait_any", || event.wait_any_until(1, After::Clear, soon()));
                self.call("wait_all", || event.wait_all_until(3, After::Clear, soon()));
                self.call("clear", || event.clear(0xFF));
            }
            if let Some(mutex) = self.call("open_mutex", || segment.open_mutex(object)) {
                self.call("holder", || Ok(mutex.holder()));
                self.call("try_lock", || mutex.try_lock().map_err(Error::from));
                self.call("lock", || match mutex.lock_until(soon()) {
                    Ok(_guard) => Ok(()),
                    Err(LockError::OwnerDied(guard)) => {
                        guard.recover();
                        Ok(())
                    }
                    Err(failed) => Err(failed.into()),
                });
                self.call("unlock", || mutex.unlock());
            }
            if let Some(mailbox) = self.call("open_mailbox", || segment.open_mailbox(object)) {
                let size = mailbox.message_size().min(1 << 20);
                let mut buffer = vec![0; size];
                self.call("len", || Ok((mailbox.len(), mailbox.voided(), mailbox.capacity())));
                for _ in 0..3 {
                    self.call("peek", || mailbox.peek_until(&mut buffer, soon()));
                    self.call("receive", || mailbox.receive_until(&mut buffer, soon()));
                    self.call("send", || mailbox.send_until(&buffer[..size.min(9)], soon()));
                    self.call("reserve", || mailbox.reserve_until(size.min(9), soon())?.commit(size.min(3)));
                }
            }
            if let Some(ring) = self.call("open_ring", || segment.open_ring(object)) {
                if let Some(mut producer) = self.call("producer", || ring.producer()) {
                    self.call("write", || producer.write_until(&[7; 60], soon()));
                    self.call("reserve", || producer.reserve_until(100, soon())?.commit(50));
                    self.call("write", || producer.write_until(&[7; 600], soon()));
                    self.call("write_many", || producer.write_many_until(&[[7; 16], [8; 16]], soon()));
                    self.call("write_packed", || producer.write_packed_until(&[7; 48], soon()));
                    self.call("stage", || producer.reserve_until(16, soon())?.stage(16));
                    self.call("reserve_packed", || producer.reserve_packed_until(9, soon())?.stage(16));
                    self.call("publish", || producer.publish());
                }
                if let Some(mut consumer) = self.call("consumer", || ring.consumer()) {
                    for _ in 0..30 {
                        let before = self.successes();
                        let mut buffer = [0; 4096];
                        self.call("read", || consumer.read_until(&mut buffer, soon()));
                        self.call("peek", || {
                            let record = consumer.peek_until(soon())?;
                            record.read(0, &mut buffer);
                            record.release()
                        });
                        let mut sizes = [0; 3];
                        self.call("read_many", || consumer.read_many_until(&mut buffer, &mut sizes, soon()));
                        self.call("read_packed", || consumer.read_packed_until(&mut buffer[..40], soon()));
                        self.call("hold", || consumer.peek_until(soon())?.hold());
                        self.call("peek_packed", || consumer.peek_packed_until(3, soon())?.release());
                        if self.successes() == before {
                            break; // it is empty, or will never work
                        }
                    }
                }
            }
        }
        for object in objects.iter().map(|object| object.name.as_str()).chain(["port", "other port"]) {
            let Some(sender) = self.call("open_port", || segment.open_port(object)) else { continue };
            let mut buffer = vec![0; sender.message_size().min(1 << 20)];
            self.call("port", || Ok((sender.len(), sender.capacity())));
            let own = self.call("port", || segment.port("own-port"));
            let receiver = self.call("receiver", || {
                let options = PortOptions::default().capacity(sender.capacity()).message_size(sender.message_size());
                segment.port_with(object, options)
            });
            for _ in 0..4 {
                if let Some(own) = &own {
                    let rights: Vec<Port> = self.call("send_right", || own.send_right()).into_iter().collect();
                    let rights: Vec<&Port> = rights.iter().collect();
                    self.call("send_rights", || sender.send_rights(b"x", &rights, soon()));
                    self.call("send_pending", || sender.send_pending(b"x", own));
                    self.call("request", || sender.request_notification(PortEvent::DeadName, own));
                    self.call("told", || own.try_receive(&mut [0; 1024]));
                }
                self.call("call", || sender.call(b"x", &mut buffer, soon()));
                if let Some(receiver) = &receiver {
                    self.call("no senders", || receiver.request_notification(PortEvent::NoSenders, receiver));
                    self.call("receive", || receiver.receive_until(&mut buffer, soon()));
                }
            }
        }
        for object in objects.iter().map(|object| object.name.as_str()).chain(["topic"]) {
            let Some(topic) = self.call("open_topic", || segment.open_topic(object)) else { continue };
            self.call("topic", || Ok((topic.published(), topic.dropped(), topic.subscribers(), topic.type_tag())));
            let mut subscribers: Vec<_> = [Start::Latest, Start::Oldest]
                .into_iter()
                .filter_map(|start| self.call("subscriber", || topic.subscriber(start)))
                .collect();
            let mut publisher = self.call("publisher", || topic.publisher());
            for _ in 0..12 {
                if let Some(publisher) = &mut publisher {
                    self.call("publish", || publisher.publish_until(&[7; 40], soon()));
                    let many: [&[u8]; 2] = [&[7; 9], b""];
                    self.call("publish_many", || publisher.publish_many_until(&many, soon()));
                    self.call("reserve", || publisher.reserve_until(9, soon())?.map(|room| room.commit(3)).transpose());
                }
                for subscriber in &mut subscribers {
                    let mut buffer = [0; 4096];
                    self.call("receive", || subscriber.receive_until(&mut buffer, soon()));
                    self.call("peek", || {
                        let message = subscriber.peek_until(soon())?;
                        message.read(0, &mut buffer);
                        message.release()
                    });
                    self.call("receive_many", || subscriber.receive_many_until(&mut buffer, &mut [0; 3], soon()));
                }
            }
            if let Some(publisher) = &mut publisher {
                self.call("shutdown", || publisher.shutdown());
            }
        }
        for object in objects.iter().map(|object| object.name.as_str()).chain(["service", "array", "cell"]) {
            if let Some(service) = self.call("open_service", || segment.open_service(object)) {
                self.service(&service);
            }
            if let Some(array) = self.call("open_raw_array", || segment.open_raw_array(object)) {
                self.array(&array);
            }
            if let Some(cell) = self.call("open_raw_cell", || segment.open_raw_cell(object)) {
                self.cell(&cell);
            }
        }
        self.call("create", || segment.semaphore("fresh", 1)?.wait_until(soon()));
        self.call("create", || segment.mailbox("fresh-mailbox", 3, 100)?.send_until(b"hello", soon()));
        self.call("remove", || segment.remove("mailbox"));
        self.call("sweep", || segment.sweep());
        self.call("close", || {
            drop(segment);
            Ok(())
        });
        self.call("unlink", || Segment::unlink(name));
    }
}
