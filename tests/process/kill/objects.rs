//! The same for services, ports, arrays and cells.

use super::{Got, Logged, Sent};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use triveni::{CellOptions, PortOptions, Segment, ServiceOptions};
use triveni_tests::{Name, PATIENCE, Peer, Random, cases, wait_for, watchdog};

/// As many as take a second or two.
fn kills() -> u64 {
    cases(200) / 4
}

/// As in the peer.
const VALUE: usize = 16 << 10;

/// Those who act, and those who only look or serve, by their roles; when one is killed another takes its place.
struct Crew {
    segment: String,
    object: &'static str,
    roles: [&'static str; 2],
    /// Who acts, each under a number of its own.
    actors: Vec<(u64, Logged)>,
    others: Vec<Logged>,
    started: u64,
    killed: [u64; 2],
}

impl Crew {
    fn start(segment: &str, object: &'static str, roles: [&'static str; 2], others: usize) -> Crew {
        let (segment, actors) = (segment.to_owned(), Vec::new());
        let mut crew = Crew { segment, object, roles, actors, others: Vec::new(), started: 0, killed: [0, 0] };
        crew.others = (0..others).map(|_| crew.other()).collect();
        crew.actors = (0..2).map(|_| crew.actor()).collect();
        crew
    }

    fn actor(&mut self) -> (u64, Logged) {
        self.started += 1;
        let number = self.started.to_string();
        (self.started, Logged::start(&[self.roles[0], &self.segment, self.object, &number]))
    }

    fn other(&self) -> Logged {
        Logged::start(&[self.roles[1], &self.segment, self.object, "0"])
    }

    fn hear(&mut self) {
        self.actors.iter_mut().for_each(|(_, logged)| logged.hear());
        self.others.iter_mut().for_each(Logged::hear);
    }

    /// Kills one by chance after the other. `acted` and `other` get the books of each, of the survivors in the end too.
    fn torture(
        mut self,
        random: &mut Random,
        mut acted: impl FnMut(u64, &[String]),
        mut other: impl FnMut(&[String]),
    ) -> [u64; 2] {
        for _ in 0..kills() {
            std::thread::sleep(Duration::from_micros(random.below(15_000)));
            self.hear();
            let victim = random.below((self.actors.len() + self.others.len()) as u64) as usize;
            if let Some(i) = victim.checked_sub(self.actors.len()) {
                // First: of some there is one at a time.
                other(&self.others[i].kill());
                self.others[i] = self.other();
                self.killed[1] += 1;
            } else {
                let new = self.actor();
                let (number, mut dead) = std::mem::replace(&mut self.actors[victim], new);
                acted(number, &dead.kill());
                self.killed[0] += 1;
            }
        }
        // Those who are left still work.
        let mut marks = Vec::new();
        self.hear();
        marks.extend(self.actors.iter().map(|(_, logged)| logged.said.len()));
        marks.extend(self.others.iter().map(|logged| logged.said.len()));
        wait_for("the survivors go on", || {
            self.hear();
            let acts = |(logged, from): (&Logged, usize), word: char| {
                logged.said[from..].iter().any(|line| line.starts_with(word))
            };
            let (actors, others) = marks.split_at(self.actors.len());
            self.actors.iter().map(|(_, logged)| logged).zip(actors.iter().copied()).all(|it| acts(it, 'c'))
                && self.others.iter().zip(others.iter().copied()).all(|it| acts(it, 'r'))
        });
        for (number, mut logged) in self.actors {
            acted(number, &logged.kill());
        }
        for mut logged in self.others {
            other(&logged.kill());
        }
        self.killed
    }
}

/// The books of one who asks: what was answered or sent, and what it was told nobody would answer.
#[derive(Default)]
struct Asked {
    sent: Sent,
    dead: BTreeSet<u64>,
}

impl Asked {
    fn book(&mut self, lines: &[String]) {
        let (dead, rest): (Vec<_>, Vec<_>) = lines.iter().cloned().partition(|line| line.starts_with("d "));
        self.dead.extend(dead.iter().map(|line| line[2..].parse::<u64>().unwrap()));
        self.sent.book(&rest);
    }
}

fn only_what_was_asked(asked: &BTreeMap<u64, Asked>, got: &Got) {
    for (client, seq) in got.times.keys() {
        let intents = asked.get(client).map(|asked| &asked.sent.intents);
        assert!(intents.is_some_and(|intents| intents.contains(seq)), "{client} {seq} was never asked");
    }
}

