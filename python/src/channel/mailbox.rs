//! A mailbox: messages from any number of senders to any number of receivers, and room in it, lent.

use super::grant::{Grant, Lender};
use crate::buffer::{Input, Output, Refused, Room, with_scratch};
use crate::data::types::Type;
use crate::error::{call, count, invalid, is_closed, to_py, whole};
use crate::segment::{Reduced, address, reduce};
use crate::wait::{briefly, deadline, sleeping, trying, waiting};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use std::borrow::Cow;
use std::ffi::c_int;
use std::sync::Arc;
use triveni::{
    Capacity, Deadline, Envelope, Error, ErrorKind, MailboxOptions, Order, RawLoan, Received, Result, Select,
};

/// A queue of messages that Rust, C and Python processes share: any number of senders and receivers.
///
/// ``Segment.mailbox(name, capacity=10, message_size=256)`` finds or creates it: with capacity 0 a send returns when a
/// receiver has the message; ``unbounded=True`` makes the capacity a ceiling, and memory is taken as it is needed;
/// ``order="priority"`` receives by priority, or by type, instead of first in, first out. ``send`` takes anything that
/// has contiguous bytes; ``receive`` gives ``bytes``. ``reserve(size)`` lends room to be written in place, ``borrow()``
/// a message to be read there; ``send_many`` and ``receive_many`` move several at once. ``len(mailbox)`` counts messages.
/// ``for message in mailbox`` receives until the mailbox is shut down and empty.
///
/// Threads: any number may use one mailbox at once. fork: the child goes on using it. pickle: by name.
/// A message that a dead receiver held is delivered again; ``receive_info`` tells.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Mailbox {
    segment: triveni::Segment,
    mailbox: triveni::Mailbox,
}

/// Bytes that a batch of messages has at most, unless one of them has more.
const BATCH: usize = 1 << 20;

/// What ``Segment.mailbox`` was given; the rest is as it is there, or by default.
#[derive(Clone)]
pub(crate) struct Wished {
    capacity: Option<usize>,
    message_size: Option<usize>,
    order: Option<Order>,
    unbounded: Option<bool>,
    max_deliveries: Option<u16>,
    type_tag: String,
    /// Bytes of a message, where one is made and nobody says how many.
    usual_size: usize,
}

