//! A ring, its two roles, and the room and records they lend.

use super::grant::{Grant, Lender};
use super::role::{Noun, Role};
use crate::buffer::{Input, Output, Refused, Room, with_scratch};
use crate::error::{call, detached, whole};
use crate::segment::{Reduced, address, reduce};
use crate::wait::{briefly, deadline, trying, waiting};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};
use std::borrow::Cow;
use std::ffi::c_int;
use std::mem::forget;
use std::sync::Arc;
use triveni::{Deadline, Error, ErrorKind, Result, RingOptions};

static PRODUCER: Noun = Noun {
    end: "producer",
    of: "ring",
    in_child: "ring.producer() takes it once the parent lets go",
    again: "ring.producer() takes the role again",
};
static CONSUMER: Noun = Noun {
    end: "consumer",
    of: "ring",
    in_child: "ring.consumer() takes it once the parent lets go",
    again: "ring.consumer() takes the role again",
};

/// Records of any size from one producer to one consumer, which may be Rust, C or Python.
///
/// ``Segment.ring(name)`` finds or creates one for records of any size, ``Segment.ring_of(name, record_size, capacity)`` one
/// of packed records, which all have one size and lie back to back. ``producer()`` and ``consumer()`` take its two ends.
/// ``shutdown()`` ends the stream.
///
/// Memory that comes round soon is still in the other CPU's cache: payload that is written and read in place is up to four
/// times faster in a ring of 8 MiB, the default, than in one of 512 KiB.
///
/// Threads: any number may use one ring. fork: the child goes on using it. pickle: by name.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Ring {
    segment: triveni::Segment,
    ring: triveni::Ring,
}

impl Ring {
    pub(crate) fn new(segment: triveni::Segment, ring: triveni::Ring) -> Ring {
        Ring { segment, ring }
    }

    fn address(&self) -> String {
        address(&self.segment, self.ring.name())
    }
}

#[pymethods]
impl Ring {
    /// Becomes its producer. ``Busy`` if a live process (this one, too) is; takes over from a dead one.
    fn producer(&self, py: Python<'_>) -> PyResult<Producer> {
        let producer = detached(py, || self.ring.producer())?;
        Ok(Producer(Arc::new(Role::new(&PRODUCER, self.address(), producer))))
    }

    /// Becomes its consumer. ``Busy`` if a live process (this one, too) is; takes over from a dead one.
    fn consumer(&self, py: Python<'_>) -> PyResult<Consumer> {
        let consumer = detached(py, || self.ring.consumer())?;
        Ok(Consumer(Arc::new(Role::new(&CONSUMER, self.address(), consumer))))
    }

    /// Bytes of its cells.
    #[getter]
    fn size(&self) -> usize {
        self.ring.size()
    }

    /// The largest record in bytes.
    #[getter]
    fn max_record(&self) -> usize {
        self.ring.max_record()
    }

    /// The one size of its packed records; ``None`` if they have any size.
    #[getter]
    fn record_size(&self) -> Option<usize> {
        self.ring.record_size()
    }

    /// How many packed records fit; ``None`` if that depends on their sizes.
    #[getter]
    fn capacity(&self) -> Option<usize> {
        self.ring.capacity()
    }

    /// Is each publication a full barrier, so that no sleeper is overlooked for a slice?
    #[getter]
    fn exact_wake(&self) -> bool {
        self.ring.is_exact_wake()
    }

    /// The type of its records, as a PEP 3118 format; ``None`` if it was created without one.
    #[getter]
    fn type_tag(&self, py: Python<'_>) -> PyResult<Option<String>> {
        call(py, || self.ring.type_tag())
    }

    /// Ends the stream: nothing is written any more, and the consumer reads what is there, then gets ``Closed``.
    ///
    /// Wakes whoever waits. Again is nothing new. What is only reserved or staged is not there.
    fn shutdown(&self, py: Python<'_>) -> PyResult<()> {
        detached(py, || {
            self.ring.shutdown();
            Ok(())
        })
    }

