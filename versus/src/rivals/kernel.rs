//! What the kernel has: pipe, Unix and TCP sockets, POSIX and System V message queues. Made before the fork, used
//! by descriptor, with buffers as large as the depth asks for, or as the system allows.

use crate::channel::{Channel, Rx, Spec, Tx, Wait};
use crate::rows::{BULK, Rows};
use std::io::Error;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

fn own(fd: RawFd) -> OwnedFd {
    assert!(fd >= 0, "{}", Error::last_os_error());
    // SAFETY: the kernel just gave us this descriptor; nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn check(what: &str, answer: libc::c_int) -> Result<(), String> {
    if answer < 0 { Err(format!("{what}: {}", Error::last_os_error())) } else { Ok(()) }
}

/// Full or empty: `wait` says what is done about it. Anything else is wrong.
#[cold]
fn again(wait: Wait, what: &str) {
    let error = Error::last_os_error();
    let full = matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR | libc::ENOMSG | libc::ENOBUFS));
    assert!(full, "{what}: {error}");
    if wait == Wait::Yield {
        // SAFETY: no arguments, no memory.
        unsafe { libc::sched_yield() };
    }
}

fn set_buffers(fd: RawFd, size: usize) {
    for option in [libc::SO_SNDBUF, libc::SO_RCVBUF] {
        let size = size as libc::c_int;
        // SAFETY: a live descriptor and an int. The kernel takes less if it must.
        unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, option, (&raw const size).cast(), 4) };
    }
}

/// Kinds of streams of bytes: the reading end and the writing end of one, as descriptors.
pub trait Kind: Sync + 'static {
    fn ends(spec: &Spec) -> Result<(OwnedFd, OwnedFd), String>;
    /// Its room, for the table.
    fn room(spec: &Spec) -> String;
}

/// What lies in a stream at most: the depth, in bytes.
fn room(spec: &Spec) -> usize {
    (spec.size * spec.depth).clamp(1 << 16, 1 << 20)
}

pub struct Pipe;

impl Kind for Pipe {
    fn ends(spec: &Spec) -> Result<(OwnedFd, OwnedFd), String> {
        let mut ends = [-1; 2];
        // SAFETY: room for two descriptors.
        check("pipe2", unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
        // SAFETY: a live descriptor. Where it is refused the pipe stays as it is.
        unsafe { libc::fcntl(ends[1], libc::F_SETPIPE_SZ, room(spec)) };
        Ok((own(ends[0]), own(ends[1])))
    }
    fn room(spec: &Spec) -> String {
        format!("{} KiB", room(spec) >> 10)
    }
}

pub struct Unix;

impl Kind for Unix {
    fn ends(spec: &Spec) -> Result<(OwnedFd, OwnedFd), String> {
        let mut ends = [-1; 2];
        let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
        // SAFETY: room for two descriptors.
        check("socketpair", unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) })?;
        // The kernel counts a small message as much more than its bytes.
        ends.iter().for_each(|end| set_buffers(*end, 4 * room(spec)));
        Ok((own(ends[0]), own(ends[1])))
    }
    fn room(spec: &Spec) -> String {
        format!("buffers of {} KiB", 4 * room(spec) >> 10)
    }
}

pub struct Tcp;

impl Kind for Tcp {
    fn ends(spec: &Spec) -> Result<(OwnedFd, OwnedFd), String> {
        let text = |e: Error| format!("TCP: {e}");
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).map_err(text)?;
        let address = listener.local_addr().map_err(text)?;
        let to = std::net::TcpStream::connect(address).map_err(text)?;
        let (from, _) = listener.accept().map_err(text)?;
        to.set_nodelay(true).map_err(text)?;
        for end in [&to, &from] {
            set_buffers(end.as_raw_fd(), 4 * room(spec));
        }
        Ok((from.into(), to.into()))
    }
    fn room(spec: &Spec) -> String {
        format!("buffers of {} KiB", 4 * room(spec) >> 10)
    }
}

/// A stream that messages of one size follow each other in; several, if each receiver gets everything.
pub struct Stream<K> {
    pairs: Vec<(OwnedFd, OwnedFd)>,
    wait: Wait,
    kind: PhantomData<K>,
}