impl Wished {
    pub(crate) fn of(
        py: Python<'_>,
        name: &str,
        sizes: [Option<&Bound<'_, PyAny>>; 3],
        order: Option<&str>,
        unbounded: Option<bool>,
        r#type: Option<&Bound<'_, PyAny>>,
        type_tag: Option<&str>,
    ) -> PyResult<Wished> {
        let typed = Type::given(py, ("mailbox", name), r#type, type_tag)?;
        let [capacity, message_size, max_deliveries] = sizes;
        let order = match order {
            None => None,
            Some(name) => Some(
                [Order::Fifo, Order::Priority]
                    .into_iter()
                    .find(|o| o.name() == name)
                    .ok_or_else(|| invalid(py, format!("no order is called {name:?}; give 'fifo' or 'priority'")))?,
            ),
        };
        let max_deliveries = match max_deliveries.map(|n| whole("max_deliveries", n)).transpose()? {
            None => None,
            Some(n) => Some(u16::try_from(n).map_err(|_| {
                invalid(py, format!("max_deliveries {n} is out of range; give a whole number from 0 to {}", u16::MAX))
            })?),
        };
        Ok(Wished {
            capacity: capacity.map(|n| whole("capacity", n)).transpose()?,
            message_size: message_size.map(|n| whole("message_size", n)).transpose()?,
            order,
            unbounded,
            max_deliveries,
            usual_size: if r#type.is_some() { typed.size(py)?.unwrap_or(256) } else { 256 },
            type_tag: typed.tag,
        })
    }

    /// These over `others`.
    fn over<'a>(&'a self, others: MailboxOptions<'a>) -> MailboxOptions<'a> {
        let was_unbounded = matches!(others.capacity, Capacity::Unbounded { .. });
        let capacity = self.capacity.unwrap_or(others.capacity.most());
        MailboxOptions {
            capacity: match self.unbounded.unwrap_or(was_unbounded) {
                true => Capacity::Unbounded { ceiling: capacity },
                false => Capacity::from(capacity),
            },
            message_size: self.message_size.unwrap_or(others.message_size),
            order: self.order.unwrap_or(others.order),
            max_deliveries: self.max_deliveries.unwrap_or(others.max_deliveries),
            type_tag: &self.type_tag,
        }
    }

    /// Creates a mailbox with these.
    pub(crate) fn create(&self, segment: &triveni::Segment, name: &str) -> Result<triveni::Mailbox> {
        segment.create_mailbox_with(name, self.over(MailboxOptions::new(10, self.usual_size)))
    }

    /// Opens a mailbox with which these agree.
    pub(crate) fn open(&self, segment: &triveni::Segment, name: &str) -> Result<triveni::Mailbox> {
        let there = segment.open_mailbox(name)?;
        let as_it_is = there.options();
        let wished = self.over(as_it_is);
        if wished == as_it_is { Ok(there) } else { segment.mailbox_with(name, wished) }
    }
}

/// What is written on a message, from the arguments of ``send``.
#[inline]
fn envelope(priority: Option<&Bound<'_, PyAny>>, mtype: Option<&Bound<'_, PyAny>>) -> PyResult<Envelope> {
    if priority.is_none() && mtype.is_none() {
        return Ok(Envelope::default());
    }
    let number = |what, n: Option<&Bound<'_, PyAny>>| n.map_or(Ok(0), |n| count(what, n));
    // What is too high for 16 bits is too high for core, which says so.
    let priority = u16::try_from(number("priority", priority)?).unwrap_or(u16::MAX);
    Ok(Envelope { priority, mtype: number("mtype", mtype)? })
}

/// Which message is wanted, from the arguments of ``receive``.
#[inline]
fn select(
    py: Python<'_>,
    mtype: Option<&Bound<'_, PyAny>>,
    except_mtype: Option<&Bound<'_, PyAny>>,
) -> PyResult<Select> {
    match (mtype, except_mtype) {
        (None, None) => Ok(Select::Any),
        (Some(_), Some(_)) => Err(invalid(py, "give mtype or except_mtype, not both")),
        (None, Some(unwanted)) => count("except_mtype", unwanted).map(Select::Except),
        (Some(mtype), None) => match mtype.extract::<i64>()? {
            0 => Ok(Select::Any),
            n if n.unsigned_abs() > u32::MAX.into() => {
                Err(invalid(py, format!("mtype {n} is out of range; types go from 1 to {}", u32::MAX)))
            }
            n @ 1.. => Ok(Select::Type(n as u32)),
            n => Ok(Select::UpTo(n.unsigned_abs() as u32)),
        },
    }
}

/// How a message is read: taken, or only looked at.
#[derive(Clone, Copy)]
enum Reading {
    Receive(Select),
    Peek,
}

impl Mailbox {
    pub(crate) fn new(segment: triveni::Segment, mailbox: triveni::Mailbox) -> Mailbox {
        Mailbox { segment, mailbox }
    }

    pub(crate) fn core(&self) -> &triveni::Mailbox {
        &self.mailbox
    }

    #[inline]
    fn attempt_send(&self, message: &[u8], envelope: Envelope, until: Option<Deadline>) -> Result<Option<()>> {
        if envelope != Envelope::default() {
            return self.attempt_send_with(message, envelope, until);
        }
        match until {
            None => Ok(self.mailbox.try_send(message)?.then_some(())),
            Some(until) => self.mailbox.send_until(message, until).map(Some),
        }
    }

    fn attempt_send_with(&self, message: &[u8], envelope: Envelope, until: Option<Deadline>) -> Result<Option<()>> {
        match until {
            None => Ok(self.mailbox.try_send_with(message, envelope)?.then_some(())),
            Some(until) => self.mailbox.send_with_until(message, envelope, until).map(Some),
        }
    }

    /// The first message as bytes, if there is one: copied once, into the object that Python gets.
    #[inline]
    fn first<'py>(&self, py: Python<'py>, select: Select) -> PyResult<Option<Bound<'py, PyBytes>>> {
        if self.mailbox.capacity() == 0 {
            return self.bytes(py, Reading::Receive(select), None); // its sender may take it back meanwhile
        }
        let Some(lent) = call(py, || self.mailbox.try_borrow_selected(select))? else { return Ok(None) };
        // Making bytes runs no other Python code and keeps the interpreter: the claim is short. If there is no memory,
        // the message goes back.
        let mut copied = Ok(());
        let bytes = PyBytes::new_with(py, lent.size(), |room| {
            copied = lent.read(0, room);
            Ok(())
        })?;
        call(py, || copied.and_then(|()| lent.release()))?;
        Ok(Some(bytes))
    }

