//! SIGKILL at random instants, hundreds of times, with the books kept outside the segment: no committed
//! message is lost, none is torn, and nobody hangs. A repetition is allowed where it is announced.
//!
//! Each process says what it is about to do and what it has done, each in one write to a pipe, so that the
//! books survive it. What a killed process was about to do may have happened or not: both are right.

#[path = "kill/objects.rs"]
mod objects;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use triveni::{Deadline, ErrorKind, MailboxOptions, Segment, Start, TopicOptions};
use triveni_tests::{Name, PATIENCE, Peer, Random, cases, wait_for, watchdog};

/// What a sender or producer did.
#[derive(Default)]
struct Sent {
    intents: BTreeSet<u64>,
    committed: BTreeSet<u64>,
}

impl Sent {
    fn book(&mut self, lines: &[String]) {
        for line in lines {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["i", seq] => assert!(self.intents.insert(seq.parse().unwrap()), "{line} twice"),
                ["c", seq] => assert!(self.committed.insert(seq.parse().unwrap()), "{line} twice"),
                ["ready"] => {}
                _ => panic!("a sender says {line:?}"),
            }
        }
    }
}

/// What all receivers got.
#[derive(Default)]
struct Got {
    times: BTreeMap<(u64, u64), u32>,
    /// Receivers killed between asking and telling: each of them may have taken one message with it.
    open_ends: u64,
    repeated_unannounced: Vec<(u64, u64)>,
    repeated: u64,
    last: BTreeMap<u64, u64>,
}

impl Got {
    /// Books all that one receiver said from begin to end.
    fn book(&mut self, lines: &[String]) {
        let mut asked = false;
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        for line in lines {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["want"] => asked = true,
                ["r", sender, seq, redelivered] => {
                    asked = false;
                    let (sender, seq) = (sender.parse().unwrap(), seq.parse().unwrap());
                    let times = self.times.entry((sender, seq)).or_default();
                    *times += 1;
                    let announced = redelivered != "0";
                    self.repeated += u64::from(announced);
                    if *times > 1 && !announced {
                        self.repeated_unannounced.push((sender, seq));
                    }
                    if let Some(before) = last.insert(sender, seq) {
                        assert!(before < seq || announced, "{sender}: {seq} came after {before}");
                    }
                }
                ["ready"] => {}
                _ => panic!("a receiver says {line:?}"),
            }
        }
        self.open_ends += u64::from(asked);
        self.last.extend(last);
    }
}

/// A process and all it has said so far.
struct Logged {
    peer: Peer,
    said: Vec<String>,
}

impl Logged {
    fn start(args: &[&str]) -> Logged {
        Logged { peer: Peer::rust(args), said: Vec::new() }
    }

    fn hear(&mut self) {
        self.said.extend(self.peer.lines_so_far());
    }

    /// Kills it as soon as it has said this.
    fn kill_after(mut self, line: &str) {
        wait_for(line, || {
            self.hear();
            self.said.iter().any(|said| said == line)
        });
        self.kill();
    }

    /// All that it said, torn messages excluded: those end a receiver by itself.
    fn kill(&mut self) -> Vec<String> {
        if self.peer.has_ended() {
            let ended = self.peer.ended();
            panic!("a peer ended by itself: {} {}", ended.status, ended.stderr);
        }
        self.hear();
        self.said.extend(self.peer.killed());
        std::mem::take(&mut self.said)
    }
}

#[test]
fn two_hundred_kills_of_mailbox_users_lose_nothing_that_was_committed() {
    kills_of_mailbox_users("bounded", cases(200), MailboxOptions::new(8, 512));
}

#[test]
fn kills_of_those_who_meet_lose_nothing_that_was_handed_over() {
    kills_of_mailbox_users("of capacity 0", cases(200) / 4, MailboxOptions::new(0, 512));
}

#[test]
fn kills_of_users_of_an_unbounded_mailbox_lose_neither_messages_nor_memory() {
    let unbounded = triveni::Capacity::Unbounded { ceiling: 256 };
    kills_of_mailbox_users("unbounded", cases(200) / 4, MailboxOptions::new(unbounded, 512));
}

