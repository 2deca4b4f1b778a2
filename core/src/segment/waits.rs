//! Who waits for what, as everybody can see it.

use super::region::Region;
use super::{Holder, ObjectKind};
use std::time::Duration;

/// What a thread sleeps for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitMode {
    /// For permits of a semaphore.
    Permit = 1,
    /// To lock a mutex or enter a monitor.
    Lock = 2,
    /// To read-lock.
    Read = 3,
    /// To write-lock.
    Write = 4,
    /// For a condition of a monitor.
    Condition = 5,
    /// At a barrier.
    Barrier = 6,
    /// For event flags.
    Flags = 7,
    /// For room in a mailbox or ring.
    Send = 8,
    /// For a message or record.
    Receive = 9,
    /// For any of several objects, in a [`WaitSet`](crate::WaitSet).
    Any = 10,
}

impl WaitMode {
    /// `permit`, `lock`, `read`, `write`, `condition`, `barrier`, `flags`, `send`, `receive`, `any`
    pub fn name(self) -> &'static str {
        match self {
            WaitMode::Permit => "permit",
            WaitMode::Lock => "lock",
            WaitMode::Read => "read",
            WaitMode::Write => "write",
            WaitMode::Condition => "condition",
            WaitMode::Barrier => "barrier",
            WaitMode::Flags => "flags",
            WaitMode::Send => "send",
            WaitMode::Receive => "receive",
            WaitMode::Any => "any",
        }
    }
}

/// A thread that sleeps until an object lets it go on.
#[derive(Clone, Debug)]
pub struct Wait {
    /// The slot of its process.
    pub slot: u32,
    /// The pid of its process.
    pub pid: u32,
    /// The name of its program.
    pub process: String,
    /// The number of the thread in its process.
    pub thread: u32,
    /// The thread's id in the system, in its own pid namespace.
    pub tid: u32,
    /// The name of the object.
    pub object: String,
    /// The object's kind; `None` if it is unreadable.
    pub kind: Option<ObjectKind>,
    /// What it sleeps for.
    pub mode: WaitMode,
    /// How many permits, which flags, or how many objects; 0 where that has no meaning.
    pub count: u32,
    /// The condition's name, for [`WaitMode::Condition`].
    pub condition: Option<String>,
    /// For how long it has slept, as of this look.
    pub since: Duration,
    /// Who is in its way by holding the object. Empty where nobody in particular is.
    pub blocked_by: Vec<Holder>,
}

/// Threads that wait for each other in a circle: each for an object that the next one holds.
#[derive(Clone, Debug)]
pub struct Deadlock {
    /// The waits; each is blocked by the thread of the next one, the last by that of the first.
    pub cycle: Vec<Wait>,
}

/// Everybody who sleeps.
pub fn list(_region: &Region) -> Vec<Wait> {
    Vec::new()
}