    /// Receives at most `most` messages; waits for the first if there is a deadline.
    fn many<T>(
        &self,
        py: Python<'_>,
        most: usize,
        until: Option<Deadline>,
        done: impl FnOnce(&[u8], &[Received]) -> PyResult<T>,
    ) -> PyResult<T> {
        let each = self.mailbox.message_size();
        // At most a MiB at once: the rest is there the next time.
        let most = most.min((BATCH / each).max(1));
        let mut received = vec![Received::default(); most];
        with_scratch(most * each, |scratch| {
            let attempt = |until: Option<Deadline>| {
                let n = match until {
                    None => self.mailbox.try_receive_many(scratch, &mut received)?,
                    Some(until) => self.mailbox.receive_many_until(scratch, &mut received, until)?,
                };
                Ok(Some(n).filter(|n| *n > 0 || most == 0))
            };
            let n = match until {
                None => trying(py, attempt)?.unwrap_or(0),
                Some(end) => waiting(py, end, attempt)?,
            };
            done(scratch, received.get(..n).unwrap_or_default())
        })
    }

    /// Receives at most `most` messages as a list of bytes.
    fn list<'py>(&self, py: Python<'py>, most: usize, until: Option<Deadline>) -> PyResult<Bound<'py, PyList>> {
        let each = self.mailbox.message_size();
        self.many(py, most, until, |scratch, received| {
            let bytes = scratch.chunks_exact(each).zip(received);
            PyList::new(
                py,
                bytes
                    .map(|(room, received)| PyBytes::new(py, room.get(..received.size).unwrap_or(room)))
                    .collect::<Vec<_>>(),
            )
        })
    }

    /// Receives as many messages as fit in `buffer`, each in a place of its own, the rest of which is zero.
    fn many_into(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>, until: Option<Deadline>) -> PyResult<usize> {
        let output = Output::of(buffer)?;
        let each = self.mailbox.message_size();
        let most = output.size() / each;
        if most == 0 {
            let sentence = format!(
                "mailbox {}: the buffer holds {} bytes, a message up to {each}; give a larger one",
                address(&self.segment, self.mailbox.name()),
                output.size()
            );
            return Err(to_py(py, Error::new(ErrorKind::TooLarge, sentence)));
        }
        let mut whole = Vec::new();
        let n = self.many(py, most, until, |scratch, received| {
            for (room, received) in scratch.chunks_exact(each).zip(received) {
                whole.extend_from_slice(room.get(..received.size).unwrap_or(room));
                whole.resize(whole.len().next_multiple_of(each), 0);
                if received.size == 0 {
                    whole.resize(whole.len() + each, 0);
                }
            }
            Ok(received.len())
        })?;
        output.fill(py, &whole);
        Ok(n)
    }

    fn sending<R>(
        &self,
        py: Python<'_>,
        messages: &Bound<'_, PyAny>,
        send: impl FnOnce(&[Cow<'_, [u8]>]) -> PyResult<R>,
    ) -> PyResult<R> {
        let inputs = messages.try_iter()?.map(|message| Input::of(&message?)).collect::<PyResult<Vec<_>>>()?;
        let messages: Vec<Cow<'_, [u8]>> = inputs.iter().map(|input| input.kept(py)).collect();
        send(&messages)
    }

    #[inline]
    fn attempt_borrow(&self, select: Select, until: Option<Deadline>) -> Result<Option<Borrowed>> {
        let lent = match until {
            None => self.mailbox.try_borrow_selected(select)?,
            Some(until) => Some(self.mailbox.borrow_selected_until(select, until)?),
        };
        Ok(lent.map(|lent| {
            let (at, received) = (lent.as_ptr().cast_mut(), lent.received());
            let raw = lent.into_raw();
            // SAFETY: `at` points to `size` bytes of the place that `raw` claims, valid until the claim is released or
            // given back. That happens in `Taken` only, after the room has ended; and its mailbox keeps the mapping
            // until then, as a view keeps the borrowed message. Nothing is written: the room is read-only.
            let room = Arc::new(unsafe { Room::new(at, received.size, false) });
            Borrowed { grant: Grant::new(Taken { mailbox: self.mailbox.clone(), raw }, room), received }
        }))
    }

    #[inline]
    fn attempt_read(&self, reading: Reading, buffer: &mut [u8], until: Option<Deadline>) -> Result<Option<Received>> {
        match (reading, until) {
            (Reading::Receive(select), None) => self.mailbox.try_receive_selected(select, buffer),
            (Reading::Receive(select), Some(until)) => {
                self.mailbox.receive_selected_until(select, buffer, until).map(Some)
            }
            (Reading::Peek, None) => self.mailbox.try_peek(buffer),
            (Reading::Peek, Some(until)) => self.mailbox.peek_until(buffer, until).map(Some),
        }
    }

    /// Reads the oldest message and gives it to `done`; waits if there is a deadline, answers `None` if not.
    fn read<T>(
        &self,
        py: Python<'_>,
        reading: Reading,
        until: Option<Deadline>,
        done: impl FnOnce(&[u8], Received) -> PyResult<T>,
    ) -> PyResult<Option<T>> {
        with_scratch(self.mailbox.message_size(), |scratch| {
            let received = match until {
                None => trying(py, |until| self.attempt_read(reading, scratch, until))?,
                Some(end) => Some(waiting(py, end, |until| self.attempt_read(reading, scratch, until))?),
            };
            let Some(received) = received else { return Ok(None) };
            let message = scratch.get(..received.size).ok_or_else(|| to_py(py, ErrorKind::Corrupt.into()))?;
            done(message, received).map(Some)
        })
    }

    fn bytes<'py>(
        &self,
        py: Python<'py>,
        reading: Reading,
        until: Option<Deadline>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.read(py, reading, until, |message, _| Ok(PyBytes::new(py, message)))
    }

    fn info<'py>(&self, py: Python<'py>, until: Option<Deadline>) -> PyResult<Option<(Bound<'py, PyBytes>, u16)>> {
        self.read(py, Reading::Receive(Select::Any), until, |message, received| {
            Ok((PyBytes::new(py, message), received.redelivered))
        })
    }

    fn envelope<'py>(
        &self,
        py: Python<'py>,
        select: Select,
        until: Option<Deadline>,
    ) -> PyResult<Option<(Bound<'py, PyBytes>, u16, u32)>> {
        self.read(py, Reading::Receive(select), until, |message, received| {
            Ok((PyBytes::new(py, message), received.priority, received.mtype))
        })
    }

    fn into(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>, until: Option<Deadline>) -> PyResult<Option<usize>> {
        let output = Output::of(buffer)?;
        let (size, most) = (output.size(), self.mailbox.message_size());
        if size < most {
            let sentence = format!(
                "mailbox {}: the buffer holds {size} bytes, a message up to {most}; give a larger one",
                address(&self.segment, self.mailbox.name())
            );
            return Err(to_py(py, Error::new(ErrorKind::TooLarge, sentence)));
        }
        self.read(py, Reading::Receive(Select::Any), until, |message, _| {
            output.fill(py, message);
            Ok(message.len())
        })
    }

    #[inline]
    fn attempt_reserve(&self, size: usize, until: Option<Deadline>) -> Result<Option<Loan>> {
        let loan = match until {
            None => self.mailbox.try_reserve(size)?,
            Some(until) => Some(self.mailbox.reserve_until(size, until)?),
        };
        Ok(loan.map(|mut loan| {
            let (at, size) = (loan.as_mut_ptr(), loan.size());
            let raw = loan.into_raw();
            // SAFETY: `at` points to `size` bytes of the slot that `raw` claims, valid until the claim is committed or
            // cancelled. That happens in `Claim` only, after the room has ended; and its mailbox keeps the mapping
            // until then, as a view keeps the loan.
            let room = Arc::new(unsafe { Room::new(at, size, true) });
            Loan(Grant::new(Claim { mailbox: self.mailbox.clone(), raw }, room))
        }))
    }
}

