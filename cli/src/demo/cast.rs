//! The processes of the demo: started with their output on pipes, and none of them outlives us.

use std::io::{self, BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A line from one of the processes.
pub struct Line {
    /// Who said it: the number `start` gave.
    pub who: usize,
    pub text: String,
}

struct Actor {
    child: Child,
    reader: Option<JoinHandle<()>>,
    ended: Option<ExitStatus>,
}

/// All processes. Dropping it kills those that still run.
pub struct Cast {
    actors: Vec<Actor>,
    lines: Receiver<Line>,
    sender: Option<Sender<Line>>,
}

impl Cast {
    pub fn new() -> Cast {
        let (sender, lines) = channel();
        Cast { actors: Vec::new(), lines, sender: Some(sender) }
    }

    /// Starts a process; its number and its pid.
    pub fn start(&mut self, mut command: Command) -> io::Result<(usize, u32)> {
        let parent = std::process::id();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0); // Ctrl-C is ours to handle
        // SAFETY: prctl, getppid and the two error constructors are async-signal-safe and allocate nothing.
        unsafe {
            command.pre_exec(move || {
                // Killed with us, even if we are killed with SIGKILL; unless that has happened already.
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                    return Err(io::Error::last_os_error());
                }
                if libc::getppid() as u32 != parent {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                Ok(())
            });
        }
        let mut child = command.spawn()?;
        let who = self.actors.len();
        let pid = child.id();
        let reader = child.stdout.take().zip(self.sender.clone()).map(|(stdout, sender)| {
            std::thread::spawn(move || {
                for text in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if sender.send(Line { who, text }).is_err() {
                        break;
                    }
                }
            })
        });
        self.actors.push(Actor { child, reader, ended: None });
        Ok((who, pid))
    }

    /// The next line, or `None` when there is none until then.
    pub fn line(&self, until: Instant) -> Option<Line> {
        self.lines.recv_timeout(until.saturating_duration_since(Instant::now())).ok()
    }

    /// Sends a signal to a process that has not ended.
    pub fn signal(&mut self, who: usize, signal: i32) {
        if self.ended(who).is_none() {
            // SAFETY: kill has no memory obligations; the pid is our own child's, which nobody has waited for yet.
            unsafe { libc::kill(self.actors[who].child.id() as i32, signal) };
        }
    }

    /// How the process ended; `None` while it runs.
    pub fn ended(&mut self, who: usize) -> Option<ExitStatus> {
        let actor = &mut self.actors[who];
        if actor.ended.is_none() {
            actor.ended = actor.child.try_wait().ok().flatten();
        }
        actor.ended
    }

    /// Has this process ended, and has all it said been put among the lines?
    pub fn is_silent(&mut self, who: usize) -> bool {
        self.ended(who).is_some() && self.actors[who].reader.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Cast {
    fn drop(&mut self) {
        self.sender = None;
        for who in 0..self.actors.len() {
            self.signal(who, libc::SIGKILL);
        }
        for actor in &mut self.actors {
            let _ = actor.child.wait(); // it was killed: this returns, and there is nothing to learn from it
            if let Some(reader) = actor.reader.take() {
                let _ = reader.join();
            }
        }
    }
}

/// How a process ended, in words.
pub fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended in an unknown way".to_string(),
    }
}

/// A short while, for loops that look again.
pub const BEAT: Duration = Duration::from_millis(50);
