//! What every test with more than one process needs: fresh names, a watchdog, and the other process.
//!
//! Nothing outlives a test: names are unlinked and processes killed on drop, and by the watchdog.

pub mod kernel;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use triveni::Segment;

/// How long anything may take before it counts as hanging. Generous: a loaded machine is no bug.
pub const PATIENCE: Duration = Duration::from_secs(60);

static NAMES: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
static CHILDREN: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// A segment name nobody else has; unlinked when dropped.
pub struct Name(String);

impl Name {
    /// A fresh one; `what` makes it recognisable.
    pub fn fresh(what: &str) -> Name {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test-{what}-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        NAMES.lock().unwrap().insert(name.clone());
        Name(name)
    }

    /// The file behind it.
    pub fn file(&self) -> PathBuf {
        PathBuf::from(format!("/dev/shm/triveni.{}", self.0))
    }
}

impl std::ops::Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = Segment::unlink(&self.0); // it may never have been created
        let _ = std::fs::remove_file(self.file()); // nor be a segment that unlink accepts
        NAMES.lock().unwrap().remove(&self.0);
    }
}

/// Ends the whole test program if it is not dropped in time. See [`watchdog`].
pub struct Watchdog(#[allow(dead_code)] Sender<()>);

/// Starts a watchdog: `what` hangs if it takes longer than `patience`. Cleans up and ends the test program then.
pub fn watchdog(what: &str, patience: Duration) -> Watchdog {
    let (alive, bell) = channel();
    let what = what.to_string();
    std::thread::spawn(move || {
        if bell.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            eprintln!("WATCHDOG: {what} hangs after {patience:?}");
            for pid in CHILDREN.lock().unwrap().iter() {
                eprintln!("WATCHDOG: pid {pid}: {}", where_it_is(*pid));
                // SAFETY: kill has no memory obligations; the pid is a child nobody has waited for.
                unsafe { libc::kill(*pid as i32, libc::SIGKILL) };
            }
            for name in NAMES.lock().unwrap().iter() {
                let _ = std::fs::remove_file(format!("/dev/shm/triveni.{name}"));
            }
            std::process::exit(101);
        }
    });
    Watchdog(alive)
}

/// What a process is doing, as far as /proc tells.
fn where_it_is(pid: u32) -> String {
    ["cmdline", "wchan", "syscall"]
        .map(|file| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default().replace('\0', " "))
        .join(" | ")
}

