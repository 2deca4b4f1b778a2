//! The C ABI of triveni: one function for each method of the core, five lines each.
//!
//! A call comes in through [`boundary`], which stops panics and turns a `Result` into a number. Its
//! arguments become references in [`argument`] and [`handle`], the only two places where a raw pointer
//! from C is followed. Nothing here decides anything: behaviour lives in the core.

#![allow(non_camel_case_types)] // C's names

mod argument;
mod array;
mod barrier;
mod boundary;
mod cell;
mod deadline;
mod deadlock;
mod error;
mod event;
mod handle;
mod kernel;
mod lock;
mod mailbox;
mod monitor;
mod mutex;
mod options;
mod port;
mod ring;
mod rwlock;
mod segment;
mod semaphore;
mod service;
mod topic;
mod type_tag;
mod version;
mod wait_set;
mod waits;
mod watcher;
