//! The system calls of sockets, each in one function: -1 becomes an `Errno`, an address is one of ours.

use super::address::{Name, Place, SocketAddress};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType};
use std::io::{IoSlice, IoSliceMut};
use std::mem::{MaybeUninit, offset_of};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// What a socket carries: bytes, datagrams, or messages on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Stream,
    Datagram,
    Seqpacket,
}

impl Type {
    /// For sentences.
    pub(super) fn name(self) -> &'static str {
        match self {
            Type::Stream => "stream",
            Type::Datagram => "datagram",
            Type::Seqpacket => "seqpacket",
        }
    }

    fn number(self) -> libc::c_int {
        match self {
            Type::Stream => libc::SOCK_STREAM,
            Type::Datagram => libc::SOCK_DGRAM,
            Type::Seqpacket => libc::SOCK_SEQPACKET,
        }
    }
}

/// An address as the kernel reads and writes it.
#[derive(Clone, Copy)]
pub(super) struct Raw {
    /// Large and aligned enough for every family's address. The first `size` bytes are set, at most all.
    storage: MaybeUninit<libc::sockaddr_storage>,
    size: libc::socklen_t,
}

/// Room for an address.
const ROOM: libc::socklen_t = size_of::<libc::sockaddr_storage>() as libc::socklen_t;

/// Where the name begins in a Unix address.
const NAME_AT: usize = offset_of!(libc::sockaddr_un, sun_path);
/// The largest Unix address that the kernel takes; one that it gives may have a NUL more.
const UNIX_MAX: libc::socklen_t = size_of::<libc::sockaddr_un>() as libc::socklen_t;

impl Raw {
    /// Room for an address: it is none yet.
    #[inline]
    pub(super) fn empty() -> Raw {
        Raw { storage: MaybeUninit::uninit(), size: 0 }
    }

    /// Lets a system call write an address, and its size to the number that has the room at first.
    #[inline]
    fn fill(
        &mut self,
        call: impl FnOnce(*mut libc::sockaddr, &mut libc::socklen_t) -> nix::Result<usize>,
    ) -> nix::Result<usize> {
        self.size = 0; // as long as the call has not succeeded
        let mut size = ROOM;
        let done = call(self.storage.as_mut_ptr().cast(), &mut size)?;
        self.size = size.min(ROOM); // an address that had no room was cut
        Ok(done)
    }

    pub(super) fn of(address: &SocketAddress) -> Raw {
        let mut raw = Raw::empty();
        raw.size = match &address.0 {
            Place::Tcp(SocketAddr::V4(v4)) | Place::Udp(SocketAddr::V4(v4)) => raw.put(libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                sin_zero: [0; 8],
            }),
            Place::Tcp(SocketAddr::V6(v6)) | Place::Udp(SocketAddr::V6(v6)) => raw.put(libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            }),
            // A NUL ends it, unless it fills the whole address: the kernel then adds one by itself.
            Place::Path(name) => (raw.put_unix(name.bytes(), 0) + 1).min(UNIX_MAX),
            Place::Abstract(name) => raw.put_unix(name.bytes(), 1), // a NUL begins it
            Place::Unnamed => {
                raw.put_unix(&[], 0);
                NAME_AT as libc::socklen_t
            }
        };
        raw
    }

    fn put<T: Copy>(&mut self, address: T) -> libc::socklen_t {
        const { assert!(size_of::<T>() <= size_of::<libc::sockaddr_storage>()) };
        const { assert!(align_of::<T>() <= align_of::<libc::sockaddr_storage>()) };
        // SAFETY: a sockaddr_storage is large and aligned enough for `T`, asserted above, and ours to write.
        unsafe { self.storage.as_mut_ptr().cast::<T>().write(address) };
        size_of::<T>() as libc::socklen_t
    }

    /// Its size, with `name` from byte `at` of the path on.
    fn put_unix(&mut self, name: &[u8], at: usize) -> libc::socklen_t {
        let mut address = libc::sockaddr_un {
            sun_family: libc::AF_UNIX as libc::sa_family_t,
            sun_path: [0; SocketAddress::PATH_MAX],
        };
        for (to, from) in address.sun_path.iter_mut().skip(at).zip(name) {
            *to = *from as libc::c_char;
        }
        self.put(address);
        (NAME_AT + at + name.len()) as libc::socklen_t
    }

    /// As one of ours; `None` for a family that we do not know.
    pub(super) fn address(&self, socket_type: Type) -> Option<SocketAddress> {
        let of_ip = |address| match socket_type {
            Type::Datagram => SocketAddress::udp(address),
            Type::Stream | Type::Seqpacket => SocketAddress::tcp(address),
        };
        let whole = |size: usize| self.size as usize >= size;
        // A sender without a name: the kernel writes no address at all.
        if self.size == 0 {
            return Some(SocketAddress::unix_unnamed());
        }
        match libc::c_int::from(self.get::<libc::sockaddr>().sa_family) {
            libc::AF_INET if whole(size_of::<libc::sockaddr_in>()) => {
                let v4: libc::sockaddr_in = self.get();
                Some(of_ip(
                    SocketAddrV4::new(v4.sin_addr.s_addr.to_ne_bytes().into(), u16::from_be(v4.sin_port)).into(),
                ))
            }
            libc::AF_INET6 if whole(size_of::<libc::sockaddr_in6>()) => {
                let v6: libc::sockaddr_in6 = self.get();
                let port = u16::from_be(v6.sin6_port);
                let address = SocketAddrV6::new(v6.sin6_addr.s6_addr.into(), port, v6.sin6_flowinfo, v6.sin6_scope_id);
                Some(of_ip(address.into()))
            }
            libc::AF_UNIX => Some(self.unix()),
            _ => None,
        }
    }

    fn unix(&self) -> SocketAddress {
        let address: libc::sockaddr_un = self.get();
        let bytes = address.sun_path.map(|c| c as u8);
        let size = (self.size as usize).saturating_sub(NAME_AT).min(bytes.len());
        let place = match bytes.get(..size).unwrap_or_default() {
            [] => None,
            [0, name @ ..] => Name::of(name).map(Place::Abstract),
            path => Name::of(path.split(|byte| *byte == 0).next().unwrap_or_default()).map(Place::Path),
        };
        SocketAddress(place.unwrap_or(Place::Unnamed))
    }

    fn get<T: Copy>(&self) -> T {
        let mut address = MaybeUninit::<T>::zeroed();
        // SAFETY: the first `size` bytes are set; not more than `T` has.
        unsafe {
            let set = (self.size as usize).min(size_of::<T>());
            address.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(self.storage.as_ptr().cast(), set);
        }
        // SAFETY: every bit pattern is one of the plain address structures that this is called for.
        unsafe { address.assume_init() }
    }

    fn at(&self) -> *const libc::sockaddr {
        self.storage.as_ptr().cast()
    }
}

