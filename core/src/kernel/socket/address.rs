//! Where a socket is: one text for every family.
//!
//! | text                  | what it names                                                        |
//! |-----------------------|----------------------------------------------------------------------|
//! | `tcp:127.0.0.1:7777`  | a port of TCP; port 0 lets the kernel choose one                     |
//! | `udp:[::1]:9000`      | a port of UDP, over IPv6                                             |
//! | `unix:/tmp/x.sock`    | a socket file                                                        |
//! | `unix:@name`          | an abstract name: no file, gone with the last socket that has it     |
//! | `unix:`               | no name; bound, the kernel chooses an abstract one                   |
//!
//! Whether a Unix address is a stream, datagram or seqpacket socket's is said by the type that uses it. `\x00` in a
//! name is the byte 0, and so for every byte that is no printable text; an address prints as what parses to it again.

use crate::error::{Error, ErrorKind, Result};
use std::ffi::OsStr;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::FromStr;

/// The address of a socket; see the table above for its text.
///
/// ```
/// use triveni::kernel::SocketAddress;
/// let address: SocketAddress = "tcp:127.0.0.1:7777".parse()?;
/// assert_eq!(address.port(), Some(7777));
/// assert_eq!(address.to_string(), "tcp:127.0.0.1:7777");
/// # Ok::<(), triveni::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SocketAddress(pub(super) Place);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Tcp(SocketAddr),
    Udp(SocketAddr),
    Path(Name),
    Abstract(Name),
    Unnamed,
}

/// The bytes of a Unix address.
#[derive(Clone, Copy)]
pub(super) struct Name {
    /// At most [`SocketAddress::PATH_MAX`].
    size: u8,
    bytes: [u8; SocketAddress::PATH_MAX],
}

impl Name {
    /// `None` if it is too long.
    pub(super) fn of(bytes: &[u8]) -> Option<Name> {
        let mut name = Name { size: u8::try_from(bytes.len()).ok()?, bytes: [0; SocketAddress::PATH_MAX] };
        name.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(name)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.size.into()).unwrap_or_default()
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes().hash(state);
    }
}

impl SocketAddress {
    /// The most bytes of a path: all of `sun_path`. The kernel needs no NUL at its end, but other programs may.
    pub const PATH_MAX: usize = 108;
    /// The most bytes of an abstract name: a NUL before it marks it as one.
    pub const NAME_MAX: usize = SocketAddress::PATH_MAX - 1;
    /// Enough bytes for any address as text, with a NUL at its end.
    pub const TEXT_MAX: usize = "unix:".len() + "\\x00".len() * SocketAddress::PATH_MAX + 1;

    /// A port of TCP.
    pub const fn tcp(address: SocketAddr) -> SocketAddress {
        SocketAddress(Place::Tcp(address))
    }

    /// A port of UDP.
    pub const fn udp(address: SocketAddr) -> SocketAddress {
        SocketAddress(Place::Udp(address))
    }

    /// A socket file.
    ///
    /// # Errors
    /// `Invalid` if the path is empty, longer than [`SocketAddress::PATH_MAX`] bytes, or has a NUL in it.
    pub fn unix(path: impl AsRef<Path>) -> Result<SocketAddress> {
        let path = path.as_ref();
        let bytes = path.as_os_str().as_bytes();
        if bytes.is_empty() || bytes.contains(&0) {
            return Err(invalid(format!(
                "{path:?} is no path of a socket: it is empty, or has a NUL in it; give the path of a file"
            )));
        }
        let name = Name::of(bytes).ok_or_else(|| {
            invalid(format!(
                "the path {path:?} has {} bytes, and a socket's has at most {}; take a shorter one, one relative to the \
                 working directory, or an abstract name (unix:@name)",
                bytes.len(),
                SocketAddress::PATH_MAX
            ))
        })?;
        Ok(SocketAddress(Place::Path(name)))
    }

    /// An abstract name: it needs no file, and is gone with the last socket that is bound to it. Anybody in the same
    /// network namespace may connect to it.
    ///
    /// # Errors
    /// `Invalid` if it is longer than [`SocketAddress::NAME_MAX`] bytes.
    pub fn unix_abstract(name: impl AsRef<[u8]>) -> Result<SocketAddress> {
        let bytes = name.as_ref();
        let name = Name::of(bytes).filter(|_| bytes.len() <= SocketAddress::NAME_MAX).ok_or_else(|| {
            invalid(format!(
                "the abstract name @{} has {} bytes, and {} are the most; take a shorter one",
                bytes.escape_ascii(),
                bytes.len(),
                SocketAddress::NAME_MAX
            ))
        })?;
        Ok(SocketAddress(Place::Abstract(name)))
    }