/// Asks until `fact` holds; panics when it does not within [`PATIENCE`].
pub fn wait_for(what: &str, mut fact: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !fact() {
        assert!(Instant::now() < end, "waited {PATIENCE:?} for this: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The languages a peer is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// tests/src/bin/peer.rs
    Rust,
    /// tests/peers/peer.c
    C,
    /// tests/peers/peer.py
    Python,
}

impl Language {
    /// All of them; `TRIVENI_TEST_LANGUAGES=rust,c` leaves some out, and says so.
    pub fn all() -> Vec<Language> {
        let all = vec![Language::Rust, Language::C, Language::Python];
        let Ok(some) = std::env::var("TRIVENI_TEST_LANGUAGES") else { return all };
        eprintln!("only these languages, because TRIVENI_TEST_LANGUAGES says so: {some}");
        all.into_iter().filter(|l| some.to_lowercase().contains(&format!("{l:?}").to_lowercase())).collect()
    }

    /// Every pair of them.
    pub fn pairs() -> Vec<(Language, Language)> {
        let all = Language::all();
        all.iter().flat_map(|a| all.iter().map(|b| (*a, *b))).collect()
    }

    /// The peer in this language, without arguments.
    fn command(self) -> Command {
        match self {
            Language::Rust => Command::new(target().join("peer")),
            Language::C => Command::new(c_peer()),
            Language::Python => {
                let mut command = Command::new(python());
                command.arg("-u").arg(workspace().join("tests/peers/peer.py"));
                command
            }
        }
    }
}

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Where cargo puts programs of this profile: `target/debug`.
pub fn target() -> PathBuf {
    let me = std::env::current_exe().unwrap();
    me.ancestors().nth(2).unwrap().to_path_buf() // target/debug/deps/matrix-0123
}

/// The folder that has libtriveni.so: `TRIVENI_LIB`, or where cargo built it.
pub fn library() -> PathBuf {
    let places = [
        std::env::var_os("TRIVENI_LIB").map(PathBuf::from),
        target().parent().map(|target| target.join("release")),
        Some(target()),
    ];
    places
        .into_iter()
        .flatten()
        .find(|place| place.join("libtriveni.so").is_file())
        .expect("libtriveni.so is not there: run `make build`, or set TRIVENI_LIB to the folder that has it")
}

/// The interpreter that can import triveni.
fn python() -> PathBuf {
    let own = workspace().join(".venv/bin/python");
    let python = std::env::var_os("TRIVENI_PYTHON").map_or(own, PathBuf::from);
    assert!(python.is_file(), "{} is not there: run `make build`, or set TRIVENI_PYTHON", python.display());
    python
}

/// Compiles peer.c, once for each run of a test program. Other test programs may do so at the same time.
fn c_peer() -> &'static Path {
    static PEER: OnceLock<PathBuf> = OnceLock::new();
    PEER.get_or_init(|| c_program("tests/peers/peer.c", "peer", true))
}

/// Compiles a program in C, with our library or without.
fn c_program(source: &str, name: &str, with_library: bool) -> PathBuf {
    let folder = target().join("peer-c");
    let draft = |name: &str| folder.join(format!("{name}.{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut compiler = Command::new(std::env::var_os("CC").unwrap_or("cc".into()));
    compiler.args(["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]).arg(workspace().join(source));
    if with_library {
        for name in ["libtriveni.so", "libtriveni.so.0"] {
            std::os::unix::fs::symlink(library().join("libtriveni.so"), draft(name)).unwrap();
            std::fs::rename(draft(name), folder.join(name)).unwrap();
        }
        compiler.arg("-I").arg(workspace().join("include")).arg("-L").arg(&folder);
        compiler.arg(format!("-Wl,-rpath,{}", folder.display())).arg("-ltriveni");
    }
    let compiled = compiler.args(["-lrt", "-lpthread", "-o"]).arg(draft(name)).output().unwrap();
    assert!(compiled.status.success(), "{source}: {}", String::from_utf8_lossy(&compiled.stderr));
    std::fs::rename(draft(name), folder.join(name)).unwrap();
    folder.join(name)
}

/// The locks of the peer's role `torture`: name, and how it is locked. A reader comes after the writer whose lock it is.
pub const TORTURED: [(&str, &str); 9] = [
    ("mutex", "mutex"),
    ("monitor", "monitor"),
    ("lease", "lease"),
    ("readers-first", "write"),
    ("readers-first", "read"),
    ("writers-first", "write"),
    ("writers-first", "read"),
    ("fair", "write"),
    ("fair", "read"),
];

/// How a peer ended.
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it wrote to stdout and nobody had read yet.
    pub lines: Vec<String>,
    /// What it wrote to stderr.
    pub stderr: String,
}

/// The other process. Killed when dropped.
pub struct Peer {
    child: Child,
    what: String,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
    status: Option<ExitStatus>,
}

impl Peer {
    /// Starts `peer ROLE SEGMENT OBJECT N [EXTRA]` in a language.
    pub fn start(language: Language, role: &str, segment: &str, object: &str, n: u64, extra: &str) -> Peer {
        let mut command = language.command();
        command.args([role, segment, object, &n.to_string()]);
        if !extra.is_empty() {
            command.arg(extra);
        }
        Peer::spawn(command, &format!("{role} in {language:?}"))
    }

    /// Starts the Rust peer in a role of its own, with any arguments.
    pub fn rust(args: &[&str]) -> Peer {
        Peer::spawn(Peer::rust_command(args), args[0])
    }

    /// The Rust peer, not started yet.
    pub fn rust_command(args: &[&str]) -> Command {
        let mut command = Language::Rust.command();
        command.args(args);
        command
    }

    /// Starts any command as a peer. Its stdin, if not set before, is empty.
    pub fn spawn(mut command: Command, what: &str) -> Peer {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // SAFETY: does nothing. With it the standard library forks, and waits until exec has closed the child's copies of
        // our descriptors. posix_spawn, which it calls otherwise, returns a moment before: what we close then is not gone.
        unsafe { command.pre_exec(|| Ok(())) };
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{what} does not start: {error}"));
        CHILDREN.lock().unwrap().insert(child.id());
        let (sender, lines) = channel();
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line); // nobody may want it any more
            }
        });
        let mut stderr = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text); // as much as there is
            String::from_utf8_lossy(&text).into_owned()
        });
        Peer { child, what: what.to_string(), lines, stderr: Some(stderr), status: None }
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its next line; panics with its stderr if it ends or hangs without one.
    pub fn line(&mut self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                panic!("{} says nothing for {PATIENCE:?}: {}", self.what, where_it_is(self.pid()))
            }
            Err(RecvTimeoutError::Disconnected) => {
                let ended = self.ended();
                panic!("{} ended ({}) and said no more: {}", self.what, ended.status, ended.stderr)
            }
        }
    }

    /// The lines there are, without waiting.
    pub fn lines_so_far(&mut self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    /// Waits for this very line.
    pub fn says(&mut self, expected: &str) {
        let line = self.line();
        assert_eq!(line, expected, "{}", self.what);
    }

    /// Waits until it sleeps in a system call: a blocked one, once it has said `ready`.
    pub fn sleeps(&mut self) {
        let pid = self.pid();
        let futex = |call: &str| call.starts_with(&format!("{} ", libc::SYS_futex));
        wait_for(&format!("{} sleeps", self.what), || {
            let call = std::fs::read_to_string(format!("/proc/{pid}/syscall"));
            match call {
                Ok(call) => futex(&call),
                // Not for us to see: at least it must not be running.
                Err(_) => std::fs::read_to_string(format!("/proc/{pid}/stat"))
                    .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" S"))),
            }
        });
    }

    /// Sends a signal.
    pub fn signal(&mut self, signal: i32) {
        // SAFETY: kill has no memory obligations; the pid is our own child's, which nobody has waited for.
        assert_eq!(unsafe { libc::kill(self.pid() as i32, signal) }, 0);
    }

    /// SIGKILL, and waits until it is gone; what it had said.
    pub fn kill(mut self) -> Vec<String> {
        self.killed()
    }

    /// As [`Peer::kill`], for a peer that is kept.
    pub fn killed(&mut self) -> Vec<String> {
        let _ = self.child.kill(); // it may have ended
        self.ended().lines
    }

    /// Has it ended?
    pub fn has_ended(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().unwrap();
        }
        self.status.is_some()
    }

    /// Waits until it has ended, in whatever way.
    pub fn end(mut self) -> Ended {
        self.ended()
    }

    /// Waits until it has ended with exit code 0; returns what it said.
    pub fn succeeds(mut self) -> Vec<String> {
        let ended = self.ended();
        assert!(ended.status.success(), "{} ended with {}: {}", self.what, ended.status, ended.stderr);
        ended.lines
    }

    /// As [`Peer::end`], for a peer that is kept.
    pub fn ended(&mut self) -> Ended {
        let end = Instant::now() + PATIENCE;
        while !self.has_ended() {
            if Instant::now() > end {
                let place = where_it_is(self.pid());
                panic!("{} has not ended after {PATIENCE:?}: {place}", self.what);
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        CHILDREN.lock().unwrap().remove(&self.pid());
        let stderr = self.stderr.take().map_or(String::new(), |reader| reader.join().unwrap());
        Ended { status: self.status.unwrap(), lines: self.lines.iter().collect(), stderr }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if self.status.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            CHILDREN.lock().unwrap().remove(&self.child.id());
        }
    }
}