impl<K: Kind> Channel for Stream<K> {
    type Tx = StreamTx;
    type Rx = StreamRx;
    const COPIES: &'static str = "in and out, in the kernel";
    fn make(spec: &Spec) -> Result<Self, String> {
        let pairs = (0..if spec.to_all { spec.receivers } else { 1 })
            .map(|_| {
                let (from, to) = K::ends(spec)?;
                if spec.wait != Wait::Block {
                    for end in [&from, &to] {
                        // SAFETY: a live descriptor.
                        check("O_NONBLOCK", unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })?;
                    }
                }
                Ok((from, to))
            })
            .collect::<Result<_, String>>()?;
        Ok(Stream { pairs, wait: spec.wait, kind: PhantomData })
    }
    fn tx(&self, _: usize) -> StreamTx {
        StreamTx(self.pairs.iter().map(|(_, to)| to.as_raw_fd()).collect(), self.wait)
    }
    fn rx(&self, index: usize) -> StreamRx {
        StreamRx(self.pairs[index.min(self.pairs.len() - 1)].0.as_raw_fd(), self.wait)
    }
    fn depth(spec: &Spec) -> String {
        K::room(spec)
    }
}

pub struct StreamTx(Vec<RawFd>, Wait);

impl Tx for StreamTx {
    #[inline]
    fn send(&mut self, message: &[u8]) {
        for fd in &self.0 {
            let mut rest = message;
            while !rest.is_empty() {
                // SAFETY: `rest` is a live slice.
                match unsafe { libc::write(*fd, rest.as_ptr().cast(), rest.len()) } {
                    n if n > 0 => rest = &rest[n as usize..],
                    _ => again(self.1, "write"),
                }
            }
        }
    }
    #[inline]
    fn send_many(&mut self, messages: &[u8], _: usize) {
        self.send(messages);
    }
}

pub struct StreamRx(RawFd, Wait);

impl StreamRx {
    #[inline]
    fn some(&self, bytes: &mut [u8]) -> usize {
        loop {
            // SAFETY: a live slice.
            match unsafe { libc::read(self.0, bytes.as_mut_ptr().cast(), bytes.len()) } {
                n if n > 0 => return n as usize,
                0 => panic!("read: the other end is closed"),
                _ => again(self.1, "read"),
            }
        }
    }
}

impl Rx for StreamRx {
    #[inline]
    fn receive(&mut self, message: &mut [u8]) {
        let mut at = 0;
        while at < message.len() {
            at += self.some(&mut message[at..]);
        }
    }
    #[inline]
    fn receive_many(&mut self, messages: &mut [u8], size: usize) -> usize {
        let mut at = self.some(messages);
        while at % size != 0 {
            let end = at.next_multiple_of(size);
            at += self.some(&mut messages[at..end]);
        }
        at / size
    }
}

/// A Unix socket pair that keeps messages apart: any number of processes may use either end.
pub struct Packets {
    from: OwnedFd,
    to: OwnedFd,
    wait: Wait,
}

impl Channel for Packets {
    type Tx = StreamTx;
    type Rx = StreamRx;
    const COPIES: &'static str = "in and out, in the kernel";
    fn make(spec: &Spec) -> Result<Packets, String> {
        let mut ends = [-1; 2];
        let flags = if spec.wait == Wait::Block { 0 } else { libc::SOCK_NONBLOCK };
        let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC | flags;
        // SAFETY: room for two descriptors.
        check("socketpair", unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) })?;
        // The kernel counts a small message as much more than its bytes.
        ends.iter().for_each(|end| set_buffers(*end, 1024 * spec.depth.min(4096)));
        Ok(Packets { from: own(ends[0]), to: own(ends[1]), wait: spec.wait })
    }
    fn tx(&self, _: usize) -> StreamTx {
        StreamTx(vec![self.to.as_raw_fd()], self.wait)
    }
    fn rx(&self, _: usize) -> StreamRx {
        StreamRx(self.from.as_raw_fd(), self.wait)
    }
    fn depth(spec: &Spec) -> String {
        format!("buffers of {} KiB", spec.depth.min(4096))
    }
}

/// A POSIX message queue without a name.
pub struct PosixQueue {
    queue: libc::mqd_t,
    wait: Wait,
}