/// What waiting calls give: an attempt with a deadline ends with a value or an error.
fn always<T>(py: Python<'_>, value: Option<T>) -> PyResult<T> {
    value.ok_or_else(|| to_py(py, ErrorKind::Timeout.into()))
}

#[pymethods]
impl Mailbox {
    /// Sends a copy of ``message``; waits for room. ``TimeoutError`` once ``timeout`` seconds have passed. A mailbox of
    /// order ``"priority"`` takes a priority from 0 to 32767, as mq_send(3), and a type ``mtype`` from 1 on, as msgsnd(2).
    #[pyo3(signature = (message, timeout=None, *, priority=None, mtype=None))]
    fn send(
        &self,
        py: Python<'_>,
        message: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
        priority: Option<&Bound<'_, PyAny>>,
        mtype: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let envelope = envelope(priority, mtype)?;
        let input = Input::of(message)?;
        let until = deadline(py, timeout)?;
        let attempt = || trying(py, |_| self.attempt_send(input.bytes(py), envelope, None));
        if self.mailbox.capacity() > 0 && briefly(attempt)?.is_some() {
            return Ok(());
        }
        let message = input.kept(py);
        // At a rendezvous there is no first attempt: it would wait a little for a receiver that is there.
        sleeping(py, until, |until| self.attempt_send(&message, envelope, until))
    }

