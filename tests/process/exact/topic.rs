//! Killed in an operation of topics.

use crate::scene::*;
use crate::step::*;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use triveni::*;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TopicVerb {
    Publish,
    Commit,
    /// Take the role from a dead process.
    Succeed,
    Shutdown,
    Subscribe,
    Receive,
    Release,
    Leave,
}

impl TopicVerb {
    fn is_publisher(self) -> bool {
        matches!(self, TopicVerb::Publish | TopicVerb::Commit | TopicVerb::Succeed | TopicVerb::Shutdown)
    }
}

/// A topic of two messages and two subscribers: one is the survivor's, and the child has the other one or publishes.
pub struct TopicScene {
    place: Place,
    verb: TopicVerb,
    policy: TopicPolicy,
    /// Messages in it that the survivor has not received.
    filled: u64,
    topic: Option<Topic>,
    publisher: Option<Publisher>,
    subscriber: Option<Subscriber>,
    predecessor: &'static Page,
}

impl TopicScene {
    fn new(verb: TopicVerb, policy: TopicPolicy, filled: u64) -> TopicScene {
        let (place, predecessor) = (Place::new(), Page::new());
        TopicScene { place, verb, policy, filled, topic: None, publisher: None, subscriber: None, predecessor }
    }

    fn read(subscriber: &mut Subscriber) -> Result<(u64, u64), ErrorKind> {
        let mut buffer = [0; 512];
        match subscriber.receive_until(&mut buffer, in_time()) {
            Ok(size) => Ok(read(&buffer[..size])),
            Err(error) => Err(error.kind()),
        }
    }

    /// Whatever the dead one left: both ends do three laps, nothing is missed, and there is a place for another
    /// subscriber.
    fn works(&self, publisher: &mut Publisher, subscriber: &mut Subscriber) {
        let missed = subscriber.missed();
        for seq in 0..6 {
            let bytes = message(3, seq, [24, 100, 200][seq as usize % 3]);
            let end = in_time();
            while !publisher.publish_until(&bytes, end).unwrap() {
                assert!(!end.passed(), "it drops its messages for a dead subscriber");
            }
            let mut next = Self::read(subscriber);
            while next == Err(ErrorKind::Lost) && self.policy == TopicPolicy::DropNewest {
                next = Self::read(subscriber); // dropped while the dead one was in the way
            }
            assert_eq!(next, Ok((3, seq)));
        }
        assert!(subscriber.missed() == missed || self.policy == TopicPolicy::DropNewest);
        let topic = self.topic.as_ref().unwrap();
        let mut other = topic.subscriber(Start::Oldest).unwrap();
        assert_eq!(Self::read(&mut other), Ok((3, 4)), "the last two are there");
    }
}

impl Scene for TopicScene {
    in_place!();

    fn prepare(&mut self) -> Result<(), Refused> {
        let options = TopicOptions::new(2, 256).policy(self.policy).subscribers(2);
        let topic = self.place.segment.create_topic_with("topic", options).unwrap();
        let mut publisher = topic.publisher().unwrap();
        let mut subscriber = topic.subscriber(Start::Latest).unwrap();
        // A lap and a bit: slots hold old messages.
        for seq in 0..3 {
            assert!(publisher.publish(&message(0, seq, 100)).unwrap());
            assert_eq!(Self::read(&mut subscriber), Ok((0, seq)));
        }
        for seq in 0..self.filled {
            assert!(publisher.try_publish(&message(1, seq, 40)).unwrap());
        }
        if self.verb.is_publisher() {
            drop(publisher);
        } else {
            self.publisher = Some(publisher);
        }
        self.subscriber = Some(subscriber);
        if self.verb == TopicVerb::Succeed {
            drop(Bystander::start(self.predecessor, |step| {
                let topic = self.place.segment.open_topic("topic").unwrap();
                let mut publisher = topic.publisher().unwrap();
                std::mem::forget(publisher.reserve(50).unwrap());
                std::mem::forget(publisher);
                step.0.mark.store(BEGUN, Relaxed);
                step.wait();
            }));
        }
        self.topic = Some(topic);
        Ok(())
    }

