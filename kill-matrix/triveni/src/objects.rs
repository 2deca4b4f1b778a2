//! What can be done with each object, under the names that the stories use.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;
use triveni::{
    After, Consumer, Error, ErrorKind, LockError, Monitor, Producer, Ring, RwLock, RwPolicy, Segment, SemaphoreOptions,
};

/// What a command answers.
pub enum Said {
    /// Done; with a word about it if it is worth telling.
    Ok(Option<String>),
    /// Done, and somebody had died.
    Told(Option<String>),
    Failed(String),
}

const DONE: Said = Said::Ok(None);

impl From<Result<(), Error>> for Said {
    fn from(result: Result<(), Error>) -> Said {
        match result {
            Ok(()) => DONE,
            Err(error) => Said::Failed(error.to_string()),
        }
    }
}

type Command = Box<dyn FnMut() -> Said>;

/// The commands of one object.
#[derive(Default)]
pub struct Commands {
    all: HashMap<&'static str, Command>,
    rest: Option<Box<dyn FnMut()>>,
}

impl Commands {
    fn with(mut self, name: &'static str, command: impl FnMut() -> Said + 'static) -> Commands {
        self.all.insert(name, Box::new(command));
        self
    }

    /// Carries one out.
    pub fn run(&mut self, name: &str) -> Said {
        match self.all.get_mut(name) {
            Some(command) => command(),
            None => Said::Failed(format!("there is no command {name}")),
        }
    }

    /// After a command, or a loop: gives back the roles that are for one process at a time.
    pub fn rest(&mut self) {
        self.rest.iter_mut().for_each(|rest| rest());
    }
}

/// Finds or creates the segment and the object in it.
pub fn open(object: &str, segment: &str) -> Result<Commands, Error> {
    let lab = Segment::open_or_create(segment, 1 << 20)?;
    Ok(match object {
        "mutex" => mutex(lab.mutex("object")?),
        "semaphore" => semaphore(lab.semaphore("object", 1)?),
        "leased" => semaphore(lab.semaphore_with("object", SemaphoreOptions::leased(1))?),
        "readers" => rwlock(lab.rwlock("object", RwPolicy::ReadersFirst)?),
        "writers" => rwlock(lab.rwlock("object", RwPolicy::WritersFirst)?),
        "fair" => rwlock(lab.rwlock("object", RwPolicy::Fair)?),
        "monitor" => monitor(&lab)?,
        "barrier" => barrier(lab.barrier("object", 3)?),
        "event" => event(lab.event("object", 0)?),
        "mailbox" => mailbox(lab.mailbox("object", 4, SIZE)?),
        "ring" => ring(lab.ring("object", 4096)?),
        _ => return Err(Error::new(ErrorKind::Invalid, format!("there is no object {object}"))),
    })
}

/// Keeps what a lock gave (it is unlocked by name), and recovers it if a holder died.
macro_rules! take {
    ($lock:expr, $recover:expr) => {
        match $lock {
            Ok(guard) => {
                std::mem::forget(guard);
                DONE
            }
            Err(LockError::OwnerDied(guard)) => {
                std::mem::forget(guard);
                match Said::from($recover) {
                    Said::Ok(_) => Said::Told(None),
                    failed => failed,
                }
            }
            Err(LockError::Failed(error)) => Said::Failed(error.to_string()),
        }
    };
}

fn mutex(mutex: triveni::Mutex) -> Commands {
    let also = mutex.clone();
    Commands::default()
        .with("lock", move || take!(mutex.lock(), mutex.recover()))
        .with("unlock", move || also.unlock().into())
}

fn semaphore(semaphore: triveni::Semaphore) -> Commands {
    let also = semaphore.clone();
    Commands::default().with("wait", move || semaphore.wait().into()).with("post", move || also.post().into())
}

fn rwlock(lock: RwLock) -> Commands {
    let (reads, writes) = (lock.clone(), lock.clone());
    Commands::default()
        .with("read", move || take!(reads.read(), Ok(())))
        .with("write", move || take!(writes.write(), writes.recover()))
        .with("unlock", move || lock.unlock().into())
}

/// The condition is about a number, which is kept in a semaphore and touched inside the monitor only.
fn monitor(lab: &Segment) -> Result<Commands, Error> {
    let (monitor, number) = (lab.monitor("object")?, lab.semaphore("number", 0)?);
    let changed = monitor.condition("changed")?;
    let (enters, leaves, waits, signals) = (monitor.clone(), monitor.clone(), monitor.clone(), monitor);
    let (bell, count) = (changed.clone(), number.clone());
    Ok(Commands::default()
        .with("lock", move || take!(enters.enter(), enters.recover()))
        .with("unlock", move || leaves.leave().into())
        .with("wait", move || {
            inside(&waits, || {
                let mut told = DONE;
                while !number.try_wait()? {
                    match changed.wait() {
                        Err(error) if error.kind() == ErrorKind::OwnerDied => {
                            waits.recover()?;
                            told = Said::Told(None);
                        }
                        result => result?,
                    }
                }
                Ok(told)
            })
        })
        .with("signal", move || {
            inside(&signals, || {
                count.post()?;
                bell.signal()?;
                Ok(DONE)
            })
        }))
}

