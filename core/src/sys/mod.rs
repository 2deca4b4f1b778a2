//! The kernel calls we stand on: -1 becomes [`Error`](crate::Error), EINTR is treated once, in words.

pub mod futex;
pub mod lock;
pub mod memory;
pub mod process;
pub mod waitv;