fn kills_of_mailbox_users(which: &str, kills: u64, options: MailboxOptions) {
    let _watchdog = watchdog(&format!("random kills of users of a mailbox, {which}"), 5 * PATIENCE);
    let mut random = Random::seeded("mailbox kills");
    let name = Name::fresh("kill");
    let segment = Segment::create(&name, 8 << 20).unwrap();
    let mailbox = segment.create_mailbox_with("box", options).unwrap();
    let mut senders_so_far = 0;
    let mut new_sender = || {
        senders_so_far += 1;
        (senders_so_far, Logged::start(&["log-send", &name, "box", &senders_so_far.to_string(), "0"]))
    };
    let new_receiver = || Logged::start(&["log-receive", &name, "box", "0"]);
    let mut senders = [new_sender(), new_sender()];
    let mut receivers = [new_receiver(), new_receiver()];
    let mut sent: BTreeMap<u64, Sent> = BTreeMap::new();
    let mut got = Got::default();
    let mut killed = [0, 0];
    for _ in 0..kills {
        std::thread::sleep(Duration::from_micros(random.below(15_000)));
        senders.iter_mut().for_each(|(_, logged)| logged.hear());
        receivers.iter_mut().for_each(Logged::hear);
        let victim = random.below(4) as usize;
        killed[victim / 2] += 1;
        if victim < 2 {
            let (id, mut dead) = std::mem::replace(&mut senders[victim], new_sender());
            sent.entry(id).or_default().book(&dead.kill());
        } else {
            let mut dead = std::mem::replace(&mut receivers[victim - 2], new_receiver());
            got.book(&dead.kill());
        }
    }
    // Those who are left still work: each sender commits, each receiver receives.
    for (_, logged) in &mut senders {
        let before = logged.said.len();
        wait_for("a surviving sender goes on", || {
            logged.hear();
            logged.said[before..].iter().any(|line| line.starts_with('c'))
        });
    }
    for logged in &mut receivers {
        let before = logged.said.len();
        wait_for("a surviving receiver goes on", || {
            logged.hear();
            logged.said[before..].iter().any(|line| line.starts_with('r'))
        });
    }
    for (id, mut logged) in senders {
        sent.entry(id).or_default().book(&logged.kill());
    }
    // One receiver at a time, so that the last ones empty the mailbox.
    let [mut first, mut last] = receivers;
    got.book(&first.kill());
    let mut quiet = Instant::now();
    wait_for("the mailbox is empty", || {
        let before = last.said.len();
        last.hear();
        if last.said.len() > before || !mailbox.is_empty() {
            quiet = Instant::now();
        }
        quiet.elapsed() > Duration::from_millis(300)
    });
    last.peer.sleeps();
    let open = got.open_ends;
    got.book(&last.kill());
    got.open_ends = open; // the last one was asleep in an empty mailbox: it took nothing with it

    let mut lost = 0;
    let (mut committed, mut half) = (0, 0);
    for (id, sent) in &sent {
        committed += sent.committed.len();
        lost += sent.committed.iter().filter(|seq| !got.times.contains_key(&(*id, **seq))).count() as u64;
        half += sent.intents.difference(&sent.committed).count();
    }
    for (sender, seq) in got.times.keys() {
        assert!(sent.get(sender).is_some_and(|s| s.intents.contains(seq)), "{sender} {seq} was never sent");
    }
    println!(
        "{which}: {} senders and {} receivers killed; {committed} committed, {half} half-way, {} received, {} of them \
         announced as redelivered, {} receivers killed between receiving and saying so, {lost} died with one; voided {}",
        killed[0],
        killed[1],
        got.times.len(),
        got.repeated,
        got.open_ends,
        mailbox.voided(),
    );
    assert!(committed as u64 >= kills, "hardly anything was sent");
    assert!(got.repeated_unannounced.is_empty(), "doubled without a word: {:?}", got.repeated_unannounced);
    assert!(lost <= got.open_ends, "lost {lost} with {} receivers that may have taken one", got.open_ends);
    // What an unbounded one took for its messages it gave back, but for a few pages.
    let taken = std::fs::metadata(name.file()).unwrap().blocks() * 512;
    assert!(taken <= 3 << 20, "an empty mailbox keeps {taken} bytes");
}

