//! Starting a program: what it gets, in order, and nothing half.
//!
//! # How
//!
//! The child is made with `clone(CLONE_VM | CLONE_VFORK | CLONE_PIDFD)`, as `posix_spawn` makes it: it borrows the
//! parent's memory until its `exec`, and the caller sleeps so long. So nothing of a large parent is copied, the
//! descriptor of the child is there without a race, and a step that fails in the child leaves its error in memory that
//! both see. Whatever needs memory or names is made ready before, in [`Plan`].
//!
//! # What the program gets
//!
//! - Descriptors: 0, 1 and 2 as they are, then those of the list under their own numbers, then the redirections, one
//!   after the other as in a shell. No other one (Linux 5.11; on older kernels those that are not close-on-exec too).
//! - Signals: handlers are gone, as `exec` does it; what was ignored stays ignored but for SIGPIPE and SIGXFSZ, which
//!   Rust and Python ignore for themselves; no signal is blocked.
//! - The caller's environment with the additions, and the caller's working directory unless it is told another.

use super::child::{Child, waitid};
use super::process_limit::{limit, no_process};
use super::signal::checked;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::process::without_signals;
use memmap2::MmapMut;
use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::Resource;
use std::cell::UnsafeCell;
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString, c_char, c_int, c_void};
use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::ptr;

/// Where a descriptor of a new program leads.
#[derive(Debug)]
pub enum Redirect<'fd> {
    /// To `/dev/null`: nothing to read, and nothing kept of what is written.
    Null,
    /// From a file.
    Read(PathBuf),
    /// To a file, made if it is missing (mode 0666 less the umask) and emptied if it is there: `>`.
    Write(PathBuf),
    /// To the end of a file, made if it is missing: `>>`.
    Append(PathBuf),
    /// From these bytes, in a memory file: `<<`. Nobody has to write them while the program reads.
    Bytes(Vec<u8>),
    /// To one of the caller's: a pipe's end, a socket, a file.
    Fd(BorrowedFd<'fd>),
    /// The same, given away: closed in the caller once the program runs.
    Owned(OwnedFd),
    /// Where another descriptor of the program leads by then: `2>&1` is `redirect(2, Redirect::Same(1))`.
    Same(RawFd),
    /// Nowhere: the program does not have it.
    Closed,
}

impl From<OwnedFd> for Redirect<'_> {
    fn from(fd: OwnedFd) -> Self {
        Redirect::Owned(fd)
    }
}

impl<'fd> From<BorrowedFd<'fd>> for Redirect<'fd> {
    fn from(fd: BorrowedFd<'fd>) -> Self {
        Redirect::Fd(fd)
    }
}

/// A program to be started. [`Spawn::start`] starts it once.
///
/// # Examples
/// ```
/// use triveni::kernel::{Redirect, Spawn};
/// let child = Spawn::new(["sh", "-c", "exit 3"]).redirect(1, Redirect::Null).start()?;
/// assert_eq!(child.wait()?.code(), Some(3));
/// # Ok::<(), triveni::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a program starts with `start`"]
pub struct Spawn<'fd> {
    argv: Vec<OsString>,
    clear: bool,
    environment: BTreeMap<OsString, Option<OsString>>,
    directory: Option<PathBuf>,
    pub(super) redirects: Vec<(RawFd, Redirect<'fd>)>,
    inherited: Vec<BorrowedFd<'fd>>,
    new_session: bool,
    die_with_parent: i32,
    kill_on_drop: bool,
}