fn done(answer: libc::c_int) -> nix::Result<()> {
    Errno::result(answer).map(drop)
}

fn count(answer: isize) -> nix::Result<usize> {
    Errno::result(answer).map(|n| usize::try_from(n).unwrap_or(0))
}

fn owned(fd: libc::c_int) -> nix::Result<OwnedFd> {
    let fd = Errno::result(fd)?;
    // SAFETY: a new descriptor that a system call has just given us, and nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A socket of the family of `address`, close-on-exec.
pub(super) fn socket(address: &SocketAddress, socket_type: Type, flags: libc::c_int) -> nix::Result<OwnedFd> {
    let family = match address.ip() {
        Some(SocketAddr::V4(_)) => libc::AF_INET,
        Some(SocketAddr::V6(_)) => libc::AF_INET6,
        None => libc::AF_UNIX,
    };
    // SAFETY: no memory is passed.
    owned(unsafe { libc::socket(family, socket_type.number() | libc::SOCK_CLOEXEC | flags, 0) })
}

/// Two Unix sockets that are connected to each other.
pub(super) fn pair(socket_type: Type) -> nix::Result<(OwnedFd, OwnedFd)> {
    let (family, socket_type) = (
        AddressFamily::Unix,
        match socket_type {
            Type::Stream => SockType::Stream,
            Type::Datagram => SockType::Datagram,
            Type::Seqpacket => SockType::SeqPacket,
        },
    );
    nix::sys::socket::socketpair(family, socket_type, None, SockFlag::SOCK_CLOEXEC)
}

pub(super) fn bind(fd: BorrowedFd<'_>, address: &Raw) -> nix::Result<()> {
    // SAFETY: `address.size` bytes at `address.at()` are readable.
    done(unsafe { libc::bind(fd.as_raw_fd(), address.at(), address.size) })
}

pub(super) fn connect(fd: BorrowedFd<'_>, address: &Raw) -> nix::Result<()> {
    // SAFETY: as in `bind`.
    done(unsafe { libc::connect(fd.as_raw_fd(), address.at(), address.size) })
}

pub(super) fn accept(fd: BorrowedFd<'_>) -> nix::Result<OwnedFd> {
    // SAFETY: no address is asked for.
    owned(unsafe { libc::accept4(fd.as_raw_fd(), std::ptr::null_mut(), std::ptr::null_mut(), libc::SOCK_CLOEXEC) })
}

pub(super) fn local_address(fd: BorrowedFd<'_>) -> nix::Result<Raw> {
    let mut raw = Raw::empty();
    // SAFETY: room for `size` bytes at `at`, and for the size.
    raw.fill(|at, size| done(unsafe { libc::getsockname(fd.as_raw_fd(), at, size) }).map(|()| 0)).map(|_| raw)
}

pub(super) fn peer_address(fd: BorrowedFd<'_>) -> nix::Result<Raw> {
    let mut raw = Raw::empty();
    // SAFETY: as in `local_address`.
    raw.fill(|at, size| done(unsafe { libc::getpeername(fd.as_raw_fd(), at, size) }).map(|()| 0)).map(|_| raw)
}

#[inline]
pub(super) fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8], flags: libc::c_int) -> nix::Result<usize> {
    // SAFETY: `buffer` is ours alone for the length of the call.
    count(unsafe { libc::recv(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), flags) })
}

