//! One clock for every wait: absolute and monotonic.
//!
//! A duration becomes a deadline once, at the door; whatever interrupts the wait, the deadline stays.

use std::time::Duration;

/// Until when a call may wait: for ever, not at all, or until a moment of `CLOCK_MONOTONIC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    at_ns: u64,
    interruptible: bool,
}

impl Deadline {
    const NEVER: u64 = u64::MAX;

    /// Waits for ever.
    pub const fn never() -> Deadline {
        Deadline { at_ns: Self::NEVER, interruptible: false }
    }

    /// Does not wait at all: the deadline has passed already.
    pub const fn now() -> Deadline {
        Deadline { at_ns: 0, interruptible: false }
    }

    /// Waits for at most `duration` from now on. A duration too long for the clock means for ever.
    pub fn after(duration: Duration) -> Deadline {
        if duration.is_zero() {
            return Deadline::now();
        }
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(Self::NEVER);
        Deadline { at_ns: now_ns().saturating_add(ns), interruptible: false }
    }

    /// The same deadline for a wait that ends with [`ErrorKind::Interrupted`](crate::ErrorKind) when a
    /// signal handler has run during it. Without this, waits go on after a signal.
    pub const fn interruptible(self) -> Deadline {
        Deadline { interruptible: true, ..self }
    }

    /// The earlier one of this deadline and `duration` from now.
    pub fn sooner(self, duration: Duration) -> Deadline {
        let other = Deadline::after(duration);
        Deadline { at_ns: self.at_ns.min(other.at_ns), ..self }
    }

    /// Has it passed?
    pub fn passed(self) -> bool {
        self.at_ns == 0 || (self.at_ns != Self::NEVER && now_ns() >= self.at_ns)
    }

    /// True for a deadline that asks not to wait at all.
    pub const fn is_try(self) -> bool {
        self.at_ns == 0
    }

    /// True for a deadline that never comes.
    pub const fn is_never(self) -> bool {
        self.at_ns == Self::NEVER
    }

    /// Does a signal end the wait?
    pub const fn is_interruptible(self) -> bool {
        self.interruptible
    }

    /// The moment on the monotonic clock, in nanoseconds; `u64::MAX` for never.
    #[cfg_attr(loom, allow(dead_code))]
    pub(crate) const fn at_ns(self) -> u64 {
        self.at_ns
    }
}

/// A duration is a deadline that starts now.
impl From<Duration> for Deadline {
    fn from(duration: Duration) -> Deadline {
        Deadline::after(duration)
    }
}

/// The monotonic clock, in nanoseconds.
pub(crate) fn now_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// The same as of the kernel's last tick, some milliseconds ago: a quarter of the price.
pub(crate) fn coarse_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC_COARSE)
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid, writable timespec. Both clocks exist on every Linux, so this cannot fail.
    unsafe { libc::clock_gettime(clock, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_has_passed_and_never_has_not() {
        assert!(Deadline::now().passed() && Deadline::now().is_try());
        assert!(!Deadline::never().passed() && Deadline::never().is_never());
    }

    #[test]
    fn zero_is_a_try_and_ages_are_for_ever() {
        assert!(Deadline::after(Duration::ZERO).is_try());
        assert!(Deadline::after(Duration::MAX).is_never());
        assert!(!Deadline::after(Duration::from_secs(3600)).passed());
    }

    #[test]
    fn sooner_takes_the_earlier_one_and_keeps_the_flag() {
        let d = Deadline::never().interruptible().sooner(Duration::from_secs(1));
        assert!(d.is_interruptible() && !d.is_never());
    }
}