fn inside(monitor: &Monitor, body: impl FnOnce() -> Result<Said, Error>) -> Said {
    let entered = take!(monitor.enter(), monitor.recover());
    if matches!(entered, Said::Failed(_)) {
        return entered;
    }
    match body().and_then(|said| monitor.leave().map(|()| said)) {
        Ok(Said::Ok(_)) => entered,
        Ok(said) => said,
        Err(error) => Said::Failed(error.to_string()),
    }
}

fn barrier(barrier: triveni::Barrier) -> Commands {
    let also = barrier.clone();
    Commands::default()
        .with("wait", move || match barrier.wait() {
            Err(error) if error.kind() == ErrorKind::Broken => Said::Told(None),
            result => result.map(|_| ()).into(),
        })
        .with("reset", move || also.reset().into())
}

fn event(event: triveni::Event) -> Commands {
    let (sets, clears) = (event.clone(), event.clone());
    Commands::default()
        .with("wait", move || event.wait_any(1, After::Keep).map(|_| ()).into())
        .with("set", move || sets.set(1).map(|_| ()).into())
        .with("clear", move || clears.clear(1).map(|_| ()).into())
}

fn mailbox(mailbox: triveni::Mailbox) -> Commands {
    let (sends, marks, reserves, cancels) = (mailbox.clone(), mailbox.clone(), mailbox.clone(), mailbox.clone());
    let lent = Rc::new(Cell::new(None));
    let also = lent.clone();
    let (mut numbers, mut received) = (1.., 0);
    Commands::default()
        .with("send", move || sends.send(&message(numbers.next())).into())
        .with("mark", move || marks.send(&message(None)).into())
        .with("receive", move || {
            let mut buffer = [0; SIZE];
            match mailbox.receive(&mut buffer) {
                Ok(got) => check(&buffer[..got.size], &mut received),
                Err(error) => Said::Failed(error.to_string()),
            }
        })
        .with("reserve", move || {
            let reserved = reserves.reserve(SIZE).and_then(|mut loan| {
                loan.write(0, &[7; SIZE / 2])?;
                Ok(loan.into_raw())
            });
            reserved.map(|raw| lent.set(Some(raw))).into()
        })
        .with("cancel", move || match also.take() {
            Some(raw) => cancels.resume(raw).map(|loan| loan.cancel()).into(),
            None => Said::Failed("nothing is reserved".to_string()),
        })
}

/// The roles are taken by the first command that needs one, and given back when the process rests.
fn ring(ring: Ring) -> Commands {
    let producer = Rc::new(RefCell::new(None));
    let consumer = Rc::new(RefCell::new(None));
    let (writes, marks, reads) = (ring.clone(), ring.clone(), ring);
    let (sends, also, rests) = (producer.clone(), producer.clone(), (producer, consumer.clone()));
    let (mut numbers, mut received) = (1.., 0);
    let mut commands = Commands::default()
        .with("send", move || write(&writes, &sends, &message(numbers.next())))
        .with("mark", move || write(&marks, &also, &message(None)))
        .with("receive", move || read(&reads, &consumer, &mut received));
    commands.rest = Some(Box::new(move || {
        rests.0.take();
        rests.1.take();
    }));
    commands
}

fn write(ring: &Ring, role: &RefCell<Option<Producer>>, message: &[u8]) -> Said {
    with_peer(|| {
        let mut role = role.borrow_mut();
        let producer = match role.as_mut() {
            Some(producer) => producer,
            None => role.insert(ring.producer()?),
        };
        producer.write(message).map(|()| DONE)
    })
}

fn read(ring: &Ring, role: &RefCell<Option<Consumer>>, received: &mut u64) -> Said {
    with_peer(|| {
        let mut role = role.borrow_mut();
        let consumer = match role.as_mut() {
            Some(consumer) => consumer,
            None => role.insert(ring.consumer()?),
        };
        let mut buffer = [0; SIZE];
        let size = consumer.read(&mut buffer)?;
        Ok(check(&buffer[..size], received))
    })
}

/// A ring tells that the process at the other end died, when there is nothing left to do without it. Then this looks
/// again every millisecond, until a new one is there.
fn with_peer(mut body: impl FnMut() -> Result<Said, Error>) -> Said {
    let mut told = false;
    loop {
        match body() {
            Err(error) if error.kind() == ErrorKind::PeerDead => {
                told = true;
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Said::Failed(error.to_string()),
            Ok(Said::Ok(detail)) if told => return Said::Told(detail),
            Ok(said) => return said,
        }
    }
}

/// Bytes of a message.
const SIZE: usize = 64;
/// The number of a marked one.
const MARK: u64 = 1 << 63;

/// A message that shows whether it is whole: a number, and its low byte all over.
fn message(number: Option<u64>) -> [u8; SIZE] {
    let number = number.unwrap_or(MARK);
    let mut message = [number as u8; SIZE];
    message[..8].copy_from_slice(&number.to_le_bytes());
    message
}

/// Tells of marked messages, and how many others came before.
fn check(message: &[u8], received: &mut u64) -> Said {
    let number = message.first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
    if message.len() != SIZE || message[8..].iter().any(|byte| *byte != number as u8) {
        return Said::Failed(format!("half a message, of {} bytes", message.len()));
    }
    if number == MARK {
        return Said::Ok(Some(format!("marked {received}")));
    }
    *received += 1;
    DONE
}
