//! A topic, its publisher and its subscribers, and the messages they lend.

use super::grant::{Grant, Lender};
use super::role::{Noun, Role};
use crate::buffer::{Input, Output, Refused, Room, with_scratch};
use crate::data::types::Type;
use crate::error::{call, detached, invalid, whole};
use crate::segment::{Reduced, address, reduce};
use crate::wait::{deadline, duration, trying, waiting};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use std::ffi::c_int;
use std::mem::forget;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use triveni::{Deadline, Error, ErrorKind, Result, Start, TopicOptions, TopicPolicy};

static PUBLISHER: Noun = Noun {
    end: "publisher",
    of: "topic",
    in_child: "topic.publisher() takes the role once the parent lets go",
    again: "topic.publisher() takes the role again",
};
static SUBSCRIBER: Noun = Noun {
    end: "subscriber",
    of: "topic",
    in_child: "topic.subscriber() gives one of your own",
    again: "topic.subscriber() gives another one",
};

/// One publisher's word to any number of subscribers, each with a cursor of its own; Rust, C or Python.
///
/// ``Segment.topic(name, capacity=16, message_size=256, policy="block")`` finds or creates it. The policy says what the
/// publisher does when it would overtake the slowest subscriber: ``"block"``: it waits; ``"drop oldest"``: it overwrites,
/// and who had not read that is told how many messages it missed; ``"drop newest"``: it drops its own message, says
/// so, and subscribers are told.
///
/// Threads: any number may use one topic. fork: the child goes on using it. pickle: by name.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Topic {
    segment: triveni::Segment,
    topic: triveni::Topic,
}

/// Bytes that a batch of messages has at most, unless one of them has more.
const BATCH: usize = 1 << 20;

/// What ``Segment.topic`` was given; the rest is as it is there, or by default.
#[derive(Clone)]
pub(crate) struct Wished {
    capacity: Option<usize>,
    message_size: Option<usize>,
    policy: Option<TopicPolicy>,
    subscribers: Option<usize>,
    evict_after: Option<Duration>,
    type_tag: String,
    /// Bytes of a message, where one is made and nobody says how many.
    usual_size: usize,
}

