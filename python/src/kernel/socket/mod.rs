//! Sockets: what all of them have in common.

pub(crate) mod address;
pub(crate) mod datagram;
pub(crate) mod listener;
pub(crate) mod seqpacket;
pub(crate) mod stream;

use crate::error::{count, invalid, whole};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::net::Shutdown;
use std::os::fd::{BorrowedFd, IntoRawFd, RawFd};
use triveni::kernel::{self, BindOptions, Connecting, ReceivedDescriptors};
use triveni::{Deadline, Error, ErrorKind, Result};

/// The longest message that ``receive()`` takes unless told otherwise.
pub(super) const MAX_SIZE: usize = 1 << 24;
/// How many descriptors are taken unless told otherwise.
const DESCRIPTORS: usize = 16;

/// Who is at the other end of a Unix socket, as the kernel knows it.
#[pyclass(frozen, module = "triveni.kernel", get_all)]
pub(crate) struct PeerCredentials {
    /// The process that connected, or listened; 0 if it has no number in this pid namespace.
    pid: u32,
    /// Its effective user.
    uid: u32,
    /// Its effective group.
    gid: u32,
}

#[pymethods]
impl PeerCredentials {
    fn __repr__(&self) -> String {
        format!("<triveni.kernel.PeerCredentials pid {}, user {}, group {}>", self.pid, self.uid, self.gid)
    }
}

impl From<kernel::PeerCredentials> for PeerCredentials {
    fn from(peer: kernel::PeerCredentials) -> PeerCredentials {
        PeerCredentials { pid: peer.pid, uid: peer.uid, gid: peer.gid }
    }
}

fn bind_options(mode: Option<&Bound<'_, PyAny>>, owned: bool, replace_stale: bool) -> PyResult<BindOptions> {
    let options = BindOptions::default().owned(owned).replace_stale(replace_stale);
    Ok(match mode {
        Some(mode) => options.mode(count("mode", mode)?),
        None => options,
    })
}

fn direction(py: Python<'_>, how: &str) -> PyResult<Shutdown> {
    match how {
        "read" => Ok(Shutdown::Read),
        "write" => Ok(Shutdown::Write),
        "both" => Ok(Shutdown::Both),
        other => Err(invalid(py, format!("how {other:?} is no direction; give \"read\", \"write\" or \"both\""))),
    }
}

fn most_bytes(max_size: Option<&Bound<'_, PyAny>>) -> PyResult<usize> {
    max_size.map_or(Ok(MAX_SIZE), |size| whole("max_size", size))
}

fn most_descriptors(most: Option<&Bound<'_, PyAny>>) -> PyResult<usize> {
    most.map_or(Ok(DESCRIPTORS), |most| whole("most", most))
}

/// Goes on connecting, for a wait in slices; what it cannot do without waiting is `None`.
fn go_on<T>(
    connecting: &mut Option<Connecting>,
    until: Option<Deadline>,
    connect_on: fn(&mut Option<Connecting>, Deadline) -> Result<T>,
) -> Result<Option<T>> {
    match connect_on(connecting, until.unwrap_or(Deadline::now())) {
        Err(error) if until.is_none() && error.kind() == ErrorKind::Timeout => Ok(None),
        connected => connected.map(Some),
    }
}

/// What carries messages whose sizes one can ask for.
trait Messages {
    fn size(&self, until: Option<Deadline>) -> Result<Option<usize>>;
    fn take(&self, buffer: &mut [u8], until: Option<Deadline>) -> Result<Option<usize>>;

    /// The next message; `TooLarge` beyond `most` bytes.
    fn message(&self, most: usize, until: Option<Deadline>) -> Result<Option<Vec<u8>>> {
        let mut message = Vec::new();
        let size = self.sized(most, until, |size| {
            message = vec![0; size]; // whose pages are taken as they are written to
            self.take(&mut message, until)
        })?;
        Ok(size.map(|size| {
            message.truncate(size);
            message
        }))
    }

    /// Runs `take` with the size of the next message; again if another receiver was faster and the next one is larger.
    fn sized<T>(
        &self,
        most: usize,
        until: Option<Deadline>,
        mut take: impl FnMut(usize) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        loop {
            let Some(size) = self.size(until)? else { return Ok(None) };
            if size > most {
                let sentence =
                    format!("receive: the message has {size} bytes, more than max_size={most}; it stays, ask for more");
                return Err(Error::new(ErrorKind::TooLarge, sentence));
            }
            match take(size) {
                Err(error) if error.kind() == ErrorKind::TooLarge => {}
                taken => return taken,
            }
        }
    }
}

/// Descriptors to send: numbers, or what has a `fileno()`.
struct Descriptors {
    /// Keeps them open while they are used.
    _owners: Vec<Py<PyAny>>,
    numbers: Vec<RawFd>,
}

impl Descriptors {
    fn of(fds: &Bound<'_, PyAny>) -> PyResult<Descriptors> {
        let (mut owners, mut numbers) = (Vec::new(), Vec::new());
        for fd in fds.try_iter()? {
            let fd = fd?;
            let number: RawFd = match fd.extract::<RawFd>() {
                Ok(number) => number,
                Err(_) if fd.hasattr("fileno")? => fd.call_method0("fileno")?.extract()?,
                Err(_) => return Err(PyTypeError::new_err("descriptors are numbers, or have a fileno()")),
            };
            if number < 0 {
                return Err(invalid(fds.py(), format!("{number} is no descriptor; they begin at 0")));
            }
            numbers.push(number);
            owners.push(fd.unbind());
        }
        Ok(Descriptors { _owners: owners, numbers })
    }

    fn borrowed(&self) -> Vec<BorrowedFd<'_>> {
        // SAFETY: not -1, checked in `of`. Who sends a descriptor has it open, and `self` keeps its owner; for one that is
        // closed meanwhile the system answers EBADF, or another open file goes out: the caller's own doing, as with
        // os.write(fd, …).
        self.numbers.iter().map(|fd| unsafe { BorrowedFd::borrow_raw(*fd) }).collect()
    }
}

/// What a receive gives: the bytes, the descriptors, and whether more came, which are closed.
type WithDescriptors<'py> = (Bound<'py, PyBytes>, Vec<RawFd>, bool);

fn with_descriptors<'py>(py: Python<'py>, bytes: &[u8], received: ReceivedDescriptors) -> WithDescriptors<'py> {
    let bytes = PyBytes::new(py, bytes.get(..received.size).unwrap_or_default());
    (bytes, received.descriptors.into_iter().map(IntoRawFd::into_raw_fd).collect(), received.cut)
}

/// Without a peer there is no address; that is no error for `repr`.
fn shown(address: Result<kernel::SocketAddress>) -> String {
    address.map_or_else(|_| "nobody".to_string(), |address| address.to_string())
}