    /// Was it shut down, by anybody?
    #[getter]
    fn is_shut_down(&self) -> bool {
        self.ring.is_shut_down()
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.ring.name()
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<Reduced> {
        reduce(py, &self.segment, "ring", self.ring.name())
    }

    fn __repr__(&self) -> String {
        let (size, most) = (self.ring.size(), self.ring.max_record());
        let up_to = if self.ring.record_size().is_some() { "" } else { "up to " };
        let shut = if self.ring.is_shut_down() { ", shut down" } else { "" };
        format!("<triveni.Ring {} {size} bytes, records of {up_to}{most}{shut}>", self.address())
    }
}

/// What a ring of records of any size shall be like.
pub(crate) fn ring_options<'a>(
    size: Option<&Bound<'_, PyAny>>,
    exact_wake: bool,
    type_tag: Option<&'a str>,
) -> PyResult<RingOptions<'a>> {
    let options = match size {
        Some(size) => RingOptions::sized(whole("size", size)?),
        None => RingOptions::new(),
    };
    Ok(options.exact_wake(exact_wake).type_tag(type_tag.unwrap_or("")))
}

/// What a ring of packed records shall be like.
pub(crate) fn packed_options<'a>(
    record_size: &Bound<'_, PyAny>,
    capacity: Option<&Bound<'_, PyAny>>,
    exact_wake: bool,
    type_tag: Option<&'a str>,
) -> PyResult<RingOptions<'a>> {
    let record_size = whole("record_size", record_size)?;
    let options = match capacity {
        Some(capacity) => RingOptions::packed(record_size, whole("capacity", capacity)?),
        None if record_size > 0 => RingOptions::packed_by_default(record_size),
        None => RingOptions::packed(record_size, 1), // refused, with a sentence
    };
    Ok(options.exact_wake(exact_wake).type_tag(type_tag.unwrap_or("")))
}

/// The writing end of a ring. ``with`` or ``close()`` gives the role back.
///
/// ``write(record)`` copies; ``reserve(size)`` lends room to be written in place, one grant at a time. ``write_many(records)``
/// writes a list at once, ``write_packed(buffer)`` packed records from one buffer: all of them are seen, or none.
/// ``PeerDead`` if the ring is full and the consumer is dead, ``Closed`` after a shutdown.
///
/// Threads: one at a time; a second one gets ``Busy``. fork: ``Forked`` in the child. pickle: refused, pickle the ring.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Producer(Arc<Role<triveni::Producer>>);

impl Producer {
    /// The producer itself, unless a grant is pending or another thread uses it.
    pub(crate) fn lend<T>(&self, f: impl FnOnce(&mut triveni::Producer) -> Result<T>) -> Result<T> {
        self.0.with(|producer, _| f(producer))
    }

    #[inline]
    fn attempt_write(&self, record: &[u8], until: Option<Deadline>) -> Result<Option<()>> {
        self.0.with(|producer, _| match until {
            None => Ok(producer.try_write(record)?.then_some(())),
            Some(until) => producer.write_until(record, until).map(Some),
        })
    }

    fn attempt_write_many(&self, records: &[impl AsRef<[u8]>], until: Option<Deadline>) -> Result<Option<()>> {
        self.0.with(|producer, _| match until {
            None => Ok(producer.try_write_many(records)?.then_some(())),
            Some(until) => producer.write_many_until(records, until).map(Some),
        })
    }

    fn attempt_write_packed(&self, records: &[u8], until: Option<Deadline>) -> Result<Option<()>> {
        self.0.with(|producer, _| match until {
            None => Ok(producer.try_write_packed(records)?.then_some(())),
            Some(until) => producer.write_packed_until(records, until).map(Some),
        })
    }