impl Wished {
    pub(crate) fn of(
        py: Python<'_>,
        name: &str,
        sizes: [Option<&Bound<'_, PyAny>>; 3],
        policy: Option<&str>,
        evict_after: Option<&Bound<'_, PyAny>>,
        r#type: Option<&Bound<'_, PyAny>>,
        type_tag: Option<&str>,
    ) -> PyResult<Wished> {
        let typed = Type::given(py, ("topic", name), r#type, type_tag)?;
        let [capacity, message_size, subscribers] = sizes;
        let size = |what, size: Option<&Bound<'_, PyAny>>| size.map(|size| whole(what, size)).transpose();
        let policies = [TopicPolicy::Block, TopicPolicy::DropOldest, TopicPolicy::DropNewest];
        let policy = match policy {
            None => None,
            Some(name) => Some(policies.into_iter().find(|p| p.name() == name.replace('_', " ")).ok_or_else(|| {
                let sentence = format!("no policy is called {name:?}; give 'block', 'drop oldest' or 'drop newest'");
                invalid(py, sentence)
            })?),
        };
        Ok(Wished {
            capacity: size("capacity", capacity)?,
            message_size: size("message_size", message_size)?,
            subscribers: size("subscribers", subscribers)?,
            policy,
            evict_after: evict_after.map(|time| duration("evict_after", time)).transpose()?,
            usual_size: if r#type.is_some() { typed.size(py)?.unwrap_or(256) } else { 256 },
            type_tag: typed.tag,
        })
    }

    /// These over `others`.
    fn over<'a>(&'a self, others: TopicOptions<'a>) -> TopicOptions<'a> {
        TopicOptions {
            capacity: self.capacity.unwrap_or(others.capacity),
            message_size: self.message_size.unwrap_or(others.message_size),
            subscribers: self.subscribers.unwrap_or(others.subscribers),
            policy: self.policy.unwrap_or(others.policy),
            evict_after: self.evict_after.or(others.evict_after),
            type_tag: &self.type_tag,
        }
    }

    /// Creates a topic with these.
    pub(crate) fn create(&self, segment: &triveni::Segment, name: &str) -> Result<triveni::Topic> {
        segment.create_topic_with(name, self.over(TopicOptions::new(16, self.usual_size)))
    }

    /// Opens a topic with which these agree.
    pub(crate) fn open(&self, segment: &triveni::Segment, name: &str) -> Result<triveni::Topic> {
        let there = segment.open_topic(name)?;
        let as_it_is = there.options();
        let wished = self.over(as_it_is);
        if wished == as_it_is { Ok(there) } else { segment.topic_with(name, wished) }
    }
}

impl Topic {
    pub(crate) fn new(segment: triveni::Segment, topic: triveni::Topic) -> Topic {
        Topic { segment, topic }
    }

    fn address(&self) -> String {
        address(&self.segment, self.topic.name())
    }
}

#[pymethods]
impl Topic {
    /// Becomes its publisher. ``Busy`` if a live process (this one, too) is; takes over from a dead one. ``Closed`` if the
    /// topic was shut down.
    fn publisher(&self, py: Python<'_>) -> PyResult<Publisher> {
        let publisher = detached(py, || self.topic.publisher())?;
        let role = Arc::new(Role::new(&PUBLISHER, self.address(), publisher));
        Ok(Publisher { role, policy: self.topic.policy() })
    }

    /// Subscribes: from the next message on, or with ``oldest=True`` from the oldest one that is there. ``NoSpace`` if as
    /// many subscribers as the topic was made for are alive.
    #[pyo3(signature = (*, oldest=false))]
    fn subscriber(&self, py: Python<'_>, oldest: bool) -> PyResult<Subscriber> {
        let start = if oldest { Start::Oldest } else { Start::Latest };
        let subscriber = detached(py, || self.topic.subscriber(start))?;
        Ok(Subscriber { role: Arc::new(Role::new(&SUBSCRIBER, self.address(), subscriber)), lost: AtomicU64::new(0) })
    }

    /// How many messages were published so far.
    fn published(&self) -> u64 {
        self.topic.published()
    }

    /// How many messages publishers dropped so far, where the policy is to drop the newest.
    fn dropped(&self) -> u64 {
        self.topic.dropped()
    }

    /// How many subscribe at this moment.
    fn subscribers(&self) -> usize {
        self.topic.subscribers()
    }

    /// The most messages it keeps.
    #[getter]
    fn capacity(&self) -> usize {
        self.topic.capacity()
    }

    /// The largest message in bytes.
    #[getter]
    fn message_size(&self) -> usize {
        self.topic.message_size()
    }

    /// How many can subscribe at the same time.
    #[getter]
    fn max_subscribers(&self) -> usize {
        self.topic.max_subscribers()
    }

    /// ``block``, ``drop oldest`` or ``drop newest``
    #[getter]
    fn policy(&self) -> &'static str {
        self.topic.policy().name()
    }

    /// After how many seconds a subscriber that is in the publisher's way is put out; ``None``: never.
    #[getter]
    fn evict_after(&self) -> Option<f64> {
        self.topic.evict_after().map(|time| time.as_secs_f64())
    }

    /// Was it shut down?
    #[getter]
    fn is_shut_down(&self) -> bool {
        self.topic.is_shut_down()
    }

    /// The layout of its messages; ``None`` if it was created without one.
    #[getter]
    fn type_tag(&self, py: Python<'_>) -> PyResult<Option<String>> {
        call(py, || self.topic.type_tag())
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.topic.name()
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<Reduced> {
        reduce(py, &self.segment, "topic", self.topic.name())
    }

    fn __repr__(&self) -> String {
        let (capacity, size) = (self.topic.capacity(), self.topic.message_size());
        let (address, policy) = (self.address(), self.topic.policy().name());
        format!("<triveni.Topic {address} keeps {capacity} messages of up to {size} bytes, policy {policy}>")
    }
}

/// The writing end of a topic. ``with`` or ``close()`` gives the role back.
///
/// ``publish(message)`` copies; ``reserve(size)`` lends room to be written in place, one grant at a time.
///
/// Threads: one at a time; a second one gets ``Busy``. fork: ``Forked`` in the child. pickle: refused, pickle the topic.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Publisher {
    role: Arc<Role<triveni::Publisher>>,
    policy: TopicPolicy,
}

impl Publisher {
    /// The publisher itself, unless a grant is pending or another thread uses it.
    pub(crate) fn lend<T>(&self, f: impl FnOnce(&mut triveni::Publisher) -> Result<T>) -> Result<T> {
        self.role.with(|publisher, _| f(publisher))
    }