impl<'fd> Spawn<'fd> {
    /// The program `argv[0]` with its arguments, its own name among them as the first. A name without a slash is looked
    /// for in the directories of `PATH`, the one of the program's own environment.
    pub fn new<S: Into<OsString>>(argv: impl IntoIterator<Item = S>) -> Spawn<'fd> {
        Spawn {
            argv: argv.into_iter().map(Into::into).collect(),
            clear: false,
            environment: BTreeMap::new(),
            directory: None,
            redirects: Vec::new(),
            inherited: Vec::new(),
            new_session: false,
            die_with_parent: 0,
            kill_on_drop: false,
        }
    }

    /// Adds a variable to its environment, or gives it another value there.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.into(), Some(value.into()));
        self
    }

    /// Takes a variable out of its environment.
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.environment.insert(name.into(), None);
        self
    }

    /// Begins with an empty environment instead of the caller's.
    pub fn env_clear(mut self) -> Self {
        self.clear = true;
        self
    }

    /// Its working directory. A relative path to the program begins there too.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Redirects a descriptor. They are done in the order of the calls, as a shell does them; files are opened by
    /// the caller, so their paths begin in the caller's working directory.
    pub fn redirect(mut self, fd: RawFd, to: impl Into<Redirect<'fd>>) -> Self {
        self.redirects.push((fd, to.into()));
        self
    }

    /// Lets the program have a descriptor under the number that it has here, also if that is close-on-exec.
    pub fn inherit(mut self, fd: BorrowedFd<'fd>) -> Self {
        self.inherited.push(fd);
        self
    }

    /// Makes it the leader of a session and a process group of its own, without a terminal: no Ctrl-C reaches it.
    pub fn new_session(mut self) -> Self {
        self.new_session = true;
        self
    }

    /// The signal it gets when the *thread* that starts it ends (PR_SET_PDEATHSIG): SIGKILL, so that it does not
    /// outlive this program. A program that changes its user loses it.
    pub fn die_with_parent(mut self, signal: i32) -> Self {
        self.die_with_parent = signal;
        self
    }

    /// The drop of the handle kills it.
    pub fn kill_on_drop(mut self) -> Self {
        self.kill_on_drop = true;
        self
    }

    /// Starts it. When this returns, the program runs; on failure there is no child.
    ///
    /// # Errors
    /// `NotFound` with the places that were searched; `Permission` if it is there but no program, or a directory may
    /// not be entered; `System(ENOEXEC)` without a `#!` line; `WouldBlock` (EAGAIN) if a limit on processes is reached, which
    /// the error names; `Invalid` for a NUL byte or no argv; what opening a file reports.
    pub fn start(self) -> Result<Child> {
        let plan = Plan::of(&self)?;
        let child = plan.start(&self.name())?;
        child.set_kill_on_drop(self.kill_on_drop);
        Ok(child)
    }

    fn name(&self) -> String {
        self.argv.first().map_or("\"\"".to_string(), |name| format!("{name:?}"))
    }

    fn environment(&self) -> BTreeMap<OsString, OsString> {
        let mut all: BTreeMap<_, _> = if self.clear { BTreeMap::new() } else { std::env::vars_os().collect() };
        for (name, value) in &self.environment {
            match value {
                Some(value) => all.insert(name.clone(), value.clone()),
                None => all.remove(name),
            };
        }
        all
    }
}

/// A step in the child.
#[derive(Clone, Copy)]
enum Move {
    Duplicate(RawFd, RawFd),
    Close(RawFd),
}

/// What was being done when it failed.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    Nothing,
    Session,
    Death,
    Directory,
    Inherit(RawFd),
    Move(RawFd, RawFd),
    Exec,
}

/// All that the child needs, made before it exists: it must neither allocate nor lock.
struct Plan {
    /// Points into `strings`; ends with NULL.
    argv: Vec<*const c_char>,
    /// As `argv`.
    envp: Vec<*const c_char>,
    programs: Vec<CString>,
    directory: Option<CString>,
    inherited: Vec<RawFd>,
    moves: Vec<Move>,
    new_session: bool,
    die_with_parent: i32,
    parent: libc::pid_t,
    /// Written by the child, read once it has ended or become another program.
    failed: UnsafeCell<(Step, i32)>,
    searched: String,
    strings: Vec<CString>,
    /// What the moves take from: closed in the caller when the program runs.
    sources: Vec<OwnedFd>,
}

/// In <linux/close_range.h>; not every C library has it.
const CLOSE_RANGE_CLOEXEC: c_int = 4;

/// Enough for [`in_child`]: it calls nothing deep.
const STACK: usize = 64 << 10;