#[test]
fn kills_of_senders_alone_lose_nothing_at_all() {
    let kills = cases(200) / 2;
    let _watchdog = watchdog("random kills of senders", 5 * PATIENCE);
    let mut random = Random::seeded("sender kills");
    let name = Name::fresh("kill");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    segment.create_mailbox("box", 3, 512).unwrap();
    let mut receiver = Logged::start(&["log-receive", &name, "box", "0"]);
    let mut committed = BTreeSet::new();
    let mut intents = BTreeSet::new();
    for id in 1..=kills {
        let mut sender = Logged::start(&["log-send", &name, "box", &id.to_string(), "0"]);
        std::thread::sleep(Duration::from_micros(random.below(12_000)));
        receiver.hear();
        let mut sent = Sent::default();
        sent.book(&sender.kill());
        committed.extend(sent.committed.iter().map(|seq| (id, *seq)));
        intents.extend(sent.intents.iter().map(|seq| (id, *seq)));
    }
    // A last sender that ends by itself: what it sends is behind everything else.
    let last = kills + 1;
    Peer::rust(&["log-send", &name, "box", &last.to_string(), "5"]).succeeds();
    wait_for("the last message", || {
        receiver.hear();
        receiver.said.iter().any(|line| line.starts_with(&format!("r {last} 4 ")))
    });
    let mut got = Got::default();
    got.book(&receiver.kill());
    let lost: Vec<_> = committed.iter().filter(|key| !got.times.contains_key(key)).collect();
    println!("{kills} senders killed; {} committed, {} received", committed.len(), got.times.len());
    assert!(lost.is_empty(), "lost {lost:?}");
    assert!(got.times.values().all(|times| *times == 1), "a message came twice, though no receiver died");
    assert!(got.times.keys().all(|key| key.0 == last || intents.contains(key)), "a message that nobody sent");
}

#[test]
fn two_hundred_kills_of_ring_users_lose_nothing_that_was_committed() {
    let kills = cases(200);
    let _watchdog = watchdog("random kills of ring users", 5 * PATIENCE);
    let mut random = Random::seeded("ring kills");
    let name = Name::fresh("kill");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    segment.create_ring("ring", 2048).unwrap();
    let new_producer = |first: u64| Logged::start(&["log-produce", &name, "ring", &first.to_string()]);
    let new_consumer = || Logged::start(&["log-consume", &name, "ring", "0"]);
    let mut producer = new_producer(0);
    let mut consumer = new_consumer();
    // A role is given to one live process only, so the old one must be gone before the new one starts.
    let mut sent = Sent::default();
    let mut got: Vec<u64> = Vec::new();
    let mut deaths: Vec<usize> = Vec::new(); // how much had been got at each death of a consumer
    let hear = |got: &mut Vec<u64>, lines: &[String]| {
        let records = lines.iter().filter_map(|line| line.strip_prefix("r 1 "));
        got.extend(records.map(|seq| seq.parse::<u64>().unwrap()));
    };
    let mut killed = [0, 0];
    for _ in 0..kills {
        std::thread::sleep(Duration::from_micros(random.below(15_000)));
        producer.hear();
        consumer.hear();
        let (kill_producer, kill_consumer) = [(true, false), (false, true), (true, true)][random.below(3) as usize];
        if kill_producer {
            sent.book(&producer.kill());
            killed[0] += 1;
        }
        if kill_consumer {
            hear(&mut got, &consumer.kill());
            deaths.push(got.len());
            killed[1] += 1;
            consumer = new_consumer();
        }
        if kill_producer {
            producer = new_producer(sent.intents.last().map_or(0, |last| last + 1));
        }
    }
    let before = producer.said.len();
    wait_for("the surviving producer goes on", || {
        producer.hear();
        consumer.hear();
        producer.said[before..].iter().any(|line| line.starts_with('c'))
    });
    sent.book(&producer.kill());
    // What is left is taken by a last consumer, up to the end.
    hear(&mut got, &consumer.kill());
    deaths.push(got.len());
    let mut ring = segment.open_ring("ring").unwrap().consumer().unwrap();
    let mut buffer = [0; 2048];
    while let Ok(Some(size)) = ring.try_read(&mut buffer) {
        assert!(size >= 16);
        got.push(u64::from_le_bytes(buffer[8..16].try_into().unwrap()));
    }
    // The order is the order of sending; a step back by one record is allowed where a consumer died before its release.
    let mut repeated = 0;
    for (at, pair) in got.windows(2).enumerate() {
        if pair[0] == pair[1] {
            assert!(deaths.contains(&(at + 1)), "record {} came twice, and nobody had died", pair[0]);
            repeated += 1;
        } else {
            assert!(pair[0] < pair[1], "record {} came after {}", pair[1], pair[0]);
        }
    }
    let seen: BTreeSet<u64> = got.iter().copied().collect();
    let lost: Vec<_> = sent.committed.difference(&seen).collect();
    println!(
        "{} producers and {} consumers killed; {} committed, {} read, {repeated} read again after a death",
        killed[0],
        killed[1],
        sent.committed.len(),
        seen.len()
    );
    assert!(sent.committed.len() as u64 >= kills, "hardly anything was written");
    assert!(lost.is_empty(), "lost {lost:?}");
    assert!(seen.is_subset(&sent.intents), "a record that nobody wrote");
}