    /// The Unix address without a name: a socket bound to it gets an abstract name that nobody has.
    pub const fn unix_unnamed() -> SocketAddress {
        SocketAddress(Place::Unnamed)
    }

    /// The address and port, of TCP or UDP.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self.0 {
            Place::Tcp(address) | Place::Udp(address) => Some(address),
            _ => None,
        }
    }

    /// The port, of TCP or UDP.
    pub fn port(&self) -> Option<u16> {
        self.ip().map(|address| address.port())
    }

    /// The socket file, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Place::Path(name) => Some(Path::new(OsStr::from_bytes(name.bytes()))),
            _ => None,
        }
    }

    /// The abstract name, if it is one.
    pub fn abstract_name(&self) -> Option<&[u8]> {
        match &self.0 {
            Place::Abstract(name) => Some(name.bytes()),
            _ => None,
        }
    }

    /// Is it a port of TCP?
    pub fn is_tcp(&self) -> bool {
        matches!(self.0, Place::Tcp(_))
    }

    /// Is it a port of UDP?
    pub fn is_udp(&self) -> bool {
        matches!(self.0, Place::Udp(_))
    }

    /// Is it a Unix address, named or not?
    pub fn is_unix(&self) -> bool {
        !matches!(self.0, Place::Tcp(_) | Place::Udp(_))
    }
}

impl FromStr for SocketAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<SocketAddress> {
        match text.split_once(':') {
            Some(("tcp", rest)) => ip(text, rest).map(SocketAddress::tcp),
            Some(("udp", rest)) => ip(text, rest).map(SocketAddress::udp),
            Some(("unix", "")) => Ok(SocketAddress::unix_unnamed()),
            Some(("unix", rest)) => match rest.strip_prefix('@') {
                Some(name) => SocketAddress::unix_abstract(unescaped(name)),
                None => SocketAddress::unix(OsStr::from_bytes(&unescaped(rest))),
            },
            _ => Err(invalid(format!(
                "{text:?} is no address; write tcp:127.0.0.1:7777, udp:[::1]:9000, unix:/path or unix:@name"
            ))),
        }
    }
}

fn ip(text: &str, rest: &str) -> Result<SocketAddr> {
    if let Ok(address) = rest.parse() {
        return Ok(address);
    }
    let Some((host, port)) = rest.rsplit_once(':').filter(|(host, _)| !host.is_empty()) else {
        return Err(invalid(format!(
            "{text:?} is no address: write HOST:PORT, as in tcp:127.0.0.1:7777 or udp:[::1]:9000"
        )));
    };
    let Ok(port) = port.parse::<u16>() else {
        return Err(invalid(format!("{text:?} is no address: {port:?} is no port; they are numbers from 0 to 65535")));
    };
    if host == "localhost" {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    Err(invalid(match host.parse::<Ipv6Addr>() {
        Ok(_) => format!("{text:?} is no address: write an IPv6 address in brackets, as in [{host}]:{port}"),
        Err(_) => format!(
            "{text:?} is no address: {host:?} is no IP address; a name has to be looked up first (getent ahosts {host})"
        ),
    }))
}

impl fmt::Display for SocketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Tcp(address) => write!(f, "tcp:{address}"),
            Place::Udp(address) => write!(f, "udp:{address}"),
            Place::Unnamed => f.write_str("unix:"),
            Place::Abstract(name) => f.write_str("unix:@").and_then(|()| escaped(f, name.bytes())),
            Place::Path(name) => {
                f.write_str("unix:")?;
                match name.bytes() {
                    [b'@', rest @ ..] => f.write_str("\\x40").and_then(|()| escaped(f, rest)),
                    bytes => escaped(f, bytes),
                }
            }
        }
    }
}

impl fmt::Debug for SocketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SocketAddress({self})")
    }
}

