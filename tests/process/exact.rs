//! SIGKILL at every instruction of an operation: the survivors go on, whatever was half done.
//!
//! A child process carries out one operation under ptrace, one instruction at a time, and is killed after n of
//! them; then a survivor checks what the object promises. What only the dead process could see is gone with it,
//! so two points differ only if the shared memory changed between them or a system call was made: an *effect*.
//! As a rule the child is killed after each effect (or an even choice, if there are many), once with a
//! sweep before the survivor's first call and once without, and besides after every so many instructions.
//! `TRIVENI_EXACT=all` kills after every instruction there is. `TRIVENI_SEED` repeats a choice,
//! `TRIVENI_ONLY=text` leaves out the cases that have no such text in their name.
//!
//! A system call counts as one instruction: a kill inside it is not tried here, `kill.rs` does that at random.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use triveni::{
    Consumer, Deadline, ErrorKind, LockError, Mailbox, Mutex, ObjectState, Producer, Ring, Segment, Semaphore,
};
use triveni_tests::{Name, PATIENCE, Random, watchdog};

/// How many points a case gets, besides that it gets all: after effects, and at regular distances.
const EFFECTS: u64 = 25;
const DISTANCES: u64 = 12;
/// How far such a point may be from the last instruction that came for the first time. What is further is deep
/// in a loop, say of a wait; effects there are found by the effect.
const FAR: u64 = 1000;
/// A case that has shown so many violations is broken enough.
const VIOLATIONS: usize = 5;

// ------------------------------------------------------------------------------------------ the stepping of a child

/// Memory that a child shares with the survivor beside the segment. It outlives the child.
#[repr(C, align(64))]
struct Page {
    /// [`IDLE`], [`BEGUN`], [`DONE`] or [`TOLD`]: the result is there.
    mark: AtomicU32,
    /// What the operation returned.
    result: AtomicU64,
    /// Watched like the segment: what a lock guards, or the buffer of a receiver.
    data: [AtomicU64; 128],
}

const IDLE: u32 = 0;
const BEGUN: u32 = 1;
const DONE: u32 = 2;
const TOLD: u32 = 3;

/// What an operation returned: it was done, or there was nothing to do and time was up.
const OK: u64 = 1;
const TIMEOUT: u64 = 2;
/// Exit codes of a child that cannot do what it is for.
const REFUSED: i32 = 77;
const FAILED: i32 = 70;

impl Page {
    fn new() -> &'static Page {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new anonymous mapping, shared with the children; nothing is replaced.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), size_of::<Page>(), access, kind, -1, 0) };
        assert_ne!(page, libc::MAP_FAILED);
        // SAFETY: mapped, aligned to a page, zero, which is a value of it, and never unmapped.
        unsafe { &*page.cast::<Page>() }
    }

    fn clear(&self) {
        self.mark.store(IDLE, Relaxed);
        self.result.store(0, Relaxed);
        self.data.iter().for_each(|word| word.store(0, Relaxed));
    }

    /// The data as a buffer. For the child only, once.
    #[allow(clippy::mut_from_ref)]
    fn buffer(&self) -> &mut [u8] {
        // SAFETY: the words are in the page, which lives for ever; atomics may be written through a shared
        // reference. One child at a time uses them, and the survivor reads after its death.
        unsafe { std::slice::from_raw_parts_mut(self.data.as_ptr().cast_mut().cast(), size_of_val(&self.data)) }
    }

    /// What a child has left in the buffer.
    fn left(&self) -> Vec<u8> {
        self.data.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).collect()
    }
}

