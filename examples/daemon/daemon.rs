//! A daemon: it comes up, a second one is refused, and it goes when it is told to.
//!
//!     daemon

use triveni::kernel::{Daemon, DaemonOptions, Signals, send_signal};
use triveni::{Error, ErrorKind, Result};

/// What the daemon does: it waits for SIGTERM. Its output goes to a file, as it has no terminal.
fn serve(mut daemon: Daemon) -> i32 {
    let signals = match Signals::take([libc::SIGTERM]) {
        Ok(signals) => signals,
        Err(error) => {
            daemon.failed(&error.to_string());
            return 1;
        }
    };
    println!("the daemon serves, and its parent is not the program that started it");
    daemon.ready();
    i32::from(signals.receive().is_err())
}

fn main() -> Result<()> {
    let place = std::env::temp_dir().join(format!("daemon-{}", std::process::id()));
    let (pid_file, log) = (place.with_extension("pid"), place.with_extension("log"));
    let options = DaemonOptions::new().pid_file(&pid_file).output(&log);
    // SAFETY: this program has one thread.
    let pid = unsafe { options.clone().start(serve) }?;
    println!("the daemon came up");
    // SAFETY: as above.
    match unsafe { options.start(serve) } {
        Err(error) if error.kind() == ErrorKind::Busy => println!("a second one is refused"),
        other => return other.and(Err(Error::new(ErrorKind::Failed, "there are two"))),
    }
    send_signal(pid, libc::SIGTERM)?;
    while pid_file.exists() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    println!("the daemon has ended, and its pid file is gone");
    print!("its output: {}", std::fs::read_to_string(&log).unwrap_or_default());
    let _ = std::fs::remove_file(log); // it was only for this
    Ok(())
}