    /// What a failed attempt answers: where the policy is to block, that one has to wait.
    fn or_wait<T>(&self, published: Option<T>, dropped: T) -> Option<T> {
        published.or((self.policy != TopicPolicy::Block).then_some(dropped))
    }

    #[inline]
    fn attempt_publish(&self, message: &[u8], until: Option<Deadline>) -> Result<Option<bool>> {
        self.lend(|publisher| match until {
            None => Ok(self.or_wait(publisher.try_publish(message)?.then_some(true), false)),
            Some(until) => publisher.publish_until(message, until).map(Some),
        })
    }

    fn attempt_reserve(&self, size: usize, until: Option<Deadline>) -> Result<Option<Option<PublishGrant>>> {
        self.role.with(|publisher, pending| {
            let grant = match until {
                None => publisher.try_reserve(size)?,
                Some(until) => publisher.reserve_until(size, until)?,
            };
            let lent = grant.map(|mut grant| {
                let (at, size) = (grant.as_mut_ptr(), grant.size());
                forget(grant); // the reservation stays pending in the publisher
                // SAFETY: `at` points to `size` bytes of the topic, reserved until the publisher commits, cancels, reserves
                // again or is dropped. All of these go through `Role`: it refuses while this room stands in `pending`,
                // and takes it out only after the room has ended. The role in `PublishGrant` keeps the mapping.
                let room = Arc::new(unsafe { Room::new(at, size, true) });
                *pending = Some(room.clone());
                PublishGrant(Grant::new(self.role.clone(), room))
            });
            Ok(self.or_wait(lent.map(Some), None))
        })
    }
}

#[pymethods]
impl Publisher {
    /// Publishes a copy of ``message``; says whether it did: ``False`` if it was dropped. Where the policy is to block, it
    /// waits for the slowest subscriber; ``TimeoutError`` once ``timeout`` seconds have passed.
    #[pyo3(signature = (message, timeout=None))]
    fn publish(
        &self,
        py: Python<'_>,
        message: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        let until = deadline(py, timeout)?;
        let input = Input::of(message)?;
        if let Some(published) = trying(py, |_| self.attempt_publish(input.bytes(py), None))? {
            return Ok(published);
        }
        let message = input.kept(py);
        waiting(py, until, |until| self.attempt_publish(&message, until))
    }

