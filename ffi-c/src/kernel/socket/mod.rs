//! Sockets in C: addresses and what all of them have in common.

pub(crate) mod datagram;
pub(crate) mod listener;
pub(crate) mod seqpacket;
pub(crate) mod stream;

use crate::argument::{array, buffer, descriptor, optional, output, text, write_text};
use crate::boundary::call;
use std::ffi::{c_char, c_int, c_uint};
use std::net::{IpAddr, Shutdown, SocketAddr, SocketAddrV6};
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use triveni::kernel::{BindOptions, DESCRIPTORS_MAX, PeerCredentials, ReceivedDescriptors, SocketAddress};
use triveni::{Error, ErrorKind, Result};

/// The address of a socket: what tvn_datagram_receive_from() says of a sender, and tvn_datagram_send_to() takes. Made
/// of its text by tvn_socket_address(), and printed by tvn_socket_address_text(). A plain value: copy it, compare it
/// with memcmp.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tvn_socket_address_t {
    /// 0: a Unix socket without a name; 1: a path; 2: an abstract name; 3: TCP; 4: UDP.
    pub kind: u8,
    /// How many of the bytes are a name; for TCP and UDP 4 or 6, the version of IP.
    pub size: u8,
    /// The port, of TCP and UDP.
    pub port: u16,
    /// The scope of an IPv6 address.
    pub scope: u32,
    /// The name, or the IP address, most significant byte first. The rest is 0.
    pub bytes: [u8; 108],
}

/// Room for any address as text, its NUL included.
pub const TVN_SOCKET_ADDRESS_TEXT_MAX: usize = 438;
const _: () = assert!(TVN_SOCKET_ADDRESS_TEXT_MAX == SocketAddress::TEXT_MAX);

/// The most descriptors that go with one message.
pub const TVN_DESCRIPTORS_MAX: usize = 253;
const _: () = assert!(TVN_DESCRIPTORS_MAX == DESCRIPTORS_MAX);

/// For `flags` of a bind: a socket file that a dead server left is replaced. A live one never is.
pub const TVN_REPLACE_STALE: c_uint = 2;

/// Who is at the other end of a Unix socket, as the kernel knows it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tvn_peer_credentials_t {
    /// The process; 0 if it has no number in this pid namespace.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

impl From<PeerCredentials> for tvn_peer_credentials_t {
    fn from(peer: PeerCredentials) -> Self {
        Self { pid: peer.pid, uid: peer.uid, gid: peer.gid }
    }
}

/// Makes an address of its text: `tcp:127.0.0.1:7777`, `udp:[::1]:9000`, `unix:/tmp/x.sock`, `unix:@abstract`, or
/// `unix:` for none. Lends `address`, writes `*out`. Never blocks. Any thread.
/// @return 0; -EINVAL for what is no address: tvn_last_error() says why.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_socket_address(address: *const c_char, out: *mut tvn_socket_address_t) -> c_int {
    call("tvn_socket_address", || {
        // SAFETY: the C contract: NULL or a string, NULL or a place for an address.
        let (address, out) = unsafe { (text(address)?, output(out)?) };
        out.write(to_c(&address.parse()?));
        Ok(())
    })
}

/// Writes an address as text to `buffer`, a NUL behind it. Lends `address` and `buffer`. Never blocks. Any thread.
/// @return its length without the NUL; -EMSGSIZE if it does not fit in `size` bytes; -EINVAL if it is no address.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_socket_address_text(
    address: *const tvn_socket_address_t,
    buffer: *mut c_char,
    size: usize,
) -> i64 {
    call("tvn_socket_address_text", || {
        // SAFETY: the C contract: NULL or an address; `size` bytes to write.
        unsafe { print(&of_c(address)?, buffer, size) }
    })
}

/// Writes an address as text; its length.
///
/// # Safety
/// - As for `buffer`.
pub(super) unsafe fn print(address: &SocketAddress, out: *mut c_char, size: usize) -> Result<usize> {
    // SAFETY: the caller's promise is the one `buffer` asks for; a char is a byte.
    let out = unsafe { buffer(out.cast::<u8>(), size) }?;
    let text = address.to_string();
    if text.len() >= out.len() {
        let sentence = format!(
            "the address {text} needs {} bytes, the buffer has {size}; TVN_SOCKET_ADDRESS_TEXT_MAX fits all",
            text.len() + 1
        );
        return Err(Error::new(ErrorKind::TooLarge, sentence));
    }
    write_text(out, &text);
    Ok(text.len())
}

pub(super) fn to_c(address: &SocketAddress) -> tvn_socket_address_t {
    let mut made = tvn_socket_address_t { kind: 0, size: 0, port: 0, scope: 0, bytes: [0; 108] };
    let mut copy = |kind: u8, size: u8, from: &[u8]| {
        (made.kind, made.size) = (kind, size);
        for (to, from) in made.bytes.iter_mut().zip(from) {
            *to = *from;
        }
    };
    let size = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap_or(0); // at most SocketAddress::PATH_MAX
    if let Some(ip) = address.ip() {
        let kind = if address.is_tcp() { 3 } else { 4 };
        match ip.ip() {
            IpAddr::V4(v4) => copy(kind, 4, &v4.octets()),
            IpAddr::V6(v6) => copy(kind, 6, &v6.octets()),
        }
        made.port = ip.port();
        if let SocketAddr::V6(v6) = ip {
            made.scope = v6.scope_id();
        }
    } else if let Some(path) = address.path() {
        let bytes = path.as_os_str().as_encoded_bytes();
        copy(1, size(bytes), bytes);
    } else if let Some(name) = address.abstract_name() {
        copy(2, size(name), name);
    }
    made
}

