//! Rivals that the kernel has: pipe, Unix stream socket, eventfd, POSIX message queue.
//!
//! All of them are made before the fork and used by descriptor.

use std::io::Error;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// What a read or a write of a descriptor may do when it cannot go on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Sleep.
    Blocking,
    /// Ask again at once.
    Polling,
}

/// Both ends of a one-way stream of bytes.
pub struct Stream {
    /// The reading end.
    pub from: OwnedFd,
    /// The writing end.
    pub to: OwnedFd,
}

fn own(fd: RawFd) -> OwnedFd {
    assert!(fd >= 0, "{}", Error::last_os_error());
    // SAFETY: the kernel just gave us this descriptor; nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

impl Stream {
    /// A pipe.
    pub fn pipe(when: When) -> Stream {
        let mut ends = [-1; 2];
        let flags = if when == When::Polling { libc::O_NONBLOCK } else { 0 };
        // SAFETY: room for two descriptors.
        let r = unsafe { libc::pipe2(ends.as_mut_ptr(), flags | libc::O_CLOEXEC) };
        assert_eq!(r, 0, "pipe2: {}", Error::last_os_error());
        Stream { from: own(ends[0]), to: own(ends[1]) }
    }

    /// A Unix stream socket pair, used one way.
    pub fn socket(when: When) -> Stream {
        let mut ends = [-1; 2];
        let flags = if when == When::Polling { libc::SOCK_NONBLOCK } else { 0 };
        // SAFETY: room for two descriptors.
        let r = unsafe {
            libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | flags, 0, ends.as_mut_ptr())
        };
        assert_eq!(r, 0, "socketpair: {}", Error::last_os_error());
        Stream { from: own(ends[0]), to: own(ends[1]) }
    }

    /// Writes all of it.
    #[inline]
    pub fn write(&self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            // SAFETY: `rest` is a live slice.
            match unsafe { libc::write(self.to.as_raw_fd(), rest.as_ptr().cast(), rest.len()) } {
                n if n > 0 => rest = &rest[n as usize..],
                _ => again("write"),
            }
        }
    }

    /// Fills `bytes`.
    #[inline]
    pub fn read(&self, bytes: &mut [u8]) {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &mut bytes[at..];
            // SAFETY: `rest` is a live slice.
            match unsafe { libc::read(self.from.as_raw_fd(), rest.as_mut_ptr().cast(), rest.len()) } {
                n if n > 0 => at += n as usize,
                _ => again("read"),
            }
        }
    }
}

#[cold]
fn again(what: &str) {
    let error = Error::last_os_error();
    let may = matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR));
    assert!(may, "{what}: {error}");
}

/// An eventfd.
pub struct EventFd(OwnedFd);

impl EventFd {
    /// A fresh one, at 0, blocking.
    pub fn new() -> EventFd {
        // SAFETY: numbers only.
        EventFd(own(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) }))
    }

    /// Adds one.
    pub fn post(&self) {
        let one = 1u64;
        // SAFETY: eight readable bytes.
        let n = unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8) };
        assert_eq!(n, 8, "eventfd: {}", Error::last_os_error());
    }

    /// Waits until it is not 0 and takes all.
    pub fn wait(&self) {
        let mut count = 0u64;
        // SAFETY: eight writable bytes.
        let n = unsafe { libc::read(self.0.as_raw_fd(), (&raw mut count).cast(), 8) };
        assert_eq!((n, count), (8, 1), "eventfd: {}", Error::last_os_error());
    }
}

/// A POSIX message queue without a name.
pub struct MessageQueue {
    queue: libc::mqd_t,
    size: usize,
}

impl MessageQueue {
    /// Ten messages of `size` bytes; `None` where the system has none, or none so large.
    pub fn new(size: usize) -> Option<MessageQueue> {
        let name = std::ffi::CString::new(format!("/triveni-bench-{}", std::process::id())).ok()?;
        // SAFETY: zero bytes are an mq_attr.
        let mut attr: libc::mq_attr = unsafe { std::mem::zeroed() };
        attr.mq_maxmsg = 10;
        attr.mq_msgsize = size as _;
        let flags = libc::O_CREAT | libc::O_EXCL | libc::O_RDWR | libc::O_CLOEXEC;
        // SAFETY: a live C string and attributes.
        let queue = unsafe { libc::mq_open(name.as_ptr(), flags, 0o600 as libc::mode_t, &raw mut attr) };
        if queue < 0 {
            return None;
        }
        // SAFETY: a live C string. The queue lives on by its descriptor.
        unsafe { libc::mq_unlink(name.as_ptr()) };
        Some(MessageQueue { queue, size })
    }

    /// Sends.
    pub fn send(&self, bytes: &[u8]) {
        // SAFETY: a live slice.
        while unsafe { libc::mq_send(self.queue, bytes.as_ptr().cast(), bytes.len(), 0) } != 0 {
            again("mq_send");
        }
    }

    /// Receives.
    pub fn receive(&self, bytes: &mut [u8]) -> usize {
        assert!(bytes.len() >= self.size);
        loop {
            // SAFETY: a live slice; no priority is wanted.
            let n =
                unsafe { libc::mq_receive(self.queue, bytes.as_mut_ptr().cast(), bytes.len(), std::ptr::null_mut()) };
            if n >= 0 {
                return n as usize;
            }
            again("mq_receive");
        }
    }
}

impl Drop for MessageQueue {
    fn drop(&mut self) {
        // SAFETY: ours, and closed once.
        unsafe { libc::mq_close(self.queue) };
    }
}