/// Many processes stand at it, and go at the same moment. A pipe whose writing end closes once.
pub struct Gate {
    reader: File,
    writer: File,
}

impl Gate {
    /// A closed gate.
    pub fn closed() -> Gate {
        let (reader, writer) = std::io::pipe().unwrap();
        Gate {
            reader: File::from(std::os::fd::OwnedFd::from(reader)),
            writer: File::from(std::os::fd::OwnedFd::from(writer)),
        }
    }

    /// What the process gets as its stdin: it reads until the end.
    pub fn stdin(&self) -> Stdio {
        assert!(self.writer.as_raw_fd() >= 0);
        Stdio::from(self.reader.try_clone().unwrap())
    }

    /// Opens it.
    pub fn open(self) {}
}

/// A small generator of random numbers (splitmix64). The seed is `TRIVENI_SEED` or the clock, and printed.
pub struct Random(u64);

impl Random {
    /// Seeds it and says with what.
    pub fn seeded(what: &str) -> Random {
        let clock = || std::time::UNIX_EPOCH.elapsed().map_or(1, |d| d.as_nanos() as u64);
        let seed = std::env::var("TRIVENI_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(clock);
        println!("{what}: TRIVENI_SEED={seed}");
        Random(seed)
    }

    /// As another process said to seed it.
    pub fn from_seed(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.number() % n.max(1)
    }
}

/// How many times a random test goes round: `default`, or `TRIVENI_CASES`.
pub fn cases(default: u64) -> u64 {
    std::env::var("TRIVENI_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}
