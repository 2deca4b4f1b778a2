//! Objects through which processes hand data to each other.

mod grant;
pub(crate) mod mailbox;
pub(crate) mod ring;