    /// Sends a copy of ``message`` if there is room; says whether it did.
    #[pyo3(signature = (message, *, priority=None, mtype=None))]
    fn try_send(
        &self,
        py: Python<'_>,
        message: &Bound<'_, PyAny>,
        priority: Option<&Bound<'_, PyAny>>,
        mtype: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let envelope = envelope(priority, mtype)?;
        let input = Input::of(message)?;
        Ok(trying(py, |_| self.attempt_send(input.bytes(py), envelope, None))?.is_some())
    }

    /// At a rendezvous: puts a copy of ``message`` down for a receiver, if there is a place.
    fn _offer(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<Option<Offer>> {
        let input = Input::of(message)?;
        Ok(call(py, || self.mailbox.try_offer(input.bytes(py)))?.map(Offer))
    }

    /// Sends copies of ``messages`` in their order; waits for room. Returns how many were sent: fewer than all if the
    /// time was up, or the mailbox was shut down, after the first.
    #[pyo3(signature = (messages, timeout=None))]
    fn send_many(
        &self,
        py: Python<'_>,
        messages: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let until = deadline(py, timeout)?;
        self.sending(py, messages, |messages| {
            let mut sent = trying(py, |_| self.mailbox.try_send_many(messages).map(Some))?.unwrap_or(0);
            while let Some(rest) = messages.get(sent..).filter(|rest| !rest.is_empty()) {
                match sleeping(py, until, |until| match until {
                    None => Ok(None),
                    Some(until) => self.mailbox.send_many_until(rest, until).map(Some),
                }) {
                    // Fewer than all: a slice of the wait was over, or the time is up, which the next round says.
                    Ok(more) => sent += more,
                    Err(_) if sent > 0 => break,
                    Err(error) => return Err(error),
                }
            }
            Ok(sent)
        })
    }

    /// Sends as many of ``messages`` as there is room for; returns how many.
    fn try_send_many(&self, py: Python<'_>, messages: &Bound<'_, PyAny>) -> PyResult<usize> {
        self.sending(py, messages, |messages| call(py, || self.mailbox.try_send_many(messages)))
    }

    /// Receives the first message; waits for one. ``TimeoutError`` once ``timeout`` seconds have passed; ``Closed`` when
    /// the mailbox was shut down and is empty.
    ///
    /// In a mailbox of order ``"priority"``, ``mtype`` selects as msgrcv(2) does: n is the first of type n, -n the first of
    /// the lowest type from 1 to n, 0 any; ``except_mtype=n`` the first of another type.
    #[pyo3(signature = (timeout=None, *, mtype=None, except_mtype=None))]
    fn receive<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<&Bound<'_, PyAny>>,
        mtype: Option<&Bound<'_, PyAny>>,
        except_mtype: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let (select, until) = (select(py, mtype, except_mtype)?, deadline(py, timeout)?);
        if let Some(message) = briefly(|| self.first(py, select))? {
            return Ok(message);
        }
        let message = self.bytes(py, Reading::Receive(select), Some(until))?;
        always(py, message)
    }

