//! How to create a topic, and the segment's verbs for it.

use super::{Place, Topic};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::directory::{Plan, Want};
use crate::segment::{ObjectKind, Segment, other_geometry};
use std::time::Duration;

/// What the publisher of a topic does when it would overtake the slowest subscriber.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TopicPolicy {
    /// It waits. Every subscriber receives every message.
    #[default]
    Block,
    /// It overwrites the oldest message. Who had not read it yet is told how many it missed. The publisher never
    /// waits, and never looks at subscribers.
    DropOldest,
    /// It drops its own message, and says so. Subscribers are told how many were dropped.
    DropNewest,
}

impl TopicPolicy {
    /// `block`, `drop oldest`, `drop newest`
    pub fn name(self) -> &'static str {
        match self {
            TopicPolicy::Block => "block",
            TopicPolicy::DropOldest => "drop oldest",
            TopicPolicy::DropNewest => "drop newest",
        }
    }

    pub(super) fn number(self) -> u64 {
        match self {
            TopicPolicy::Block => 0,
            TopicPolicy::DropOldest => 1,
            TopicPolicy::DropNewest => 2,
        }
    }

    pub(super) fn of(number: u64) -> Option<TopicPolicy> {
        [TopicPolicy::Block, TopicPolicy::DropOldest, TopicPolicy::DropNewest]
            .into_iter()
            .find(|policy| policy.number() == number)
    }
}

/// Where a new subscriber begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With the first message that is published from now on.
    #[default]
    Latest,
    /// With the oldest message that is still there.
    Oldest,
}

/// What a topic is like.
///
/// ```no_run
/// # fn main() -> triveni::Result<()> {
/// use std::time::Duration;
/// use triveni::{Segment, TopicOptions, TopicPolicy};
/// let lab = Segment::open_or_create("lab", 1 << 26)?;
/// let frames = TopicOptions::new(8, 4 << 20).policy(TopicPolicy::DropOldest).subscribers(4);
/// let camera = lab.topic_with("camera", frames)?;
/// let orders = TopicOptions::new(1024, 48).evict_after(Duration::from_secs(2)).type_tag("T{i:id:d:price:}");
/// let book = lab.topic_with("orders", orders)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicOptions<'a> {
    /// How many messages it keeps, from 1 on.
    pub capacity: usize,
    /// The largest message in bytes.
    pub message_size: usize,
    /// How many can subscribe at the same time, at most 256.
    pub subscribers: usize,
    /// What the publisher does when it would overtake the slowest subscriber.
    pub policy: TopicPolicy,
    /// How long a subscriber that lives may be in the publisher's way before it is put out; `None`: for ever. Where
    /// the policy is to drop the oldest nobody is ever in the way.
    pub evict_after: Option<Duration>,
    /// The layout of messages, see [`TypeLayout`](crate::TypeLayout); empty: any bytes.
    pub type_tag: &'a str,
}

impl<'a> TopicOptions<'a> {
    /// A topic that keeps `capacity` messages of up to `message_size` bytes, for up to 16 subscribers, whose
    /// publisher waits for the slowest of them.
    pub fn new(capacity: usize, message_size: usize) -> TopicOptions<'a> {
        TopicOptions {
            capacity,
            message_size,
            subscribers: 16,
            policy: TopicPolicy::Block,
            evict_after: None,
            type_tag: "",
        }
    }

    /// Sets what the publisher does when it would overtake the slowest subscriber.
    pub fn policy(self, policy: TopicPolicy) -> TopicOptions<'a> {
        TopicOptions { policy, ..self }
    }

    /// Sets how many can subscribe at the same time.
    pub fn subscribers(self, subscribers: usize) -> TopicOptions<'a> {
        TopicOptions { subscribers, ..self }
    }

    /// Has subscribers put out that are in the publisher's way for so long.
    pub fn evict_after(self, time: Duration) -> TopicOptions<'a> {
        TopicOptions { evict_after: Some(time), ..self }
    }

    /// Sets the layout of messages.
    pub fn type_tag(self, type_tag: &str) -> TopicOptions<'_> {
        TopicOptions { type_tag, ..self }
    }
}

impl Segment {
    /// Finds or creates a topic that keeps `capacity` messages of up to `message_size` bytes, for up to 16 subscribers,
    /// whose publisher waits for the slowest of them.
    ///
    /// # Errors
    /// As [`Segment::topic_with`].
    pub fn topic(&self, name: &str, capacity: usize, message_size: usize) -> Result<Topic> {
        self.topic_with(name, TopicOptions::new(capacity, message_size))
    }

    /// Finds or creates a topic. One that is there must have been made with the same options.
    ///
    /// # Errors
    /// `Invalid` for a bad name or bad options; `Incompatible` if there is one with other options or another type
    /// tag, or another kind of object; `NoSpace`.
    pub fn topic_with(&self, name: &str, options: TopicOptions<'_>) -> Result<Topic> {
        let topic = self.new_topic(name, options, Want::Either)?;
        let there = topic.options();
        if (TopicOptions { type_tag: "", ..options }) != there {
            return Err(other_geometry(
                "topic",
                name,
                format_args!("{}", said(&there)),
                format_args!("{}", said(&options)),
            ));
        }
        Ok(topic)
    }

    /// Creates a topic, as [`Segment::topic`] does.
    ///
    /// # Errors
    /// As [`Segment::topic_with`]; `Exists`.
    pub fn create_topic(&self, name: &str, capacity: usize, message_size: usize) -> Result<Topic> {
        self.create_topic_with(name, TopicOptions::new(capacity, message_size))
    }

    /// Creates a topic.
    ///
    /// # Errors
    /// As [`Segment::topic_with`]; `Exists`.
    pub fn create_topic_with(&self, name: &str, options: TopicOptions<'_>) -> Result<Topic> {
        self.new_topic(name, options, Want::Create)
    }

    /// Opens a topic, whatever its options.
    ///
    /// # Errors
    /// `NotFound`; `Incompatible`.
    pub fn open_topic(&self, name: &str) -> Result<Topic> {
        Topic::attach(self.object(ObjectKind::Topic, name, Want::Open, None)?)
    }

    fn new_topic(&self, name: &str, options: TopicOptions<'_>, want: Want) -> Result<Topic> {
        let (geometry, size) =
            Place::geometry(&options).map_err(|why| Error::new(ErrorKind::Invalid, format!("topic {name:?} {why}")))?;
        let plan = Plan { geometry, size, initialise: &|_| {}, tag: options.type_tag };
        Topic::attach(self.object(ObjectKind::Topic, name, want, Some(plan))?)
    }
}

/// The options in words.
fn said(options: &TopicOptions<'_>) -> String {
    let TopicOptions { capacity, message_size, subscribers, policy, evict_after, .. } = options;
    let evicts = evict_after.map_or_else(|| "no eviction".to_string(), |time| format!("eviction after {time:?}"));
    format!(
        "{capacity} messages of {message_size} bytes, {subscribers} subscribers, policy {}, {evicts}",
        policy.name()
    )
}