impl Plan {
    fn of(spawn: &Spawn<'_>) -> Result<Plan> {
        let program = spawn.argv.first().filter(|name| !name.is_empty());
        let program = program.ok_or_else(|| invalid("a program needs a name: argv is empty".into()))?;
        if spawn.die_with_parent != 0 {
            checked(spawn.die_with_parent)?;
        }
        let environment = spawn.environment();
        let (programs, searched) = search(program, environment.get(OsStr::new("PATH")))?;
        let arguments = spawn.argv.len();
        let mut strings = Vec::with_capacity(arguments + environment.len());
        for argument in &spawn.argv {
            strings.push(c_string(argument)?);
        }
        for (name, value) in &environment {
            if name.is_empty() || name.as_bytes().contains(&b'=') {
                return Err(invalid(format!("{name:?} is no name of a variable: it is empty or has a =")));
            }
            strings.push(c_string(&OsString::from_vec([name.as_bytes(), b"=", value.as_bytes()].concat()))?);
        }
        let pointers = |strings: &[CString]| strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect();
        let (argv, envp) = (pointers(&strings[..arguments]), pointers(&strings[arguments..]));
        let mut plan = Plan {
            argv,
            envp,
            programs,
            directory: spawn.directory.as_ref().map(|d| c_string(d.as_os_str())).transpose()?,
            inherited: spawn.inherited.iter().map(AsRawFd::as_raw_fd).collect(),
            moves: Vec::with_capacity(spawn.redirects.len()),
            new_session: spawn.new_session,
            die_with_parent: spawn.die_with_parent,
            parent: nix::unistd::getpid().as_raw(),
            failed: UnsafeCell::new((Step::Nothing, 0)),
            searched,
            strings,
            sources: Vec::new(),
        };
        // Sources lie above all targets, so that no move overwrites what a later one needs.
        let above =
            spawn.redirects.iter().map(|(fd, _)| fd.saturating_add(1)).chain(plan.inherited.iter().map(|fd| fd + 1));
        let above = above.max().unwrap_or(0).max(3);
        for (fd, to) in &spawn.redirects {
            let step = plan.step(*fd, to, above)?;
            plan.moves.push(step);
        }
        Ok(plan)
    }

    fn step(&mut self, fd: RawFd, to: &Redirect<'_>, above: RawFd) -> Result<Move> {
        if fd < 0 {
            return Err(invalid(format!("{fd} is no descriptor; they begin at 0")));
        }
        let open = |path: &PathBuf, options: &std::fs::OpenOptions| {
            options.open(path).map_err(|error| {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                Error::os(errno, format_args!("redirect descriptor {fd} to {path:?}"))
            })
        };
        let file = match to {
            Redirect::Same(from) => return Ok(Move::Duplicate(*from, fd)),
            Redirect::Closed => return Ok(Move::Close(fd)),
            Redirect::Fd(source) => return self.source(source.as_raw_fd(), fd, above),
            Redirect::Owned(source) => return self.source(source.as_raw_fd(), fd, above),
            Redirect::Null => open(&PathBuf::from("/dev/null"), File::options().read(true).write(true))?,
            Redirect::Read(path) => open(path, File::options().read(true))?,
            Redirect::Write(path) => open(path, File::options().write(true).create(true).truncate(true))?,
            Redirect::Append(path) => open(path, File::options().append(true).create(true))?,
            Redirect::Bytes(bytes) => memory_file(bytes)?,
        };
        self.source(file.as_raw_fd(), fd, above)
    }

    fn source(&mut self, source: RawFd, fd: RawFd, above: RawFd) -> Result<Move> {
        // SAFETY: F_DUPFD_CLOEXEC takes numbers and touches no memory of ours.
        let high = Errno::result(unsafe { libc::fcntl(source, libc::F_DUPFD_CLOEXEC, above) }).map_err(|errno| {
            let most = limit(Resource::RLIMIT_NOFILE);
            Error::os(errno as i32, format_args!("redirect descriptor {fd}; RLIMIT_NOFILE is {most} (ulimit -n)"))
        })?;
        // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
        self.sources.push(unsafe { OwnedFd::from_raw_fd(high) });
        Ok(Move::Duplicate(high, fd))
    }

