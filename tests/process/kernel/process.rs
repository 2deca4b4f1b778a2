//! Processes and signals.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;
use triveni::kernel::{Child, ProcessTree, Redirect, Spawn, continue_process, is_stopped, stop_process, wait_stopped};
use triveni::{Deadline, ErrorKind};
use triveni_tests::kernel::End;
use triveni_tests::{PATIENCE, wait_for, watchdog};

fn soon() -> Deadline {
    Deadline::after(PATIENCE)
}

/// Real-time signals queue in their order, each with its value; of the others one is pending. Sender and receiver are not
/// related; and neither does anything before the other is where it has to be.
#[test]
fn queued_values_arrive_in_order_between_programs_that_are_not_related_and_plain_signals_coalesce() {
    let _watchdog = watchdog("signals", PATIENCE);
    const N: i32 = 20;
    let real_time = libc::SIGRTMIN() + 3;
    for (a, b) in End::pairs() {
        let mut receiver = b.start("process", &["take", &(N + 1).to_string()]);
        receiver.says("ready");
        let sender = a.start("process", &["queue", &receiver.pid().to_string(), &N.to_string()]);
        let pid = sender.pid();
        sender.succeeds();
        let said = receiver.succeeds();
        assert_eq!(said[0], format!("{} 0 {pid}", libc::SIGUSR1), "{a:?} to {b:?}: one for {N}");
        let expected: Vec<String> = (0..N).map(|k| format!("{real_time} {k} {pid}")).collect();
        assert_eq!(said[1..=N as usize], expected, "{a:?} to {b:?}");
        assert_eq!(said[N as usize + 1..], ["ok"]);
    }
}

/// Starts a program of a language as a child of ours.
fn spawn(end: End, args: &[&str]) -> Child {
    let command: Command = end.command("process");
    let argv = std::iter::once(command.get_program()).chain(command.get_args()).map(ToOwned::to_owned);
    let argv: Vec<_> = argv.chain(args.iter().map(|arg| arg.into())).collect();
    Spawn::new(argv).redirect(1, Redirect::Null).start().unwrap()
}

#[test]
fn a_wait_says_how_any_program_ended() {
    let _watchdog = watchdog("ends", PATIENCE);
    for end in End::ALL {
        assert_eq!(spawn(end, &["end", "7"]).wait_until(soon()).unwrap().code(), Some(7), "{end:?}");
        assert_eq!(spawn(end, &["end", "-15"]).wait().unwrap().signal(), Some(libc::SIGTERM), "{end:?}");
    }
}

#[test]
fn children_of_any_language_are_reaped() {
    let _watchdog = watchdog("children", PATIENCE);
    let peers = End::ALL.map(|end| end.start("process", &["children", "200"]));
    peers.into_iter().for_each(|peer| assert_eq!(peer.succeeds(), ["ok 200"]));
}

#[test]
fn a_pipeline_in_each_language_writes_the_bytes_that_the_shell_writes() {
    let _watchdog = watchdog("pipelines", PATIENCE);
    let file = std::env::temp_dir().join(format!("triveni-pipeline-{}", std::process::id()));
    let lines: String = (0..50_000u32).map(|n| format!("{}\n", n.wrapping_mul(2_654_435_761) % 1000)).collect();
    std::fs::write(&file, lines).unwrap();
    let shell = format!("sort -n <{0} | uniq -c | tail -n 5; echo '[0, 0, 0] 0'", file.display());
    let shell = Command::new("sh").args(["-c", &shell]).output().unwrap().stdout;
    let shell: Vec<String> = String::from_utf8(shell).unwrap().lines().map(ToOwned::to_owned).collect();
    for end in End::OURS {
        assert_eq!(end.start("process", &["pipeline", file.to_str().unwrap()]).succeeds(), shell, "{end:?}");
    }
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn a_program_killed_or_stopped_by_kill_1_is_seen_at_once() {
    let _watchdog = watchdog("kill(1)", PATIENCE);
    let child = Spawn::new(["sleep", "1000"]).start().unwrap();
    let kill = |signal: &str| {
        assert!(
            Command::new("sh").args(["-c", &format!("kill -{signal} {}", child.pid())]).status().unwrap().success()
        );
    };
    kill("STOP");
    assert_eq!(child.wait_change_until(soon()).unwrap().stopped_signal(), Some(libc::SIGSTOP));
    assert!(is_stopped(child.pid()).unwrap());
    assert_eq!(child.wait_until(Deadline::after(Duration::from_millis(10))).unwrap_err().kind(), ErrorKind::Timeout);
    kill("CONT");
    assert!(child.wait_change_until(soon()).unwrap().continued());
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| child.wait().unwrap());
        kill("KILL");
        assert_eq!(waiter.join().unwrap().signal(), Some(libc::SIGKILL));
    });
    assert_eq!(child.send(libc::SIGTERM).unwrap_err().kind(), ErrorKind::System(libc::ESRCH));
}

#[test]
fn a_sigcont_that_comes_before_the_stop_is_lost() {
    let _watchdog = watchdog("a lost SIGCONT", PATIENCE);
    let child = Spawn::new(["sleep", "1000"]).kill_on_drop().start().unwrap();
    continue_process(child.pid()).unwrap(); // too early: nothing is kept
    stop_process(child.pid()).unwrap();
    wait_stopped(child.pid(), soon()).unwrap();
    let still = child.wait_change_until(Deadline::after(Duration::from_millis(20))).unwrap();
    assert_eq!(still.stopped_signal(), Some(libc::SIGSTOP));
    let late = child.wait_change_until(Deadline::after(Duration::from_millis(20))).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Timeout, "it stands until somebody says it once more");
}

/// The signals that are pending for a process go with it: no later process gets them.
#[test]
fn signals_are_bound_to_their_process() {
    let _watchdog = watchdog("pending signals", PATIENCE);
    let mut receiver = End::C.start("process", &["take", "2"]);
    receiver.says("ready");
    let pid = receiver.pid();
    wait_stopped(pid, soon()).unwrap();
    triveni::kernel::queue_signal(pid, libc::SIGRTMIN() + 3, 1).unwrap();
    receiver.kill();
    wait_for("it is gone", || triveni::kernel::send_signal(pid, 0).is_err());
    assert_eq!(
        triveni::kernel::queue_signal(pid, libc::SIGRTMIN() + 3, 2).unwrap_err().kind(),
        ErrorKind::System(libc::ESRCH)
    );
}

#[test]
fn the_tree_shows_programs_of_all_languages() {
    let _watchdog = watchdog("a tree", PATIENCE);
    let shell = Spawn::new(["sh", "-c", "sleep 1000 & sleep 1000; :"]).new_session().kill_on_drop().start().unwrap();
    wait_for("both sleep", || ProcessTree::of(shell.pid()).unwrap().nodes().len() == 3);
    let tree = ProcessTree::of(shell.pid()).unwrap();
    assert!(tree.children(shell.pid()).count() == 2 && tree.depth() == 1, "{tree}");
    // SAFETY: a process group of our own making, whose leader is not reaped yet.
    unsafe { libc::kill(-(shell.pid() as i32), libc::SIGKILL) };
}