    fn attempt_reserve(&self, wish: Wish, until: Option<Deadline>) -> Result<Option<WriteGrant>> {
        self.0.with(|producer, pending| {
            let grant = match (wish, until) {
                (Wish::Bytes(size), None) => producer.try_reserve(size)?,
                (Wish::Bytes(size), Some(until)) => Some(producer.reserve_until(size, until)?),
                (Wish::Packed(n), None) => producer.try_reserve_packed(n)?,
                (Wish::Packed(n), Some(until)) => Some(producer.reserve_packed_until(n, until)?),
            };
            Ok(grant.map(|mut grant| {
                let (at, size) = (grant.as_mut_ptr(), grant.size());
                forget(grant); // the reservation stays pending in the producer
                // SAFETY: `at` points to `size` bytes of the ring, reserved until the producer commits, cancels, reserves again
                // or is dropped. All of these go through `Role`: it refuses while this room stands in `pending`, and
                // takes it out only after the room has ended. The role in `WriteGrant` keeps the mapping.
                let room = Arc::new(unsafe { Room::new(at, size, true) });
                *pending = Some(room.clone());
                WriteGrant(Grant::new(self.0.clone(), room))
            }))
        })
    }
}

/// What room is wished for.
#[derive(Clone, Copy)]
enum Wish {
    /// For one record.
    Bytes(usize),
    /// For packed records.
    Packed(usize),
}

/// Several records that a caller gave us to write.
fn inputs<'py>(records: &Bound<'py, PyAny>) -> PyResult<Vec<Input<'py>>> {
    match records.cast::<PyList>() {
        Ok(list) => list.iter().map(|record| Input::of(&record)).collect(),
        Err(_) => records.try_iter()?.map(|record| Input::of(&record?)).collect(),
    }
}

#[pymethods]
impl Producer {
    /// Writes a copy of ``record``; waits for room. ``TimeoutError`` once ``timeout`` seconds have passed.
    #[pyo3(signature = (record, timeout=None))]
    fn write(&self, py: Python<'_>, record: &Bound<'_, PyAny>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let until = deadline(py, timeout)?;
        let input = Input::of(record)?;
        if briefly(|| trying(py, |_| self.attempt_write(input.bytes(py), None)))?.is_some() {
            return Ok(());
        }
        let record = input.kept(py);
        waiting(py, until, |until| self.attempt_write(&record, until))
    }

    /// Writes a copy of ``record`` if there is room; says whether it did.
    fn try_write(&self, py: Python<'_>, record: &Bound<'_, PyAny>) -> PyResult<bool> {
        let input = Input::of(record)?;
        Ok(trying(py, |_| self.attempt_write(input.bytes(py), None))?.is_some())
    }

