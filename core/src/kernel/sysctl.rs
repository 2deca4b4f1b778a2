//! The kernel's settings below `/proc/sys`, for the sentences of errors: which one stands in the way, and what it is now.

use std::fmt;
use std::fs;

/// A limit of the system, by its file: shown as `/proc/sys/fs/mqueue/msg_max is 10`.
#[derive(Clone, Copy)]
pub(crate) struct Sysctl(pub(crate) &'static str);

impl Sysctl {
    /// What it is now; `None` where `/proc` does not show it.
    pub(crate) fn value(self) -> Option<u64> {
        fs::read_to_string(format!("/proc/sys/{}", self.0)).ok()?.trim().parse().ok()
    }

    /// Is `wanted` above it? False if it is not known.
    pub(crate) fn is_below(self, wanted: u64) -> bool {
        self.value().is_some_and(|limit| limit < wanted)
    }
}

impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value() {
            Some(value) => write!(f, "/proc/sys/{} is {value}", self.0),
            None => write!(f, "/proc/sys/{} says how many, and is not to be seen here", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_shown_with_its_file_and_its_present_value() {
        let limit = Sysctl("kernel/pid_max");
        let value = limit.value().unwrap();
        assert_eq!(limit.to_string(), format!("/proc/sys/kernel/pid_max is {value}"));
        assert!(limit.is_below(value + 1) && !limit.is_below(value));
        assert!(!Sysctl("no/such").is_below(u64::MAX));
        assert!(Sysctl("no/such").to_string().contains("/proc/sys/no/such"));
    }
}
