//! The stepping of a child.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use triveni::ErrorKind;

/// Memory that a child shares with the survivor beside the segment. It outlives the child.
#[repr(C, align(64))]
pub struct Page {
    /// [`IDLE`], [`BEGUN`], [`DONE`] or [`TOLD`]: the result is there.
    pub mark: AtomicU32,
    /// What the operation returned.
    pub result: AtomicU64,
    /// Watched like the segment: what a lock guards, or the buffer of a receiver.
    pub data: [AtomicU64; 128],
}

pub const IDLE: u32 = 0;
pub const BEGUN: u32 = 1;
pub const DONE: u32 = 2;
pub const TOLD: u32 = 3;

/// What an operation returned: it was done, or there was nothing to do and time was up.
pub const OK: u64 = 1;
pub const TIMEOUT: u64 = 2;
/// Exit codes of a child that cannot do what it is for.
pub const REFUSED: i32 = 77;
pub const FAILED: i32 = 70;

impl Page {
    pub fn new() -> &'static Page {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new anonymous mapping, shared with the children; nothing is replaced.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), size_of::<Page>(), access, kind, -1, 0) };
        assert_ne!(page, libc::MAP_FAILED);
        // SAFETY: mapped, aligned to a page, zero, which is a value of it, and never unmapped.
        unsafe { &*page.cast::<Page>() }
    }

    pub fn clear(&self) {
        self.mark.store(IDLE, Relaxed);
        self.result.store(0, Relaxed);
        self.data.iter().for_each(|word| word.store(0, Relaxed));
    }

    /// The data as a buffer. For the child only, once.
    #[allow(clippy::mut_from_ref)]
    pub fn buffer(&self) -> &mut [u8] {
        // SAFETY: the words are in the page, which lives for ever; atomics may be written through a shared
        // reference. One child at a time uses them, and the survivor reads after its death.
        unsafe { std::slice::from_raw_parts_mut(self.data.as_ptr().cast_mut().cast(), size_of_val(&self.data)) }
    }

    /// What a child has left in the buffer.
    pub fn left(&self) -> Vec<u8> {
        self.data.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).collect()
    }
}

/// The child's side: what lies between begin and end.
pub struct Step(pub &'static Page);

impl Step {
    /// Carries the operation out, between the two marks, and then waits to be killed. Nothing is dropped after it.
    pub fn through(&self, operation: impl FnOnce() -> triveni::Result<u64>) -> ! {
        // SAFETY: raise has no memory obligations. The survivor waits for this signal.
        unsafe { libc::raise(libc::SIGSTOP) };
        self.0.mark.store(BEGUN, Relaxed);
        let result = operation();
        self.0.mark.store(DONE, Relaxed);
        match result {
            Ok(result) => self.0.result.store(result, Relaxed),
            Err(error) if error.kind() == ErrorKind::Timeout => self.0.result.store(TIMEOUT, Relaxed),
            Err(error) => panic!("the operation itself failed: {error}"),
        }
        self.0.mark.store(TOLD, Relaxed);
        // SAFETY: as above.
        unsafe { libc::raise(libc::SIGSTOP) };
        self.wait()
    }

    pub fn wait(&self) -> ! {
        loop {
            // SAFETY: pause has no memory obligations.
            unsafe { libc::pause() };
        }
    }
}

/// When to kill.
#[derive(Clone, Copy)]
pub enum Stop {
    /// After so many instructions. The last of them that came for the first time, as a trace has shown, and those
    /// after it are stepped; all before it go at full speed.
    After { n: u64, anchor: Anchor },
    /// After this effect, which a trace has shown.
    Effect(Effect),
    /// After so many effects, whichever; writes a trace.
    Effects(usize),
    /// After the operation; writes a trace.
    End,
}

/// An instruction that comes for the first time: its address, and how many came before it.
#[derive(Clone, Copy)]
pub struct Anchor {
    pub at: usize,
    pub before: u64,
}

/// An instruction that has changed shared memory or made a system call. Which one it is among all depends on the
/// clock where an operation waits; that it is the instruction's first, second, … effect does not.
#[derive(Clone, Copy)]
pub struct Effect {
    /// Its address, the same in all children.
    pub at: usize,
    /// How many effects it has had, with this one.
    pub times: u64,
    /// How many instructions had been carried out in the trace, with this one.
    pub instructions: u64,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::After { n, .. } => write!(f, "after {n} instructions"),
            Stop::Effect(effect) => {
                write!(f, "after the effect of instruction {}, at {:#x}", effect.instructions, effect.at)
            }
            Stop::Effects(n) => write!(f, "after {n} effects"),
            Stop::End => write!(f, "after its end"),
        }
    }
}