    /// Receives the first message, or ``None`` if there is none.
    #[pyo3(signature = (*, mtype=None, except_mtype=None))]
    fn try_receive<'py>(
        &self,
        py: Python<'py>,
        mtype: Option<&Bound<'_, PyAny>>,
        except_mtype: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.first(py, select(py, mtype, except_mtype)?)
    }

    /// As ``receive``, with what is written on the message: ``(message, priority, mtype)``.
    #[pyo3(signature = (timeout=None, *, mtype=None, except_mtype=None))]
    fn receive_envelope<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<&Bound<'_, PyAny>>,
        mtype: Option<&Bound<'_, PyAny>>,
        except_mtype: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<(Bound<'py, PyBytes>, u16, u32)> {
        let (select, until) = (select(py, mtype, except_mtype)?, deadline(py, timeout)?);
        let message = self.envelope(py, select, Some(until))?;
        always(py, message)
    }

    /// As ``receive_envelope``, or ``None`` if there is no message.
    #[pyo3(signature = (*, mtype=None, except_mtype=None))]
    fn try_receive_envelope<'py>(
        &self,
        py: Python<'py>,
        mtype: Option<&Bound<'_, PyAny>>,
        except_mtype: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<(Bound<'py, PyBytes>, u16, u32)>> {
        self.envelope(py, select(py, mtype, except_mtype)?, None)
    }

    /// Receives the messages that are there, at most ``n``, as a list; waits for the first.
    #[pyo3(signature = (n, timeout=None))]
    fn receive_many<'py>(
        &self,
        py: Python<'py>,
        n: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyList>> {
        self.list(py, whole("n", n)?, Some(deadline(py, timeout)?))
    }

    /// Receives the messages that are there, at most ``n``, as a list.
    fn try_receive_many<'py>(&self, py: Python<'py>, n: &Bound<'_, PyAny>) -> PyResult<Bound<'py, PyList>> {
        self.list(py, whole("n", n)?, None)
    }

    /// Receives the messages that are there, as many as fit in ``buffer``; waits for the first. Each has
    /// ``message_size`` bytes of it, filled up with zeros: a numpy array of that itemsize has one message in each element.
    /// Returns how many there were.
    #[pyo3(signature = (buffer, timeout=None))]
    fn receive_many_into(
        &self,
        py: Python<'_>,
        buffer: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        self.many_into(py, buffer, Some(deadline(py, timeout)?))
    }

    /// As ``receive_many_into``, 0 if there is no message.
    fn try_receive_many_into(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<usize> {
        self.many_into(py, buffer, None)
    }

    /// Takes the first message, to be read in place; waits for one. Selects as ``receive`` does.
    ///
    /// ``with mailbox.borrow() as message:`` releases it at the end, and gives it back after an exception: then, as after
    /// the reader's death, it is delivered again.
    #[pyo3(signature = (timeout=None, *, mtype=None, except_mtype=None))]
    fn borrow(
        &self,
        py: Python<'_>,
        timeout: Option<&Bound<'_, PyAny>>,
        mtype: Option<&Bound<'_, PyAny>>,
        except_mtype: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Borrowed> {
        let select = select(py, mtype, except_mtype)?;
        waiting(py, deadline(py, timeout)?, |until| self.attempt_borrow(select, until))
    }

    /// Takes the first message, to be read in place; ``None`` if there is none.
    #[pyo3(signature = (*, mtype=None, except_mtype=None))]
    fn try_borrow(
        &self,
        py: Python<'_>,
        mtype: Option<&Bound<'_, PyAny>>,
        except_mtype: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<Borrowed>> {
        let select = select(py, mtype, except_mtype)?;
        trying(py, |until| self.attempt_borrow(select, until))
    }

    /// Nobody sends any more: senders get ``Closed`` from now on, receivers get what has been sent, then ``Closed``. There
    /// is no way back; doing it twice is fine.
    fn shutdown(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || self.mailbox.shutdown())
    }

    /// Was it shut down?
    #[getter]
    fn is_shut_down(&self) -> bool {
        self.mailbox.is_shut_down()
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// Receives the next message; ends when the mailbox was shut down and is empty.
    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        match self.receive(py, None, None, None) {
            Err(error) if is_closed(py, &error)? => Ok(None),
            received => received.map(Some),
        }
    }

    /// As ``receive``, with the number of receivers that died with the message before: ``(message, redelivered)``.
    #[pyo3(signature = (timeout=None))]
    fn receive_info<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<(Bound<'py, PyBytes>, u16)> {
        let message = self.info(py, Some(deadline(py, timeout)?))?;
        always(py, message)
    }

    /// As ``try_receive``, with the number of receivers that died with the message before.
    fn try_receive_info<'py>(&self, py: Python<'py>) -> PyResult<Option<(Bound<'py, PyBytes>, u16)>> {
        self.info(py, None)
    }

    /// Receives into ``buffer``, which holds at least ``message_size`` bytes; returns the message's size.
    #[pyo3(signature = (buffer, timeout=None))]
    fn receive_into(
        &self,
        py: Python<'_>,
        buffer: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let size = self.into(py, buffer, Some(deadline(py, timeout)?))?;
        always(py, size)
    }

    /// Receives into ``buffer`` if there is a message; returns its size, or ``None``.
    fn try_receive_into(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        self.into(py, buffer, None)
    }

    /// Copies the oldest message without taking it; waits for one.
    #[pyo3(signature = (timeout=None))]
    fn peek<'py>(&self, py: Python<'py>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Bound<'py, PyBytes>> {
        let message = self.bytes(py, Reading::Peek, Some(deadline(py, timeout)?))?;
        always(py, message)
    }

    /// Copies the oldest message without taking it, or ``None`` if there is none.
    fn try_peek<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.bytes(py, Reading::Peek, None)
    }

    /// Claims room for a message of up to ``size`` bytes, to be written in place; waits for room.
    ///
    /// ``with mailbox.reserve(16) as loan:`` commits at the end, and cancels after an exception.
    #[pyo3(signature = (size, timeout=None))]
    fn reserve(&self, py: Python<'_>, size: &Bound<'_, PyAny>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Loan> {
        let size = whole("size", size)?;
        waiting(py, deadline(py, timeout)?, |until| self.attempt_reserve(size, until))
    }

    /// Claims room if there is some; ``None`` if not.
    fn try_reserve(&self, py: Python<'_>, size: &Bound<'_, PyAny>) -> PyResult<Option<Loan>> {
        let size = whole("size", size)?;
        trying(py, |until| self.attempt_reserve(size, until))
    }

    /// The most messages it holds.
    #[getter]
    fn capacity(&self) -> usize {
        self.mailbox.capacity()
    }

    /// The largest message in bytes.
    #[getter]
    fn message_size(&self) -> usize {
        self.mailbox.message_size()
    }

    /// Claims of dead senders that were given back so far.
    fn voided(&self) -> u64 {
        self.mailbox.voided()
    }

    /// Messages that were dropped so far, as ``max_deliveries`` receivers had died with them or given them back.
    fn dropped(&self) -> u64 {
        self.mailbox.dropped()
    }

    /// ``"fifo"`` or ``"priority"``.
    #[getter]
    fn order(&self) -> &'static str {
        self.mailbox.options().order.name()
    }

    /// Is its capacity a ceiling, at which senders get an error?
    #[getter]
    fn unbounded(&self) -> bool {
        matches!(self.mailbox.options().capacity, Capacity::Unbounded { .. })
    }

    /// How many receivers may have a message in vain before it is dropped; 0: any number.
    #[getter]
    fn max_deliveries(&self) -> u16 {
        self.mailbox.options().max_deliveries
    }

    /// The type tag that it was created with, or ``None``.
    #[getter]
    fn type_tag(&self, py: Python<'_>) -> PyResult<Option<String>> {
        call(py, || self.mailbox.type_tag())
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.mailbox.name()
    }

    fn __len__(&self) -> usize {
        self.mailbox.len()
    }

    /// A mailbox is true, also when it is empty: ``if mailbox:`` asks whether there is one.
    fn __bool__(&self) -> bool {
        true
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<Reduced> {
        reduce(py, &self.segment, "mailbox", self.mailbox.name())
    }

    fn __repr__(&self) -> String {
        let address = address(&self.segment, self.mailbox.name());
        let (len, capacity, size) = (self.mailbox.len(), self.mailbox.capacity(), self.mailbox.message_size());
        format!("<triveni.Mailbox {address} {len} of {capacity} messages of up to {size} bytes>")
    }
}