    fn act(&self, step: &Step) {
        let topic = self.place.segment.open_topic("topic").unwrap();
        let bytes = message(2, 0, 140);
        match self.verb {
            TopicVerb::Publish => {
                let mut publisher = topic.publisher().unwrap();
                step.through(|| publisher.publish_until(&bytes, soon()).map(|_| OK))
            }
            TopicVerb::Commit => {
                let mut publisher = topic.publisher().unwrap();
                step.through(|| {
                    if let Some(mut grant) = publisher.reserve_until(200, soon())? {
                        grant.write(0, &bytes)?;
                        grant.commit(bytes.len())?;
                    }
                    Ok(OK)
                })
            }
            TopicVerb::Succeed => step.through(|| {
                std::mem::forget(topic.publisher()?);
                Ok(OK)
            }),
            TopicVerb::Shutdown => {
                let mut publisher = topic.publisher().unwrap();
                step.through(|| publisher.shutdown().map(|()| OK))
            }
            TopicVerb::Subscribe => step.through(|| {
                std::mem::forget(topic.subscriber(Start::Oldest)?);
                Ok(OK)
            }),
            TopicVerb::Receive => {
                let (mut subscriber, buffer) = (topic.subscriber(Start::Oldest).unwrap(), step.0.buffer());
                step.through(|| subscriber.receive_until(buffer, soon()).map(|_| OK))
            }
            TopicVerb::Release => {
                let (mut subscriber, buffer) = (topic.subscriber(Start::Oldest).unwrap(), step.0.buffer());
                step.through(|| {
                    let grant = subscriber.peek_until(soon())?;
                    grant.read(0, buffer);
                    grant.release().map(|()| OK)
                })
            }
            TopicVerb::Leave => {
                let subscriber = topic.subscriber(Start::Oldest).unwrap();
                step.through(|| {
                    drop(subscriber);
                    Ok(OK)
                })
            }
        }
    }

    fn check(&mut self, killed: &Killed) {
        if killed.swept {
            self.place.segment.sweep().unwrap();
        }
        let mut subscriber = self.subscriber.take().unwrap();
        let full = self.filled == 2;
        let overwrites = full && self.policy == TopicPolicy::DropOldest;
        let publishes = matches!(self.verb, TopicVerb::Publish | TopicVerb::Commit);
        if overwrites && publishes {
            // The oldest is gone once the child has begun; what is there comes in order.
            let mut got = Vec::new();
            let end = loop {
                match Self::read(&mut subscriber) {
                    Ok(message) => got.push(message),
                    Err(ErrorKind::Lost) => {}
                    Err(end) => break end,
                }
            };
            assert_eq!(end, ErrorKind::PeerDead);
            let all = [(1, 0), (1, 1), (2, 0)];
            assert!(all.windows(got.len().max(1)).any(|some| some == got), "{got:?}");
            assert!(!killed.done() || got.last() == Some(&(2, 0)), "{got:?}");
        } else {
            for seq in 0..self.filled {
                assert_eq!(Self::read(&mut subscriber), Ok((1, seq)), "what was published before");
            }
            if self.verb.is_publisher() {
                let mut next = Self::read(&mut subscriber);
                if next == Err(ErrorKind::Lost) {
                    assert!(full && self.policy == TopicPolicy::DropNewest, "nothing is dropped");
                    next = Self::read(&mut subscriber);
                }
                if self.verb == TopicVerb::Shutdown && (killed.done() || next == Err(ErrorKind::Closed)) {
                    assert_eq!(next, Err(ErrorKind::Closed));
                    self.place.segment.remove("topic").unwrap();
                    drop((self.topic.take(), subscriber));
                    return self.place.is_as_new();
                }
                if next.is_ok() || publishes && !full && killed.done() {
                    assert!(publishes, "a message that was not committed");
                    assert_eq!(next, Ok((2, 0)));
                    next = Self::read(&mut subscriber);
                }
                assert_eq!(next, Err(ErrorKind::PeerDead));
            }
        }
        let topic = self.topic.clone().unwrap();
        let mut publisher = self.publisher.take().unwrap_or_else(|| topic.publisher().unwrap());
        self.works(&mut publisher, &mut subscriber);
        self.place.segment.remove("topic").unwrap();
        drop((self.topic.take(), topic, publisher, subscriber));
        self.place.is_as_new();
    }
}

#[test]
fn a_topic_goes_on_whoever_dies() {
    use TopicPolicy::{Block, DropNewest, DropOldest};
    use TopicVerb::{Commit, Leave, Publish, Receive, Release, Shutdown, Subscribe, Succeed};
    let cases = [
        (Publish, Block, 0),
        (Publish, Block, 1),
        (Publish, DropOldest, 2),
        (Publish, DropNewest, 2),
        (Commit, Block, 1),
        (Commit, DropOldest, 2),
        (Succeed, Block, 1),
        (Shutdown, Block, 1),
        (Subscribe, Block, 2),
        (Subscribe, DropNewest, 1),
        (Receive, Block, 2),
        (Receive, DropOldest, 2),
        (Release, DropNewest, 2),
        (Leave, Block, 2),
    ];
    let cases = cases.into_iter().map(|(verb, policy, filled)| {
        let name = format!("topic, {}, {filled} in it: {verb:?}", policy.name());
        case(name, move || TopicScene::new(verb, policy, filled))
    });
    run_all("topic", cases.collect());
}