/// How far the child got.
pub struct Killed {
    /// Unless it went at full speed to an effect.
    pub instructions: u64,
    /// The effects, if a trace was wanted.
    pub effects: Vec<Effect>,
    /// The instructions that came for the first time, in their order, if a trace was wanted.
    pub anchors: Vec<Anchor>,
    /// What the operation returned, if it got to its end.
    pub result: Option<u64>,
    /// The survivor sweeps before anything else.
    pub swept: bool,
}

impl Killed {
    pub fn done(&self) -> bool {
        self.result == Some(OK)
    }
}

/// Why nothing can be tested on this machine.
#[derive(Debug)]
pub struct Refused(pub String);

/// A traced child that stands at the beginning of its operation. Its tracer is the thread that started it.
pub struct Child {
    pub pid: i32,
    pub page: &'static Page,
}

/// Forks: `body` runs in the child, which never comes back. Traced children stop where [`Step::through`] begins.
pub fn fork(page: &'static Page, traced: bool, body: impl FnOnce(&Step)) -> i32 {
    page.clear();
    // SAFETY: the child runs our own code only and leaves with _exit. Other threads of the test program may hold
    // locks at this moment: malloc's are reset by the C library, triveni's by its fork hooks, and no other is used.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        // SAFETY: neither call touches memory of ours.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            if traced && libc::ptrace(libc::PTRACE_TRACEME) != 0 {
                libc::_exit(REFUSED);
            }
        }
        let _ = catch_unwind(AssertUnwindSafe(|| body(&Step(page))));
        // SAFETY: ends the process without running anything of the test program's.
        unsafe { libc::_exit(FAILED) };
    }
    pid
}

pub fn wait_status(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: the pid is our own child's; `status` is a valid int.
    let got = unsafe { libc::waitpid(pid, &mut status, libc::__WALL) };
    assert_eq!(got, pid, "{}", std::io::Error::last_os_error());
    status
}

pub fn kill(pid: i32) {
    // SAFETY: kill has no memory obligations; the pid is our own child's, which nobody has waited for.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    loop {
        let status = wait_status(pid);
        if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            return;
        }
    }
}