    /// Publishes a copy of ``message`` if that is possible at once; says whether it did.
    fn try_publish(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<bool> {
        let input = Input::of(message)?;
        Ok(trying(py, |_| self.attempt_publish(input.bytes(py), None))?.unwrap_or(false))
    }

    /// Publishes copies of several messages with one wake for all; returns how many: the others were dropped, or, where the
    /// policy is to block, not published when ``timeout`` seconds had passed.
    #[pyo3(signature = (messages, timeout=None))]
    fn publish_many(
        &self,
        py: Python<'_>,
        messages: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let until = deadline(py, timeout)?;
        let inputs: Vec<Bound<'_, PyAny>> = messages.try_iter()?.collect::<PyResult<_>>()?;
        let inputs: Vec<Input<'_>> = inputs.iter().map(Input::of).collect::<PyResult<_>>()?;
        let kept: Vec<_> = inputs.iter().map(|input| input.kept(py)).collect();
        let slices: Vec<&[u8]> = kept.iter().map(|message| &**message).collect();
        let mut done = 0;
        waiting(py, until, |slice| {
            self.lend(|publisher| {
                let rest = slices.get(done..).unwrap_or_default();
                done += match slice {
                    None => publisher.try_publish_many(rest)?,
                    Some(slice) => match publisher.publish_many_until(rest, slice) {
                        Err(e) if e.kind() == ErrorKind::Timeout && done > 0 => 0,
                        published => published?,
                    },
                };
                let all = done == slices.len() || self.policy != TopicPolicy::Block;
                // What was published before the time was up counts.
                Ok((all || slice.is_some() && done > 0 && until.passed()).then_some(done))
            })
        })
    }

    /// Borrows room for a message of up to ``size`` bytes, to be written in place; waits as ``publish`` does. ``None`` if the
    /// policy is to drop the newest, and this message was dropped.
    ///
    /// ``with publisher.reserve(16) as grant:`` publishes at the end, and cancels after an exception.
    #[pyo3(signature = (size, timeout=None))]
    fn reserve(
        &self,
        py: Python<'_>,
        size: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<PublishGrant>> {
        let size = whole("size", size)?;
        waiting(py, deadline(py, timeout)?, |until| self.attempt_reserve(size, until))
    }

    /// Borrows room if that is possible at once; ``None`` if not.
    fn try_reserve(&self, py: Python<'_>, size: &Bound<'_, PyAny>) -> PyResult<Option<PublishGrant>> {
        let size = whole("size", size)?;
        Ok(trying(py, |until| self.attempt_reserve(size, until))?.flatten())
    }

    /// Says that this was the last message: subscribers receive what is there, and then ``Closed``.
    fn shutdown(&self, py: Python<'_>) -> PyResult<()> {
        call(py, || self.lend(triveni::Publisher::shutdown))
    }

    /// What it does when it would overtake the slowest subscriber.
    #[getter]
    fn policy(&self) -> &'static str {
        self.policy.name()
    }

    /// Gives the role back; a pending grant is cancelled. Closing twice is fine.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.role.close(py)
    }

    /// Was ``close`` called?
    #[getter]
    fn closed(&self) -> bool {
        self.role.is_closed()
    }

    fn __enter__(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<Self>> {
        call(py, || slf.get().lend(|_| Ok(())))?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.role.close(py)
    }

    fn __repr__(&self) -> String {
        self.role.repr("Publisher")
    }
}

/// A reading end of a topic, with a cursor of its own. ``with`` or ``close()`` ends the subscription.
///
/// ``receive()`` gives ``bytes``, ``for message in subscriber`` all of them until the topic is shut down; ``peek()`` lends the next
/// message, in place where the policy protects it. ``Lost``, once, if messages were overwritten or dropped before they
/// could be received: its ``count`` says how many, and the next call goes on with what is there. ``PeerDead`` if there is
/// nothing and the publisher is dead; ``Evicted`` if this subscriber was in its way for too long.
///
/// Threads: one at a time; a second one gets ``Busy``. fork: ``Forked`` in the child. pickle: refused, pickle the topic.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct Subscriber {
    role: Arc<Role<triveni::Subscriber>>,
    /// How many messages the last ``Lost`` was about.
    lost: AtomicU64,
}

impl Subscriber {
    /// The subscriber itself, unless a grant is pending or another thread uses it.
    pub(crate) fn lend<T>(&self, f: impl FnOnce(&mut triveni::Subscriber) -> Result<T>) -> Result<T> {
        self.with(|subscriber, _| f(subscriber))
    }