/// Writes bytes as text: those that are none as `\xNN`, and a backslash where it would be read as the begin of one.
fn escaped(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        let mut letters = chunk.valid().chars().peekable();
        while let Some(letter) = letters.next() {
            match letter {
                '\\' if letters.peek() == Some(&'x') => f.write_str("\\x5c")?,
                letter if letter.is_ascii_control() => write!(f, "\\x{:02x}", u32::from(letter))?,
                letter => write!(f, "{letter}")?,
            }
        }
        for byte in chunk.invalid() {
            write!(f, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

/// What [`escaped`] made text of.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        let (byte, after) = match rest {
            [b'\\', b'x', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (16 * digit(*high) + digit(*low), after)
            }
            [byte, after @ ..] => (*byte, after),
            [] => return bytes,
        };
        bytes.push(byte);
        rest = after;
    }
}

fn digit(hex: u8) -> u8 {
    char::from(hex).to_digit(16).map_or(0, |digit| digit as u8)
}

/// What can be taken for an address: one, or its text.
pub trait ToSocketAddress {
    /// The address.
    ///
    /// # Errors
    /// `Invalid` for a text that is none.
    fn to_socket_address(&self) -> Result<SocketAddress>;
}

impl ToSocketAddress for SocketAddress {
    fn to_socket_address(&self) -> Result<SocketAddress> {
        Ok(*self)
    }
}

impl ToSocketAddress for str {
    fn to_socket_address(&self) -> Result<SocketAddress> {
        self.parse()
    }
}

impl ToSocketAddress for String {
    fn to_socket_address(&self) -> Result<SocketAddress> {
        self.parse()
    }
}

impl<T: ToSocketAddress + ?Sized> ToSocketAddress for &T {
    fn to_socket_address(&self) -> Result<SocketAddress> {
        (**self).to_socket_address()
    }
}

#[cold]
fn invalid(sentence: String) -> Error {
    Error::new(ErrorKind::Invalid, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn same(text: &str) {
        assert_eq!(text.parse::<SocketAddress>().unwrap().to_string(), text);
    }

    fn refused(text: &str, why: &str) {
        let error = text.parse::<SocketAddress>().unwrap_err();
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains(why), "{text}: {error}");
    }

    #[test]
    fn an_address_prints_as_what_was_parsed() {
        for text in [
            "tcp:127.0.0.1:7777",
            "udp:[::1]:9000",
            "tcp:[fe80::1%2]:1",
            "unix:/tmp/x.sock",
            "unix:x",
            "unix:@abstract",
            "unix:@",
            "unix:",
        ] {
            same(text);
        }
        same("unix:/tmp/a b:c@d/é");
        same("unix:@zero\\x00within");
        same("unix:\\x40path");
        same("unix:c:\\dir"); // a backslash is itself where nothing else can be meant
        assert_eq!("tcp:localhost:80".parse::<SocketAddress>().unwrap().to_string(), "tcp:127.0.0.1:80");
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_remedy() {
        refused("127.0.0.1:80", "write tcp:");
        refused("tcp:7777", "HOST:PORT");
        refused("tcp::7777", "HOST:PORT");
        refused("udp:127.0.0.1:65536", "0 to 65535");
        refused("tcp:example.org:80", "getent ahosts example.org");
        refused("tcp:::1:80", "in brackets");
        refused(&format!("unix:/{}", "x".repeat(108)), "has 109 bytes, and a socket's has at most 108");
        refused(&format!("unix:@{}", "x".repeat(108)), "107 are the most");
        refused("unix:a\\x00b", "NUL");
        same(&format!("unix:/{}", "x".repeat(107)));
        same(&format!("unix:@{}", "x".repeat(107)));
    }

    proptest! {
        #[test]
        fn any_unix_name_survives_its_text(bytes in prop::collection::vec(any::<u8>(), 1..=SocketAddress::PATH_MAX), is_path: bool) {
            let address = if is_path { SocketAddress::unix(OsStr::from_bytes(&bytes)) } else { SocketAddress::unix_abstract(&bytes) };
            if let Ok(address) = address {
                let text = address.to_string();
                prop_assert!(text.len() < SocketAddress::TEXT_MAX);
                prop_assert_eq!(text.parse::<SocketAddress>().unwrap(), address);
            } else {
                let refused = if is_path { bytes.contains(&0) } else { bytes.len() > SocketAddress::NAME_MAX };
                prop_assert!(refused);
            }
        }

        #[test]
        fn any_text_is_an_address_or_an_error(text in "(tcp:|udp:|unix:|unix:@|)\\PC{0,40}") {
            if let Ok(address) = text.parse::<SocketAddress>() {
                prop_assert_eq!(address.to_string().parse::<SocketAddress>().unwrap(), address);
            }
        }
    }
}