impl Channel for PosixQueue {
    type Tx = PosixEnd;
    type Rx = PosixEnd;
    const COPIES: &'static str = "in and out, in the kernel";
    fn make(spec: &Spec) -> Result<PosixQueue, String> {
        let depth = posix_depth(spec)?;
        let name = std::ffi::CString::new(format!("/{}", spec.name)).map_err(|e| e.to_string())?;
        // SAFETY: zero bytes are an mq_attr.
        let mut attr: libc::mq_attr = unsafe { std::mem::zeroed() };
        attr.mq_maxmsg = depth as _;
        attr.mq_msgsize = spec.size as _;
        let flags = libc::O_CREAT | libc::O_EXCL | libc::O_RDWR | libc::O_CLOEXEC;
        let flags = if spec.wait == Wait::Block { flags } else { flags | libc::O_NONBLOCK };
        // SAFETY: a live C string and attributes.
        let queue = unsafe { libc::mq_open(name.as_ptr(), flags, 0o600 as libc::mode_t, &raw mut attr) };
        check(&format!("mq_open with {depth} messages of {} bytes", spec.size), queue)?;
        // SAFETY: a live C string. The queue lives on by its descriptor.
        unsafe { libc::mq_unlink(name.as_ptr()) };
        Ok(PosixQueue { queue, wait: spec.wait })
    }
    fn tx(&self, _: usize) -> PosixEnd {
        PosixEnd(self.queue, self.wait)
    }
    fn rx(&self, _: usize) -> PosixEnd {
        PosixEnd(self.queue, self.wait)
    }
    fn depth(spec: &Spec) -> String {
        posix_depth(spec).map_or("none".into(), |depth| depth.to_string())
    }
}

/// As deep as was asked for, or as the system allows who is not root.
fn posix_depth(spec: &Spec) -> Result<usize, String> {
    let limit = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/fs/mqueue/{name}"));
        text.ok().and_then(|text| text.trim().parse::<usize>().ok()).ok_or("no POSIX message queues here".to_string())
    };
    let (most, size) = (limit("msg_max")?, limit("msgsize_max")?);
    if spec.size <= size { Ok(spec.depth.min(most)) } else { Err(format!("messages of {size} bytes at most")) }
}

impl Drop for PosixQueue {
    fn drop(&mut self) {
        // SAFETY: ours, and closed once.
        unsafe { libc::mq_close(self.queue) };
    }
}

pub struct PosixEnd(libc::mqd_t, Wait);

impl Tx for PosixEnd {
    #[inline]
    fn send(&mut self, message: &[u8]) {
        // SAFETY: a live slice.
        while unsafe { libc::mq_send(self.0, message.as_ptr().cast(), message.len(), 0) } != 0 {
            again(self.1, "mq_send");
        }
    }
}

impl Rx for PosixEnd {
    #[inline]
    fn receive(&mut self, message: &mut [u8]) {
        let (to, size) = (message.as_mut_ptr().cast(), message.len());
        // SAFETY: a live slice; no priority is wanted.
        while unsafe { libc::mq_receive(self.0, to, size, std::ptr::null_mut()) } < 0 {
            again(self.1, "mq_receive");
        }
    }
}

/// A System V message queue without a key.
pub struct SystemVQueue {
    queue: libc::c_int,
    wait: Wait,
}

impl Channel for SystemVQueue {
    type Tx = SystemVEnd;
    type Rx = SystemVEnd;
    const COPIES: &'static str = "in and out, in the kernel";
    fn make(spec: &Spec) -> Result<SystemVQueue, String> {
        // SAFETY: numbers only.
        let queue = unsafe { libc::msgget(libc::IPC_PRIVATE, 0o600) };
        check("msgget", queue)?;
        let made = SystemVQueue { queue, wait: spec.wait };
        // SAFETY: zero bytes are a msqid_ds.
        let mut state: libc::msqid_ds = unsafe { std::mem::zeroed() };
        // SAFETY: a live queue and a writable state.
        check("IPC_STAT", unsafe { libc::msgctl(queue, libc::IPC_STAT, &mut state) })?;
        state.msg_qbytes = (spec.size * spec.depth).min(system_v_bytes()) as _;
        // SAFETY: as above.
        check("msg_qbytes", unsafe { libc::msgctl(queue, libc::IPC_SET, &mut state) })?;
        Ok(made)
    }
    fn tx(&self, _: usize) -> SystemVEnd {
        SystemVEnd::new(self)
    }
    fn rx(&self, _: usize) -> SystemVEnd {
        SystemVEnd::new(self)
    }
    fn depth(spec: &Spec) -> String {
        spec.depth.min(system_v_bytes() / spec.size).to_string()
    }
}

/// More bytes in a queue are for root only, and not for every root.
fn system_v_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/sys/kernel/msgmnb").unwrap_or_default();
    text.trim().parse().unwrap_or(16384)
}

impl Drop for SystemVQueue {
    fn drop(&mut self) {
        // SAFETY: ours; nobody uses it any more.
        unsafe { libc::msgctl(self.queue, libc::IPC_RMID, std::ptr::null_mut()) };
    }
}