/// # Safety
/// - `address` is NULL or points to an address that nobody changes meanwhile.
pub(super) unsafe fn of_c(address: *const tvn_socket_address_t) -> Result<SocketAddress> {
    // SAFETY: the caller's promise; NULL becomes `None`; any bits are plain integers.
    let Some(address) = (unsafe { address.as_ref() }) else {
        return Err(crate::argument::null::<tvn_socket_address_t>());
    };
    let wrong = || {
        let sentence = format!(
            "kind {}, size {}: this is no address; make one with tvn_socket_address",
            address.kind, address.size
        );
        Error::new(ErrorKind::Invalid, sentence)
    };
    let name = address.bytes.get(..address.size.into()).ok_or_else(wrong)?;
    let ip = || {
        let first = |n: usize| address.bytes.get(..n).unwrap_or_default();
        match address.size {
            4 => <[u8; 4]>::try_from(first(4)).ok().map(|v4| SocketAddr::new(v4.into(), address.port)),
            6 => <[u8; 16]>::try_from(first(16))
                .ok()
                .map(|v6| SocketAddrV6::new(v6.into(), address.port, 0, address.scope).into()),
            _ => None,
        }
    };
    match address.kind {
        0 => Ok(SocketAddress::unix_unnamed()),
        1 => {
            use std::os::unix::ffi::OsStrExt;
            SocketAddress::unix(std::ffi::OsStr::from_bytes(name))
        }
        2 => SocketAddress::unix_abstract(name),
        3 => ip().map(SocketAddress::tcp).ok_or_else(wrong),
        4 => ip().map(SocketAddress::udp).ok_or_else(wrong),
        _ => Err(wrong()),
    }
}

/// How a socket is bound.
pub(super) fn bind_options(mode: c_uint, flags: c_uint) -> Result<BindOptions> {
    let known = super::TVN_OWNED | TVN_REPLACE_STALE;
    if flags & !known != 0 {
        let sentence = format!("the flags {flags:#x} are none; give 0, TVN_OWNED, TVN_REPLACE_STALE, or both");
        return Err(Error::new(ErrorKind::Invalid, sentence));
    }
    let options = BindOptions::default().mode(mode);
    Ok(options.owned(flags & super::TVN_OWNED != 0).replace_stale(flags & TVN_REPLACE_STALE != 0))
}

/// Which direction: shutdown(2)'s numbers.
pub(super) fn direction(how: c_int) -> Result<Shutdown> {
    match how {
        libc::SHUT_RD => Ok(Shutdown::Read),
        libc::SHUT_WR => Ok(Shutdown::Write),
        libc::SHUT_RDWR => Ok(Shutdown::Both),
        _ => Err(Error::new(ErrorKind::Invalid, format!("{how} is no direction; give SHUT_RD, SHUT_WR or SHUT_RDWR"))),
    }
}

/// A descriptor that C gives away.
///
/// # Safety
/// - `fd` is the caller's to give, and nobody uses it afterwards.
pub(super) unsafe fn given(fd: c_int) -> Result<OwnedFd> {
    // SAFETY: the caller's promise; a negative number is refused before.
    unsafe { descriptor(fd).map(|_| OwnedFd::from_raw_fd(fd)) }
}

/// Descriptors to send.
///
/// # Safety
/// - `count` numbers at `fds` may be read; nobody closes them until the reference's last use.
pub(super) unsafe fn descriptors<'a>(fds: *const c_int, count: usize) -> Result<Vec<BorrowedFd<'a>>> {
    if count > DESCRIPTORS_MAX {
        let sentence = format!("{count} descriptors are too many for one message; {DESCRIPTORS_MAX} are the most");
        return Err(Error::new(ErrorKind::TooLarge, sentence));
    }
    if fds.is_null() && count > 0 {
        return Err(crate::argument::null::<c_int>());
    }
    // SAFETY: not NULL unless there are none; the caller promises the rest.
    (0..count).map(|i| unsafe { descriptor(*fds.add(i)) }).collect()
}

/// Receives descriptors by `receive`, which is told how many at most, and hands them over: they are C's from then on.
///
/// # Safety
/// - `capacity` numbers at `fds` may be written, and so may `count` and `cut` unless they are NULL.
pub(super) unsafe fn taking(
    fds: *mut c_int,
    capacity: usize,
    count: *mut usize,
    cut: *mut bool,
    receive: impl FnOnce(usize) -> Result<ReceivedDescriptors>,
) -> Result<usize> {
    // SAFETY: the caller's promise is the one these ask for.
    let (room, count, cut) = unsafe { (array(fds, capacity)?, optional(count), optional(cut)) };
    let received = receive(room.len())?;
    if let Some(count) = count {
        count.write(received.descriptors.len());
    }
    if let Some(cut) = cut {
        cut.write(received.cut);
    }
    for (to, from) in room.iter_mut().zip(received.descriptors) {
        to.write(from.into_raw_fd());
    }
    Ok(received.size)
}