/// A message that lies at a rendezvous until a receiver has it; what ``send_async`` waits with. It is taken back when it
/// goes away.
#[pyclass(frozen, module = "triveni", name = "_Offer")]
pub(crate) struct Offer(triveni::Offer);

impl Offer {
    pub(crate) fn core(&self) -> &triveni::Offer {
        &self.0
    }
}

#[pymethods]
impl Offer {
    /// Has a receiver the message?
    fn is_received(&self, py: Python<'_>) -> PyResult<bool> {
        call(py, || self.0.is_received())
    }

    /// Takes the message back; ``False``: a receiver has it.
    fn withdraw(&self, py: Python<'_>) -> PyResult<bool> {
        call(py, || self.0.withdraw())
    }
}

/// Room in a mailbox, claimed for one message.
///
/// ``memoryview(loan)``, ``struct.pack_into(fmt, loan, 0, ...)`` and ``numpy.frombuffer(loan, dtype)`` write straight into the
/// segment. ``commit(size=None)`` sends the first ``size`` bytes (all of them unless given), ``cancel()`` gives the
/// room back; so does a loan that goes away. Both raise ``BufferError`` while a view of it is alive.
/// Receivers wait behind a claim, so be quick.
///
/// Threads: any thread of this process may end it. fork: ``Forked`` in the child.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Loan(Grant<Claim>);

/// A claim in a mailbox.
pub(crate) struct Claim {
    mailbox: triveni::Mailbox,
    raw: RawLoan,
}

impl Lender for Claim {
    const NOUN: &'static str = "loan";

    fn address(&self) -> String {
        format!("'{}'", self.mailbox.name())
    }