    /// Borrows room for a record of up to ``size`` bytes, to be written in place; waits for room.
    ///
    /// ``with producer.reserve(16) as grant:`` commits at the end, and cancels after an exception.
    #[pyo3(signature = (size, timeout=None))]
    fn reserve(
        &self,
        py: Python<'_>,
        size: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<WriteGrant> {
        let size = whole("size", size)?;
        waiting(py, deadline(py, timeout)?, |until| self.attempt_reserve(Wish::Bytes(size), until))
    }

    /// Borrows room if there is some; ``None`` if not.
    fn try_reserve(&self, py: Python<'_>, size: &Bound<'_, PyAny>) -> PyResult<Option<WriteGrant>> {
        let size = whole("size", size)?;
        trying(py, |until| self.attempt_reserve(Wish::Bytes(size), until))
    }

    /// Writes copies of all ``records``, a list or another iterable; they are seen together. Waits for room for all.
    ///
    /// ``TooLarge`` if they do not fit into the ring together. After an exception none of them is written.
    #[pyo3(signature = (records, timeout=None))]
    fn write_many(
        &self,
        py: Python<'_>,
        records: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let until = deadline(py, timeout)?;
        let inputs = inputs(records)?;
        let bytes: Vec<&[u8]> = inputs.iter().map(|input| input.bytes(py)).collect();
        if trying(py, |_| self.attempt_write_many(&bytes, None))?.is_some() {
            return Ok(());
        }
        let records: Vec<Cow<'_, [u8]>> = inputs.iter().map(|input| input.kept(py)).collect();
        waiting(py, until, |until| self.attempt_write_many(&records, until))
    }

    /// Writes them all if there is room; says whether it did.
    fn try_write_many(&self, py: Python<'_>, records: &Bound<'_, PyAny>) -> PyResult<bool> {
        let inputs = inputs(records)?;
        let bytes: Vec<&[u8]> = inputs.iter().map(|input| input.bytes(py)).collect();
        Ok(trying(py, |_| self.attempt_write_many(&bytes, None))?.is_some())
    }

    /// Writes a copy of the packed records that lie back to back in one buffer (``bytes``, a numpy array …); they are
    /// seen together. Waits for room for all. ``ValueError`` if the buffer is no whole number of records.
    #[pyo3(signature = (records, timeout=None))]
    fn write_packed(
        &self,
        py: Python<'_>,
        records: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let until = deadline(py, timeout)?;
        let input = Input::of(records)?;
        if trying(py, |_| self.attempt_write_packed(input.bytes(py), None))?.is_some() {
            return Ok(());
        }
        let records = input.kept(py);
        waiting(py, until, |until| self.attempt_write_packed(&records, until))
    }

    /// Writes them all if there is room; says whether it did.
    fn try_write_packed(&self, py: Python<'_>, records: &Bound<'_, PyAny>) -> PyResult<bool> {
        let input = Input::of(records)?;
        Ok(trying(py, |_| self.attempt_write_packed(input.bytes(py), None))?.is_some())
    }

    /// Borrows room for packed records, to be written in place: for one at least, for as many up to ``n`` as there is room
    /// for in one piece. ``len(grant)`` says how many bytes; ``numpy.frombuffer(grant, dtype)`` is an array of records.
    #[pyo3(signature = (n, timeout=None))]
    fn reserve_packed(
        &self,
        py: Python<'_>,
        n: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<WriteGrant> {
        let n = whole("n", n)?;
        waiting(py, deadline(py, timeout)?, |until| self.attempt_reserve(Wish::Packed(n), until))
    }

    /// Borrows room if there is some; ``None`` if not.
    fn try_reserve_packed(&self, py: Python<'_>, n: &Bound<'_, PyAny>) -> PyResult<Option<WriteGrant>> {
        let n = whole("n", n)?;
        trying(py, |until| self.attempt_reserve(Wish::Packed(n), until))
    }

    /// Shows all that was staged, at once.
    fn publish(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || self.0.with(|producer, _| producer.publish()))
    }

    /// Gives up all that was staged.
    fn discard(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || {
            self.0.with(|producer, _| {
                producer.discard();
                Ok(())
            })
        })
    }

    /// Gives the role back; a pending grant is cancelled. Closing twice is fine.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.0.close(py)
    }

    /// Was ``close`` called?
    #[getter]
    fn closed(&self) -> bool {
        self.0.is_closed()
    }

    fn __enter__(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<Self>> {
        call(py, || slf.get().0.with(|_, _| Ok(())))?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.0.close(py)
    }

    fn __repr__(&self) -> String {
        self.0.repr("Producer")
    }
}

/// The reading end of a ring. ``with`` or ``close()`` gives the role back.
///
/// ``read()`` gives ``bytes``; ``peek()`` lends the oldest record in place, one grant at a time. ``read_many(n)`` gives a list,
/// ``read_packed(n)`` packed records in one ``bytes``. When the ring is empty: ``PeerDead`` if the producer is dead,
/// ``Closed`` after a shutdown.
///
/// Threads: one at a time; a second one gets ``Busy``. fork: ``Forked`` in the child. pickle: refused, pickle the ring.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Consumer(Arc<Role<triveni::Consumer>>);

impl Consumer {
    /// The consumer itself, unless a grant is pending or another thread uses it.
    pub(crate) fn lend<T>(&self, f: impl FnOnce(&mut triveni::Consumer) -> Result<T>) -> Result<T> {
        self.0.with(|consumer, _| f(consumer))
    }

    /// Waits until there is a record, and leaves it.
    fn attempt_wait(&self, until: Option<Deadline>) -> Result<Option<()>> {
        self.0.with(|consumer, _| match until {
            None => Ok(consumer.try_peek()?.map(|_| ())),
            Some(until) => consumer.peek_until(until).map(|_| Some(())),
        })
    }

