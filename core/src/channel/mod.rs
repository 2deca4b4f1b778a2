//! Objects through which processes hand data to each other.

mod death;
pub mod mailbox;
pub mod port;
pub mod ring;
pub mod service;
pub mod topic;

#[cfg(all(test, not(any(loom, shuttle))))]
mod removed_tests;