    fn start(self, name: &str) -> Result<Child> {
        let errno = |error: std::io::Error| error.raw_os_error().unwrap_or(libc::ENOMEM);
        let mut stack = MmapMut::map_anon(STACK).map_err(|error| no_process(&format!("spawn {name}"), errno(error)))?;
        let mut pidfd: RawFd = -1;
        let pid = without_signals(|| {
            // SAFETY: the top of our own mapping, which is a multiple of 16; the child runs on it and nobody else.
            let top = unsafe { stack.as_mut_ptr().add(STACK) };
            let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
            // SAFETY: `in_child` gets the plan, which outlives the child's use of it: with CLONE_VFORK this thread sleeps
            // until the child has ended or left our memory by exec. All signals are blocked, so no handler of ours runs
            // in it. `pidfd` is written to by the kernel.
            unsafe {
                libc::clone(in_child, top.cast(), flags, (&raw const self).cast_mut().cast::<c_void>(), &raw mut pidfd)
            }
        });
        if pid < 0 {
            return Err(no_process(&format!("spawn {name}"), Errno::last() as i32));
        }
        // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        // SAFETY: the child, the only one that writes there, has ended or has another memory by now. Volatile, as the
        // compiler does not see it write.
        let (step, errno) = unsafe { self.failed.get().read_volatile() };
        if step == Step::Nothing {
            return Ok(Child::new(pidfd, pid as u32));
        }
        // It is just ending; ECHILD where SIGCHLD is ignored.
        let _ = waitid(libc::P_PIDFD, pidfd.as_raw_fd() as libc::id_t, libc::WEXITED, Deadline::never());
        Err(self.error(name, step, errno))
    }

    #[cold]
    fn error(&self, name: &str, step: Step, errno: i32) -> Error {
        let searched = &self.searched;
        match (step, errno) {
            (Step::Directory, _) => {
                Error::os(errno, format_args!("spawn {name}: enter {:?}", self.directory.clone().unwrap_or_default()))
            }
            (Step::Inherit(fd), _) => Error::os(errno, format_args!("spawn {name}: inherit descriptor {fd}")),
            (Step::Move(from, to), _) => Error::os(
                errno,
                format_args!(
                    "spawn {name}: redirect descriptor {to} to where {from} leads; RLIMIT_NOFILE is {} (ulimit -n)",
                    limit(Resource::RLIMIT_NOFILE)
                ),
            ),
            (Step::Session, _) => Error::os(errno, format_args!("spawn {name}: a session of its own")),
            (Step::Death, libc::ESRCH) => Error::os(errno, format_args!("spawn {name}: its parent ended meanwhile")),
            (Step::Death, _) => Error::os(errno, format_args!("spawn {name}: die with the parent")),
            (_, libc::ENOENT | libc::ENOTDIR) => {
                let sentence = format!(
                    "spawn {name}: no such program ({searched}); or the interpreter in its first line, #!, is missing"
                );
                Error::new(ErrorKind::NotFound, sentence)
            }
            (_, libc::EACCES) => Error::new(
                ErrorKind::Permission,
                format!(
                    "spawn {name}: it is there, but may not be executed ({searched}); chmod +x makes a program of a file"
                ),
            ),
            (_, libc::ENOEXEC) => Error::os(
                errno,
                format_args!(
                    "spawn {name}: neither a program of this machine nor a script with a #! line ({searched})"
                ),
            ),
            (_, libc::E2BIG) => Error::os(
                errno,
                format_args!(
                    "spawn {name}: arguments and environment have {} bytes; a quarter of RLIMIT_STACK, {} bytes (ulimit -s), \
                     is the limit, and 131071 for one",
                    self.strings.iter().map(|s| s.as_bytes_with_nul().len() + 8).sum::<usize>(),
                    limit(Resource::RLIMIT_STACK)
                ),
            ),
            _ => Error::os(errno, format_args!("spawn {name} ({searched})")),
        }
    }
}

/// The child: on a stack of its own in its parent's memory, all signals blocked. It makes system calls and stores to
/// `failed`, nothing else.
extern "C" fn in_child(plan: *mut c_void) -> c_int {
    // SAFETY: `start` passes its plan and sleeps until we are done with it.
    let plan = unsafe { &*plan.cast::<Plan>() };
    let (step, errno) = become_program(plan);
    // SAFETY: our parent sleeps, and no other thread knows the plan.
    unsafe { plan.failed.get().write_volatile((step, errno as i32)) };
    // SAFETY: ends this process without running anything of the parent's.
    unsafe { libc::_exit(127) }
}

