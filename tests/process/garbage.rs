//! Segments full of garbage: any bytes give an error or an answer, never a crash and never a hang.
//!
//! A good segment, with every object in use by a process that is then killed, is the pattern. Its copies are
//! mutated, by preference where the pattern has something other than zero, which is where headers, tables,
//! words and positions are. The peer's role `attack` does all there is to do with each copy, with a second of
//! CPU time for each call.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::process::Command;
use std::sync::Mutex;
use triveni::{ErrorKind, Segment};
use triveni_tests::{Name, PATIENCE, Peer, Random, cases, watchdog};

const SIZE: usize = 256 << 10;

/// A segment in which something of everything is under way, as bytes.
fn pattern() -> Vec<u8> {
    let name = Name::fresh("pattern");
    let segment = Segment::options().max_participants(4).max_objects(24).create(&name, SIZE).unwrap();
    let mut peer = Peer::rust(&["everything", &name, "-", "0"]);
    peer.says("holding");
    let bytes = std::fs::read(name.file()).unwrap();
    peer.kill();
    drop(segment);
    bytes
}

fn plant(bytes: &[u8]) -> Name {
    let name = Name::fresh("garbage");
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(name.file()).unwrap();
    file.write_all(bytes).unwrap();
    name
}

/// Attacks all of them in one process; panics with the name of the mutation that broke it.
fn attack(planted: &[(Name, String)]) -> (u64, u64) {
    let mut args = vec!["attack"];
    args.extend(planted.iter().map(|(name, _)| &**name));
    let ended = Peer::rust(&args).end();
    if !ended.status.success() {
        let at = ended.lines.iter().rev().find_map(|line| line.strip_prefix("at ")).unwrap_or("");
        let what = planted.iter().find(|(name, _)| &**name == at).map_or("", |(_, what)| what);
        if let Some((name, _)) = planted.iter().find(|(name, _)| &**name == at) {
            let kept = std::env::temp_dir().join(format!("triveni-garbage-{}", std::process::id()));
            let _ = std::fs::copy(name.file(), &kept); // for whoever looks into it
            eprintln!("the segment as it was left is in {}", kept.display());
        }
        panic!("{} at the mutation {what}: {} {:?}", ended.status, ended.stderr, ended.lines.last());
    }
    let mut sum = (0, 0);
    for line in ended.lines.iter().filter(|line| !line.starts_with("at ")) {
        let mut numbers = line.split(' ').skip(1).map(|n| n.parse::<u64>().unwrap());
        sum.0 += numbers.next().unwrap();
        sum.1 += numbers.next().unwrap();
    }
    sum
}

fn attack_in_batches(planted: Vec<(Name, String)>) {
    // Most of the time the attackers wait, so some work at once.
    let batches = Mutex::new(planted.chunks(25));
    let sum = Mutex::new((0, 0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some(batch) = { batches.lock().unwrap().next() } {
                    let _watchdog = watchdog("an attack on garbage", 3 * PATIENCE);
                    let (calls, errors) = attack(batch);
                    let mut sum = sum.lock().unwrap();
                    *sum = (sum.0 + calls, sum.1 + errors);
                }
            });
        }
    });
    let (calls, errors) = sum.into_inner().unwrap();
    println!("{} segments, {calls} calls, {errors} of them errors", planted.len());
    assert!(calls > planted.len() as u64, "nothing was tried");
}

#[test]
fn the_pattern_itself_opens_and_works() {
    let _watchdog = watchdog("the pattern", 2 * PATIENCE);
    let planted = [(plant(&pattern()), "none".to_string())];
    let (calls, errors) = attack(&planted);
    println!("{calls} calls, {errors} errors");
    // Each object is also tried as each of the other kinds, and as each other name: those fail.
    assert!(calls - errors >= 80, "{errors} of {calls} calls fail on a good segment");
}

#[test]
fn mutated_words_never_crash_or_hang_anybody() {
    let pattern = pattern();
    let mut random = Random::seeded("garbage");
    let used: Vec<usize> =
        (0..pattern.len() / 4).filter(|i| pattern[4 * i..4 * i + 4] != [0; 4]).map(|i| 4 * i).collect();
    assert!(used.len() > 100, "the pattern is nearly empty");
    let planted = (0..cases(300))
        .map(|case| {
            let mut bytes = pattern.clone();
            let mut what = format!("{case}:");
            for _ in 0..1 + random.below(3) {
                let near = used[random.below(used.len() as u64) as usize];
                let at = match random.below(4) {
                    0 => (near + 4 * random.below(16) as usize).min(bytes.len() - 8),
                    _ => near.min(bytes.len() - 8),
                };
                let old = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
                let word = mutate(old, &mut random);
                let width = [1, 2, 4, 8][random.below(4) as usize];
                bytes[at..at + width].copy_from_slice(&word.to_le_bytes()[..width]);
                what += &format!(" [{at:#x}] {old:#x} -> {word:#x} ({width} bytes)");
            }
            (plant(&bytes), what)
        })
        .collect();
    attack_in_batches(planted);
}

/// What a hostile or broken peer would put in place of `old`.
fn mutate(old: u64, random: &mut Random) -> u64 {
    let size = SIZE as u64;
    match random.below(10) {
        0 => 0,
        1 => u64::MAX,
        2 => old.wrapping_add(1),
        3 => old.wrapping_sub(1),
        4 => old ^ (1 << random.below(64)),
        5 => [1 << 31, (1 << 31) - 1, 1 << 32, 1 << 63, i64::MAX as u64, 0xFFF, 0x8000_0FFF][random.below(7) as usize],
        6 => [size, size - 1, size - 8, size + 128, size * 2][random.below(5) as usize],
        7 => random.below(size) & !127,
        8 => random.below(64),
        _ => random.number(),
    }
}