impl Child {
    pub fn start(page: &'static Page, body: impl FnOnce(&Step)) -> Result<Child, Refused> {
        let pid = fork(page, true, body);
        loop {
            let status = wait_status(pid);
            if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == REFUSED {
                return Err(Refused("this machine does not let a process trace its child".into()));
            }
            assert!(libc::WIFSTOPPED(status), "the child ended before its operation, with status {status:#x}");
            let signal = libc::WSTOPSIG(status);
            // SAFETY: the child is ours and stopped; these requests touch no memory of ours.
            unsafe {
                if signal == libc::SIGSTOP {
                    let option = libc::PTRACE_O_EXITKILL as usize;
                    assert_eq!(libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0, option), 0);
                    return Ok(Child { pid, page });
                }
                libc::ptrace(libc::PTRACE_CONT, pid, 0, signal as usize);
            }
        }
    }

    /// Lets it go on, by `how`, to the next stop. False: it has come to its end.
    pub fn go_on(&self, how: Request) -> Result<bool, Refused> {
        let mut pass_on = 0usize;
        loop {
            // SAFETY: the child is ours and stopped; the request touches no memory of ours.
            if unsafe { libc::ptrace(how, self.pid, 0, pass_on) } != 0 {
                return Err(Refused(format!("single steps: {}", std::io::Error::last_os_error())));
            }
            let status = wait_status(self.pid);
            assert!(libc::WIFSTOPPED(status), "the operation failed, see above: status {status:#x}");
            match libc::WSTOPSIG(status) {
                libc::SIGTRAP => return Ok(true),
                libc::SIGSTOP => return Ok(false),
                signal @ (libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGFPE | libc::SIGABRT) => {
                    panic!("the operation ended in signal {signal}")
                }
                signal => pass_on = signal as usize, // from a terminal, say
            }
        }
    }

    pub fn step(&self) -> Result<(), Refused> {
        self.go_on(libc::PTRACE_SINGLESTEP).map(|_| ())
    }

    pub fn registers(&self, request: Request, registers: &mut libc::user_regs_struct) {
        let mut room = libc::iovec {
            iov_base: std::ptr::from_mut(registers).cast(),
            iov_len: size_of::<libc::user_regs_struct>(),
        };
        const GENERAL: usize = 1; // NT_PRSTATUS
        // SAFETY: the child is ours and stopped; the kernel reads or writes at most `iov_len` bytes of `registers`.
        assert_eq!(unsafe { libc::ptrace(request, self.pid, GENERAL, &raw mut room) }, 0);
    }

    /// The address of the next instruction.
    pub fn at(&self) -> usize {
        // SAFETY: all zero is a value of these integers.
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        self.registers(libc::PTRACE_GETREGSET, &mut registers);
        *machine::counter(&mut registers) as usize
    }

    pub fn set_at(&self, at: usize) {
        // SAFETY: all zero is a value of these integers.
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        self.registers(libc::PTRACE_GETREGSET, &mut registers);
        *machine::counter(&mut registers) = at as _;
        self.registers(libc::PTRACE_SETREGSET, &mut registers);
    }

    /// A word of its code.
    pub fn code(&self, at: usize) -> i64 {
        // SAFETY: the child is ours and stopped; the request returns a word of its memory and touches none of ours.
        unsafe { libc::ptrace(libc::PTRACE_PEEKTEXT, self.pid, at, 0) }
    }

    pub fn set_code(&self, at: usize, code: i64) {
        // SAFETY: the child is ours and stopped; its own copy of the code is changed, not ours.
        assert_eq!(unsafe { libc::ptrace(libc::PTRACE_POKETEXT, self.pid, at, code) }, 0);
    }

    /// Steps through the operation up to `stop`, and kills.
    pub fn killed_at(self, stop: Stop, watch: &mut Watch) -> Result<Killed, Refused> {
        while self.page.mark.load(Relaxed) == IDLE {
            self.step()?;
        }
        watch.has_changed();
        let mut killed =
            Killed { instructions: 0, effects: Vec::new(), anchors: Vec::new(), result: None, swept: false };
        match stop {
            Stop::After { n, anchor } => {
                if self.at() == anchor.at || self.full_speed_to(anchor.at)? {
                    killed.instructions = anchor.before;
                }
                while killed.instructions < n && self.page.mark.load(Relaxed) == BEGUN {
                    self.step()?;
                    killed.instructions += 1;
                }
            }
            Stop::Effect(effect) => self.run_to(effect, watch)?,
            Stop::Effects(_) | Stop::End => {
                let most = if let Stop::Effects(n) = stop { n } else { usize::MAX };
                self.trace(&mut killed, most, watch)?;
            }
        }
        if self.page.mark.load(Relaxed) != BEGUN {
            // Full speed again, to the word about how it ended.
            while self.page.mark.load(Relaxed) != TOLD && self.go_on(libc::PTRACE_CONT)? {}
            killed.result = Some(self.page.result.load(Relaxed));
        }
        kill(self.pid);
        Ok(killed)
    }

    /// Steps, and writes down the effects.
    pub fn trace(&self, killed: &mut Killed, most: usize, watch: &mut Watch) -> Result<(), Refused> {
        // Address: is it a system call, and how many effects has it had?
        let mut known: HashMap<usize, (bool, u64)> = HashMap::new();
        while killed.effects.len() < most && self.page.mark.load(Relaxed) == BEGUN {
            let at = self.at();
            let (is_call, times) = known.entry(at).or_insert_with(|| {
                killed.anchors.push(Anchor { at, before: killed.instructions });
                (machine::is_system_call(self.code(at)), 0)
            });
            self.step()?;
            killed.instructions += 1;
            if watch.has_changed() | *is_call {
                *times += 1;
                killed.effects.push(Effect { at, times: *times, instructions: killed.instructions });
            }
        }
        Ok(())
    }

    /// Full speed to the instruction at `at`, which is the next one then. False: to the end of the operation.
    pub fn full_speed_to(&self, at: usize) -> Result<bool, Refused> {
        let code = self.code(at);
        self.set_code(at, machine::with_break(code));
        let goes_on = self.go_on(libc::PTRACE_CONT)?;
        self.set_code(at, code);
        if goes_on {
            self.set_at(at);
        }
        Ok(goes_on)
    }

    /// Full speed to the instruction that has the effect, as often as it takes; that one is stepped.
    pub fn run_to(&self, effect: Effect, watch: &mut Watch) -> Result<(), Refused> {
        let Effect { at, times, .. } = effect;
        let is_call = machine::is_system_call(self.code(at));
        let mut seen = 0;
        while seen < times {
            if self.at() != at && !self.full_speed_to(at)? {
                return Ok(());
            }
            watch.has_changed(); // what others of its instructions have done
            self.step()?;
            seen += u64::from(watch.has_changed() | is_call);
        }
        Ok(())
    }
}