/// Receives a message into `memory`; the true size, also if it was cut.
#[inline]
pub(super) fn receive_whole(
    fd: BorrowedFd<'_>,
    memory: &mut [MaybeUninit<u8>],
    flags: libc::c_int,
) -> nix::Result<usize> {
    let (at, size, flags) = (memory.as_mut_ptr().cast(), memory.len(), flags | libc::MSG_TRUNC);
    // SAFETY: `memory` is ours alone for the length of the call.
    count(unsafe { libc::recv(fd.as_raw_fd(), at, size, flags) })
}

/// As [`receive_whole`], and its sender.
#[inline]
pub(super) fn receive_from(
    fd: BorrowedFd<'_>,
    memory: &mut [MaybeUninit<u8>],
    flags: libc::c_int,
    from: &mut Raw,
) -> nix::Result<usize> {
    let (memory, room, flags) = (memory.as_mut_ptr().cast(), memory.len(), flags | libc::MSG_TRUNC);
    from.fill(|at, size| {
        // SAFETY: the memory is ours alone for the length of the call; room for `size` bytes of address, and its size.
        count(unsafe { libc::recvfrom(fd.as_raw_fd(), memory, room, flags, at, size) })
    })
}

/// Receives a message, and its sender; what has no room in `buffer` goes to `spill`. The true size, also if it was cut.
#[inline]
pub(super) fn receive_spilling(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
    spill: &mut [MaybeUninit<u8>],
    flags: libc::c_int,
    from: &mut Raw,
) -> nix::Result<usize> {
    let mut parts = [
        libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() },
        libc::iovec { iov_base: spill.as_mut_ptr().cast(), iov_len: spill.len() },
    ];
    // SAFETY: all-zero is a msghdr: integers and null pointers.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = parts.as_mut_ptr();
    message.msg_iovlen = parts.len() as _;
    from.fill(|at, size| {
        (message.msg_name, message.msg_namelen) = (at.cast(), *size);
        // SAFETY: both parts, and the room for the address, are ours alone for the length of the call.
        let received = count(unsafe { libc::recvmsg(fd.as_raw_fd(), &mut message, flags | libc::MSG_TRUNC) });
        *size = message.msg_namelen;
        received
    })
}

/// Sends; never raises SIGPIPE.
#[inline]
pub(super) fn send(fd: BorrowedFd<'_>, bytes: &[u8], flags: libc::c_int) -> nix::Result<usize> {
    // SAFETY: `bytes` is readable.
    count(unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags | libc::MSG_NOSIGNAL) })
}

#[inline]
pub(super) fn send_to(fd: BorrowedFd<'_>, bytes: &[u8], flags: libc::c_int, to: &Raw) -> nix::Result<usize> {
    let (at, size) = (bytes.as_ptr().cast(), bytes.len());
    // SAFETY: `bytes` is readable, and so are `to.size` bytes of the address.
    count(unsafe { libc::sendto(fd.as_raw_fd(), at, size, flags | libc::MSG_NOSIGNAL, to.at(), to.size) })
}

/// Sends several pieces as one, with control data. Never raises SIGPIPE.
#[inline]
pub(super) fn send_message(
    fd: BorrowedFd<'_>,
    parts: &[IoSlice<'_>],
    control: &[u8],
    flags: libc::c_int,
) -> nix::Result<usize> {
    // SAFETY: all-zero is a msghdr: integers and null pointers.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = parts.as_ptr().cast_mut().cast();
    message.msg_iovlen = parts.len() as _;
    if !control.is_empty() {
        message.msg_control = control.as_ptr().cast_mut().cast();
        message.msg_controllen = control.len() as _;
    }
    // SAFETY: `IoSlice` has the layout of iovec; all parts and `control` are readable for the length of the call, and
    // sendmsg(2) writes to none of them.
    count(unsafe { libc::sendmsg(fd.as_raw_fd(), &message, flags | libc::MSG_NOSIGNAL) })
}

/// What came with a message.
pub(super) struct Received {
    pub(super) size: usize,
    /// How many bytes of the control buffer were filled.
    pub(super) control: usize,
    pub(super) flags: libc::c_int,
}

/// Receives, with control data.
pub(super) fn receive_message(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
    control: &mut [u8],
    flags: libc::c_int,
) -> nix::Result<Received> {
    let mut part = IoSliceMut::new(buffer);
    // SAFETY: all-zero is a msghdr: integers and null pointers.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = (&raw mut part).cast();
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = control.len() as _;
    // SAFETY: `IoSliceMut` has the layout of iovec; the buffer and `control` are ours alone for the length of the call.
    let size = count(unsafe { libc::recvmsg(fd.as_raw_fd(), &mut message, flags) })?;
    Ok(Received { size, control: (message.msg_controllen as usize).min(control.len()), flags: message.msg_flags })
}
