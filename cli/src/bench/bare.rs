//! What our verbs cost over the bare system calls: the same work in one process, both ways, in turns.

use std::ffi::c_void;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};
use triveni::Result;
use triveni::kernel::{Datagram, PosixQueueOptions, PosixSemaphoreOptions, SysvKey, SysvQueueOptions, pipe};

/// Bytes of a message.
const SIZE: usize = 64;
/// So many of each before the other's turn.
const TURN: u32 = 500;

/// A mechanism, and how much longer our verbs take.
#[derive(serde::Serialize)]
pub struct Overhead {
    /// Which verbs.
    pub verbs: &'static str,
    /// One bare pair of calls, in nanoseconds: the median of the turns.
    pub bare_ns: f64,
    /// The same with our verbs.
    pub ours_ns: f64,
}

impl Overhead {
    /// 0.03 for 3 % more.
    pub fn part(&self) -> f64 {
        self.ours_ns / self.bare_ns - 1.0
    }
}

fn in_turns(verbs: &'static str, time: Duration, mut ours: impl FnMut(), mut bare: impl FnMut()) -> Overhead {
    fn turn(work: &mut impl FnMut(), times: &mut Vec<f64>) {
        let begin = Instant::now();
        (0..TURN).for_each(|_| work());
        times.push(begin.elapsed().as_nanos() as f64 / f64::from(TURN));
    }
    let (mut with, mut without) = (Vec::new(), Vec::new());
    let begin = Instant::now();
    while begin.elapsed() < time || with.len() < 3 {
        turn(&mut ours, &mut with);
        turn(&mut bare, &mut without);
    }
    let median = |mut times: Vec<f64>| {
        times.sort_unstable_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or(0.0)
    };
    Overhead { verbs, bare_ns: median(without), ours_ns: median(with) }
}

/// All that can be measured on this system, within about `time`.
pub fn overheads(time: Duration) -> Result<Vec<Overhead>> {
    let each = time / 5;
    let message = [7u8; SIZE];
    let mut buffer = [0u8; SIZE];
    let at = buffer.as_mut_ptr().cast::<c_void>();
    let mut all = Vec::new();

    let ends = pipe()?;
    let (from, to) = (ends.reader.as_fd().as_raw_fd(), ends.writer.as_fd().as_raw_fd());
    let ours = || {
        let _ = ends.writer.write(&message).and_then(|_| ends.reader.read(&mut buffer));
    };
    // SAFETY: `SIZE` bytes to read, and as many to write, both ours; the descriptors are open.
    let bare = || unsafe {
        libc::write(to, message.as_ptr().cast(), SIZE);
        libc::read(from, at, SIZE);
    };
    all.push(in_turns("pipe: write and read", each, ours, bare));

    let (one, other) = Datagram::pair()?;
    let (from, to) = (other.as_fd().as_raw_fd(), one.as_fd().as_raw_fd());
    let mut buffer = [0u8; SIZE];
    let at = buffer.as_mut_ptr().cast::<c_void>();
    let ours = || {
        let _ = one.send(&message).and_then(|()| other.receive(&mut buffer));
    };
    // SAFETY: as above.
    let bare = || unsafe {
        libc::send(to, message.as_ptr().cast(), SIZE, libc::MSG_NOSIGNAL);
        libc::recv(from, at, SIZE, 0);
    };
    all.push(in_turns("unix datagram: send and receive", each, ours, bare));

    let name = format!("triveni-bench-bare-{}", std::process::id());
    if let Ok(queue) = PosixQueueOptions::new().capacity(4).message_size(SIZE).owned(true).create(&name) {
        let number = queue.as_fd().as_raw_fd();
        let mut buffer = [0u8; SIZE];
        let at = buffer.as_mut_ptr();
        let ours = || {
            let _ = queue.send(&message).and_then(|()| queue.receive(&mut buffer));
        };
        // SAFETY: as above; on Linux a queue's descriptor is its mqd_t.
        let bare = || unsafe {
            libc::mq_send(number, message.as_ptr().cast(), SIZE, 0);
            libc::mq_receive(number, at.cast(), SIZE, std::ptr::null_mut());
        };
        all.push(in_turns("posix queue: send and receive", each, ours, bare));
    }

    if let Ok(queue) = SysvQueueOptions::new().owned(true).create(SysvKey::PRIVATE) {
        let id = queue.id();
        let mut buffer = [0u8; SIZE];
        let mut frame = [0i64; 1 + SIZE / 8];
        frame[0] = 1;
        let frame = frame.as_mut_ptr().cast::<c_void>();
        let ours = || {
            let _ = queue.send(&message).and_then(|()| queue.receive(&mut buffer));
        };
        // SAFETY: `frame` has a type and `SIZE` bytes, and is ours.
        let bare = || unsafe {
            libc::msgsnd(id, frame, SIZE, 0);
            libc::msgrcv(id, frame, SIZE, 0, 0);
        };
        all.push(in_turns("sysv queue: send and receive", each, ours, bare));
    }

    if let Ok(semaphore) = PosixSemaphoreOptions::new().owned(true).create(&name, 1) {
        // SAFETY: an all-zero sem_t is memory for sem_init, which makes one of it; it does not move.
        let mut plain: Box<libc::sem_t> = Box::new(unsafe { std::mem::zeroed() });
        let plain = std::ptr::from_mut(&mut *plain);
        // SAFETY: as above. 1 permit, shared between processes.
        unsafe { libc::sem_init(plain, 1, 1) };
        let ours = || {
            let _ = semaphore.wait().and_then(|()| semaphore.post());
        };
        // SAFETY: a semaphore that was made above.
        let bare = || unsafe {
            libc::sem_wait(plain);
            libc::sem_post(plain);
        };
        all.push(in_turns("posix semaphore: wait and post", each, ours, bare));
    }
    Ok(all)
}
