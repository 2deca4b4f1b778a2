//! Streams of bytes: whole transfers, and messages in a stream that has none.
//!
//! # The frame
//!
//! A message on a stream is its length in 4 bytes, most significant first (network byte order), and then its bytes.
//! Any program can speak it: in Python `struct.pack("!I", len(m)) + m`, in C `htonl(n)`.
//!
//! # A deadline in the middle
//!
//! Bytes that were taken out of a stream cannot be put back, nor taken back out of it once written. So a reader keeps
//! the part of a message that came before its deadline ([`Inbox`]), and the next receive goes on from there. A writer
//! keeps the part that had no room ([`Outbox`]), and sends it before anything else.
//!
//! # fork
//!
//! A message that a process has begun to send or to receive is that process's. Its child has the same stream and nothing
//! of that message, whether a thread was at it at that moment or a deadline had left it: see [`Turn`].

use super::turn::Turn;
use super::wait::waiting;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use nix::poll::PollFlags;
use std::fmt::Display;
use std::io::IoSlice;
use std::os::fd::BorrowedFd;

/// Bytes before a message: its length.
pub(crate) const HEADER: usize = 4;

/// The reading side of a stream: one descriptor and two ways to read from it.
pub(crate) trait Source {
    /// The descriptor, to sleep on.
    fn fd(&self) -> BorrowedFd<'_>;
    /// Reads some bytes, 0 at the end; `None` if it would have to wait.
    fn read_now(&self, buffer: &mut [u8]) -> Result<Option<usize>>;
    /// Reads some bytes, 0 at the end; waits in the kernel for ever, unless a signal ends that and `until` says that
    /// it may.
    fn read_blocking(&self, buffer: &mut [u8], until: Deadline) -> Result<usize>;
    /// What it is, for sentences: `pipe 7`.
    fn what(&self) -> String;

    /// Reads some bytes, 0 at the end.
    #[inline]
    fn read_some(&self, buffer: &mut [u8], until: Deadline) -> Result<usize> {
        if until.is_never() {
            return self.read_blocking(buffer, until);
        }
        waiting(self.fd(), PollFlags::POLLIN, until, || self.read_now(buffer))
    }

    /// Fills `buffer` from `have` on; counts in `have`, also when it fails. `false` at the end of the stream.
    fn read_on(&self, buffer: &mut [u8], have: &mut usize, until: Option<Deadline>) -> Result<Option<bool>> {
        while let Some(rest) = buffer.get_mut(*have..).filter(|rest| !rest.is_empty()) {
            let n = match until {
                None => match self.read_now(rest)? {
                    Some(n) => n,
                    None => return Ok(None),
                },
                Some(until) => self.read_some(rest, until)?,
            };
            if n == 0 {
                return Ok(Some(false));
            }
            *have += n;
        }
        Ok(Some(true))
    }

    /// Fills the whole buffer.
    fn read_whole(&self, buffer: &mut [u8], until: Deadline) -> Result<()> {
        let (mut have, wanted) = (0, buffer.len());
        let cut = |have: usize, why: &dyn Display| {
            format!("receive {wanted} bytes from {}: {why} after {have} of them", self.what())
        };
        match self.read_on(buffer, &mut have, Some(until)) {
            Ok(Some(true)) => Ok(()),
            Ok(_) => Err(Error::new(ErrorKind::Closed, cut(have, &"the stream ended"))),
            Err(error) if have == 0 => Err(error),
            Err(error) => Err(Error::new(error.kind(), format!("{}; these are in the buffer", cut(have, &error)))),
        }
    }
}