#[test]
fn kills_of_clients_and_servers_leave_every_call_answered_once_or_told() {
    let _watchdog = watchdog("random kills of users of a service", 5 * PATIENCE);
    let mut random = Random::seeded("service kills");
    let name = Name::fresh("kill");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    let _service = segment.create_service_with("s", ServiceOptions::new(512, 512).calls(4)).unwrap();
    let (mut asked, mut got) = (BTreeMap::<u64, Asked>::new(), Got::default());
    let crew = Crew::start(&name, "s", ["log-call", "log-serve"], 2);
    let killed = crew.torture(
        &mut random,
        |client, lines| asked.entry(client).or_default().book(lines),
        |lines| got.book(lines),
    );
    let answered: usize = asked.values().map(|asked| asked.sent.committed.len()).sum();
    let told: usize = asked.values().map(|asked| asked.dead.len()).sum();
    println!("{} clients and {} servers killed; {answered} calls answered, {told} told", killed[0], killed[1]);
    assert!(answered as u64 >= kills(), "hardly anything was answered");
    // Each server that died had one request in its hands at most.
    assert!(told as u64 <= killed[1], "{told} clients were told of {} deaths", killed[1]);
    assert!(got.times.values().all(|times| *times == 1), "served twice");
    only_what_was_asked(&asked, &got);
    for (client, asked) in &asked {
        let missing = asked.sent.committed.iter().find(|seq| !got.times.contains_key(&(*client, **seq)));
        assert_eq!(missing, None, "answered to {client}, and nobody served it");
    }
    segment.sweep().unwrap();
    let service = segment.open_service("s").unwrap();
    assert!(service.try_receive().unwrap().is_none(), "a request of the dead");
    let calls: Vec<_> = (0..4).map(|_| service.start(&[1]).unwrap()).collect();
    drop(calls);
}

#[test]
fn kills_of_senders_and_receivers_of_a_port_lose_nothing_that_was_sent() {
    let _watchdog = watchdog("random kills of users of a port", 5 * PATIENCE);
    let mut random = Random::seeded("port kills");
    let name = Name::fresh("kill");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    let port = segment.create_port_with("p", PortOptions::default()).unwrap();
    drop(port); // The first receiver takes it over.
    let (mut asked, mut got) = (BTreeMap::<u64, Asked>::new(), Got::default());
    let crew = Crew::start(&name, "p", ["log-ask", "log-answer"], 1);
    let killed = crew.torture(
        &mut random,
        |sender, lines| asked.entry(sender).or_default().book(lines),
        |lines| got.book(lines),
    );
    // What nobody has received is still there.
    segment.sweep().unwrap();
    let port = segment.port("p").unwrap();
    let mut buffer = vec![0; port.message_size()];
    let mut left = 0;
    while let Some(delivery) = port.try_receive(&mut buffer).unwrap() {
        assert!(delivery.size >= 16);
        let number = |at: usize| u64::from_le_bytes(buffer[at..at + 8].try_into().unwrap());
        let times = got.times.entry((number(0), number(8))).or_default();
        *times += 1;
        assert!(*times == 1 || delivery.redelivered > 0, "{:?} came twice", (number(0), number(8)));
        left += 1;
    }
    let committed: usize = asked.values().map(|asked| asked.sent.committed.len()).sum();
    let told: usize = asked.values().map(|asked| asked.dead.len()).sum();
    println!(
        "{} senders and {} receivers killed; {committed} sent or answered, {told} told, {left} left over, {} redelivered",
        killed[0], killed[1], got.repeated
    );
    assert!(committed as u64 >= kills(), "hardly anything was sent");
    assert!(got.repeated_unannounced.is_empty(), "doubled without a word: {:?}", got.repeated_unannounced);
    only_what_was_asked(&asked, &got);
    let lost = asked.iter().flat_map(|(sender, asked)| asked.sent.committed.iter().map(|seq| (*sender, *seq)));
    let lost: Vec<_> = lost.filter(|key| !got.times.contains_key(key)).collect();
    assert!(lost.len() as u64 <= got.open_ends, "lost {lost:?} with {} receivers", got.open_ends);
    assert!(lost.iter().all(|(_, seq)| seq % 2 == 0), "answered, and nobody received it: {lost:?}");
}

