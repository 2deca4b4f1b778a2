//! Processes and signals.
//!
//! | role            | does                                                                                          |
//! |-----------------|-----------------------------------------------------------------------------------------------|
//! | `take N`        | blocks SIGUSR1 and SIGRTMIN+3, says `ready`, stops itself; continued, takes N signals: says     |
//! |                 | `SIGNAL VALUE PID` for each, and that no other one is pending: `ok`                           |
//! | `queue PID N`   | waits until PID stands; queues 0 to N - 1 with SIGRTMIN+3 and as many SIGUSR1; lets PID go on  |
//! | `end HOW`       | ends with status HOW, or by signal -HOW                                                       |
//! | `children N`    | makes N children, child k ends with k mod 7; waits for each, says `ok N`                      |
//! | `pipeline FILE` | writes what `sort -n <FILE | uniq -c | tail -n 5` does; says its statuses (ours only)         |

use std::io::Write;
use std::process::exit;
use triveni::Deadline;
use triveni::kernel::{Pipeline, Redirect, Signals, continue_stopped, fork, queue_signal, send_signal, stop_self};

fn real_time() -> i32 {
    libc::SIGRTMIN() + 3
}

pub fn run(args: &[&str]) {
    let number = |text: &str| text.parse::<i32>().unwrap();
    match *args {
        ["take", n] => {
            let signals = Signals::take([libc::SIGUSR1, real_time()]).unwrap();
            println!("ready");
            stop_self().unwrap();
            for _ in 0..number(n) {
                let info = signals.receive().unwrap();
                println!("{} {} {}", info.signal, info.value, info.pid);
            }
            assert!(signals.try_receive().unwrap().is_none());
            println!("ok");
        }
        ["queue", pid, n] => {
            let pid = pid.parse().unwrap();
            triveni::kernel::wait_stopped(pid, Deadline::never()).unwrap();
            for k in 0..number(n) {
                queue_signal(pid, real_time(), k).unwrap();
                send_signal(pid, libc::SIGUSR1).unwrap();
            }
            continue_stopped(pid, Deadline::never()).unwrap();
        }
        ["end", how] => match number(how) {
            status if status >= 0 => exit(status),
            signal => {
                send_signal(std::process::id(), -signal).unwrap();
                unreachable!("signal {signal} ended nobody");
            }
        },
        ["children", n] => {
            for k in 0..number(n) {
                // SAFETY: the child only ends.
                let child = unsafe { fork(|| k % 7) }.unwrap();
                assert_eq!(child.wait().unwrap().code(), Some(k % 7));
            }
            println!("ok {n}");
        }
        ["pipeline", file] => {
            let pipeline = Pipeline::new().then(["sort", "-n"]).then(["uniq", "-c"]).then(["tail", "-n", "5"]);
            let run = pipeline.input_from(Redirect::Read(file.into())).run().unwrap();
            std::io::stdout().write_all(&run.output).unwrap();
            println!(
                "{:?} {}",
                run.statuses.iter().map(|status| status.code().unwrap()).collect::<Vec<_>>(),
                run.pipefail()
            );
        }
        _ => panic!("no role {args:?}"),
    }
}
