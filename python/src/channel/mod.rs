//! Objects through which processes hand data to each other.

pub(crate) mod grant;
pub(crate) mod mailbox;
pub(crate) mod port;
pub(crate) mod ring;
mod role;
pub(crate) mod service;
pub(crate) mod topic;