    fn end(&self, room: &Room, done: Option<usize>) -> Result<Result<(), Refused>> {
        if let Err(refused) = room.end() {
            return Ok(Err(refused));
        }
        let loan = self.mailbox.resume(self.raw)?;
        match done {
            Some(size) => loan.commit(size)?,
            None => loan.cancel(),
        }
        Ok(Ok(()))
    }

    fn give_back(&self, room: &Room) {
        if room.end_if_free()
            && let Ok(loan) = self.mailbox.resume(self.raw)
        {
            loan.cancel();
        }
    }
}

#[pymethods]
impl Loan {
    /// Sends the first ``size`` bytes; all of them unless given.
    #[pyo3(signature = (size=None))]
    fn commit(&self, py: Python<'_>, size: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.0.done(py, size)
    }

    /// Gives the room back; nothing is sent.
    fn cancel(&self, py: Python<'_>) -> PyResult<()> {
        self.0.undone(py)
    }

    /// Bytes of room.
    #[getter]
    fn size(&self) -> usize {
        self.0.size()
    }

    fn __len__(&self) -> usize {
        self.0.size()
    }

    fn __bool__(&self) -> bool {
        true
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        exception: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.0.exit(py, exception)
    }

    // SAFETY: called by Python only, as `bf_getbuffer` of `slf`.
    unsafe fn __getbuffer__(slf: &Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        // SAFETY: `view` and `flags` are passed on as they came.
        unsafe { slf.get().0.lend(slf.as_any(), view, flags) }
    }

    // SAFETY: called by Python only, once for each view that `__getbuffer__` filled.
    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.0.view_ended();
    }

    fn __repr__(&self) -> String {
        self.0.repr("Loan")
    }
}

/// A message that is read in place.
///
/// ``memoryview(message)``, ``struct.unpack_from(fmt, message)`` and ``numpy.frombuffer(message, dtype)`` read straight from
/// the segment. ``release()`` says that it is done with; ``give_back()`` that it is not: then the next receiver gets it,
/// and so it does when the message goes away or its process dies. Both raise ``BufferError`` while a view of it is
/// alive. While it is held, the mailbox has one place less.
///
/// Threads: any thread of this process may end it. fork: ``Forked`` in the child.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Borrowed {
    grant: Grant<Taken>,
    received: Received,
}

/// A receiver's claim in a mailbox.
pub(crate) struct Taken {
    mailbox: triveni::Mailbox,
    raw: RawLoan,
}

impl Lender for Taken {
    const NOUN: &'static str = "borrowed message";

    fn address(&self) -> String {
        format!("'{}'", self.mailbox.name())
    }

    fn end(&self, room: &Room, done: Option<usize>) -> Result<Result<(), Refused>> {
        if let Err(refused) = room.end() {
            return Ok(Err(refused));
        }
        let lent = self.mailbox.resume_borrowed(self.raw)?;
        match done {
            Some(_) => lent.release()?,
            None => lent.give_back(),
        }
        Ok(Ok(()))
    }

    fn give_back(&self, room: &Room) {
        if room.end_if_free()
            && let Ok(lent) = self.mailbox.resume_borrowed(self.raw)
        {
            lent.give_back();
        }
    }
}

#[pymethods]
impl Borrowed {
    /// It is done with: senders have its place.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        self.grant.done(py, None)
    }

    /// It is not done with: the next receiver gets it.
    fn give_back(&self, py: Python<'_>) -> PyResult<()> {
        self.grant.undone(py)
    }

    /// Its size in bytes.
    #[getter]
    fn size(&self) -> usize {
        self.grant.size()
    }

    /// How many receivers died with it before, or gave it back.
    #[getter]
    fn redelivered(&self) -> u16 {
        self.received.redelivered
    }

    /// Its priority; 0 unless the mailbox has priorities.
    #[getter]
    fn priority(&self) -> u16 {
        self.received.priority
    }

    /// Its type; 0 unless it was sent with one.
    #[getter]
    fn mtype(&self) -> u32 {
        self.received.mtype
    }

    fn __len__(&self) -> usize {
        self.grant.size()
    }

    fn __bool__(&self) -> bool {
        true
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        exception: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.grant.exit(py, exception)
    }

    // SAFETY: called by Python only, as `bf_getbuffer` of `slf`.
    unsafe fn __getbuffer__(slf: &Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        // SAFETY: `view` and `flags` are passed on as they came.
        unsafe { slf.get().grant.lend(slf.as_any(), view, flags) }
    }

    // SAFETY: called by Python only, once for each view that `__getbuffer__` filled.
    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.grant.view_ended();
    }

    fn __repr__(&self) -> String {
        self.grant.repr("Borrowed")
    }
}