/// The writing side of a stream.
pub(crate) trait Sink {
    /// The descriptor, to sleep on.
    fn fd(&self) -> BorrowedFd<'_>;
    /// Writes as much as there is room for; `None` if there is none.
    fn write_now(&self, bytes: &[IoSlice<'_>]) -> Result<Option<usize>>;
    /// Writes; waits in the kernel for ever, unless a signal ends that and `until` says that it may.
    fn write_blocking(&self, bytes: &[IoSlice<'_>], until: Deadline) -> Result<usize>;
    /// What it is, for sentences: `pipe 7`.
    fn what(&self) -> String;

    /// Writes some bytes.
    #[inline]
    fn write_some(&self, bytes: &[IoSlice<'_>], until: Deadline) -> Result<usize> {
        if until.is_never() {
            return self.write_blocking(bytes, until);
        }
        waiting(self.fd(), PollFlags::POLLOUT, until, || self.write_now(bytes))
    }

    /// Writes all of `parts`; counts in `done`, also when it fails. `None` if no byte could be written without
    /// waiting and there is no deadline.
    fn write_on(&self, parts: [&[u8]; 2], done: &mut usize, until: Option<Deadline>) -> Result<Option<()>> {
        let [head, body] = parts;
        loop {
            let slices = [
                head.get(*done..).unwrap_or_default(),
                body.get(done.saturating_sub(head.len())..).unwrap_or_default(),
            ];
            let slices = slices.map(IoSlice::new);
            let slices = match slices {
                [first, _] if first.is_empty() => slices.get(1..).unwrap_or_default(),
                _ => &slices[..],
            };
            if slices.iter().all(|slice| slice.is_empty()) {
                return Ok(Some(()));
            }
            *done += match until {
                None => match self.write_now(slices)? {
                    Some(n) => n,
                    None => return Ok(None),
                },
                Some(until) => self.write_some(slices, until)?,
            };
        }
    }

    /// Writes all of `bytes`.
    fn write_whole(&self, bytes: &[u8], until: Deadline) -> Result<()> {
        let mut done = 0;
        match self.write_on([bytes, &[]], &mut done, Some(until)) {
            Ok(_) => Ok(()),
            Err(error) if done == 0 => Err(error),
            Err(error) => {
                let (all, what) = (bytes.len(), self.what());
                Err(Error::new(
                    error.kind(),
                    format!("send {all} bytes to {what}: {error} after {done} of them were sent"),
                ))
            }
        }
    }
}

/// What a reader of messages has of the next one.
#[derive(Default)]
pub(crate) struct Inbox {
    header: [u8; HEADER],
    /// How many bytes of the header and, once that is whole, of the message are here.
    have: usize,
    /// The beginning of a message whose rest had not come when the deadline passed.
    kept: Vec<u8>,
}

impl Inbox {
    /// Receives a message into `buffer`; its size. `None` where it would have to wait and there is no deadline.
    ///
    /// # Errors
    /// `Closed` at the end of the stream, also in the middle of a message: the sentence says so. `TooLarge` if the
    /// message is larger than the buffer: it stays, and a larger buffer gets it. `Timeout`; what has come stays.
    pub(crate) fn receive(
        &mut self,
        source: &impl Source,
        buffer: &mut [u8],
        until: Option<Deadline>,
    ) -> Result<Option<usize>> {
        let Some(size) = self.size(source, until)? else { return Ok(None) };
        let Some(message) = buffer.get_mut(..size) else {
            let room = buffer.len();
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "receive from {}: the message has {size} bytes, the buffer {room}; it stays, give it a buffer of {size}",
                    source.what()
                ),
            ));
        };
        let mut have = self.have - HEADER;
        if let Some(begun) = message.get_mut(..have) {
            begun.copy_from_slice(self.kept.get(..have).unwrap_or_default());
        }
        let read = source.read_on(message, &mut have, until);
        match read {
            Ok(Some(true)) => {
                self.have = 0;
                self.kept = Vec::new();
                return Ok(Some(size));
            }
            _ => {
                self.kept = message.get(..have).unwrap_or_default().to_vec();
                self.have = HEADER + have;
            }
        }
        match read? {
            None => Ok(None),
            Some(_) => Err(self.cut(source, &format!("{have} of the {size} bytes of a message"))),
        }
    }

    /// The size of the next message, once its length has come.
    ///
    /// # Errors
    /// As [`Inbox::receive`].
    pub(crate) fn size(&mut self, source: &impl Source, until: Option<Deadline>) -> Result<Option<usize>> {
        if self.have < HEADER {
            match source.read_on(&mut self.header, &mut self.have, until)? {
                None => return Ok(None),
                Some(true) => {}
                Some(false) if self.have == 0 => {
                    return Err(Error::new(
                        ErrorKind::Closed,
                        format!("receive from {}: the stream has ended", source.what()),
                    ));
                }
                Some(false) => {
                    return Err(self.cut(source, &format!("{} of the {HEADER} bytes of a length", self.have)));
                }
            }
        }
        Ok(Some(u32::from_be_bytes(self.header) as usize))
    }

    fn cut(&self, source: &impl Source, after: &str) -> Error {
        Error::new(
            ErrorKind::Closed,
            format!(
                "receive from {}: the stream ended after {after}: its writer died or let go in the middle",
                source.what()
            ),
        )
    }
}

/// What a writer of messages has left of the last one.
#[derive(Default)]
pub(crate) struct Outbox {
    rest: Vec<u8>,
}

impl Outbox {
    /// Sends a message, after the rest of the one before. `None` where it would have to wait and there is no deadline:
    /// nothing of it was sent then. A message whose beginning is out is not taken back: its rest is kept.
    ///
    /// # Errors
    /// `Timeout`: the sentence says whether the message was begun, and `Interrupted` likewise. `TooLarge` beyond 4 GiB.
    pub(crate) fn send(&mut self, sink: &impl Sink, message: &[u8], until: Option<Deadline>) -> Result<Option<()>> {
        let Ok(size) = u32::try_from(message.len()) else {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!("send {} bytes to {} as one message: {} are the most", message.len(), sink.what(), u32::MAX),
            ));
        };
        if !self.rest.is_empty() && self.flush(sink, until)?.is_none() {
            return Ok(None);
        }
        let header = size.to_be_bytes();
        let mut done = 0;
        let sent = sink.write_on([&header, message], &mut done, until);
        if done == 0 || matches!(sent, Ok(Some(()))) {
            return sent;
        }
        self.rest =
            [header.get(done..).unwrap_or_default(), message.get(done.saturating_sub(HEADER)..).unwrap_or_default()]
                .concat();
        let error = match sent {
            Ok(_) => return Ok(Some(())),
            Err(error) => error,
        };
        let (all, left) = (message.len(), self.rest.len());
        Err(Error::new(
            error.kind(),
            format!(
                "send {all} bytes to {}: {error} in the middle; {left} bytes are kept and go before the next message, or with flush; do not send it again",
                sink.what()
            ),
        ))
    }