#[test]
fn two_hundred_kills_of_topic_users_lose_nothing_that_was_published() {
    let kills = cases(200);
    let _watchdog = watchdog("random kills of topic users", 5 * PATIENCE);
    let mut random = Random::seeded("topic kills");
    let name = Name::fresh("kill");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    let topic = segment.create_topic_with("topic", TopicOptions::new(8, 2048).subscribers(3)).unwrap();
    // The one who survives receives everything.
    let over = AtomicBool::new(false);
    let mut survivor = topic.subscriber(Start::Latest).unwrap();
    let (got, sent, killed) = std::thread::scope(|scope| {
        let receiver = scope.spawn(|| {
            let (mut buffer, mut got) = ([0; 2048], Vec::new());
            loop {
                match survivor.receive_until(&mut buffer, Deadline::after(Duration::from_millis(50))) {
                    Ok(size) => {
                        assert!(size >= 16);
                        got.push(u64::from_le_bytes(buffer[8..16].try_into().unwrap()));
                    }
                    Err(_) if over.load(Relaxed) => return got,
                    Err(error) => assert!(matches!(error.kind(), ErrorKind::PeerDead | ErrorKind::Timeout), "{error}"),
                }
            }
        });
        let new_publisher = |first: u64| Logged::start(&["log-publish", &name, "topic", &first.to_string()]);
        let new_subscriber = || Logged::start(&["log-subscribe", &name, "topic", "0"]);
        let mut publisher = new_publisher(0);
        let mut subscribers = [new_subscriber(), new_subscriber()];
        let (mut sent, mut killed) = (Sent::default(), [0, 0]);
        let whole = |lines: &[String]| {
            let mut last: Option<u64> = None;
            for line in lines {
                // Others say ready, or tell of history that was overwritten.
                if let Some(seq) = line.strip_prefix("r 1 ").map(|seq| seq.parse().unwrap()) {
                    assert!(last.is_none_or(|last| last < seq), "message {seq} after {last:?}");
                    last = Some(seq);
                }
            }
        };
        for _ in 0..kills {
            std::thread::sleep(Duration::from_micros(random.below(15_000)));
            publisher.hear();
            subscribers.iter_mut().for_each(Logged::hear);
            if random.below(2) == 0 {
                sent.book(&publisher.kill());
                publisher = new_publisher(sent.intents.last().map_or(0, |last| last + 1));
                killed[0] += 1;
            } else {
                let subscriber = &mut subscribers[random.below(2) as usize];
                whole(&subscriber.kill()); // first, for there is room for no third one
                *subscriber = new_subscriber();
                killed[1] += 1;
            }
        }
        let before = publisher.said.len();
        wait_for("the surviving publisher goes on", || {
            publisher.hear();
            subscribers.iter_mut().for_each(Logged::hear);
            publisher.said[before..].iter().any(|line| line.starts_with('c'))
        });
        sent.book(&publisher.kill());
        subscribers.into_iter().for_each(|mut subscriber| whole(&subscriber.kill()));
        over.store(true, Relaxed);
        (receiver.join().unwrap(), sent, killed)
    });
    println!(
        "{} publishers and {} subscribers killed; {} committed, {} received",
        killed[0],
        killed[1],
        sent.committed.len(),
        got.len()
    );
    assert!(sent.committed.len() as u64 >= kills, "hardly anything was published");
    assert!(got.windows(2).all(|pair| pair[0] < pair[1]), "not in order, or twice");
    let seen: BTreeSet<u64> = got.into_iter().collect();
    assert!(seen.is_superset(&sent.committed), "lost {:?}", sent.committed.difference(&seen).collect::<Vec<_>>());
    assert!(seen.is_subset(&sent.intents), "a message that nobody published");
    segment.sweep().unwrap();
    assert_eq!(topic.subscribers(), 1, "the survivor");
}