#[test]
fn kills_of_writers_of_an_array_leave_a_whole_value_that_was_not_lost() {
    let _watchdog = watchdog("random kills of users of an array", 5 * PATIENCE);
    let mut random = Random::seeded("array kills");
    let name = Name::fresh("kill");
    let _segment = Segment::create(&name, 1 << 20).unwrap();
    // Makes it, and writes its first value.
    Logged::start(&["log-write-array", &name, "a", "0"]).kill_after("c 0");
    let mut sent: BTreeMap<u64, Sent> = BTreeMap::new();
    let (mut snapshots, mut seen) = (0, BTreeSet::new());
    let crew = Crew::start(&name, "a", ["log-write-array", "log-read-array"], 2);
    let killed = crew.torture(
        &mut random,
        |writer, lines| sent.entry(writer).or_default().book(lines),
        |lines| {
            let mut last: BTreeMap<u64, u64> = BTreeMap::new();
            for (writer, seq, _) in values(lines) {
                let before = last.insert(writer, seq).unwrap_or(0);
                assert!(before <= seq, "{writer}: {seq} was there after {before}");
                seen.insert((writer, seq));
                snapshots += 1;
            }
        },
    );
    // The value that is there in the end is one of the last: of its writer nothing newer was committed.
    let lines = last_words(&["log-write-array", &name, "a", "1000"], &["log-read-array", &name, "a", "1"]);
    let (writer, seq, _) = values(&lines).pop().unwrap();
    assert!((writer, seq) >= (1000, 0), "written and lost: {writer} {seq}");
    println!("{} writers and {} readers killed; {snapshots} snapshots", killed[0], killed[1]);
    let committed: usize = sent.values().map(|sent| sent.committed.len()).sum();
    assert!(committed as u64 >= kills() && snapshots >= kills(), "hardly anything was written");
    let written = |(writer, seq): &(u64, u64)| {
        // The first writer is not in the books.
        *writer == 0 || sent.get(writer).is_some_and(|sent| sent.intents.contains(seq))
    };
    assert!(seen.iter().all(written), "a value that nobody wrote");
}

#[test]
fn kills_of_writers_of_a_cell_lose_no_value_that_was_stored() {
    let _watchdog = watchdog("random kills of users of a cell", 5 * PATIENCE);
    let mut random = Random::seeded("cell kills");
    let name = Name::fresh("kill");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    let cell = segment.create_cell_with("c", &CellOptions::bytes(VALUE).writers(2)).unwrap();
    // Which value has which version; a version has one value.
    let mut stored: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    let mut intents: BTreeSet<(u64, u64)> = BTreeSet::new();
    let mut loaded: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    let crew = Crew::start(&name, "c", ["log-store", "log-load"], 2);
    let killed = crew.torture(
        &mut random,
        |writer, lines| {
            for line in lines {
                match line.split(' ').collect::<Vec<_>>()[..] {
                    ["i", seq] => assert!(intents.insert((writer, seq.parse().unwrap()))),
                    ["c", seq, version] => {
                        let before = stored.insert(version.parse().unwrap(), (writer, seq.parse().unwrap()));
                        assert_eq!(before, None, "two values of version {version}");
                    }
                    ["ready"] => {}
                    _ => panic!("a writer says {line:?}"),
                }
            }
        },
        |lines| {
            let mut last = 0;
            for (writer, seq, version) in values(lines) {
                assert!(last < version, "version {version} after {last}");
                last = version;
                let other = loaded.insert(version, (writer, seq));
                assert!(other.is_none_or(|other| other == (writer, seq)), "version {version} is two values");
            }
        },
    );
    println!(
        "{} writers and {} readers killed; {} stored, {} loaded",
        killed[0],
        killed[1],
        stored.len(),
        loaded.len()
    );
    assert!(stored.len() as u64 >= kills() && !loaded.is_empty(), "hardly anything was stored");
    for (version, value) in &loaded {
        assert!(intents.contains(value), "nobody stored {value:?}");
        assert!(stored.get(version).is_none_or(|stored| stored == value), "version {version} is {value:?}");
    }
    assert!(cell.version() >= *stored.keys().last().unwrap(), "the last value is lost");
    segment.sweep().unwrap();
    let version = cell.version();
    assert_eq!(cell.try_store(&[1; VALUE]).unwrap(), Some(version + 1), "no buffer is free");
}

/// Writer, number and version of each value that a reader told of.
fn values(lines: &[String]) -> Vec<(u64, u64, u64)> {
    let lines = lines.iter().filter_map(|line| line.strip_prefix("r "));
    let numbers = lines.map(|line| line.split(' ').map(|n| n.parse().unwrap()).collect::<Vec<u64>>());
    numbers.map(|numbers| (numbers[0], numbers[1], numbers[2])).collect()
}

/// What a reader says after a last writer, which puts right what is left of the dead, has committed and is gone.
fn last_words(writer: &[&str], reader: &[&str]) -> Vec<String> {
    Logged::start(writer).kill_after("c 0");
    Peer::rust(reader).succeeds()
}