pub struct SystemVEnd {
    queue: libc::c_int,
    flags: libc::c_int,
    wait: Wait,
    /// The type, and the message.
    buffer: Vec<u64>,
}

impl SystemVEnd {
    fn new(queue: &SystemVQueue) -> SystemVEnd {
        let flags = if queue.wait == Wait::Block { 0 } else { libc::IPC_NOWAIT };
        SystemVEnd { queue: queue.queue, flags, wait: queue.wait, buffer: vec![1; 1 + 8192 / 8] }
    }

    fn room(&mut self) -> &mut [u8] {
        let rest = &mut self.buffer[1..];
        // SAFETY: words are bytes.
        unsafe { std::slice::from_raw_parts_mut(rest.as_mut_ptr().cast(), 8 * rest.len()) }
    }
}

impl Tx for SystemVEnd {
    #[inline]
    fn send(&mut self, message: &[u8]) {
        self.room()[..message.len()].copy_from_slice(message);
        // SAFETY: a type and a message, in a live buffer.
        while unsafe { libc::msgsnd(self.queue, self.buffer.as_ptr().cast(), message.len(), self.flags) } != 0 {
            again(self.wait, "msgsnd");
        }
    }
}

impl Rx for SystemVEnd {
    #[inline]
    fn receive(&mut self, message: &mut [u8]) {
        // SAFETY: room for a type and a message.
        while unsafe { libc::msgrcv(self.queue, self.buffer.as_mut_ptr().cast(), message.len(), 0, self.flags) } < 0 {
            again(self.wait, "msgrcv");
        }
        let size = message.len();
        message.copy_from_slice(&self.room()[..size]);
    }
}

/// All rows of the kernel's.
pub fn rows(rows: &mut Rows) {
    rows.all_of::<Stream<Pipe>>("pipe");
    rows.all_of::<Stream<Unix>>("Unix socket");
    rows.all_of::<Stream<Tcp>>("TCP socket");
    rows.all_of::<PosixQueue>("POSIX message queue");
    rows.all_of::<SystemVQueue>("System V message queue");
    for (size, depth) in [(64, 1024), (8, 1024)] {
        rows.batches::<Stream<Pipe>>("pipe", size, depth, Wait::Block);
        rows.batches::<Stream<Unix>>("Unix socket", size, depth, Wait::Block);
    }
    for size in BULK {
        rows.bulk::<Stream<Pipe>>("pipe", size, Wait::Block);
        rows.bulk::<Stream<Unix>>("Unix socket", size, Wait::Block);
        rows.bulk::<Stream<Tcp>>("TCP socket", size, Wait::Block);
    }
    rows.contest::<Stream<Pipe>>("pipe", [Wait::Block; 2]);
    rows.contest::<Packets>("Unix socket, seqpacket", [Wait::Block; 2]);
    rows.contest::<PosixQueue>("POSIX message queue", [Wait::Block; 2]);
    rows.contest::<SystemVQueue>("System V message queue", [Wait::Block; 2]);
    rows.to_all::<Stream<Pipe>>("pipe to each", [Wait::Block; 2]);
    rows.to_all::<Stream<Unix>>("Unix socket to each", [Wait::Block; 2]);
}

/// An eventfd that counts, and gives one at a time.
pub fn eventfd(initial: u32, wait: Wait) -> OwnedFd {
    let flags = libc::EFD_CLOEXEC | libc::EFD_SEMAPHORE | if wait == Wait::Block { 0 } else { libc::EFD_NONBLOCK };
    // SAFETY: numbers only.
    own(unsafe { libc::eventfd(initial, flags) })
}

/// Takes one, if it may: a blocking one waits for it.
#[inline]
pub fn eventfd_take(fd: &OwnedFd) -> bool {
    let mut count = 0u64;
    // SAFETY: eight writable bytes.
    let n = unsafe { libc::read(fd.as_raw_fd(), (&raw mut count).cast(), 8) };
    if n != 8 {
        again(Wait::Poll, "eventfd");
    }
    n == 8
}

/// Adds one.
#[inline]
pub fn eventfd_post(fd: &OwnedFd) {
    let one = 1u64;
    // SAFETY: eight readable bytes.
    let n = unsafe { libc::write(fd.as_raw_fd(), (&raw const one).cast(), 8) };
    assert_eq!(n, 8, "eventfd: {}", Error::last_os_error());
}
