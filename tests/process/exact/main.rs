//! SIGKILL at every instruction of an operation: the survivors go on, whatever was half done.
//!
//! A child process carries out one operation under ptrace, one instruction at a time, and is killed after n of
//! them; then a survivor checks what the object promises. What only the dead process could see is gone with it,
//! so two points differ only if the shared memory changed between them or a system call was made: an *effect*.
//! As a rule the child is killed after each effect (or an even choice, if there are many), once with a
//! sweep before the survivor's first call and once without, and besides after every so many instructions.
//! `TRIVENI_EXACT=all` kills after every instruction there is. `TRIVENI_SEED` repeats a choice,
//! `TRIVENI_ONLY=text` leaves out the cases that have no such text in their name.
//!
//! A system call counts as one instruction: a kill inside it is not tried here, `kill.rs` does that at random.
//!
//! `TRIVENI_EXACT_ROWS=FILE` adds a line of JSON for each case to that file: what the kill matrix is made of.

#[macro_use]
mod scene;
mod array;
mod cell;
mod lock;
mod mailbox;
mod meeting;
mod mutex;
mod pages;
mod port;
mod rendezvous;
mod repair;
mod ring;
mod segment;
mod semaphore;
mod service;
mod step;
mod topic;