    /// Takes the oldest record, if there is one, with one copy.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let taken = trying(py, |_| {
            self.0.with(|consumer, _| {
                let Some(grant) = consumer.try_peek()? else { return Ok(None) };
                let bytes = PyBytes::new_with(py, grant.size(), |bytes| {
                    grant.read(0, bytes);
                    Ok(())
                });
                if bytes.is_ok() {
                    grant.release()?; // without memory for it the record stays
                }
                Ok(Some(bytes))
            })
        })?;
        taken.transpose()
    }

    fn take_into(&self, py: Python<'_>, output: &Output) -> PyResult<Option<usize>> {
        trying(py, |_| {
            self.0.with(|consumer, _| {
                let Some(grant) = consumer.try_peek()? else { return Ok(None) };
                let (size, room) = (grant.size(), output.size());
                if size > room {
                    let sentence = format!(
                        "ring {}: the record has {size} bytes, the buffer {room}; give a larger one",
                        self.0.address
                    );
                    return Err(Error::new(ErrorKind::TooLarge, sentence));
                }
                with_scratch(size, |scratch| {
                    grant.read(0, scratch);
                    output.fill(py, scratch);
                });
                grant.release()?;
                Ok(Some(size))
            })
        })
    }

    /// Takes up to `n` records, with one release.
    fn take_many<'py>(&self, py: Python<'py>, n: usize) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let mut taken = Vec::new();
        let out_of_memory = call(py, || {
            self.0.with(|consumer, _| {
                while taken.len() < n {
                    let grant = match consumer.try_peek() {
                        Ok(Some(grant)) => grant,
                        Ok(None) => break,
                        Err(_) if !taken.is_empty() => break, // the next call says so
                        Err(error) => return Err(error),
                    };
                    let copy = PyBytes::new_with(py, grant.size(), |bytes| {
                        grant.read(0, bytes);
                        Ok(())
                    });
                    match copy {
                        Ok(copy) => taken.push(copy),
                        Err(error) => {
                            drop(grant);
                            consumer.rewind(); // all of them stay
                            return Ok(Some(error));
                        }
                    }
                    grant.hold()?;
                }
                if !taken.is_empty() {
                    consumer.release()?;
                }
                Ok(None)
            })
        })?;
        out_of_memory.map_or(Ok(taken), Err)
    }

    /// Takes up to `n` packed records, in one piece.
    fn take_packed<'py>(&self, py: Python<'py>, n: usize) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let taken = trying(py, |_| {
            self.0.with(|consumer, _| {
                let Some(grant) = consumer.try_peek_packed(n)? else { return Ok(None) };
                let bytes = PyBytes::new_with(py, grant.size(), |bytes| {
                    grant.read(0, bytes);
                    Ok(())
                });
                if bytes.is_ok() {
                    grant.release()?; // without memory for them the records stay
                }
                Ok(Some(bytes))
            })
        })?;
        taken.transpose()
    }

    /// `packed`: so many packed records; otherwise one record.
    fn attempt_peek(&self, packed: Option<usize>, until: Option<Deadline>) -> Result<Option<ReadGrant>> {
        self.0.with(|consumer, pending| {
            let grant = match (packed, until) {
                (None, None) => consumer.try_peek()?,
                (None, Some(until)) => Some(consumer.peek_until(until)?),
                (Some(n), None) => consumer.try_peek_packed(n)?,
                (Some(n), Some(until)) => Some(consumer.peek_packed_until(n, until)?),
            };
            Ok(grant.map(|grant| {
                let (at, size) = (grant.as_ptr().cast_mut(), grant.size());
                forget(grant); // the record stays in hand
                // SAFETY: `at` points to `size` bytes of the ring, ours until the consumer releases them or is dropped. Both
                // go through `Role`: it refuses while this room stands in `pending`, and takes it out only after the
                // room has ended. The role in `ReadGrant` keeps the mapping. Not writable: `cast_mut` is for C's sake.
                let room = Arc::new(unsafe { Room::new(at, size, false) });
                *pending = Some(room.clone());
                ReadGrant(Grant::new(self.0.clone(), room))
            }))
        })
    }
}

