//! The command `triveni` from outside: what it prints, its exit codes, and that it changes nothing it only looks at.

use serde_json::Value;
use std::process::{Command, Output, Stdio};
use std::thread;
use triveni::{After, RwPolicy, Segment, SemaphoreOptions};
use triveni_tests::{Language, Name, PATIENCE, Peer, target, wait_for, watchdog};

fn triveni(args: &[&str]) -> Output {
    let program = target().join("triveni");
    assert!(program.is_file(), "{} is not there: cargo build -p triveni-cli", program.display());
    Command::new(program).args(args).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn ls_shows_who_holds_what_and_json_says_the_same() {
    let _watchdog = watchdog("ls", 2 * PATIENCE);
    let name = Name::fresh("ls");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    let mut peer = Peer::rust(&["everything", &name, "-", "0"]);
    peer.says("holding");
    let output = triveni(&["ls", &name]);
    let shown = text(&output.stdout);
    println!("{shown}");
    assert_eq!(output.status.code(), Some(0));
    let pid = peer.pid();
    for part in
        [&format!("held by pid {pid} (peer)"), "of 8 messages", "3 permits", &format!("pid {pid} (peer) writes")]
    {
        assert!(shown.contains(part), "{part:?} is not in\n{shown}");
    }
    let output = triveni(&["ls", "--json", &name]);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let segment_json = &value["segments"][0];
    assert_eq!(segment_json["name"], *name);
    let object = |name: &str| {
        segment_json["objects"].as_array().unwrap().iter().find(|object| object["name"] == name).unwrap().clone()
    };
    assert_eq!(object("mutex")["state"]["holder"]["pid"], pid);
    assert_eq!(object("mailbox")["state"]["capacity"], 8);
    assert_eq!(object("ring")["state"]["producer"]["name"], "peer");
    assert_eq!(object("semaphore")["state"]["value"], 3);
    assert_eq!(segment.participants().unwrap().len(), 2, "ls took a slot");
}

/// What `ls` says of a segment, once it says `part`.
fn ls_until(name: &str, part: &str) -> String {
    let mut shown = String::new();
    wait_for(&format!("ls shows {part:?}"), || {
        shown = text(&triveni(&["ls", name]).stdout);
        shown.contains(part)
    });
    shown
}

#[test]
fn ls_names_a_circle_and_who_in_it_blocks_whom() {
    let _watchdog = watchdog("ls of a deadlock", 2 * PATIENCE);
    let name = Name::fresh("circle");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    let (a, b) = (segment.create_mutex("a").unwrap(), segment.create_mutex("b").unwrap());
    let both_have_one = std::sync::Barrier::new(2);
    let (shown, json) = thread::scope(|scope| {
        for (first, second) in [(&a, &b), (&b, &a)] {
            let both_have_one = &both_have_one;
            scope.spawn(move || {
                let _first = first.lock().unwrap();
                both_have_one.wait();
                drop(second.lock()); // ends when the test removes it
            });
        }
        let shown = ls_until(&name, "DEADLOCK: 2 threads wait in a circle");
        let json: Value = serde_json::from_slice(&triveni(&["ls", "--json", &name]).stdout).unwrap();
        segment.remove("a").unwrap();
        segment.remove("b").unwrap();
        (shown, json)
    });
    println!("{shown}");
    let lines: Vec<&str> = shown.lines().collect();
    let me = std::process::id();
    for object in ["a", "b"] {
        let at = lines.iter().position(|line| line.starts_with(&format!("  {object} "))).unwrap();
        let holder = lines[at].split("held by ").nth(1).unwrap().split("  ").next().unwrap();
        assert!(holder.starts_with(&format!("pid {me} (")), "{holder}");
        let wait = lines[at + 1];
        assert!(wait.starts_with(&format!("      waits: pid {me} (")) && wait.contains(", to lock, for "), "{wait}");
        assert!(wait.ends_with(&format!("; blocked by {holder}")), "{wait} is not blocked by {holder}");
        assert!(shown.contains(&format!("waits to lock \"{object}\", held by {holder}")), "no edge to {object}");
    }
    let segment_json = &json["segments"][0];
    let waits = segment_json["waits"].as_array().unwrap();
    assert_eq!(waits.len(), 2);
    for wait in waits {
        assert_eq!((&wait["mode"], &wait["kind"]), (&"lock".into(), &"mutex".into()));
        assert_eq!(wait["blocked_by"][0]["pid"], me);
        assert_ne!(wait["blocked_by"][0]["thread"], wait["thread"]);
        assert!(wait["waited"].as_f64().is_some_and(|seconds| seconds > 0.0));
    }
    let deadlocks = segment_json["deadlocks"].as_array().unwrap();
    assert_eq!(deadlocks.len(), 1);
    assert_eq!(deadlocks[0]["cycle"].as_array().unwrap().len(), 2);
    assert!(deadlocks[0]["text"].as_str().unwrap().contains("waits to lock"));
}

#[test]
fn ls_shows_holders_and_waiters_of_every_kind() {
    let _watchdog = watchdog("ls of waits", 2 * PATIENCE);
    let name = Name::fresh("waits");
    let segment = Segment::create(&name, 4 << 20).unwrap();
    let semaphore = segment.create_semaphore("semaphore", 0).unwrap();
    let leased = segment.create_semaphore_with("leased", SemaphoreOptions::leased(1)).unwrap();
    let monitor = segment.create_monitor("monitor").unwrap();
    let condition = monitor.condition("not_full").unwrap();
    let rwlock = segment.create_rwlock("rwlock", RwPolicy::Fair).unwrap();
    let barrier = segment.create_barrier("barrier", 3).unwrap();
    let event = segment.create_event("event", 0x10).unwrap();
    let mailbox = segment.create_mailbox("mailbox", 4, 16).unwrap();
    leased.wait().unwrap();
    let reading = rwlock.read().unwrap();
    type Sleeps = Box<dyn FnOnce() + Send>;
    let waiters: [(&str, &str, Sleeps); 7] = [
        ("semaphore", ", for 1 permit, for ", Box::new(move || drop(semaphore.wait()))),
        ("leased", ", for 1 permit, for ", Box::new(move || drop(leased.wait()))),
        ("monitor", ", for condition not_full, for ", {
            let monitor = monitor.clone();
            Box::new(move || {
                let _inside = monitor.enter().unwrap();
                let _ = condition.wait(); // ends when the test removes it
            })
        }),
        ("rwlock", ", to write, for ", {
            let rwlock = rwlock.clone();
            Box::new(move || drop(rwlock.write()))
        }),
        ("barrier", ", for the others, for ", Box::new(move || drop(barrier.wait()))),
        ("event", ", for flags 0x00000005, for ", Box::new(move || drop(event.wait_any(5, After::Keep)))),
        ("mailbox", ", to receive, for ", Box::new(move || drop(mailbox.receive(&mut [0; 16])))),
    ];
    let expected: Vec<(&str, &str)> = waiters.iter().map(|(object, what, _)| (*object, *what)).collect();
    let mut shown = String::new();
    thread::scope(|scope| {
        for (_, _, wait) in waiters {
            scope.spawn(wait);
        }
        wait_for("ls shows seven waits", || {
            shown = text(&triveni(&["ls", &name]).stdout);
            shown.matches("waits: ").count() == expected.len()
        });
        for (object, _) in &expected {
            segment.remove(object).unwrap();
        }
    });
    drop(reading);
    println!("{shown}");
    let lines: Vec<&str> = shown.lines().collect();
    for (object, what) in expected {
        let at = lines.iter().position(|line| line.starts_with(&format!("  {object} "))).unwrap();
        let below: Vec<&str> = lines[at + 1..].iter().take_while(|line| line.starts_with("      ")).copied().collect();
        assert!(below.iter().any(|line| line.contains(what)), "{object}: no {what:?} in {below:?}");
        let holder = match object {
            "leased" => "1 permit held by pid ",
            "rwlock" => "read by pid ",
            _ => continue,
        };
        assert!(below[0].contains(holder), "{object}: no {holder:?} in {below:?}");
    }
    for part in ["conditions: not_full", "1 of 3 have arrived", "flags 0x00000010", "0 of 1 permit", "; fair"] {
        assert!(shown.contains(part), "no {part:?} in\n{shown}");
    }
}

/// `triveni watch` as a peer.
fn watch(args: &[&str]) -> Peer {
    let mut command = Command::new(target().join("triveni"));
    command.arg("watch").args(args).stdin(Stdio::null());
    Peer::spawn(command, "triveni watch")
}

#[test]
fn watch_tells_who_joins_leaves_and_dies_with_what_and_ends_when_asked() {
    let _watchdog = watchdog("watch", 2 * PATIENCE);
    let name = Name::fresh("watch");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    let mutex = segment.create_mutex("m").unwrap();
    let mut watch = watch(&["--json", &name]);
    let told = |watch: &mut Peer, event: &str, pid: u32| -> Value {
        loop {
            let line: Value = serde_json::from_str(&watch.line()).unwrap();
            if line["event"] == event && line["pid"] == pid {
                return line;
            }
        }
    };
    told(&mut watch, "joined", std::process::id()); // who takes part already is told too
    let mut peer = Peer::start(Language::Rust, "hold", &name, "m", 0, "");
    let pid = peer.pid();
    peer.says("ready");
    peer.says("holding");
    assert_eq!(told(&mut watch, "joined", pid)["name"], "peer");
    peer.killed();
    let died = told(&mut watch, "died", pid);
    assert_eq!((&died["held"], &died["swept"]), (&serde_json::json!(["m"]), &true.into()));
    assert!(mutex.owner_died() && mutex.holder().is_none(), "the watcher has put it right");

    let barrier = segment.create_barrier("b", 2).unwrap();
    let in_order = Peer::start(Language::Rust, "attend", &name, "b", 0, "");
    let pid = in_order.pid();
    told(&mut watch, "joined", pid);
    barrier.wait().unwrap();
    in_order.succeeds();
    told(&mut watch, "left", pid);

    let pid = watch.pid();
    assert!(segment.participants().unwrap().iter().any(|p| p.pid == pid), "a watcher takes part");
    watch.signal(libc::SIGTERM);
    assert!(watch.ended().status.success());
    assert!(segment.participants().unwrap().iter().all(|p| p.pid != pid), "it has left in order");
}

#[test]
fn watch_ends_after_its_time_and_speaks_plainly() {
    let _watchdog = watchdog("watch --for", 2 * PATIENCE);
    let name = Name::fresh("watch-for");
    let _segment = Segment::create(&name, 1 << 20).unwrap();
    let lines = watch(&["--for", "0.2", &name]).succeeds();
    let joined = format!("  joined  pid {} (", std::process::id());
    assert!(lines.iter().any(|line| line.contains(" UTC") && line.contains(&joined)), "{lines:?}");
    let output = triveni(&["watch", "no-such-segment"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no-such-segment"));
}

#[test]
fn a_segment_that_cannot_be_read_is_a_line_and_no_failure() {
    let name = Name::fresh("unreadable");
    std::fs::write(name.file(), "no segment at all").unwrap();
    let output = triveni(&["ls"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    let line = shown.lines().find(|line| line.starts_with(&*name)).unwrap_or_else(|| panic!("no line in\n{shown}"));
    assert!(line.contains("not readable: "), "{line}");
    let value: Value = serde_json::from_slice(&triveni(&["ls", "--json"]).stdout).unwrap();
    let unreadable = value["unreadable"].as_array().unwrap();
    assert!(unreadable.iter().any(|entry| entry["name"] == *name && entry["reason"].is_string()));
    assert_eq!(triveni(&["rm", &name]).status.code(), Some(1));
    let forced = triveni(&["rm", "--force", &name]);
    assert_eq!(forced.status.code(), Some(0), "{}", text(&forced.stderr));
    assert!(!name.file().exists());
}

#[test]
fn rm_refuses_what_live_processes_use_and_names_them() {
    let _watchdog = watchdog("rm", 2 * PATIENCE);
    let name = Name::fresh("rm");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    segment.create_mutex("m").unwrap();
    drop(segment);
    let mut peer = Peer::start(Language::Rust, "hold", &name, "m", 0, "");
    peer.says("ready");
    let who = format!("pid {} (peer)", peer.pid());
    for what in [name.to_string(), format!("{}/m", &*name)] {
        let output = triveni(&["rm", &what]);
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert!(said.contains(&who) && said.contains("--force") && said.lines().count() == 1, "{said}");
    }
    assert_eq!(triveni(&["rm", "--force", &format!("{}/m", &*name)]).status.code(), Some(0));
    assert!(Segment::open(&name).unwrap().objects().unwrap().is_empty());
    peer.kill();
    let output = triveni(&["rm", &name]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(triveni(&["ls", &name]).status.code(), Some(1));
}

#[test]
fn a_reader_that_goes_away_is_no_reason_to_complain() {
    let name = Name::fresh("pipe");
    let _segment = Segment::create(&name, 1 << 20).unwrap();
    let script = format!("{} ls | true; {0} ls --json | true", target().join("triveni").display());
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn the_demo_refuses_a_segment_in_use() {
    let _watchdog = watchdog("demo on a segment in use", 2 * PATIENCE);
    let name = Name::fresh("demo");
    let _segment = Segment::create(&name, 1 << 20).unwrap();
    let output = triveni(&["demo", "--segment", &name, "--seconds", "1"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains(&format!("pid {}", std::process::id())) && said.contains("--segment"), "{said}");
}

#[test]
fn bench_measures_every_mechanism_and_draws_them() {
    let _watchdog = watchdog("bench", 2 * PATIENCE);
    let plot = std::env::temp_dir().join(format!("triveni-bench-{}.svg", std::process::id()));
    let output = triveni(&["bench", "--seconds", "1", "--json", "--plot", plot.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mechanisms = value["mechanisms"].as_array().unwrap();
    let picture = std::fs::read_to_string(&plot).unwrap();
    std::fs::remove_file(&plot).unwrap();
    let limited =
        |name: &str| matches!(name, "posix queue" | "sysv queue" | "unix datagram" | "unix seqpacket" | "udp");
    for mechanism in mechanisms {
        let name = mechanism["name"].as_str().unwrap();
        assert!(mechanism["latency"]["median_ns"].as_f64().unwrap() > 0.0, "{name}: {mechanism}");
        let sizes = mechanism["throughput"].as_array().unwrap();
        let expected = if matches!(name, "signal" | "file") { 0 } else { 4 };
        assert!(sizes.len() == expected || limited(name), "{name}: {mechanism}");
        assert!(sizes.iter().all(|size| size["messages"].as_f64().unwrap() > 0.0), "{name}: {mechanism}");
        assert!(picture.contains(name), "{name} is not in the picture");
    }
    assert_eq!(mechanisms.len(), 15);
    assert!(value["overhead"].as_array().unwrap().len() >= 3);
}

#[test]
fn bench_prints_the_comparison_and_refuses_what_it_does_not_know() {
    let _watchdog = watchdog("bench of two", PATIENCE);
    let output = triveni(&["bench", "--seconds", "0.2", "--only", "pipe,posix queue"]);
    let shown = text(&output.stdout);
    for part in ["related by fork", "until unlinked", "messages apart", "When to use what", "the largest message is"] {
        assert!(shown.contains(part), "{part:?} is not in\n{shown}");
    }
    assert!(!shown.contains("unix stream  "), "{shown}");
    let output = triveni(&["bench", "--only", "carrier pigeon"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("there is no \"carrier pigeon\"; there are: ring"));
    assert_eq!(triveni(&["bench", "--plot", "/no/such/folder/x.svg"]).status.code(), Some(1));
}

#[test]
fn an_interrupted_bench_leaves_nothing() {
    let _watchdog = watchdog("an interrupted bench", PATIENCE);
    let mut bench = Command::new(target().join("triveni"));
    bench.args(["bench", "--seconds", "60", "--only", "sysv shared memory,posix shared memory,sysv queue"]);
    let mut bench = bench.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pid = bench.id();
    let owns = || triveni::kernel::owned_objects().unwrap().iter().any(|object| object.pid == pid);
    while !owns() {
        assert!(bench.try_wait().unwrap().is_none(), "it has ended");
        thread::sleep(std::time::Duration::from_millis(2));
    }
    // Not SIGINT, which programs of a background job ignore.
    triveni::kernel::send_signal(pid, libc::SIGTERM).unwrap();
    bench.wait().unwrap();
    while owns() {
        thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// Kills one of the two processes of everything that `bench` measures, once both are at it. What it printed, and
/// the pids of all of them, its own first.
fn bench_of_killed(last: bool, args: &[&str]) -> (Output, Vec<u32>) {
    let mut bench = Command::new(target().join("triveni"));
    bench.args(["bench", "--json"]).args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut bench = bench.spawn().unwrap();
    let pid = bench.id();
    let mut pids = vec![pid];
    // Its name may have spaces in it.
    let field = |stat: &str, n: usize| stat.rsplit(')').next()?.split_whitespace().nth(n - 3)?.parse::<u64>().ok();
    while bench.try_wait().unwrap().is_none() {
        let children = triveni::kernel::ProcessTree::of(pid).map_or(Vec::new(), |tree| {
            tree.children(pid).map(|child| child.pid).filter(|child| !pids.contains(child)).collect()
        });
        // Those that have been on a CPU for 20 ms: the cleaner sleeps all the time.
        let busy: Vec<u32> = children
            .into_iter()
            .filter(|child| {
                let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
                field(&stat, 14).zip(field(&stat, 15)).is_some_and(|(user, system)| user + system >= 2)
            })
            .collect();
        if let [one, other] = busy[..] {
            let victim = if last { one.max(other) } else { one.min(other) };
            let _ = triveni::kernel::send_signal(victim, libc::SIGKILL); // or it has just ended
            pids.extend([one, other]);
        }
        thread::sleep(std::time::Duration::from_millis(3));
    }
    (bench.wait_with_output().unwrap(), pids)
}

#[test]
fn bench_says_which_mechanism_lost_a_process_and_leaves_nothing() {
    let _watchdog = watchdog("bench of processes that are killed", PATIENCE);
    let others = ["--seconds", "5", "--only", "pipe,mailbox"];
    for (role, last, args) in [("receiving", true, &["--seconds", "36"][..]), ("sending", false, &others)] {
        let (output, pids) = bench_of_killed(last, args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        let mechanisms = value["mechanisms"].as_array().unwrap();
        assert_eq!(mechanisms.len(), if last { 15 } else { 2 });
        for mechanism in mechanisms {
            let name = mechanism["name"].as_str().unwrap();
            let of_it = |line: &&str| line.starts_with(&format!("triveni: bench: {name}, "));
            let line = said.lines().find(of_it).unwrap_or_else(|| panic!("nothing about {name}: {said}"));
            assert!(line.contains(&format!(": the {role} process (pid ")), "{line}");
            assert!(line.ends_with(" was killed by signal 9 (SIGKILL)"), "{line}");
            let missing = mechanism["missing"].as_array().unwrap();
            assert!(missing.iter().any(|sentence| line.ends_with(sentence.as_str().unwrap())), "{mechanism}");
        }
        assert!(!triveni::kernel::owned_objects().unwrap().iter().any(|object| object.pid == pids[0]), "owned objects");
        let mine = format!("triveni-bench-{}-", pids[0]);
        for folder in [std::path::Path::new("/dev/shm"), &std::env::temp_dir()] {
            let names = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name());
            assert!(!names.into_iter().any(|name| name.to_string_lossy().contains(&mine)), "in {folder:?}");
        }
        for n in 0..200 {
            let queue = triveni::kernel::PosixQueue::open(&format!("{mine}{n}"));
            assert!(queue.is_err_and(|error| error.kind() == triveni::ErrorKind::NotFound), "a queue is left");
        }
        // Who made the memory, and who sent last to the queue. Of a set of semaphores the table says nothing like that.
        for (table, column) in [("shm", "cpid"), ("msg", "lspid")] {
            let Ok(table) = std::fs::read_to_string(format!("/proc/sysvipc/{table}")) else { continue };
            let at = table.split_whitespace().position(|name| name == column).unwrap();
            let of_them = |line: &str| {
                line.split_whitespace().nth(at).is_some_and(|pid| pids.iter().any(|one| one.to_string() == pid))
            };
            assert!(!table.lines().any(of_them), "{table}");
        }
    }
}

#[test]
fn ls_shows_whose_a_leftover_is_and_rm_removes_it() {
    let _watchdog = watchdog("a leftover", PATIENCE);
    let path = std::env::temp_dir().join(format!("triveni-left-{}", std::process::id()));
    let mut owner = Peer::spawn(
        {
            let mut command = Command::new(target().join("kernel_peer"));
            command.args(["pipe", "own", path.to_str().unwrap()]);
            command
        },
        "an owner",
    );
    owner.says("holding");
    let pid = owner.pid();
    let shown = text(&triveni(&["ls"]).stdout);
    assert!(shown.contains(&format!("pid {pid} (kernel_peer)")), "{shown}");
    let refused = triveni(&["rm", &format!("fifo:{}", path.display()), "lock-file:/run/lab"]);
    let sentences = text(&refused.stderr);
    assert!(sentences.contains(&format!("pid {pid} (kernel_peer) owns it, and may be alive")), "{sentences}");
    assert!(refused.status.code() == Some(1) && sentences.contains("rm(1) removes it") && path.exists(), "{sentences}");
    owner.kill();
    let shown = text(&triveni(&["ls"]).stdout);
    assert!(shown.contains(&format!("pid {pid} (kernel_peer), dead: a leftover")), "{shown}");
    let value: Value = serde_json::from_slice(&triveni(&["ls", "--json"]).stdout).unwrap();
    let found = value["kernel"].as_array().unwrap().iter().find(|object| object["name"] == path.to_str().unwrap());
    let found = found.unwrap();
    assert!(found["kind"] == "fifo" && found["owner"]["pid"] == pid && found["owner"]["alive"] == false, "{found}");
    let removed = triveni(&["rm", "--leftovers"]);
    assert!(removed.status.success() && text(&removed.stdout).contains(&format!("of pid {pid}")), "{removed:?}");
    assert!(!path.exists());
}

#[test]
fn ls_kernel_lists_the_systems_objects_and_rm_removes_them_by_kind_and_name() {
    use triveni::kernel::{PosixSemaphore, SysvKey, SysvQueue, SysvSemaphores, SysvSharedMemory};
    let queue = SysvQueue::create(SysvKey::PRIVATE).unwrap();
    let set = SysvSemaphores::create(SysvKey::PRIVATE, &[3, 4]).unwrap();
    let memory = SysvSharedMemory::create(SysvKey::PRIVATE, 8192).unwrap();
    let name = format!("triveni-ls-{}", std::process::id());
    let semaphore = PosixSemaphore::create(&name, 1).unwrap();
    queue.send(b"one").unwrap();
    let value: Value = serde_json::from_slice(&triveni(&["ls", "--kernel", "--json"]).stdout).unwrap();
    let listed = |kind: &str, name: &str| {
        let objects = value["kernel"].as_array().unwrap();
        let found = objects.iter().find(|object| object["kind"] == kind && object["name"] == name);
        found.unwrap_or_else(|| panic!("no {kind} {name}: {value}"))["holds"].as_str().unwrap().to_string()
    };
    assert!(listed("sysv queue", &queue.id().to_string()).starts_with("1 messages, 3 B"));
    assert_eq!(listed("sysv semaphores", &set.id().to_string()), "2 semaphores");
    assert!(listed("sysv shared memory", &memory.id().to_string()).starts_with("8.0 KiB, attached 1 times"));
    listed("posix semaphore", &format!("/{name}"));
    drop((semaphore, memory));
    let memory_id = value["kernel"].as_array().unwrap().iter().find(|object| {
        object["kind"] == "sysv shared memory"
            && object["holds"].as_str().unwrap().ends_with(&std::process::id().to_string())
    });
    let names = [
        format!("sysv-queue:{}", queue.id()),
        format!("sysv-semaphores:{}", set.id()),
        format!("sysv-shared-memory:{}", memory_id.unwrap()["name"].as_str().unwrap()),
        format!("posix-semaphore:/{name}"),
    ];
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let removed = triveni(&[&["rm"], &names[..]].concat());
    assert!(removed.status.success(), "{removed:?}");
    assert_eq!(queue.send(b"two").unwrap_err().kind(), triveni::ErrorKind::Removed);
    assert!(!triveni(&["rm", names[3]]).status.success());
    assert!(text(&triveni(&["rm", "sysv-queue:seven"]).stderr).contains("has a number"));
}