    /// The same; remembers how many messages a ``Lost`` is about.
    fn with<T>(&self, f: impl FnOnce(&mut triveni::Subscriber, &mut Option<Arc<Room>>) -> Result<T>) -> Result<T> {
        self.role.with(|subscriber, pending| {
            let before = subscriber.missed();
            let done = f(subscriber, pending);
            if matches!(&done, Err(error) if error.kind() == ErrorKind::Lost) {
                self.lost.store(subscriber.missed() - before, Relaxed);
            }
            done
        })
    }

    /// Writes into a ``Lost`` how many it is about.
    fn counted<T>(&self, py: Python<'_>, done: PyResult<T>) -> PyResult<T> {
        done.inspect_err(|error| {
            let value = error.value(py);
            let is_lost = value.getattr("errno").and_then(|number| number.eq(ErrorKind::Lost.errno()));
            if is_lost.unwrap_or(false) {
                // The class has a count of 0: without memory for the number the sentence has it still.
                let _ = value.setattr("count", self.lost.load(Relaxed));
            }
        })
    }

    /// Waits until there is a message, and leaves it.
    fn attempt_wait(&self, until: Option<Deadline>) -> Result<Option<()>> {
        self.lend(|subscriber| match until {
            None => Ok(subscriber.try_wait()?.map(|_| ())),
            Some(until) => subscriber.wait_until(until).map(|_| Some(())),
        })
    }

    fn wait(&self, py: Python<'_>, until: Deadline) -> PyResult<()> {
        self.counted(py, waiting(py, until, |until| self.attempt_wait(until)))
    }

    /// Takes the next message, if there is one, with one copy.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let taken = trying(py, |_| self.lend(|subscriber| taken(py, subscriber)));
        self.counted(py, taken)?.transpose()
    }

    fn take_into(&self, py: Python<'_>, output: &Output) -> PyResult<Option<usize>> {
        let taken = trying(py, |_| {
            self.lend(|subscriber| {
                let (Some(size), room) = (subscriber.try_wait()?, output.size()) else { return Ok(None) };
                if size > room {
                    let sentence = format!(
                        "topic {}: the message has {size} bytes, the buffer {room}; give a larger one",
                        self.role.address
                    );
                    return Err(Error::new(ErrorKind::TooLarge, sentence));
                }
                with_scratch(size, |scratch| {
                    let received = subscriber.try_receive(scratch)?;
                    if received.is_some() {
                        output.fill(py, scratch);
                    }
                    Ok(received)
                })
            })
        });
        self.counted(py, taken)
    }

    /// Takes as many as are there, at most `most`.
    fn take_many<'py>(&self, py: Python<'py>, most: usize) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        if most == 0 {
            return Ok(Vec::new());
        }
        let done = call(py, || {
            self.lend(|subscriber| {
                let room = subscriber.topic().message_size();
                let most = most.min(BATCH / room).max(1);
                with_scratch(most * room, |scratch| {
                    let mut sizes = vec![0; most];
                    let taken = subscriber.try_receive_many(scratch, &mut sizes)?;
                    let mut rest = &*scratch;
                    let messages = sizes.iter().take(taken).map(|size| {
                        let (message, behind) = rest.split_at((*size).min(rest.len()));
                        rest = behind;
                        PyBytes::new(py, message)
                    });
                    Ok(messages.collect())
                })
            })
        });
        self.counted(py, done)
    }

    fn attempt_peek(&self, until: Option<Deadline>) -> Result<Option<PeekGrant>> {
        self.with(|subscriber, pending| {
            let grant = match until {
                None => subscriber.try_peek()?,
                Some(until) => Some(subscriber.peek_until(until)?),
            };
            Ok(grant.map(|grant| {
                let (at, size) = (grant.as_ptr().cast_mut(), grant.size());
                forget(grant); // the message stays in hand
                // SAFETY: `at` points to `size` bytes of the topic, or of the subscriber's copy, ours until the subscriber
                // goes on, looks again or is dropped. All of these go through `Role`: it refuses while this room stands
                // in `pending`, and takes it out only after the room has ended. The role in `PeekGrant` keeps both.
                // Not writable: `cast_mut` is for C's sake.
                let room = Arc::new(unsafe { Room::new(at, size, false) });
                *pending = Some(room.clone());
                PeekGrant(Grant::new(self.role.clone(), room))
            }))
        })
    }
}