#[pymethods]
impl Consumer {
    /// Reads the oldest record; waits for one. ``TimeoutError`` once ``timeout`` seconds have passed.
    #[pyo3(signature = (timeout=None))]
    fn read<'py>(&self, py: Python<'py>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Bound<'py, PyBytes>> {
        let until = deadline(py, timeout)?;
        loop {
            if let Some(record) = briefly(|| self.take(py))? {
                return Ok(record);
            }
            waiting(py, until, |until| self.attempt_wait(until))?;
        }
    }

    /// Reads the oldest record, or ``None`` if there is none.
    fn try_read<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.take(py)
    }

    /// Reads into ``buffer``; returns the record's size. ``TooLarge`` if it does not fit: the record stays.
    #[pyo3(signature = (buffer, timeout=None))]
    fn read_into(
        &self,
        py: Python<'_>,
        buffer: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let until = deadline(py, timeout)?;
        let output = Output::of(buffer)?;
        loop {
            if let Some(size) = self.take_into(py, &output)? {
                return Ok(size);
            }
            waiting(py, until, |until| self.attempt_wait(until))?;
        }
    }

    /// Reads into ``buffer`` if there is a record; returns its size, or ``None``.
    fn try_read_into(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        self.take_into(py, &Output::of(buffer)?)
    }

    /// Borrows the oldest record, to be read in place; waits for one.
    ///
    /// ``with consumer.peek() as grant:`` releases it at the end; after an exception the record stays.
    #[pyo3(signature = (timeout=None))]
    fn peek(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<ReadGrant> {
        waiting(py, deadline(py, timeout)?, |until| self.attempt_peek(None, until))
    }

    /// Borrows the oldest record, or ``None`` if there is none.
    fn try_peek(&self, py: Python<'_>) -> PyResult<Option<ReadGrant>> {
        trying(py, |until| self.attempt_peek(None, until))
    }

    /// Reads up to ``n`` records, a list; waits for the first. Their room is freed at once.
    #[pyo3(signature = (n, timeout=None))]
    fn read_many<'py>(
        &self,
        py: Python<'py>,
        n: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let n = whole("n", n)?;
        let until = deadline(py, timeout)?;
        loop {
            let taken = self.take_many(py, n)?;
            if !taken.is_empty() || n == 0 {
                return PyList::new(py, taken);
            }
            waiting(py, until, |until| self.attempt_wait(until))?;
        }
    }

    /// Reads up to ``n`` records, as many as there are: an empty list if there is none.
    fn try_read_many<'py>(&self, py: Python<'py>, n: &Bound<'_, PyAny>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.take_many(py, whole("n", n)?)?)
    }

    /// Reads up to ``n`` packed records in one ``bytes``, as many as lie in one piece; waits for the first.
    ///
    /// ``numpy.frombuffer(consumer.read_packed(1000), dtype)`` is an array of records.
    #[pyo3(signature = (n, timeout=None))]
    fn read_packed<'py>(
        &self,
        py: Python<'py>,
        n: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let n = whole("n", n)?;
        let until = deadline(py, timeout)?;
        loop {
            if let Some(records) = self.take_packed(py, n)? {
                return Ok(records);
            }
            waiting(py, until, |until| self.attempt_wait(until))?;
        }
    }

    /// Reads up to ``n`` packed records, as many as there are: empty ``bytes`` if there is none.
    fn try_read_packed<'py>(&self, py: Python<'py>, n: &Bound<'_, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(self.take_packed(py, whole("n", n)?)?.unwrap_or_else(|| PyBytes::new(py, b"")))
    }

    /// Borrows packed records, to be read in place: one at least, as many up to ``n`` as there are in one piece.
    #[pyo3(signature = (n, timeout=None))]
    fn peek_packed(
        &self,
        py: Python<'_>,
        n: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<ReadGrant> {
        let n = whole("n", n)?;
        waiting(py, deadline(py, timeout)?, |until| self.attempt_peek(Some(n), until))
    }

    /// Borrows them, or ``None`` if there are none.
    fn try_peek_packed(&self, py: Python<'_>, n: &Bound<'_, PyAny>) -> PyResult<Option<ReadGrant>> {
        let n = whole("n", n)?;
        trying(py, |until| self.attempt_peek(Some(n), until))
    }

    /// Keeps all that is held: the next ``peek`` sees the oldest of it again.
    fn rewind(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || {
            self.0.with(|consumer, _| {
                consumer.rewind();
                Ok(())
            })
        })
    }

    /// Gives the role back; a record that was peeked at stays. Closing twice is fine.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.0.close(py)
    }

    /// Was ``close`` called?
    #[getter]
    fn closed(&self) -> bool {
        self.0.is_closed()
    }

    fn __enter__(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<Self>> {
        call(py, || slf.get().0.with(|_, _| Ok(())))?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.0.close(py)
    }

    fn __repr__(&self) -> String {
        self.0.repr("Consumer")
    }
}