/// The type of a request to ptrace; C libraries differ.
#[cfg(target_env = "gnu")]
pub type Request = libc::c_uint;
#[cfg(not(target_env = "gnu"))]
pub type Request = libc::c_int;

/// What differs between processors.
#[cfg(target_arch = "x86_64")]
mod machine {
    pub fn counter(registers: &mut libc::user_regs_struct) -> &mut libc::c_ulonglong {
        &mut registers.rip
    }
    pub fn is_system_call(code: i64) -> bool {
        code & 0xFFFF == 0x050F // syscall
    }
    pub fn with_break(code: i64) -> i64 {
        code & !0xFF | 0xCC // int3
    }
}

#[cfg(target_arch = "aarch64")]
mod machine {
    pub fn counter(registers: &mut libc::user_regs_struct) -> &mut libc::c_ulonglong {
        &mut registers.pc
    }
    pub fn is_system_call(code: i64) -> bool {
        code & 0xFFFF_FFFF == 0xD400_0001 // svc #0
    }
    pub fn with_break(code: i64) -> i64 {
        code & !0xFFFF_FFFF | 0xD420_0000 // brk #0
    }
}

/// The shared memory an operation may change, and how it was when last looked at.
pub struct Watch {
    pub parts: Vec<(*const u8, Vec<u8>)>,
}

impl Watch {
    /// `file`: a segment.
    pub fn new(file: Option<PathBuf>, page: &'static Page) -> Watch {
        let mut parts = vec![(page.data.as_ptr().cast(), page.left())];
        if let Some(file) = file {
            let file = File::open(file).unwrap();
            let size = file.metadata().unwrap().len() as usize;
            // SAFETY: a new mapping of a file that keeps its size; nothing is replaced.
            let at = unsafe {
                libc::mmap(std::ptr::null_mut(), size, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0)
            };
            assert_ne!(at, libc::MAP_FAILED);
            parts.push((at.cast_const().cast(), vec![0; size]));
        }
        Watch { parts }
    }

    /// Has anything changed since it was asked last? The child is stopped meanwhile, and nobody else writes.
    pub fn has_changed(&mut self) -> bool {
        let mut changed = false;
        for (now, before) in &mut self.parts {
            // SAFETY: both are as long as `before`: mapped until drop, or in a page that stays.
            unsafe {
                if libc::memcmp(now.cast(), before.as_ptr().cast(), before.len()) != 0 {
                    changed = true;
                    std::ptr::copy_nonoverlapping(*now, before.as_mut_ptr(), before.len());
                }
            }
        }
        changed
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for (at, before) in self.parts.drain(1..) {
            // SAFETY: mapped in `new` with this length, and used by nobody else.
            unsafe { libc::munmap(at.cast_mut().cast(), before.len()) };
        }
    }
}