/// What [`Subscriber::take`] gives: an error of Python's is no memory for the message, which stays.
type Taken<'py> = Option<PyResult<Bound<'py, PyBytes>>>;

fn taken<'py>(py: Python<'py>, subscriber: &mut triveni::Subscriber) -> Result<Taken<'py>> {
    let Some(size) = subscriber.try_wait()? else { return Ok(None) };
    let mut received = Ok(None);
    let bytes = PyBytes::new_with(py, size, |bytes| {
        received = subscriber.try_receive(bytes);
        Ok(())
    });
    match bytes {
        Err(no_memory) => Ok(Some(Err(no_memory))),
        Ok(bytes) => Ok(received?.map(|_| Ok(bytes))),
    }
}

#[pymethods]
impl Subscriber {
    /// Receives the next message; waits for one. ``TimeoutError`` once ``timeout`` seconds have passed.
    #[pyo3(signature = (timeout=None))]
    fn receive<'py>(&self, py: Python<'py>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<Bound<'py, PyBytes>> {
        let until = deadline(py, timeout)?;
        loop {
            if let Some(message) = self.take(py)? {
                return Ok(message);
            }
            self.wait(py, until)?;
        }
    }

    /// Receives the next message, or ``None`` if there is none.
    fn try_receive<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.take(py)
    }

    /// Receives into ``buffer``; returns the message's size. ``TooLarge`` if it does not fit: the message stays.
    #[pyo3(signature = (buffer, timeout=None))]
    fn receive_into(
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
            self.wait(py, until)?;
        }
    }

    /// Receives into ``buffer`` if there is a message; returns its size, or ``None``.
    fn try_receive_into(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        self.take_into(py, &Output::of(buffer)?)
    }

    /// Receives as many messages as are there, at most ``most``; waits for the first one.
    #[pyo3(signature = (most, timeout=None))]
    fn receive_many<'py>(
        &self,
        py: Python<'py>,
        most: &Bound<'_, PyAny>,
        timeout: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let (most, until) = (whole("most", most)?, deadline(py, timeout)?);
        loop {
            let messages = self.take_many(py, most)?;
            if !messages.is_empty() || most == 0 {
                return Ok(messages);
            }
            self.wait(py, until)?;
        }
    }

    /// Receives as many messages as are there, at most ``most``; perhaps none.
    fn try_receive_many<'py>(&self, py: Python<'py>, most: &Bound<'_, PyAny>) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        self.take_many(py, whole("most", most)?)
    }

    /// Borrows the next message; waits for one.
    ///
    /// ``with subscriber.peek() as grant:`` goes on behind it at the end; after an exception the message stays.
    #[pyo3(signature = (timeout=None))]
    fn peek(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<PeekGrant> {
        let until = deadline(py, timeout)?;
        self.counted(py, waiting(py, until, |until| self.attempt_peek(until)))
    }

    /// Borrows the next message, or ``None`` if there is none.
    fn try_peek(&self, py: Python<'_>) -> PyResult<Option<PeekGrant>> {
        self.counted(py, trying(py, |until| self.attempt_peek(until)))
    }

    /// How many messages were overwritten or dropped before this subscriber could receive them, in all.
    fn missed(&self, py: Python<'_>) -> PyResult<u64> {
        call(py, || self.lend(|subscriber| Ok(subscriber.missed())))
    }

    /// Ends the subscription. Closing twice is fine.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.role.close(py)
    }

    /// Was ``close`` called?
    #[getter]
    fn closed(&self) -> bool {
        self.role.is_closed()
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// The next message; the end once the topic is shut down.
    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        match self.receive(py, None) {
            Err(error) => {
                let number = error.value(py).getattr("errno").and_then(|number| number.eq(ErrorKind::Closed.errno()));
                if number.unwrap_or(false) { Ok(None) } else { Err(error) }
            }
            message => message.map(Some),
        }
    }

    fn __enter__(slf: Py<Self>, py: Python<'_>) -> PyResult<Py<Self>> {
        call(py, || slf.get().lend(|_| Ok(())))?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.role.close(py)
    }

    fn __repr__(&self) -> String {
        self.role.repr("Subscriber")
    }
}

