//! Who is at the ends of the kernel's mechanisms: our three languages, and programs that know nothing of us.

use crate::{Peer, c_program, python, target, workspace};
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use triveni::kernel::{OwnedObject, owned_objects};

/// A program at one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// tests/peers/kernel/MECHANISM.rs, part of the binary `kernel_peer`
    Rust,
    /// tests/peers/kernel/MECHANISM.c
    C,
    /// tests/peers/kernel/MECHANISM.py
    Python,
    /// tests/peers/kernel/MECHANISM_plain.c: nothing but libc
    PlainC,
    /// tests/peers/kernel/MECHANISM_plain.py: nothing but Python's own library
    PlainPython,
}

impl End {
    /// All of them.
    pub const ALL: [End; 5] = [End::Rust, End::C, End::Python, End::PlainC, End::PlainPython];
    /// Ours.
    pub const OURS: [End; 3] = [End::Rust, End::C, End::Python];

    /// Every pair with one of ours in it.
    pub fn pairs() -> Vec<(End, End)> {
        let all = Self::ALL.iter().flat_map(|a| Self::ALL.iter().map(|b| (*a, *b)));
        all.filter(|(a, b)| Self::OURS.contains(a) || Self::OURS.contains(b)).collect()
    }

    /// The program for `mechanism`, without arguments.
    pub fn command(self, mechanism: &str) -> Command {
        let script = |name: String| {
            let mut command = Command::new(python());
            command.arg("-u").arg(workspace().join("tests/peers/kernel").join(name));
            command
        };
        match self {
            End::Rust => {
                let mut command = Command::new(target().join("kernel_peer"));
                command.arg(mechanism);
                command
            }
            End::C => Command::new(compiled(mechanism, true)),
            End::PlainC => Command::new(compiled(&format!("{mechanism}_plain"), false)),
            End::Python => script(format!("{mechanism}.py")),
            End::PlainPython => script(format!("{mechanism}_plain.py")),
        }
    }

    /// Starts it with arguments.
    pub fn start(self, mechanism: &str, args: &[&str]) -> Peer {
        let mut command = self.command(mechanism);
        command.args(args);
        Peer::spawn(command, &format!("{mechanism} {} in {self:?}", args.join(" ")))
    }

    /// Starts it with arguments, and with `fd` as its descriptor [`INHERITED`].
    pub fn start_with(self, mechanism: &str, args: &[&str], fd: OwnedFd) -> Peer {
        let mut command = self.command(mechanism);
        command.args(args);
        let from = fd.as_raw_fd();
        // SAFETY: dup2 may be called between fork and exec; `fd` is open until the child has started. A descriptor
        // that dup2 has made is not close-on-exec.
        unsafe {
            command.pre_exec(move || {
                // dup2 of a number to itself would leave it close-on-exec.
                let done =
                    if from == INHERITED { libc::fcntl(from, libc::F_SETFD, 0) } else { libc::dup2(from, INHERITED) };
                if done < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
            })
        };
        let peer = Peer::spawn(command, &format!("{mechanism} {} in {self:?}", args.join(" ")));
        drop(fd);
        peer
    }
}

/// The number of the descriptor that a peer inherits: higher than any that the standard library has open meanwhile.
pub const INHERITED: RawFd = 300;

/// A program in C, compiled once for each run of a test program.
fn compiled(name: &str, with_library: bool) -> PathBuf {
    static DONE: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut done = DONE.lock().unwrap();
    let source = format!("tests/peers/kernel/{name}.c");
    done.entry(name.to_string()).or_insert_with(|| c_program(&source, &format!("kernel-{name}"), with_library)).clone()
}

/// The number of a message of the peers: `k` in 8 bytes, then `k % 40` bytes that follow from it, as in peer.rs.
pub fn message(k: u64) -> Vec<u8> {
    let mut message = k.to_le_bytes().to_vec();
    message.extend((0..k % 40).map(|i| (k * 7 + i) as u8));
    message
}

/// What the process owns, or owned.
pub fn owned_by(pid: u32) -> Option<OwnedObject> {
    owned_objects().unwrap().into_iter().find(|object| object.pid == pid)
}