/// The child's side: what lies between begin and end.
struct Step(&'static Page);

impl Step {
    /// Carries the operation out, between the two marks, and then waits to be killed. Nothing is dropped after it.
    fn through(&self, operation: impl FnOnce() -> triveni::Result<u64>) -> ! {
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

    fn wait(&self) -> ! {
        loop {
            // SAFETY: pause has no memory obligations.
            unsafe { libc::pause() };
        }
    }
}

/// When to kill.
#[derive(Clone, Copy)]
enum Stop {
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
struct Anchor {
    at: usize,
    before: u64,
}

/// An instruction that has changed shared memory or made a system call. Which one it is among all depends on the
/// clock where an operation waits; that it is the instruction's first, second, … effect does not.
#[derive(Clone, Copy)]
struct Effect {
    /// Its address, the same in all children.
    at: usize,
    /// How many effects it has had, with this one.
    times: u64,
    /// How many instructions had been carried out in the trace, with this one.
    instructions: u64,
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
struct Killed {
    /// Unless it went at full speed to an effect.
    instructions: u64,
    /// The effects, if a trace was wanted.
    effects: Vec<Effect>,
    /// The instructions that came for the first time, in their order, if a trace was wanted.
    anchors: Vec<Anchor>,
    /// What the operation returned, if it got to its end.
    result: Option<u64>,
    /// The survivor sweeps before anything else.
    swept: bool,
}

impl Killed {
    fn done(&self) -> bool {
        self.result == Some(OK)
    }
}

/// Why nothing can be tested on this machine.
#[derive(Debug)]
struct Refused(String);

/// A traced child that stands at the beginning of its operation. Its tracer is the thread that started it.
struct Child {
    pid: i32,
    page: &'static Page,
}

/// Forks: `body` runs in the child, which never comes back. Traced children stop where [`Step::through`] begins.
fn fork(page: &'static Page, traced: bool, body: impl FnOnce(&Step)) -> i32 {
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

fn wait_status(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: the pid is our own child's; `status` is a valid int.
    let got = unsafe { libc::waitpid(pid, &mut status, libc::__WALL) };
    assert_eq!(got, pid, "{}", std::io::Error::last_os_error());
    status
}

fn kill(pid: i32) {
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
    fn start(page: &'static Page, body: impl FnOnce(&Step)) -> Result<Child, Refused> {
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
    fn go_on(&self, how: Request) -> Result<bool, Refused> {
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

    fn step(&self) -> Result<(), Refused> {
        self.go_on(libc::PTRACE_SINGLESTEP).map(|_| ())
    }

    fn registers(&self, request: Request, registers: &mut libc::user_regs_struct) {
        let mut room = libc::iovec {
            iov_base: std::ptr::from_mut(registers).cast(),
            iov_len: size_of::<libc::user_regs_struct>(),
        };
        const GENERAL: usize = 1; // NT_PRSTATUS
        // SAFETY: the child is ours and stopped; the kernel reads or writes at most `iov_len` bytes of `registers`.
        assert_eq!(unsafe { libc::ptrace(request, self.pid, GENERAL, &raw mut room) }, 0);
    }

    /// The address of the next instruction.
    fn at(&self) -> usize {
        // SAFETY: all zero is a value of these integers.
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        self.registers(libc::PTRACE_GETREGSET, &mut registers);
        *machine::counter(&mut registers) as usize
    }

    fn set_at(&self, at: usize) {
        // SAFETY: all zero is a value of these integers.
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        self.registers(libc::PTRACE_GETREGSET, &mut registers);
        *machine::counter(&mut registers) = at as _;
        self.registers(libc::PTRACE_SETREGSET, &mut registers);
    }

    /// A word of its code.
    fn code(&self, at: usize) -> i64 {
        // SAFETY: the child is ours and stopped; the request returns a word of its memory and touches none of ours.
        unsafe { libc::ptrace(libc::PTRACE_PEEKTEXT, self.pid, at, 0) }
    }

    fn set_code(&self, at: usize, code: i64) {
        // SAFETY: the child is ours and stopped; its own copy of the code is changed, not ours.
        assert_eq!(unsafe { libc::ptrace(libc::PTRACE_POKETEXT, self.pid, at, code) }, 0);
    }

    /// Steps through the operation up to `stop`, and kills.
    fn killed_at(self, stop: Stop, watch: &mut Watch) -> Result<Killed, Refused> {
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
    fn trace(&self, killed: &mut Killed, most: usize, watch: &mut Watch) -> Result<(), Refused> {
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
    fn full_speed_to(&self, at: usize) -> Result<bool, Refused> {
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
    fn run_to(&self, effect: Effect, watch: &mut Watch) -> Result<(), Refused> {
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
type Request = libc::c_uint;
#[cfg(not(target_env = "gnu"))]
type Request = libc::c_int;

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
struct Watch {
    parts: Vec<(*const u8, Vec<u8>)>,
}

impl Watch {
    /// `file`: a segment.
    fn new(file: Option<PathBuf>, page: &'static Page) -> Watch {
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
    fn has_changed(&mut self) -> bool {
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

// ------------------------------------------------------------------------------------------------ points of a case

/// One operation, how it is prepared, and what must hold when it was cut off.
trait Scene {
    /// The file of the segment, if there is one before the operation.
    fn file(&self) -> Option<PathBuf>;
    /// The page its children use.
    fn page(&self) -> &'static Page;
    /// In the survivor, before each point.
    fn prepare(&mut self) -> Result<(), Refused>;
    /// In the child: full speed up to [`Step::through`].
    fn act(&self, step: &Step);
    /// In the survivor, after the kill. Leaves everything as before `prepare`.
    fn check(&mut self, killed: &Killed);
    /// What is in the segment, to be shown with a violation.
    fn state(&self) -> String;
}

/// What came of a case.
#[derive(Default)]
struct Tally {
    points: u64,
    /// The longest check, and of which point.
    worst: (Duration, String),
    violations: Vec<String>,
}

impl Tally {
    /// One point: prepares, steps, kills, checks. True: the operation got to its end.
    fn point(
        &mut self,
        name: &str,
        scene: &mut Box<dyn Scene>,
        make: &dyn Fn() -> Box<dyn Scene>,
        stop: Stop,
        swept: bool,
    ) -> Result<Killed, Refused> {
        let _watchdog = watchdog(&format!("{name}, killed {stop}, swept {swept}"), PATIENCE);
        scene.prepare()?;
        let mut watch = Watch::new(scene.file(), scene.page());
        let mut killed = Child::start(scene.page(), |step| scene.act(step))?.killed_at(stop, &mut watch)?;
        killed.swept = swept;
        let begin = Instant::now();
        let checked = catch_unwind(AssertUnwindSafe(|| scene.check(&killed)));
        self.points += 1;
        if begin.elapsed() > self.worst.0 {
            self.worst = (begin.elapsed(), format!("{stop}{}", if swept { ", swept" } else { "" }));
        }
        if let Err(panic) = checked {
            let what = panic.downcast_ref::<String>().cloned();
            let what = what.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default();
            self.violations.push(format!(
                "{name}, killed {stop}, result {:?}, swept {swept}: {what}\n{}",
                killed.result,
                scene.state()
            ));
            println!("VIOLATION {}", self.violations.last().unwrap());
            *scene = make();
        }
        Ok(killed)
    }
}

/// At most `most` of 1..=n, evenly, beginning anywhere.
fn choice(n: u64, most: u64, random: &mut Random) -> Vec<u64> {
    let stride = n.div_ceil(most.max(1)).max(1);
    let first = 1 + random.below(stride);
    (first..=n).step_by(stride as usize).collect()
}

fn run(name: &str, random: &mut Random, make: &dyn Fn() -> Box<dyn Scene>) -> Result<Vec<String>, Refused> {
    if std::env::var("TRIVENI_ONLY").is_ok_and(|only| !name.contains(&only)) {
        return Ok(Vec::new());
    }
    let begin = Instant::now();
    let mut tally = Tally::default();
    let mut scene = make();
    let whole = tally.point(name, &mut scene, make, Stop::End, false)?;
    assert!(whole.instructions > 10 && !whole.effects.is_empty(), "{name}: the stepping does not step");
    assert!(whole.result.is_some());
    let after = |n| {
        let passed = whole.anchors.partition_point(|anchor| anchor.before <= n);
        Stop::After { n, anchor: whole.anchors[passed - 1] }
    };
    if std::env::var("TRIVENI_EXACT").is_ok_and(|how| how == "all") {
        for n in 0..whole.instructions {
            let swept = random.below(2) == 0;
            if tally.violations.len() < VIOLATIONS {
                tally.point(name, &mut scene, make, after(n), swept)?;
            }
        }
    } else {
        let distances = choice(whole.instructions, DISTANCES, random).into_iter().map(|n| match after(n - 1) {
            Stop::After { n, anchor } => Stop::After { n: n.min(anchor.before + FAR), anchor },
            other => other,
        });
        let effects = choice(whole.effects.len() as u64, EFFECTS, random);
        let effects = effects.into_iter().map(|n| Stop::Effect(whole.effects[n as usize - 1]));
        for stop in effects.chain(distances) {
            let both: &[bool] = if matches!(stop, Stop::Effect(_)) { &[false, true] } else { &[false] };
            for swept in both {
                if tally.violations.len() < VIOLATIONS {
                    tally.point(name, &mut scene, make, stop, *swept)?;
                }
            }
        }
    }
    println!(
        "{name}: {} instructions, {} effects; killed at {} points, worst recovery {:.1?} ({}), {} violations, {:.1?}",
        whole.instructions,
        whole.effects.len(),
        tally.points,
        tally.worst.0,
        tally.worst.1,
        tally.violations.len(),
        begin.elapsed()
    );
    Ok(tally.violations)
}

/// Name of a case, and how its scene is made.
type Case = (String, Box<dyn Fn() -> Box<dyn Scene>>);

fn case<S: Scene + 'static>(name: impl Into<String>, make: impl Fn() -> S + 'static) -> Case {
    (name.into(), Box::new(move || Box::new(make())))
}

fn run_all(what: &str, cases: Vec<Case>) {
    pin();
    if let Err(Refused(why)) = can_step() {
        println!("SKIPPED: {what}, killed at every instruction: {why}");
        return;
    }
    let mut random = Random::seeded(what);
    let mut violations = Vec::new();
    for (name, make) in &cases {
        match run(name, &mut random, make) {
            Ok(found) => violations.extend(found),
            Err(Refused(why)) => {
                println!("SKIPPED: {what}, killed at every instruction: {why}");
                return;
            }
        }
    }
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}

/// Keeps this thread and its children on one CPU: a step is then two context switches instead of two wakes of
/// another CPU, ten times as fast. Each thread takes another one.
fn pin() {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    // SAFETY: all zero is an empty set; the kernel reads and writes at most its size; the index is below CPU_SETSIZE.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size_of_val(&set), &mut set) != 0 {
            return; // slower, no more
        }
        let all: Vec<usize> = (0..libc::CPU_SETSIZE as usize).filter(|cpu| libc::CPU_ISSET(*cpu, &set)).collect();
        let cpu = all[NEXT.fetch_add(1, Relaxed) % all.len()];
        libc::CPU_ZERO(&mut set);
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set);
    }
}

fn can_step() -> Result<(), Refused> {
    #[cfg(target_arch = "aarch64")]
    if !std::arch::is_aarch64_feature_detected!("lse") {
        return Err(Refused("a step between load- and store-exclusive makes the store fail for ever".into()));
    }
    Ok(())
}

// ------------------------------------------------------------------------------------------ what the scenes share

/// A message that shows whether it is whole.
fn message(sender: u64, seq: u64, len: usize) -> Vec<u8> {
    assert!(len >= 24);
    let mut bytes = Vec::with_capacity(len);
    bytes.extend(sender.to_le_bytes());
    bytes.extend(seq.to_le_bytes());
    bytes.extend((0..len - 24).map(|i| (i as u64 * 7 + seq * 31 + sender) as u8));
    let sum = checksum(&bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

fn checksum(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xCBF2_9CE4_8422_2325 ^ bytes.len() as u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01B3))
}

/// Sender and number of a message; `None` if it is torn.
fn whole(bytes: &[u8]) -> Option<(u64, u64)> {
    let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(8)?)?;
    let word = |at: usize| Some(u64::from_le_bytes(body.get(at..at + 8)?.try_into().ok()?));
    (sum == checksum(body).to_le_bytes()).then_some((word(0)?, word(8)?))
}

fn read(bytes: &[u8]) -> (u64, u64) {
    whole(bytes).unwrap_or_else(|| panic!("a torn message: {bytes:?}"))
}

/// Long enough for any recovery, shorter than the watchdog.
fn in_time() -> Deadline {
    Deadline::after(Duration::from_secs(10))
}

/// For an operation that finds nothing to do.
fn soon() -> Deadline {
    Deadline::after(Duration::from_millis(1))
}

/// A small segment, and the survivor in it.
struct Place {
    name: Name,
    segment: Segment,
    page: &'static Page,
    /// Message size of the largest mailbox of one that fits when there is nothing else.
    largest: usize,
}

fn small() -> triveni::SegmentOptions {
    Segment::options().max_participants(4).max_objects(8)
}

const SIZE: usize = 40 << 10;

impl Place {
    fn new() -> Place {
        Place::with_seats(4)
    }

    fn with_seats(seats: usize) -> Place {
        let name = Name::fresh("exact");
        let segment = small().max_participants(seats).create(&name, SIZE).unwrap();
        let largest = largest(&segment);
        Place { name, segment, page: Page::new(), largest }
    }

    /// At the end of a check: nobody dead is left at the table, no object, and no memory is lost.
    fn is_as_new(&self) {
        is_clean(&self.segment, 1);
        assert_eq!(self.segment.sweep().unwrap(), 0, "a second sweep finds nobody");
        let objects = self.segment.objects().unwrap();
        assert!(objects.is_empty(), "objects are left: {objects:?}");
        fits(&self.segment, self.largest);
    }
}

/// After a sweep: `living` participants, nobody dead, nothing unreadable, nobody attached who is not there.
fn is_clean(segment: &Segment, living: usize) {
    segment.sweep().unwrap();
    let participants = segment.participants().unwrap();
    assert!(
        participants.len() == living && participants.iter().all(|p| p.alive),
        "after a sweep, not {living} living: {participants:?}"
    );
    for object in segment.objects().unwrap() {
        assert!(!matches!(object.state, ObjectState::Unreadable(_)), "{object:?}");
        assert!(
            object.attached.iter().all(|pid| participants.iter().any(|p| p.pid == *pid)),
            "the dead are attached: {object:?}"
        );
    }
}

fn try_mailbox(segment: &Segment, size: usize) -> bool {
    match segment.create_mailbox("probe", 1, size) {
        Ok(mailbox) => {
            segment.remove("probe").unwrap();
            drop(mailbox);
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
            false
        }
    }
}

fn largest(segment: &Segment) -> usize {
    let (mut fits, mut not) = (1, SIZE);
    while not - fits > 1 {
        let middle = fits.midpoint(not);
        *(if try_mailbox(segment, middle) { &mut fits } else { &mut not }) = middle;
    }
    fits
}

fn fits(segment: &Segment, largest: usize) {
    assert!(try_mailbox(segment, largest), "a mailbox of {largest} bytes does not fit any more: memory is lost");
    assert!(!try_mailbox(segment, largest + 1), "a mailbox of more than {largest} bytes fits all of a sudden");
}

fn show(segment: &Segment) -> String {
    let mut text = String::new();
    match segment.snapshot() {
        Ok(snapshot) => {
            for participant in snapshot.participants {
                let _ = writeln!(text, "    {participant:?}");
            }
            for object in snapshot.objects {
                let _ = writeln!(text, "    {object:?}");
            }
        }
        Err(error) => text = format!("    {error}"),
    }
    text
}

/// The parts of [`Scene`] that every scene in a [`Place`] has alike.
macro_rules! in_place {
    () => {
        fn file(&self) -> Option<PathBuf> {
            Some(self.place.name.file())
        }
        fn page(&self) -> &'static Page {
            self.place.page
        }
        fn state(&self) -> String {
            show(&self.place.segment)
        }
    };
}

/// A process that is there while another one dies; killed at the end.
struct Bystander(i32);

impl Bystander {
    /// Starts it and waits until it has set its page's mark.
    fn start(page: &'static Page, body: impl FnOnce(&Step)) -> Bystander {
        let bystander = Bystander(fork(page, false, body));
        triveni_tests::wait_for("the bystander is ready", || page.mark.load(Relaxed) != IDLE);
        bystander
    }

    /// Waits until it sleeps.
    fn sleeps(&self) {
        triveni_tests::wait_for("the bystander sleeps", || {
            std::fs::read_to_string(format!("/proc/{}/stat", self.0))
                .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" S")))
        });
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        kill(self.0);
    }
}

// ---------------------------------------------------------------------------------------------------- semaphores

#[derive(Clone, Copy, PartialEq)]
enum SemaphoreVerb {
    Wait,
    Post,
}

struct SemaphoreScene {
    place: Place,
    verb: SemaphoreVerb,
    value: u32,
    /// Somebody else sleeps on it.
    slept_on: bool,
    semaphore: Option<Semaphore>,
    sleeper: Option<(Bystander, &'static Page)>,
}

impl SemaphoreScene {
    fn new(verb: SemaphoreVerb, value: u32, slept_on: bool) -> SemaphoreScene {
        SemaphoreScene { place: Place::new(), verb, value, slept_on, semaphore: None, sleeper: None }
    }
}

impl Scene for SemaphoreScene {
    in_place!();

    fn prepare(&mut self) -> Result<(), Refused> {
        let semaphore = self.place.segment.create_semaphore("s", self.value).unwrap();
        if self.slept_on {
            let page = Page::new();
            let sleeper = Bystander::start(page, |step| {
                let semaphore = self.place.segment.open_semaphore("s").unwrap();
                step.0.mark.store(BEGUN, Relaxed);
                semaphore.wait_until(Deadline::after(PATIENCE)).unwrap();
                step.0.mark.store(DONE, Relaxed);
                step.wait();
            });
            sleeper.sleeps();
            self.sleeper = Some((sleeper, page));
        }
        self.semaphore = Some(semaphore);
        Ok(())
    }

    fn act(&self, step: &Step) {
        let semaphore = self.place.segment.open_semaphore("s").unwrap();
        match self.verb {
            SemaphoreVerb::Wait => step.through(|| semaphore.wait_until(soon()).map(|()| OK)),
            SemaphoreVerb::Post => step.through(|| semaphore.post().map(|()| OK)),
        }
    }

    fn check(&mut self, killed: &Killed) {
        if killed.swept {
            self.place.segment.sweep().unwrap();
        }
        let semaphore = self.semaphore.take().unwrap();
        let mut after = semaphore.value();
        if let Some((sleeper, page)) = self.sleeper.take() {
            if !killed.done() && after == 0 && page.mark.load(Relaxed) != DONE {
                semaphore.post().unwrap(); // it may not have come to that
            }
            let woken = Instant::now();
            triveni_tests::wait_for("the sleeper gets its permit", || page.mark.load(Relaxed) == DONE);
            assert!(woken.elapsed() < Duration::from_secs(5), "the sleeper woke after {:?}", woken.elapsed());
            drop(sleeper);
            after = semaphore.value();
            assert!(after <= 1, "{after} permits of one or two, of which one was taken");
        } else {
            let changed = match self.verb {
                SemaphoreVerb::Post => self.value + 1,
                SemaphoreVerb::Wait => self.value.saturating_sub(1),
            };
            assert!(after == self.value || after == changed, "{after} permits, there were {}", self.value);
            if killed.done() {
                assert_eq!(after, changed, "the operation was done");
            }
        }
        semaphore.post().unwrap();
        assert_eq!(semaphore.value(), after + 1);
        for left in (0..=after).rev() {
            semaphore.wait_until(in_time()).unwrap();
            assert_eq!(semaphore.value(), left);
        }
        assert!(!semaphore.try_wait().unwrap());
        self.place.segment.remove("s").unwrap();
        drop(semaphore);
        self.place.is_as_new();
    }
}

#[test]
fn a_semaphore_keeps_its_permits() {
    use SemaphoreVerb::{Post, Wait};
    let table = [
        ("wait, 1 permit", Wait, 1, false),
        ("wait, 7 permits", Wait, 7, false),
        ("wait, no permit, time up", Wait, 0, false),
        ("post, nobody waits", Post, 0, false),
        ("post, 7 permits", Post, 7, false),
        ("post, somebody sleeps", Post, 0, true),
    ];
    let cases = table.map(|(name, verb, value, slept_on)| {
        case(format!("semaphore: {name}"), move || SemaphoreScene::new(verb, value, slept_on))
    });
    run_all("semaphore", cases.into());
}

// -------------------------------------------------------------------------------------------------------- mutexes

#[derive(Clone, Copy, PartialEq)]
enum Before {
    /// Free.
    Free,
    /// Free, but a holder died and was swept.
    OwnerDied,
    /// Held by a dead process.
    HeldByDead,
}

/// The lock guards two numbers in the page that are equal unless somebody is at it.
struct MutexScene {
    place: Place,
    before: Before,
    mutex: Option<Mutex>,
    predecessor: &'static Page,
}

impl MutexScene {
    fn new(before: Before) -> MutexScene {
        MutexScene { place: Place::new(), before, mutex: None, predecessor: Page::new() }
    }

    fn numbers(&self) -> (&'static AtomicU64, &'static AtomicU64) {
        let page: &'static Page = self.place.page;
        (&page.data[0], &page.data[64])
    }

    fn are_equal(&self) -> bool {
        let (a, b) = self.numbers();
        a.load(Relaxed) == b.load(Relaxed)
    }
}

impl Scene for MutexScene {
    in_place!();

    fn prepare(&mut self) -> Result<(), Refused> {
        self.mutex = Some(self.place.segment.create_mutex("m").unwrap());
        if self.before != Before::Free {
            let dead = Bystander::start(self.predecessor, |step| {
                let mutex = self.place.segment.open_mutex("m").unwrap();
                std::mem::forget(mutex.lock().unwrap());
                step.0.mark.store(BEGUN, Relaxed);
                step.wait();
            });
            drop(dead);
        }
        if self.before == Before::OwnerDied {
            self.place.segment.sweep().unwrap();
        }
        Ok(())
    }

    fn act(&self, step: &Step) {
        let mutex = self.place.segment.open_mutex("m").unwrap();
        let (a, b) = self.numbers();
        if self.before != Before::Free {
            a.store(1, Relaxed); // what the dead holder left
        }
        step.through(|| {
            let guard = match mutex.lock() {
                Ok(guard) => guard,
                Err(LockError::OwnerDied(guard)) => {
                    b.store(a.load(Relaxed), Relaxed);
                    guard.recover();
                    guard
                }
                Err(LockError::Failed(error)) => return Err(error),
            };
            a.fetch_add(1, Relaxed);
            b.fetch_add(1, Relaxed);
            drop(guard);
            Ok(OK)
        })
    }

    fn check(&mut self, killed: &Killed) {
        if killed.swept {
            self.place.segment.sweep().unwrap();
        }
        let mutex = self.mutex.take().unwrap();
        let (a, b) = self.numbers();
        match mutex.lock_until(in_time()) {
            Ok(guard) => {
                assert!(self.are_equal(), "{} and {}, and no word of a death", a.load(Relaxed), b.load(Relaxed));
                assert!(!guard.owner_died());
            }
            Err(LockError::OwnerDied(guard)) => {
                assert!(!killed.done(), "a death is told after the operation was done");
                guard.recover();
            }
            Err(LockError::Failed(error)) => panic!("{error}"),
        }
        drop(mutex.lock_until(in_time()).expect("a plain lock after the recovery"));
        assert_eq!(mutex.holder(), None);
        assert!(mutex.try_lock().expect("a plain lock").is_some());
        self.place.segment.remove("m").unwrap();
        drop(mutex);
        self.place.is_as_new();
    }
}

#[test]
fn a_mutex_tells_of_every_half_done_change() {
    run_all(
        "mutex",
        vec![
            case("mutex: lock, change, unlock", || MutexScene::new(Before::Free)),
            case("mutex: lock after a death, recover, unlock", || MutexScene::new(Before::OwnerDied)),
            case("mutex: steal from a dead holder, recover, unlock", || MutexScene::new(Before::HeldByDead)),
        ],
    );
}

// ------------------------------------------------------------------------------------------------------ mailboxes

#[derive(Clone, Copy, Debug, PartialEq)]
enum MailboxVerb {
    Send,
    Commit,
    Cancel,
    Receive,
    Peek,
}

struct MailboxScene {
    place: Place,
    verb: MailboxVerb,
    capacity: usize,
    fill: u64,
    len: usize,
    mailbox: Option<Mailbox>,
}

const MESSAGE: usize = 512;

impl MailboxScene {
    fn new(verb: MailboxVerb, capacity: usize, fill: u64, len: usize) -> MailboxScene {
        MailboxScene { place: Place::new(), verb, capacity, fill, len, mailbox: None }
    }
}

/// A full fill and drain, in order.
fn fills_and_drains(mailbox: &Mailbox) {
    let mut buffer = [0; MESSAGE];
    for _ in 0..2 {
        let capacity = mailbox.capacity() as u64;
        for seq in 0..capacity {
            assert!(mailbox.try_send(&message(3, seq, 40)).unwrap(), "no room for message {seq} of {capacity}");
        }
        assert!(!mailbox.try_send(&message(3, capacity, 40)).unwrap(), "more than its capacity");
        assert_eq!(mailbox.len() as u64, capacity);
        for seq in 0..capacity {
            let received = mailbox.receive_until(&mut buffer, in_time()).unwrap();
            assert_eq!(read(&buffer[..received.size]), (3, seq));
            assert_eq!(received.redelivered, 0);
        }
        assert_eq!(mailbox.try_receive(&mut buffer).unwrap(), None);
        assert!(mailbox.is_empty());
    }
}

/// Sends `last` and receives everything up to it, then whatever is still there: `(sender, seq, redelivered)`.
fn drain(segment: &Segment, mailbox: &Mailbox, last: (u64, u64)) -> Vec<(u64, u64, u16)> {
    let mut got = Vec::new();
    let mut buffer = [0; MESSAGE];
    let keep = |got: &mut Vec<_>, received: triveni::Received, buffer: &[u8]| {
        let (sender, seq) = read(&buffer[..received.size]);
        got.push((sender, seq, received.redelivered));
    };
    triveni_tests::wait_for("room for one more", || {
        if mailbox.try_send(&message(last.0, last.1, 40)).unwrap() {
            return true;
        }
        if let Some(received) = mailbox.try_receive(&mut buffer).unwrap() {
            keep(&mut got, received, &buffer);
        }
        mailbox.try_send(&message(last.0, last.1, 40)).unwrap()
    });
    while got.last().is_none_or(|(sender, seq, _)| (*sender, *seq) != last) {
        let received = mailbox.receive_until(&mut buffer, in_time()).unwrap();
        keep(&mut got, received, &buffer);
    }
    segment.sweep().unwrap();
    while let Some(received) = mailbox.try_receive(&mut buffer).unwrap() {
        keep(&mut got, received, &buffer);
    }
    got
}

impl Scene for MailboxScene {
    in_place!();

    fn prepare(&mut self) -> Result<(), Refused> {
        let mailbox = self.place.segment.create_mailbox("box", self.capacity, MESSAGE).unwrap();
        let mut buffer = [0; MESSAGE];
        for _ in 0..2 * self.capacity - 1 {
            mailbox.send(&message(0, 0, 40)).unwrap();
            mailbox.receive(&mut buffer).unwrap();
        }
        for seq in 0..self.fill {
            assert!(mailbox.try_send(&message(1, seq, self.len)).unwrap());
        }
        self.mailbox = Some(mailbox);
        Ok(())
    }

    fn act(&self, step: &Step) {
        let mailbox = self.place.segment.open_mailbox("box").unwrap();
        let message = message(2, 0, self.len);
        let (first, second) = message.split_at(17);
        match self.verb {
            MailboxVerb::Send => step.through(|| mailbox.send_until(&message, soon()).map(|()| OK)),
            MailboxVerb::Commit => step.through(|| {
                let mut loan = mailbox.reserve_until(MESSAGE, soon())?;
                loan.write(0, first)?;
                loan.write(first.len(), second)?;
                loan.commit(message.len()).map(|()| OK)
            }),
            MailboxVerb::Cancel => step.through(|| {
                let mut loan = mailbox.reserve_until(MESSAGE, soon())?;
                loan.write(0, first)?;
                loan.cancel();
                Ok(OK)
            }),
            MailboxVerb::Receive => {
                let buffer = step.0.buffer();
                step.through(|| mailbox.receive_until(buffer, soon()).map(|_| OK))
            }
            MailboxVerb::Peek => {
                let buffer = step.0.buffer();
                step.through(|| mailbox.peek_until(buffer, soon()).map(|_| OK))
            }
        }
    }

    fn check(&mut self, killed: &Killed) {
        let segment = &self.place.segment;
        if killed.swept {
            segment.sweep().unwrap();
        }
        let mailbox = self.mailbox.take().unwrap();
        let got = drain(segment, &mailbox, (1, self.fill));
        let times = |key: (u64, u64)| got.iter().filter(|(sender, seq, _)| (*sender, *seq) == key).count();
        let at = |key: (u64, u64)| got.iter().position(|(sender, seq, _)| (*sender, *seq) == key);
        let sends = matches!(self.verb, MailboxVerb::Send | MailboxVerb::Commit);
        for seq in 0..=self.fill {
            if seq == 0 && self.verb == MailboxVerb::Receive && self.fill > 0 && times((1, 0)) == 0 {
                let left = self.place.page.left();
                assert_eq!(
                    whole(&left[..self.len]),
                    Some((1, 0)),
                    "gone, and the dead receiver had not got it: {got:?}"
                );
            } else {
                assert_eq!(times((1, seq)), 1, "message {seq}: {got:?}");
            }
        }
        if self.verb == MailboxVerb::Receive && killed.done() {
            assert_eq!(times((1, 0)), 0, "received by the dead, and again: {got:?}");
        }
        assert!(times((2, 0)) <= usize::from(sends), "{got:?}");
        if sends && killed.done() {
            assert_eq!(times((2, 0)), 1, "its sender was done: {got:?}");
        }
        assert!(got.iter().all(|(sender, ..)| (1..=2).contains(sender)), "{got:?}");
        if let Some(place) = at((2, 0)) {
            assert!(place < at((1, self.fill)).unwrap(), "overtaken by what was sent later: {got:?}");
        }
        let again = |(sender, seq, redelivered): &&(u64, u64, u16)| {
            assert!(
                *redelivered == 0 || (self.verb == MailboxVerb::Receive && (*sender, *seq, *redelivered) == (1, 0, 1)),
                "delivered before? {got:?}"
            );
            *redelivered == 0
        };
        let first: Vec<u64> = got.iter().filter(again).filter(|key| key.0 == 1).map(|key| key.1).collect();
        assert!(first.is_sorted(), "out of order: {got:?}");
        assert!(mailbox.voided() <= 1);
        fills_and_drains(&mailbox);
        segment.remove("box").unwrap();
        drop(mailbox);
        self.place.is_as_new();
    }
}

fn mailbox_cases(capacity: usize) -> Vec<Case> {
    use MailboxVerb::{Cancel, Commit, Peek, Receive, Send};
    let fills: &[(u64, &str)] =
        if capacity == 1 { &[(0, "empty"), (1, "full")] } else { &[(0, "empty"), (1, "half full"), (3, "full")] };
    let mut cases = Vec::new();
    for verb in [Send, Commit, Cancel, Receive, Peek] {
        for (fill, how) in fills.iter().copied() {
            cases.push(case(format!("mailbox of {capacity}, {how}: {verb:?}"), move || {
                MailboxScene::new(verb, capacity, fill, 40)
            }));
        }
    }
    if capacity > 1 {
        // Long enough for the string instruction, which is stepped byte by byte.
        for verb in [Send, Receive] {
            cases.push(case(format!("mailbox of {capacity}, long messages: {verb:?}"), move || {
                MailboxScene::new(verb, capacity, 2, 300)
            }));
        }
    }
    cases
}

#[test]
fn a_mailbox_of_one_loses_nothing() {
    run_all("mailbox of 1", mailbox_cases(1));
}

#[test]
fn a_mailbox_of_three_loses_nothing() {
    run_all("mailbox of 3", mailbox_cases(3));
}

// ---------------------------------------------------------------------------------------------------------- rings

#[derive(Clone, Copy, Debug, PartialEq)]
enum RingVerb {
    Write,
    Commit,
    Cancel,
    Read,
    Release,
    /// Take the producer's end from a dead process.
    Produce,
    /// Take the consumer's end from a dead process.
    Consume,
}

impl RingVerb {
    fn is_producer(self) -> bool {
        matches!(self, RingVerb::Write | RingVerb::Commit | RingVerb::Cancel | RingVerb::Produce)
    }
}

/// A ring of eight cells, with one end in the survivor and the other in the child.
struct RingScene {
    place: Place,
    verb: RingVerb,
    /// Cells that were used before: 7 leave one cell before the end.
    advance: u64,
    /// Records in it, by length.
    filled: &'static [usize],
    /// Length of the child's record.
    len: usize,
    ring: Option<Ring>,
    producer: Option<Producer>,
    consumer: Option<Consumer>,
    predecessor: &'static Page,
}

impl RingScene {
    fn new(verb: RingVerb, advance: u64, filled: &'static [usize], len: usize) -> RingScene {
        let (place, predecessor) = (Place::new(), Page::new());
        RingScene { place, verb, advance, filled, len, ring: None, producer: None, consumer: None, predecessor }
    }

    fn read(consumer: &mut Consumer) -> Result<(u64, u64), ErrorKind> {
        let mut buffer = [0; 512];
        match consumer.read_until(&mut buffer, in_time()) {
            Ok(size) => Ok(read(&buffer[..size])),
            Err(error) => Err(error.kind()),
        }
    }

    /// Two ends that both live do three laps, with pads, and fill it once.
    fn works(producer: &mut Producer, consumer: &mut Consumer) {
        for seq in 0..24 {
            let len = [24, 100, 56, 57, 200][seq as usize % 5];
            producer.write_until(&message(3, seq, len), in_time()).unwrap();
            assert_eq!(Self::read(consumer), Ok((3, seq)));
        }
        let mut written = 0;
        while producer.try_write(&message(4, written, 30)).unwrap() {
            written += 1;
        }
        assert_eq!(written, 8, "a ring of 8 cells");
        for seq in 0..written {
            assert_eq!(Self::read(consumer), Ok((4, seq)));
        }
        assert_eq!(consumer.try_read(&mut [0; 512]).unwrap(), None);
    }
}

impl Scene for RingScene {
    in_place!();

    fn prepare(&mut self) -> Result<(), Refused> {
        let ring = self.place.segment.create_ring("ring", 512).unwrap();
        let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
        // A lap of long records first: cells hold what is no header. Then small ones, to the wished place.
        for seq in 0..4 {
            producer.write(&message(0, seq, 100)).unwrap();
            assert_eq!(Self::read(&mut consumer), Ok((0, seq)));
        }
        for seq in 0..self.advance {
            producer.write(&message(0, seq, 40)).unwrap();
            assert_eq!(Self::read(&mut consumer), Ok((0, seq)));
        }
        for (seq, len) in self.filled.iter().enumerate() {
            assert!(producer.try_write(&message(1, seq as u64, *len)).unwrap());
        }
        if self.verb.is_producer() {
            self.consumer = Some(consumer);
            drop(producer);
        } else {
            self.producer = Some(producer);
            drop(consumer);
        }
        if matches!(self.verb, RingVerb::Produce | RingVerb::Consume) {
            drop(Bystander::start(self.predecessor, |step| {
                let ring = self.place.segment.open_ring("ring").unwrap();
                if self.verb == RingVerb::Produce {
                    std::mem::forget(ring.producer().unwrap());
                } else {
                    std::mem::forget(ring.consumer().unwrap());
                }
                step.0.mark.store(BEGUN, Relaxed);
                step.wait();
            }));
        }
        self.ring = Some(ring);
        Ok(())
    }

    fn act(&self, step: &Step) {
        let ring = self.place.segment.open_ring("ring").unwrap();
        let record = message(2, 0, self.len);
        match self.verb {
            RingVerb::Write => {
                let mut producer = ring.producer().unwrap();
                step.through(|| producer.write_until(&record, soon()).map(|()| OK))
            }
            RingVerb::Commit | RingVerb::Cancel => {
                let mut producer = ring.producer().unwrap();
                let (first, second) = record.split_at(17);
                step.through(|| {
                    let mut grant = producer.reserve_until(200, soon())?;
                    grant.write(0, first)?;
                    if self.verb == RingVerb::Cancel {
                        grant.cancel();
                        return Ok(OK);
                    }
                    grant.write(first.len(), second)?;
                    grant.commit(record.len()).map(|()| OK)
                })
            }
            RingVerb::Read => {
                let (mut consumer, buffer) = (ring.consumer().unwrap(), step.0.buffer());
                step.through(|| consumer.read_until(buffer, soon()).map(|_| OK))
            }
            RingVerb::Release => {
                let (mut consumer, buffer) = (ring.consumer().unwrap(), step.0.buffer());
                step.through(|| {
                    let grant = consumer.peek_until(soon())?;
                    grant.read(0, buffer);
                    grant.release().map(|()| OK)
                })
            }
            RingVerb::Produce => step.through(|| {
                std::mem::forget(ring.producer()?);
                Ok(OK)
            }),
            RingVerb::Consume => step.through(|| {
                std::mem::forget(ring.consumer()?);
                Ok(OK)
            }),
        }
    }

    fn check(&mut self, killed: &Killed) {
        if killed.swept {
            self.place.segment.sweep().unwrap();
        }
        let ring = self.ring.take().unwrap();
        let filled = self.filled.len() as u64;
        if self.verb.is_producer() {
            let mut consumer = self.consumer.take().unwrap();
            for seq in 0..filled {
                assert_eq!(Self::read(&mut consumer), Ok((1, seq)), "what was committed before");
            }
            let writes = matches!(self.verb, RingVerb::Write | RingVerb::Commit);
            let next = Self::read(&mut consumer);
            if next.is_ok() || (writes && killed.done()) {
                assert_eq!(next, Ok((2, 0)));
                assert!(writes, "a record that was not committed");
                assert_eq!(Self::read(&mut consumer), Err(ErrorKind::PeerDead));
            } else {
                assert_eq!(next, Err(ErrorKind::PeerDead));
            }
            let mut producer = ring.producer().unwrap();
            Self::works(&mut producer, &mut consumer);
        } else {
            let mut producer = self.producer.take().unwrap();
            let mut consumer = ring.consumer().unwrap();
            let mut buffer = [0; 512];
            let mut got = Vec::new();
            while let Some(size) = consumer.try_read(&mut buffer).unwrap() {
                got.push(read(&buffer[..size]));
            }
            let all: Vec<_> = (0..filled).map(|seq| (1, seq)).collect();
            let taken = !all.is_empty() && got.len() < all.len();
            assert_eq!(got, all[usize::from(taken)..], "one record may be gone with the dead consumer, no more");
            if taken {
                let left = self.place.page.left();
                assert_eq!(whole(&left[..self.filled[0]]), Some((1, 0)), "gone, and the dead consumer had not got it");
            }
            if killed.done() && self.verb != RingVerb::Consume {
                assert!(taken, "released, and here again");
            }
            Self::works(&mut producer, &mut consumer);
        }
        self.place.segment.remove("ring").unwrap();
        drop(ring);
        self.place.is_as_new();
    }
}

#[test]
fn a_ring_goes_on_with_a_successor() {
    use RingVerb::{Cancel, Commit, Consume, Produce, Read, Release, Write};
    const FULL: &[usize] = &[30; 8];
    const PADDED: &[usize] = &[100, 40];
    let mut cases = Vec::new();
    // 4 long records take 8 cells, so `advance` counts from the beginning of a lap.
    for verb in [Write, Commit] {
        for (how, advance, filled, len) in [
            ("empty", 0, &[][..], 40),
            ("half full", 2, &[40, 40, 40], 40),
            ("before a pad", 7, &[], 100),
            ("before a pad, not empty", 5, &[40, 40], 150),
            ("full", 3, FULL, 40),
            ("a long record", 1, &[], 240),
        ] {
            if !(verb == Commit && len > 200) {
                cases.push(case(format!("ring, {how}: {verb:?}"), move || RingScene::new(verb, advance, filled, len)));
            }
        }
    }
    cases.push(case("ring, before a pad: Cancel", || RingScene::new(Cancel, 7, &[], 100)));
    for verb in [Read, Release] {
        for (how, advance, filled) in
            [("empty", 5, &[][..]), ("one record", 2, &[40]), ("behind a pad", 7, PADDED), ("full", 3, FULL)]
        {
            cases.push(case(format!("ring, {how}: {verb:?}"), move || RingScene::new(verb, advance, filled, 40)));
        }
    }
    cases.push(case("ring: take the producer's end from the dead", || RingScene::new(Produce, 7, PADDED, 40)));
    cases.push(case("ring: take the consumer's end from the dead", || RingScene::new(Consume, 7, PADDED, 40)));
    run_all("ring", cases);
}

// -------------------------------------------------------------------------------------------------------- segments

#[derive(Clone, Copy, Debug, PartialEq)]
enum DirectoryVerb {
    Create,
    Remove,
    /// Remove what the child itself has open.
    RemoveOwn,
    Open,
    Close,
}

/// The directory of a segment, in which the survivor takes part too.
struct DirectoryScene {
    place: Place,
    verb: DirectoryVerb,
    /// The survivor has the object open.
    held: bool,
    handle: Option<Mailbox>,
}

impl DirectoryScene {
    fn new(verb: DirectoryVerb, held: bool) -> DirectoryScene {
        DirectoryScene { place: Place::new(), verb, held, handle: None }
    }
}

/// Everything that can be done with objects is done once, with the names the dead have used.
fn directory_works(segment: &Segment, names: &[&str]) {
    for name in names {
        let mailbox = segment.mailbox(name, 3, MESSAGE).unwrap();
        fills_and_drains(&mailbox);
        assert!(segment.objects().unwrap().iter().any(|object| object.name == *name));
        let again = segment.open_mailbox(name).unwrap();
        segment.remove(name).unwrap();
        assert_eq!(segment.open_mailbox(name).err().unwrap().kind(), ErrorKind::NotFound);
        drop((mailbox, again));
    }
}

impl Scene for DirectoryScene {
    in_place!();

    fn prepare(&mut self) -> Result<(), Refused> {
        if self.verb != DirectoryVerb::Create {
            let handle = self.place.segment.create_mailbox("old", 3, MESSAGE).unwrap();
            handle.send(&message(1, 0, 40)).unwrap();
            self.handle = self.held.then_some(handle);
        }
        Ok(())
    }

    fn act(&self, step: &Step) {
        let segment = &self.place.segment;
        segment.participants().unwrap(); // joins
        let own = matches!(self.verb, DirectoryVerb::RemoveOwn | DirectoryVerb::Close)
            .then(|| segment.open_mailbox("old").unwrap());
        match self.verb {
            DirectoryVerb::Create => step.through(|| {
                std::mem::forget(segment.create_mailbox("new", 3, MESSAGE)?);
                Ok(OK)
            }),
            DirectoryVerb::Remove | DirectoryVerb::RemoveOwn => step.through(|| segment.remove("old").map(|()| OK)),
            DirectoryVerb::Open => step.through(|| {
                std::mem::forget(segment.open_mailbox("old")?);
                Ok(OK)
            }),
            DirectoryVerb::Close => step.through(|| {
                drop(own);
                Ok(OK)
            }),
        }
    }

    fn check(&mut self, killed: &Killed) {
        let segment = &self.place.segment;
        if killed.swept {
            segment.sweep().unwrap();
        }
        let names: Vec<_> = segment.objects().unwrap().into_iter().map(|object| object.name).collect();
        match self.verb {
            DirectoryVerb::Create => assert!(names.is_empty() && !killed.done() || names == ["new"], "{names:?}"),
            DirectoryVerb::Remove | DirectoryVerb::RemoveOwn => {
                assert!(names.is_empty() || names == ["old"] && !killed.done(), "{names:?}");
            }
            DirectoryVerb::Open | DirectoryVerb::Close => assert_eq!(names, ["old"]),
        }
        if let Some(name) = names.first() {
            let mailbox = segment.open_mailbox(name).unwrap();
            assert_eq!(mailbox.len(), usize::from(name == "old"), "what was in it");
            let mut buffer = [0; MESSAGE];
            if name == "old" {
                let received = mailbox.receive_until(&mut buffer, in_time()).unwrap();
                assert_eq!(read(&buffer[..received.size]), (1, 0));
            }
        }
        is_clean(segment, 1);
        directory_works(segment, &["new", "old"]);
        drop(self.handle.take());
        self.place.is_as_new();
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum SegmentVerb {
    Create,
    Open,
    /// Drop the last handles.
    Leave,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Others {
    /// Everybody has left in order.
    Nobody,
    /// One lives.
    Alive,
    /// All are dead; the last one held something.
    Dead,
    /// One lives, one is dead.
    AliveAndDead,
}

/// A segment in which the survivor takes part only after the death.
struct SegmentScene {
    name: Name,
    page: &'static Page,
    verb: SegmentVerb,
    others: Others,
    bystander: Option<Bystander>,
    predecessor: &'static Page,
    largest: usize,
}

impl SegmentScene {
    fn new(verb: SegmentVerb, others: Others) -> SegmentScene {
        let name = Name::fresh("exact");
        let (page, predecessor) = (Page::new(), Page::new());
        let mut scene = SegmentScene { name, page, verb, others, bystander: None, predecessor, largest: 0 };
        let segment = small().create(&scene.name, SIZE).unwrap();
        scene.largest = largest(&segment);
        drop(segment);
        if verb == SegmentVerb::Create {
            Segment::unlink(&scene.name).unwrap();
        }
        if matches!(others, Others::Alive | Others::AliveAndDead) {
            scene.bystander = Some(Bystander::start(Page::new(), |step| {
                let _segment = Segment::open(&scene.name).unwrap();
                step.0.mark.store(BEGUN, Relaxed);
                step.wait();
            }));
        }
        scene
    }
}

impl Scene for SegmentScene {
    fn file(&self) -> Option<PathBuf> {
        (self.verb != SegmentVerb::Create).then(|| self.name.file())
    }

    fn page(&self) -> &'static Page {
        self.page
    }

    fn prepare(&mut self) -> Result<(), Refused> {
        if matches!(self.others, Others::Dead | Others::AliveAndDead) {
            drop(Bystander::start(self.predecessor, |step| {
                let segment = Segment::open(&self.name).unwrap();
                let mailbox = segment.mailbox("m", 2, MESSAGE).unwrap();
                mailbox.reserve(10).unwrap().into_raw();
                step.0.mark.store(BEGUN, Relaxed);
                step.wait();
            }));
        }
        Ok(())
    }

    fn act(&self, step: &Step) {
        match self.verb {
            SegmentVerb::Create => step.through(|| {
                std::mem::forget(small().create(&self.name, SIZE)?);
                Ok(OK)
            }),
            SegmentVerb::Open => step.through(|| {
                std::mem::forget(Segment::open(&self.name)?);
                Ok(OK)
            }),
            SegmentVerb::Leave => {
                let segment = Segment::open(&self.name).unwrap();
                let mailbox = segment.mailbox("m", 2, MESSAGE).unwrap();
                step.through(|| {
                    drop((mailbox, segment));
                    Ok(OK)
                })
            }
        }
    }

    fn check(&mut self, killed: &Killed) {
        if self.verb == SegmentVerb::Create {
            let there = Segment::open(&self.name);
            match &there {
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
                    assert!(!killed.done());
                }
            }
        }
        let segment = small().open_or_create(&self.name, SIZE).unwrap();
        if killed.swept {
            segment.sweep().unwrap();
        }
        let living = 1 + usize::from(self.bystander.is_some());
        if self.others == Others::Dead || self.others == Others::AliveAndDead || self.verb == SegmentVerb::Leave {
            let mailbox = segment.open_mailbox("m").unwrap();
            fills_and_drains_in_time(&mailbox);
            segment.remove("m").unwrap();
        }
        is_clean(&segment, living);
        directory_works(&segment, &["new", "m"]);
        is_clean(&segment, living);
        assert!(segment.objects().unwrap().is_empty());
        fits(&segment, self.largest);
        drop(segment);
        if self.verb == SegmentVerb::Create {
            Segment::unlink(&self.name).unwrap();
        }
    }

    fn state(&self) -> String {
        Segment::inspect(&self.name).map_or_else(|error| error.to_string(), |snapshot| format!("    {snapshot:?}"))
    }
}

/// As [`fills_and_drains`], where a dead sender's claim may be in the way until it is found out.
fn fills_and_drains_in_time(mailbox: &Mailbox) {
    for seq in 0..2 * mailbox.capacity() as u64 {
        mailbox.send_until(&message(3, seq, 40), in_time()).unwrap();
        let mut buffer = [0; MESSAGE];
        let received = mailbox.receive_until(&mut buffer, in_time()).unwrap();
        assert_eq!(read(&buffer[..received.size]), (3, seq));
    }
    fills_and_drains(mailbox);
}

#[test]
fn a_directory_stays_whole() {
    use DirectoryVerb::{Close, Create, Open, Remove, RemoveOwn};
    let table = [
        (Create, false),
        (Remove, false),
        (Remove, true),
        (RemoveOwn, false),
        (Open, false),
        (Open, true),
        (Close, false),
    ];
    let cases = table.map(|(verb, held)| {
        let how = if held { ", open in the survivor" } else { "" };
        case(format!("directory: {verb:?}{how}"), move || DirectoryScene::new(verb, held))
    });
    run_all("directory", cases.into());
}

#[test]
fn a_segment_can_be_joined_after_any_death() {
    use Others::{Alive, AliveAndDead, Dead, Nobody};
    use SegmentVerb::{Create, Leave, Open};
    let table = [
        (Create, Nobody),
        (Open, Nobody),
        (Open, Alive),
        (Open, Dead),
        (Open, AliveAndDead),
        (Leave, Nobody),
        (Leave, Alive),
    ];
    let cases = table.map(|(verb, others)| {
        case(format!("segment: {verb:?}, others {others:?}"), move || SegmentScene::new(verb, others))
    });
    run_all("segment", cases.into());
}

// ------------------------------------------------------------------------------------------------------- repairers

#[derive(Clone, Copy, Debug, PartialEq)]
enum RepairVerb {
    Sweep,
    /// Lock the mutex that the dead one holds.
    Lock,
    /// Receive past the claim of the dead sender.
    Receive,
    /// Send where the dead receiver holds the only place.
    Send,
    /// Peek at the message that the dead receiver holds.
    Peek,
    /// Join where the dead one's seat is the only one.
    TakeSeat,
    /// Use a directory whose mutex the dead one holds, in the middle of a creation.
    Create,
}

/// Everything is held by a dead process. The child puts it right, and is killed at it; the survivor completes.
struct RepairScene {
    place: Place,
    verb: RepairVerb,
    dead: &'static Page,
    /// Where the first one dies.
    death: Option<Effect>,
}

impl RepairScene {
    fn new(verb: RepairVerb) -> RepairScene {
        let seats = if verb == RepairVerb::TakeSeat { 2 } else { 4 };
        RepairScene { place: Place::with_seats(seats), verb, dead: Page::new(), death: None }
    }
}

impl Scene for RepairScene {
    in_place!();

    fn prepare(&mut self) -> Result<(), Refused> {
        let segment = &self.place.segment;
        drop(segment.create_mutex("mutex").unwrap());
        let writing = segment.create_mailbox("writing", 3, MESSAGE).unwrap();
        let reading = segment.create_mailbox("reading", 1, MESSAGE).unwrap();
        reading.send(&message(1, 0, 40)).unwrap();
        drop(segment.create_ring("ring", 512).unwrap());
        let mut watch = Watch::new(self.file(), self.dead);
        let dead = Child::start(self.dead, |step| {
            let mutex = segment.open_mutex("mutex").unwrap();
            std::mem::forget(mutex.lock().unwrap());
            let writing = segment.open_mailbox("writing").unwrap();
            writing.reserve(100).unwrap().into_raw();
            let ring = segment.open_ring("ring").unwrap();
            std::mem::forget((ring.producer().unwrap(), ring.consumer().unwrap()));
            let reading = segment.open_mailbox("reading").unwrap();
            let mut buffer = [0; MESSAGE];
            if self.verb == RepairVerb::Create {
                step.through(|| segment.create_semaphore("half", 1).map(|_| OK));
            }
            step.through(|| reading.receive(&mut buffer).map(|_| OK))
        })?;
        // By receiving: once the message is claimed. By creating: with the directory's mutex held, and one thing more.
        let effects = if self.verb == RepairVerb::Create { 3 } else { 1 };
        let killed = dead.killed_at(self.death.map_or(Stop::Effects(effects), Stop::Effect), &mut watch)?;
        assert_eq!(killed.result, None, "the first one was to die in the middle");
        self.death = self.death.or(killed.effects.last().copied());
        writing.send(&message(1, 0, 40)).unwrap();
        Ok(())
    }

    fn act(&self, step: &Step) {
        let segment = &self.place.segment;
        if self.verb == RepairVerb::TakeSeat {
            step.through(|| segment.sweep().map(|_| OK)); // joins first
        }
        segment.participants().unwrap(); // joins
        match self.verb {
            RepairVerb::Sweep | RepairVerb::TakeSeat => step.through(|| segment.sweep().map(|_| OK)),
            RepairVerb::Lock => {
                let mutex = segment.open_mutex("mutex").unwrap();
                step.through(|| match mutex.lock_until(in_time()) {
                    Err(LockError::OwnerDied(guard)) => {
                        drop(guard); // without recover
                        Ok(OK)
                    }
                    Err(LockError::Failed(error)) => Err(error),
                    Ok(_) => Ok(OK + 10),
                })
            }
            RepairVerb::Receive => {
                let mailbox = segment.open_mailbox("writing").unwrap();
                let buffer = step.0.buffer();
                step.through(|| mailbox.receive_until(buffer, in_time()).map(|_| OK))
            }
            RepairVerb::Send => {
                let mailbox = segment.open_mailbox("reading").unwrap();
                let message = message(2, 0, 40);
                step.through(|| mailbox.send_until(&message, Deadline::after(Duration::from_millis(5))).map(|()| OK))
            }
            RepairVerb::Peek => {
                let mailbox = segment.open_mailbox("reading").unwrap();
                let buffer = step.0.buffer();
                step.through(|| mailbox.peek_until(buffer, Deadline::after(Duration::from_millis(5))).map(|_| OK))
            }
            RepairVerb::Create => {
                step.through(|| {
                    std::mem::forget(segment.create_semaphore("other", 1)?);
                    Ok(OK)
                });
            }
        }
    }

    fn check(&mut self, killed: &Killed) {
        let segment = &self.place.segment;
        assert_ne!(killed.result, Some(OK + 10), "the helper was not told of the death");
        if killed.swept {
            segment.sweep().unwrap();
        }
        let mutex = segment.open_mutex("mutex").unwrap();
        match mutex.lock_until(in_time()) {
            Err(LockError::OwnerDied(guard)) => guard.recover(),
            Err(LockError::Failed(error)) => panic!("{error}"),
            Ok(_) => panic!("a death was kept silent"),
        }
        drop(mutex.lock_until(in_time()).expect("a plain lock after the recovery"));

        let writing = segment.open_mailbox("writing").unwrap();
        let got = drain(segment, &writing, (1, 1));
        let taken = self.verb == RepairVerb::Receive && got == [(1, 1, 0)];
        if taken {
            assert_eq!(whole(&self.place.page.left()[..40]), Some((1, 0)), "gone, and the helper had not got it");
        } else {
            // The helper may have died with it too.
            let redelivered = got.first().map_or(0, |key| key.2);
            assert!(redelivered == 0 || self.verb == RepairVerb::Receive, "{got:?}");
            let mut keys: Vec<_> = got.iter().map(|key| (key.0, key.1)).collect();
            keys.sort_unstable();
            assert_eq!(keys, [(1, 0), (1, 1)]);
        }
        fills_and_drains(&writing);

        let reading = segment.open_mailbox("reading").unwrap();
        let got = drain(segment, &reading, (1, 1));
        let half = self.verb == RepairVerb::Create; // there the first one had not begun to receive
        assert!(got.iter().any(|key| (key.0, key.1) == (1, 0) && (key.2 > 0 || half)), "not delivered again: {got:?}");
        assert!(got.len() == 2 || self.verb == RepairVerb::Send && got.len() == 3, "{got:?}");
        fills_and_drains(&reading);

        let ring = segment.open_ring("ring").unwrap();
        RingScene::works(&mut ring.producer().unwrap(), &mut ring.consumer().unwrap());

        is_clean(segment, 1);
        for object in segment.objects().unwrap() {
            segment.remove(&object.name).unwrap();
        }
        drop((mutex, writing, reading, ring));
        self.place.is_as_new();
    }
}

#[test]
fn a_repairer_may_die_too() {
    use RepairVerb::{Create, Lock, Peek, Receive, Send, Sweep, TakeSeat};
    let cases = [Sweep, Lock, Receive, Send, Peek, TakeSeat, Create]
        .map(|verb| case(format!("repair: {verb:?}"), move || RepairScene::new(verb)));
    run_all("repair", cases.into());
}