    /// Sends what is left of the last message; `None` where it would have to wait and there is no deadline.
    pub(crate) fn flush(&mut self, sink: &impl Sink, until: Option<Deadline>) -> Result<Option<()>> {
        let mut done = 0;
        let sent = sink.write_on([&self.rest, &[]], &mut done, until);
        self.rest.drain(..done.min(self.rest.len()));
        sent
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }
}

impl Turn<Inbox> {
    /// [`Inbox::receive`], in turn.
    pub(crate) fn receive(
        &self,
        source: &impl Source,
        buffer: &mut [u8],
        until: Option<Deadline>,
    ) -> Result<Option<usize>> {
        let Some(mut inbox) = self.take(until)? else { return Ok(None) };
        inbox.receive(source, buffer, until)
    }

    /// [`Inbox::size`], in turn.
    pub(crate) fn size(&self, source: &impl Source, until: Option<Deadline>) -> Result<Option<usize>> {
        let Some(mut inbox) = self.take(until)? else { return Ok(None) };
        inbox.size(source, until)
    }
}

impl Turn<Outbox> {
    /// [`Outbox::send`], in turn.
    pub(crate) fn send(&self, sink: &impl Sink, message: &[u8], until: Option<Deadline>) -> Result<Option<()>> {
        let Some(mut outbox) = self.take(until)? else { return Ok(None) };
        outbox.send(sink, message, until)
    }

    /// [`Outbox::flush`], in turn.
    pub(crate) fn flush(&self, sink: &impl Sink, until: Option<Deadline>) -> Result<Option<()>> {
        let Some(mut outbox) = self.take(until)? else { return Ok(None) };
        outbox.flush(sink, until)
    }

    /// [`Outbox::left`], in turn.
    pub(crate) fn left(&self, until: Option<Deadline>) -> Result<Option<usize>> {
        Ok(self.take(until)?.map(|outbox| outbox.left()))
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