/// Returns only if a step fails.
fn become_program(plan: &Plan) -> (Step, Errno) {
    default_signals();
    // SAFETY: system calls on numbers and on strings that end with NUL and outlive the call (`Plan`). None of them
    // allocates or locks.
    unsafe {
        if plan.new_session && libc::setsid() < 0 {
            return (Step::Session, Errno::last());
        }
        if plan.die_with_parent != 0 {
            if libc::prctl(libc::PR_SET_PDEATHSIG, plan.die_with_parent) < 0 {
                return (Step::Death, Errno::last());
            }
            if libc::getppid() != plan.parent {
                return (Step::Death, Errno::ESRCH); // it died before we asked for its death
            }
        }
        if let Some(directory) = &plan.directory
            && libc::chdir(directory.as_ptr()) < 0
        {
            return (Step::Directory, Errno::last());
        }
        // Linux 5.11; before that, descriptors that are not close-on-exec pass.
        libc::syscall(libc::SYS_close_range, 3, c_int::MAX, CLOSE_RANGE_CLOEXEC);
        for fd in &plan.inherited {
            if libc::fcntl(*fd, libc::F_SETFD, 0) < 0 {
                return (Step::Inherit(*fd), Errno::last());
            }
        }
        for step in &plan.moves {
            match *step {
                // To itself it would stay close-on-exec.
                Move::Duplicate(from, to) if from == to => {
                    if libc::fcntl(to, libc::F_SETFD, 0) < 0 {
                        return (Step::Move(from, to), Errno::last());
                    }
                }
                Move::Duplicate(from, to) => {
                    if libc::dup2(from, to) < 0 {
                        return (Step::Move(from, to), Errno::last());
                    }
                }
                Move::Close(fd) => {
                    libc::close(fd); // EBADF: it was closed already
                }
            }
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
        let mut failed = Errno::ENOENT;
        for program in &plan.programs {
            libc::execve(program.as_ptr(), plan.argv.as_ptr(), plan.envp.as_ptr());
            match Errno::last() {
                Errno::ENOENT | Errno::ENOTDIR => {}
                Errno::EACCES => failed = Errno::EACCES, // there may be a better one further on
                errno => return (Step::Exec, errno),
            }
        }
        (Step::Exec, failed)
    }
}

/// Nothing of the parent may run in its memory but this; and a program expects to die of SIGPIPE.
fn default_signals() {
    for signal in 1..=64 {
        // SAFETY: an all-zero sigaction is SIG_DFL with an empty mask; it changes this process only, as the table of
        // handlers is not shared. Signals that cannot be caught answer EINVAL.
        unsafe {
            let mut now: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(signal, ptr::null(), &mut now) < 0 {
                continue;
            }
            let ignored = now.sa_sigaction == libc::SIG_IGN && signal != libc::SIGPIPE && signal != libc::SIGXFSZ;
            if now.sa_sigaction != libc::SIG_DFL && !ignored {
                let default: libc::sigaction = std::mem::zeroed();
                libc::sigaction(signal, &default, ptr::null_mut());
            }
        }
    }
}

fn memory_file(bytes: &[u8]) -> Result<File> {
    let failed = |errno: i32| Error::os(errno, format_args!("a memory file of {} bytes", bytes.len()));
    let fd = memfd_create(c"triveni-input", MFdFlags::MFD_CLOEXEC).map_err(|errno| failed(errno as i32))?;
    let mut file = File::from(fd);
    let written = file.write_all(bytes).and_then(|()| file.rewind());
    written.map_err(|error| failed(error.raw_os_error().unwrap_or(libc::EIO)))?;
    Ok(file)
}

/// Where the program may be, and the same in words.
fn search(program: &OsStr, path: Option<&OsString>) -> Result<(Vec<CString>, String)> {
    if program.as_bytes().contains(&b'/') {
        return Ok((vec![c_string(program)?], format!("the path {program:?}")));
    }
    let path = path.map_or(OsStr::new("/bin:/usr/bin"), OsString::as_os_str);
    let programs = std::env::split_paths(path).map(|place| c_string(place.join(program).as_os_str()));
    Ok((programs.collect::<Result<_>>()?, format!("PATH is {path:?}")))
}

fn c_string(text: &OsStr) -> Result<CString> {
    CString::new(text.as_bytes())
        .map_err(|_| invalid(format!("{text:?} has a NUL byte in it, where it would end for the system")))
}

fn invalid(sentence: String) -> Error {
    Error::new(ErrorKind::Invalid, sentence)
}

#[cfg(test)]
#[path = "spawn_tests.rs"]
mod tests;
