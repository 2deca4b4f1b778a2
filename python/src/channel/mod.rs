//! Objects through which processes hand data to each other.

pub(crate) mod mailbox;
pub(crate) mod ring;