#[test]
fn whole_ranges_of_random_bytes_never_crash_or_hang_anybody() {
    let pattern = pattern();
    let mut random = Random::seeded("ranges");
    let planted = (0..cases(100))
        .map(|case| {
            let mut bytes = pattern.clone();
            let (what, from, to) = match case % 4 {
                // All of it.
                0 => ("all", 0, bytes.len()),
                // All behind the header, so that it is opened.
                1 => ("behind the header", 4096, bytes.len()),
                _ => {
                    let from = random.below(bytes.len() as u64) as usize & !63;
                    ("a range", from, (from + (64 << random.below(6))).min(bytes.len()))
                }
            };
            for byte in &mut bytes[from..to] {
                *byte = random.number() as u8;
            }
            (plant(&bytes), format!("{case}: {what} {from:#x}..{to:#x}"))
        })
        .collect();
    attack_in_batches(planted);
}

#[test]
fn truncated_and_extended_segments_never_crash_or_hang_anybody() {
    let pattern = pattern();
    let mut lengths: Vec<usize> = vec![0, 1, 7, 8, 63, 64, 127, 128, 4095, 4096, 4097, SIZE / 2, SIZE - 4096, SIZE - 1];
    lengths.extend([1024, 8192, 16384, 32768, 65536]);
    let mut planted: Vec<_> =
        lengths.iter().map(|n| (plant(&pattern[..*n.min(&pattern.len())]), format!("{n} bytes"))).collect();
    let mut longer = pattern.clone();
    longer.resize(2 * pattern.len(), 0xA5);
    planted.push((plant(&longer), "twice as long".to_string()));
    for (name, what) in &planted {
        if std::fs::metadata(name.file()).unwrap().len() < 4096 {
            let error = Segment::open(name).err().unwrap_or_else(|| panic!("{what} opened"));
            assert!(error.to_string().contains(&**name), "{error}");
            println!("{what}: {error}");
        }
    }
    attack_in_batches(planted);
}

#[test]
fn what_is_no_segment_of_ours_is_refused_with_a_sentence() {
    let zeros = plant(&[0; 8192]);
    let text = plant("hello ".repeat(4000).as_bytes());
    for name in [&zeros, &text] {
        let error = Segment::open(name).expect_err("garbage opened");
        assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Incompatible), "{error:?}");
        assert!(error.to_string().contains(&**name), "{error}");
        assert!(Segment::inspect(name).is_err());
        println!("{error}");
    }
    let folder = Name::fresh("folder");
    std::fs::create_dir(folder.file()).unwrap();
    let error = Segment::open(&folder).err();
    std::fs::remove_dir(folder.file()).unwrap();
    println!("{}", error.expect("a folder opened"));
    let link = Name::fresh("link");
    std::os::unix::fs::symlink(zeros.file(), link.file()).unwrap();
    println!("{}", Segment::open(&link).expect_err("a symbolic link was followed"));
}

#[test]
fn another_users_segment_is_refused_and_one_shared_on_purpose_is_not() {
    // SAFETY: geteuid has no memory obligations and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        println!("SKIPPED: only root can give a segment to another user");
        return;
    }
    let _watchdog = watchdog("another user", 2 * PATIENCE);
    let nobody = 65534;
    let name = Name::fresh("foreign");
    let segment = Segment::create(&name, SIZE).unwrap();
    segment.create_mutex("m").unwrap();
    drop(segment);
    chown(name.file(), Some(nobody), Some(nobody)).unwrap();
    let error = Segment::open(&name).expect_err("another user's private segment opened");
    assert_eq!(error.kind(), ErrorKind::Permission, "{error}");
    assert!(error.to_string().contains("65534"), "the owner is not named: {error}");
    println!("{error}");

    // And the other way round: `nobody` may not open root's.
    let own = Name::fresh("private");
    let segment = Segment::create(&own, SIZE).unwrap();
    segment.create_mutex("m").unwrap();
    let as_nobody = |name: &str| {
        // A copy where everybody may run it; made by another process, for a program that is open for writing,
        // even in a child that another test is just forking, cannot be run.
        let program = std::env::temp_dir().join(format!("triveni-peer-{}", std::process::id()));
        let copied = Command::new("cp").arg(triveni_tests::target().join("peer")).arg(&program).status().unwrap();
        assert!(copied.success());
        let mut command = Command::new(&program);
        command.args(["lock-once", name, "m", "0"]).current_dir("/");
        std::os::unix::process::CommandExt::uid(&mut command, nobody);
        std::os::unix::process::CommandExt::gid(&mut command, nobody);
        let ended = Peer::spawn(command, "lock-once as nobody").end();
        std::fs::remove_file(&program).unwrap();
        ended
    };
    let ended = as_nobody(&own);
    assert!(!ended.status.success() && ended.stderr.contains(&*own), "{}", ended.stderr);
    println!("{}", ended.stderr.trim());

    let shared = Name::fresh("shared");
    let segment = Segment::options().mode(0o666).create(&shared, SIZE).unwrap();
    segment.create_mutex("m").unwrap();
    let ended = as_nobody(&shared);
    println!("mode 0666, opened by nobody with default options: {} {}", ended.status, ended.stderr.trim());
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}