/// Room in a ring, borrowed for one record.
///
/// ``memoryview(grant)``, ``struct.pack_into(fmt, grant, 0, ...)`` and ``numpy.frombuffer(grant, dtype)`` write straight into the
/// segment. ``commit(size=None)`` publishes the first ``size`` bytes (all of them unless given), ``cancel()`` gives the
/// room back; so does a grant that goes away. Both raise ``BufferError`` while a view of it is alive.
///
/// Threads: any thread of this process may end it. fork: ``Forked`` in the child.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct WriteGrant(Grant<Arc<Role<triveni::Producer>>>);

impl Lender for Arc<Role<triveni::Producer>> {
    const NOUN: &'static str = "grant";

    fn address(&self) -> String {
        self.address.clone()
    }

    fn end(&self, room: &Room, done: Option<usize>) -> Result<Result<(), Refused>> {
        Role::end(self, room, |producer| match done {
            Some(size) => producer.commit(size),
            None => {
                producer.cancel();
                Ok(())
            }
        })
    }

    fn give_back(&self, room: &Room) {
        Role::give_back(self, room, triveni::Producer::cancel);
    }
}

#[pymethods]
impl WriteGrant {
    /// Publishes the first ``size`` bytes; all of them unless given.
    #[pyo3(signature = (size=None))]
    fn commit(&self, py: Python<'_>, size: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.0.done(py, size)
    }

    /// Completes the first ``size`` bytes (all of them unless given), to be seen together with what comes next: at the next
    /// ``commit`` or ``write``, or at ``producer.publish()``.
    #[pyo3(signature = (size=None))]
    fn stage(&self, py: Python<'_>, size: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let size = self.0.chosen(py, "stage", size)?;
        self.0.ended_by(py, |role, room| Role::end(role, room, |producer| producer.stage(size)))
    }

    /// Gives the room back; nothing is written.
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
        self.0.repr("WriteGrant")
    }
}

/// A record in a ring, borrowed to be read in place.
///
/// ``memoryview(grant)``, ``struct.unpack_from(fmt, grant)`` and ``numpy.frombuffer(grant, dtype)`` read straight from the
/// segment, without a copy; ``bytes(grant)`` is one. ``release()`` frees the room; it raises ``BufferError`` while
/// a view is alive. A grant that goes away unreleased leaves the record: the next ``peek`` sees it again.
///
/// Threads: any thread of this process may end it. fork: ``Forked`` in the child.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct ReadGrant(Grant<Arc<Role<triveni::Consumer>>>);

impl Lender for Arc<Role<triveni::Consumer>> {
    const NOUN: &'static str = "grant";

    fn address(&self) -> String {
        self.address.clone()
    }

    fn end(&self, room: &Room, done: Option<usize>) -> Result<Result<(), Refused>> {
        Role::end(self, room, |consumer| if done.is_some() { consumer.release() } else { Ok(()) })
    }

    fn give_back(&self, room: &Room) {
        Role::give_back(self, room, |_| {}); // the record stays
    }
}

#[pymethods]
impl ReadGrant {
    /// Frees the room: the record has been read.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        self.0.done(py, None)
    }

    /// Goes on to the next record; the next release frees the room of both at once. It has been read: no view may be alive.
    fn hold(&self, py: Python<'_>) -> PyResult<()> {
        self.0.ended_by(py, |role, room| Role::end(role, room, triveni::Consumer::hold))
    }

    /// The record's size in bytes.
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
        self.0.repr("ReadGrant")
    }
}
