//! Objects through which processes hand data to each other.

pub mod mailbox;
pub mod ring;