/// Room in a topic, borrowed for one message.
///
/// ``memoryview(grant)``, ``struct.pack_into(fmt, grant, 0, ...)`` and ``numpy.frombuffer(grant, dtype)`` write straight into the
/// segment. ``commit(size=None)`` publishes the first ``size`` bytes (all of them unless given), ``cancel()`` publishes
/// nothing; so does a grant that goes away. Both raise ``BufferError`` while a view of it is alive.
///
/// Threads: any thread of this process may end it. fork: ``Forked`` in the child.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct PublishGrant(Grant<Arc<Role<triveni::Publisher>>>);

impl Lender for Arc<Role<triveni::Publisher>> {
    const NOUN: &'static str = "grant";

    fn address(&self) -> String {
        self.address.clone()
    }

    fn end(&self, room: &Room, done: Option<usize>) -> Result<Result<(), Refused>> {
        Role::end(self, room, |publisher| match done {
            Some(size) => publisher.commit(size),
            None => {
                publisher.cancel();
                Ok(())
            }
        })
    }

    fn give_back(&self, room: &Room) {
        Role::give_back(self, room, triveni::Publisher::cancel);
    }
}

#[pymethods]
impl PublishGrant {
    /// Publishes the first ``size`` bytes; all of them unless given.
    #[pyo3(signature = (size=None))]
    fn commit(&self, py: Python<'_>, size: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.0.done(py, size)
    }

    /// Publishes nothing.
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
        self.0.repr("PublishGrant")
    }
}

/// A message of a topic, borrowed.
///
/// ``memoryview(grant)``, ``struct.unpack_from(fmt, grant)`` and ``numpy.frombuffer(grant, dtype)`` read it without a copy,
/// straight from the segment where the policy protects it; ``bytes(grant)`` is a copy. ``release()`` goes on behind it; it
/// raises ``BufferError`` while a view is alive, and ``Evicted`` if the publisher has put this subscriber out meanwhile: then
/// what was read may be torn. A grant that goes away unreleased leaves the message: the next call finds it again.
///
/// Threads: any thread of this process may end it. fork: ``Forked`` in the child.
#[pyclass(frozen, module = "triveni")]
pub(crate) struct PeekGrant(Grant<Arc<Role<triveni::Subscriber>>>);

impl Lender for Arc<Role<triveni::Subscriber>> {
    const NOUN: &'static str = "grant";

    fn address(&self) -> String {
        self.address.clone()
    }

    fn end(&self, room: &Room, done: Option<usize>) -> Result<Result<(), Refused>> {
        Role::end(self, room, |subscriber| if done.is_some() { subscriber.release() } else { Ok(()) })
    }

    fn give_back(&self, room: &Room) {
        Role::give_back(self, room, triveni::Subscriber::keep);
    }
}

#[pymethods]
impl PeekGrant {
    /// Goes on behind the message: it has been read.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        self.0.done(py, None)
    }

    /// The message's size in bytes.
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
        self.0.repr("PeekGrant")
    }
}
