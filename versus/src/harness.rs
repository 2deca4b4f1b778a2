//! What every measurement needs: a clock, shared memory, yardsticks (those of `core/benches`), and a team.

// The benches of the core use more of these.
#![allow(dead_code)]

#[path = "../../core/benches/harness/clock.rs"]
pub mod clock;
#[path = "../../core/benches/harness/glibc.rs"]
pub mod glibc;
#[path = "../../core/benches/harness/shared.rs"]
pub mod shared;
#[path = "team.rs"]
pub mod team;
#[path = "../../core/benches/harness/yardstick.rs"]
pub mod yardstick;

// SAFETY: what it leads to is made for several processes; several threads are no worse.
unsafe impl<T: shared::Zeroed + Sync> Sync for shared::Shared<T> {}

/// What goes right through: an error here becomes the reason that the row shows.
#[inline(always)]
#[track_caller]
pub fn ok<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => failed(&format!("{error:?}")),
    }
}

#[cold]
#[track_caller]
fn failed(why: &str) -> ! {
    panic!("{why}")
}
