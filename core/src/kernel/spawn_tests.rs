//! Children of every kind: how they start, what they get, how they end, and that none is left.

use super::super::own_process::in_its_own_process;
use super::super::{Child, DaemonOptions, Pipeline, ProcessTree, Redirect, Spawn, chain, fan, fork, pipe};
use crate::{Deadline, ErrorKind, Result};
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

fn sh(script: &str) -> Spawn<'static> {
    Spawn::new(["sh", "-c", script])
}

/// What a program writes to its standard output.
fn said(spawn: Spawn<'_>) -> String {
    let out = Pipeline::new().then_spawn(spawn).run_until(soon()).unwrap();
    String::from_utf8(out.output).unwrap()
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(what: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("triveni-{what}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Does /proc still know a child of ours with this number?
fn is_there(pid: u32) -> bool {
    super::super::process_tree::read(pid).is_some_and(|node| node.ppid == std::process::id())
}

#[test]
fn a_child_ends_with_its_status_or_its_signal() {
    for code in [0, 1, 7, 255] {
        let child = sh(&format!("exit {code}")).start().unwrap();
        assert_eq!(child.wait_until(soon()).unwrap().code(), Some(code));
        assert_eq!(child.wait().unwrap().code(), Some(code), "a second wait says the same");
        assert!(!is_there(child.pid()), "it was reaped");
    }
    let child = sh("kill -TERM $$").start().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
    assert_eq!(child.kill().unwrap_err().kind(), ErrorKind::System(libc::ESRCH));
}

#[test]
fn a_wait_ends_at_its_deadline_and_not_before() {
    let child = Spawn::new(["sleep", "1000"]).kill_on_drop().start().unwrap();
    let begin = Instant::now();
    let error = child.wait_until(Deadline::after(Duration::from_millis(30))).unwrap_err();
    assert!(error.kind() == ErrorKind::Timeout && begin.elapsed() >= Duration::from_millis(30));
    assert_eq!(child.try_wait().unwrap(), None);
    let pid = child.pid();
    drop(child);
    assert!(!is_there(pid), "kill_on_drop leaves nobody");
}

#[test]
fn a_child_stops_continues_and_ends_and_each_is_told() {
    let child = Spawn::new(["sleep", "1000"]).start().unwrap();
    assert_eq!(child.try_wait_change().unwrap(), None);
    child.stop().unwrap();
    assert_eq!(child.wait_change_until(soon()).unwrap().stopped_signal(), Some(libc::SIGSTOP));
    child.cont().unwrap();
    assert!(child.wait_change().unwrap().continued());
    child.kill().unwrap();
    assert_eq!(child.wait_change().unwrap().signal(), Some(libc::SIGKILL));
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
}

#[test]
fn many_threads_may_wait_for_one_child() {
    let child = sh("read x; exit 5").redirect(0, OwnedFd::from(std::io::pipe().unwrap().0)).start().unwrap();
    std::thread::scope(|scope| {
        for n in 0..4 {
            let until = if n % 2 == 0 { Deadline::never() } else { soon() };
            let child = &child;
            scope.spawn(move || assert_eq!(child.wait_until(until).unwrap().code(), Some(5)));
        }
    });
}

#[test]
fn a_failed_start_says_why_and_leaves_no_child() {
    in_its_own_process(|| {
        let folder = Folder::new("spawn-fails");
        let file = folder.0.join("data");
        fs::write(&file, "no program").unwrap();
        let script = folder.0.join("script");
        fs::write(&script, "#!/no/such/interpreter\n").unwrap();
        let children = || ProcessTree::own().unwrap().children(std::process::id()).filter(|n| n.state == 'Z').count();
        let refused = |spawn: Spawn<'_>, kind: ErrorKind, words: &[&str]| {
            let error = spawn.start().unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
        };
        refused(Spawn::new(["no-such-program"]), ErrorKind::NotFound, &["no-such-program", "PATH is"]);
        refused(Spawn::new(["no-such-program"]).env("PATH", "/x:/y"), ErrorKind::NotFound, &["/x:/y"]);
        refused(Spawn::new(["/no/such"]), ErrorKind::NotFound, &["/no/such"]);
        refused(Spawn::new([&file]), ErrorKind::Permission, &["chmod"]);
        refused(sh("").directory("/no/such/place"), ErrorKind::NotFound, &["enter", "/no/such/place"]);
        refused(sh("").redirect(0, Redirect::Read("/no/such/file".into())), ErrorKind::NotFound, &["/no/such/file"]);
        refused(sh("").redirect(5, Redirect::Same(99)), ErrorKind::System(libc::EBADF), &["5", "99"]);
        refused(sh("").redirect(-1, Redirect::Null), ErrorKind::Invalid, &["-1"]);
        refused(Spawn::new(Vec::<String>::new()), ErrorKind::Invalid, &["argv"]);
        refused(Spawn::new(["a\0b"]), ErrorKind::Invalid, &["NUL"]);
        refused(sh("").env("a=b", ""), ErrorKind::Invalid, &["a=b"]);
        refused(sh("").die_with_parent(99), ErrorKind::Invalid, &["99"]);
        refused(Spawn::new(["sh", "-c", &"x".repeat(200_000)]), ErrorKind::System(libc::E2BIG), &["ulimit -s"]);
        let chmod = |path: &PathBuf| {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        chmod(&script);
        chmod(&file);
        refused(Spawn::new([&script]), ErrorKind::NotFound, &["#!"]);
        refused(Spawn::new([&file]), ErrorKind::System(libc::ENOEXEC), &["#!"]);
        assert_eq!(children(), 0, "no zombie of a failed start");
    });
}

#[test]
fn the_environment_and_the_directory_are_the_programs_own() {
    assert_eq!(said(sh("echo $A $B").env("A", "1").env("B", "2").env_remove("B")), "1\n");
    assert_eq!(said(Spawn::new(["/usr/bin/env"]).env_clear().env("ONLY", "this")), "ONLY=this\n");
    assert_eq!(said(sh("pwd").directory("/")), "/\n");
}

#[test]
fn redirections_are_done_in_their_order_as_in_a_shell() {
    let folder = Folder::new("spawn-redirect");
    let (out, err) = (folder.0.join("out"), folder.0.join("err"));
    let both = "echo out; echo err >&2";
    // > out 2>&1
    let child = sh(both).redirect(1, Redirect::Write(out.clone())).redirect(2, Redirect::Same(1)).start().unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(fs::read_to_string(&out).unwrap(), "out\nerr\n");
    // 2> err >> out, then the two exchanged by 3>&1 1>&2 2>&3 3>&-
    let swapped = sh(both)
        .redirect(2, Redirect::Write(err.clone()))
        .redirect(1, Redirect::Append(out.clone()))
        .redirect(3, Redirect::Same(1))
        .redirect(1, Redirect::Same(2))
        .redirect(2, Redirect::Same(3))
        .redirect(3, Redirect::Closed);
    assert!(swapped.start().unwrap().wait().unwrap().success());
    assert_eq!(fs::read_to_string(&out).unwrap(), "out\nerr\nerr\n");
    assert_eq!(fs::read_to_string(&err).unwrap(), "out\n");
    // Any descriptor, also a high one, and one that is the source of another.
    let (a, b) = (fs::File::create(folder.0.join("a")).unwrap(), fs::File::create(folder.0.join("b")).unwrap());
    let (fa, fb) = (a.as_raw_fd(), b.as_raw_fd());
    let crossed = Spawn::new(["bash".to_string(), "-c".into(), format!("echo a >&{fb}; echo b >&{fa}; echo c >&77")]);
    let crossed = crossed.redirect(fb, a.as_fd()).redirect(fa, b.as_fd()).redirect(77, a.as_fd());
    assert!(crossed.start().unwrap().wait().unwrap().success());
    assert_eq!(fs::read_to_string(folder.0.join("a")).unwrap(), "a\nc\n");
    assert_eq!(fs::read_to_string(folder.0.join("b")).unwrap(), "b\n");
}

#[test]
fn only_listed_descriptors_are_inherited_under_their_numbers() {
    let (reader, writer) = std::io::pipe().unwrap();
    // SAFETY: numbers only; this one is deliberately not close-on-exec.
    let leaky = unsafe { libc::fcntl(reader.as_raw_fd(), libc::F_DUPFD, 50) };
    let list = said(sh("ls /proc/self/fd").inherit(writer.as_fd()));
    let listed: Vec<i32> = list.lines().map(|line| line.parse().unwrap()).collect();
    assert!(listed.contains(&writer.as_raw_fd()) && !listed.contains(&leaky), "{listed:?}");
    // SAFETY: ours, from above.
    unsafe { libc::close(leaky) };
}

#[test]
fn a_program_dies_of_sigpipe_and_blocks_nothing_also_from_rust() {
    let mask = super::super::Mask::block([libc::SIGTERM, libc::SIGUSR2]).unwrap();
    let status = said(sh("grep -E 'SigBlk|SigIgn' /proc/self/status"));
    drop(mask);
    for line in status.lines() {
        let bits = u64::from_str_radix(line.split_ascii_whitespace().nth(1).unwrap(), 16).unwrap();
        assert_eq!(bits & 1 << (libc::SIGPIPE - 1), 0, "{status}");
        assert!(!line.starts_with("SigBlk") || bits == 0, "{status}");
    }
    let run = Pipeline::new().then(["yes"]).then(["head", "-n", "2"]).run_until(soon()).unwrap();
    assert_eq!(run.output, b"y\ny\n");
    assert_eq!(run.statuses[0].signal(), Some(libc::SIGPIPE));
    assert_eq!(run.pipefail(), 128 + libc::SIGPIPE);
}

#[test]
fn a_pipeline_gives_what_the_shell_gives() {
    let input: Vec<u8> =
        (0..300_000u32).flat_map(|n| format!("{}\n", n.wrapping_mul(2_654_435_761) % 1000).into_bytes()).collect();
    let ours = Pipeline::new().then(["sort", "-n"]).then(["uniq", "-c"]).then(["tail", "-n", "5"]).input(input.clone());
    let ours = ours.run_until(soon()).unwrap();
    let shell = Pipeline::new().then(["sh", "-c", "sort -n | uniq -c | tail -n 5"]).input(input.clone());
    assert_eq!(ours.output, shell.run_until(soon()).unwrap().output);
    assert!(ours.success() && ours.pipefail() == 0 && ours.statuses.len() == 3);
}

#[test]
fn a_pipeline_tells_the_end_of_each_and_kills_all_at_its_deadline() {
    let run = Pipeline::new().then(["sh", "-c", "exit 3"]).then(["sh", "-c", "exit 4"]).then(["true"]);
    let run = run.run_until(soon()).unwrap();
    assert_eq!(run.statuses.iter().map(|s| s.code()).collect::<Vec<_>>(), [Some(3), Some(4), Some(0)]);
    assert_eq!((run.pipefail(), run.success()), (4, false));
    let mut slow = Pipeline::new().then(["sleep", "1000"]).then(["cat"]).start().unwrap();
    let pids: Vec<u32> = slow.children().iter().map(Child::pid).collect();
    assert_eq!(slow.wait_until(Deadline::after(Duration::from_millis(20))).unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(slow.try_wait().unwrap(), None);
    drop(slow);
    assert!(pids.iter().all(|pid| !is_there(*pid)));
    let failed = Pipeline::new().then(["sleep", "1000"]).then(["no-such-program"]).start().unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::NotFound);
    assert_eq!(Pipeline::new().start().unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn a_thousand_children_leave_no_zombie() {
    let pids: Vec<u32> = (0..500)
        .map(|n| {
            // SAFETY: the child does nothing but end.
            let child = unsafe { fork(|| n % 256) }.unwrap();
            if n % 2 == 0 {
                assert_eq!(child.wait().unwrap().code(), Some(n % 256));
            }
            child.pid() // every other one is dropped, most of them alive
        })
        .collect();
    let end = Instant::now() + Duration::from_secs(30);
    while pids.iter().any(|pid| is_there(*pid)) {
        assert!(Instant::now() < end);
        super::super::child::sweep();
    }
}

#[test]
fn a_dropped_child_that_runs_is_left_running_and_reaped_later() {
    let (reader, writer) = std::io::pipe().unwrap();
    let child = sh("read x").redirect(0, reader.as_fd()).start().unwrap();
    let pid = child.pid();
    drop(child);
    assert!(is_there(pid) && super::super::process_tree::read(pid).unwrap().state != 'Z');
    drop((reader, writer));
    let end = Instant::now() + Duration::from_secs(30);
    while is_there(pid) {
        assert!(Instant::now() < end);
        Spawn::new(["true"]).start().unwrap().wait().unwrap();
    }
}

#[test]
fn a_forked_child_runs_its_closure_and_cannot_wait_for_its_siblings() {
    let sibling = Spawn::new(["sleep", "1000"]).kill_on_drop().start().unwrap();
    // SAFETY: the child makes system calls; it formats an error, which allocates, and glibc's malloc is usable there.
    let child =
        unsafe { fork(|| i32::from(sibling.wait().is_err_and(|e| e.kind() == ErrorKind::Forked)) * 9) }.unwrap();
    assert_eq!(child.wait_until(soon()).unwrap().code(), Some(9));
    assert_eq!(sibling.try_wait().unwrap(), None, "the child's copy of the handle killed nobody");
    assert_eq!(Child::adopt(1).unwrap_err().kind(), ErrorKind::System(libc::ECHILD));
    let adopted = Child::try_from(std::process::Command::new("true").spawn().unwrap()).unwrap();
    assert!(adopted.wait().unwrap().success());
}

#[test]
fn a_program_started_to_die_with_its_parent_does() -> Result<()> {
    let mut ends = pipe()?;
    // SAFETY: the child starts a program, which needs malloc only, and ends.
    let parent = unsafe {
        fork(|| {
            let program = Spawn::new(["sleep", "1000"]).die_with_parent(libc::SIGKILL).start();
            let _ = program.and_then(|program| ends.writer.send(&program.pid().to_ne_bytes()));
            0
        })
    }?;
    let mut pid = [0; 4];
    ends.reader.receive_until(&mut pid, soon())?;
    parent.wait_until(soon())?;
    let pid = u32::from_ne_bytes(pid);
    let end = Instant::now() + Duration::from_secs(30);
    while super::super::process_tree::read(pid).is_some_and(|node| node.state != 'Z') {
        assert!(Instant::now() < end, "process {pid} outlives its parent");
    }
    Ok(())
}

#[test]
fn in_a_chain_each_is_the_child_of_the_one_before_and_in_a_fan_all_are_ours() {
    let me = std::process::id();
    let family = chain(5).unwrap();
    let mut parent = me;
    for member in family.members() {
        assert_eq!(member.ppid, parent);
        parent = member.pid;
    }
    let tree = ProcessTree::of(family.members()[0].pid).unwrap();
    assert_eq!((tree.nodes().len(), tree.depth()), (5, 4));
    assert!(tree.to_string().lines().last().unwrap().starts_with("         └─ "), "{tree}");
    let pids: Vec<u32> = family.members().iter().map(|member| member.pid).collect();
    drop(family);
    assert!(pids.iter().all(|pid| super::super::process_tree::read(*pid).is_none()), "nobody is left");

    let family = fan(5).unwrap();
    assert!(family.members().len() == 5 && family.members().iter().all(|member| member.ppid == me));
    assert!(family.members().iter().all(|member| family.tree().unwrap().find(member.pid).unwrap().depth == 1));
    drop(family);
    assert_eq!(chain(0).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(fan(1 << 20).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn a_daemon_says_that_it_came_up_and_a_second_one_is_refused() {
    let folder = Folder::new("daemon");
    let (pid_file, log) = (folder.0.join("pid"), folder.0.join("log"));
    let options = DaemonOptions::new().pid_file(&pid_file).output(&log).umask(0o077);
    // SAFETY: the daemon formats and prints; the test harness holds no lock of the standard output then.
    let pid = unsafe {
        options.clone().start(|mut daemon| {
            let _ = fs::write(folder.0.join("seen"), format!("{:?}", std::env::current_dir()));
            daemon.ready();
            std::thread::sleep(Duration::from_secs(60)); // it is killed before
            0
        })
    };
    let pid = pid.unwrap();
    assert_eq!(fs::read_to_string(&pid_file).unwrap(), format!("{pid}\n"));
    assert_eq!(fs::read_to_string(folder.0.join("seen")).unwrap(), "Ok(\"/\")");
    let node = super::super::process_tree::read(pid).unwrap();
    assert_ne!(node.ppid, std::process::id());
    // SAFETY: getsid takes a number.
    let (session, ours) = unsafe { (libc::getsid(pid as i32), libc::getsid(0)) };
    assert!(session != ours && session != pid as i32, "in a session of its own, and not its leader");
    // SAFETY: the second one does nothing.
    let second = unsafe { options.clone().start(|_| 0) }.unwrap_err();
    assert!(second.kind() == ErrorKind::Busy && second.to_string().contains(&pid.to_string()), "{second}");
    super::super::send_signal(pid, libc::SIGKILL).unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    while super::super::process_tree::read(pid).is_some_and(|node| node.state != 'Z') {
        assert!(Instant::now() < end);
    }
    assert!(pid_file.exists(), "a killed one leaves its file");
    // SAFETY: it says a word and ends.
    let third = unsafe {
        options.clone().start(|mut daemon| {
            daemon.failed("the coffee is out");
            1
        })
    };
    let third = third.unwrap_err();
    assert!(third.kind() == ErrorKind::Failed && third.to_string() == "the coffee is out");
    // SAFETY: it ends.
    let mute = unsafe { options.start(|_| 0) }.unwrap_err();
    assert_eq!(mute.kind(), ErrorKind::PeerDead);
}

/// What `child` returned as a child of a fork, with the C programs' way of SIGPIPE; killed after a while.
fn in_a_child(child: impl FnOnce() -> i32) -> Option<i32> {
    let child = || {
        // SAFETY: SIG_DFL is no handler.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        child()
    };
    // SAFETY: as in the test before: glibc's malloc is usable in the child.
    let child = unsafe { fork(child) }.unwrap();
    child.set_kill_on_drop(true);
    child.wait_until(soon()).unwrap().code()
}

fn wait_for(path: &std::path::Path) {
    let end = Instant::now() + Duration::from_secs(20);
    while !path.exists() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_family_ends_though_others_have_copies_of_its_gate_or_have_stopped_or_killed_it() {
    let ended = in_a_child(|| {
        let first = chain(2).unwrap();
        let second = fan(2).unwrap(); // its members have a copy of all that is open here
        let stopped = first.members()[1].pid;
        super::super::stop_process(stopped).unwrap();
        super::super::wait_stopped(stopped, soon()).unwrap();
        drop(first);
        for member in second.members() {
            super::super::send_signal(member.pid, libc::SIGKILL).unwrap();
        }
        drop(second);
        7
    });
    assert_eq!(ended, Some(7));
}

#[test]
fn a_fork_without_a_descriptor_for_the_child_makes_none() {
    let ended = in_a_child(|| {
        // SAFETY: numbers, and a structure of ours; in the child of a fork.
        unsafe {
            let next = libc::dup(2);
            libc::close(next);
            let none_left = libc::rlimit { rlim_cur: next as libc::rlim_t, rlim_max: next as libc::rlim_t };
            libc::setrlimit(libc::RLIMIT_NOFILE, &none_left);
            let error = fork(|| 0).unwrap_err();
            let children = libc::waitpid(-1, std::ptr::null_mut(), 0);
            if error.kind() == ErrorKind::System(libc::EMFILE) && children < 0 { 7 } else { 1 }
        }
    });
    assert_eq!(ended, Some(7));
}

#[test]
fn a_daemon_comes_up_without_standard_streams_and_with_a_worker() {
    let folder = Folder::new("daemon-worker");
    let (pid_file, go) = (folder.0.join("pid"), folder.0.join("go"));
    let options = DaemonOptions::new().pid_file(&pid_file);
    let started = in_a_child(|| {
        // SAFETY: numbers; the daemon makes system calls and little more.
        unsafe {
            for fd in 0..3 {
                libc::close(fd);
            }
            let begin = Instant::now();
            let started = options.clone().start(|mut daemon| {
                let worker = fork(|| {
                    wait_for(&go);
                    0
                });
                let streams = (0..3).all(|fd| libc::fcntl(fd, libc::F_GETFD) == 0);
                let second = options.clone().start(|_| 0);
                match second {
                    Err(error) if error.kind() == ErrorKind::Busy && streams => daemon.ready(),
                    _ => daemon.failed("no streams, or no lock on the pid file"),
                }
                wait_for(&go);
                drop(worker);
                0
            });
            let in_time = begin.elapsed() < Duration::from_secs(15);
            if started.is_ok() && in_time { 7 } else { 1 }
        }
    });
    fs::write(&go, "").unwrap();
    assert_eq!(started, Some(7));
    let end = Instant::now() + Duration::from_secs(20);
    while pid_file.exists() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(2)); // the daemon's last deed
    }
}

#[test]
fn a_daemon_whose_first_process_is_gone_comes_up_all_the_same() {
    use super::super::daemon::{DaemonSide, fork as plain};
    let folder = Folder::new("daemon-alone");
    let (go, up) = (folder.0.join("go"), folder.0.join("up"));
    let first = in_a_child(|| {
        // SAFETY: both sides make system calls and end.
        match DaemonOptions::new().divide(|| unsafe { plain() }).unwrap() {
            DaemonSide::First(_) => 7,
            DaemonSide::Daemon(mut daemon) => {
                wait_for(&go);
                daemon.ready();
                let _ = fs::write(&up, "");
                0
            }
        }
    });
    assert_eq!(first, Some(7));
    fs::write(&go, "").unwrap();
    wait_for(&up);
    assert!(up.exists(), "SIGPIPE has killed the daemon");
}

#[test]
fn a_later_wait_for_a_pipeline_says_the_same() {
    let mut running = Pipeline::new().then(["echo", "x"]).start().unwrap();
    let first = running.wait_until(soon()).unwrap();
    assert_eq!((&*first.output, running.try_wait().unwrap()), (&b"x\n"[..], Some(first.clone())));
}
