//! Deadlock as taught: detection with matrices, resource graphs, Coffman's conditions, and a picture.
//!
//! A [`State`] says which resources there are, who holds them and who asks for more. It is made of the two vectors and
//! two matrices of the textbooks ([`State::of_matrices`]) or of the edges of a resource graph ([`Graph`]); both are the
//! same thing written down in two ways, so that everything here works on both:
//!
//! - [`State::detect`] plays the detection with matrices step by step: who is blocked for want of what, who can
//!   finish, what becomes available then. On a graph it is the reduction of the graph. It is right for any number of
//!   instances.
//! - [`State::cycles`] finds the cycles of the graph. Where each resource has one instance, a cycle is a deadlock;
//!   where some have several, a deadlock needs a cycle, but a cycle is not always a deadlock.
//! - [`State::conditions`] says which of the four conditions of a deadlock hold, with who and what shows it.
//! - [`State::svg`] draws the resource allocation graph.
//!
//! The conditions and the detection are those of E. G. Coffman, M. J. Elphick and A. Shoshani, "System Deadlocks",
//! Computing Surveys 3 (2), 1971; the presentation of the detection is A. S. Tanenbaum's, in "Modern Operating
//! Systems"; the reduction of graphs is R. C. Holt's, in "Some Deadlock Properties of Computer Systems", 1972.
//!
//! Nothing here looks at the running system. For the deadlocks of live processes see
//! [`Segment::deadlocks`](crate::Segment::deadlocks).
//!
//! # Sharable and preemptible resources
//!
//! Of a *sharable* resource all instances are always available, however many processes use them: nobody waits for it.
//! Of a *preemptible* one the system takes away from its holders what somebody else needs, and gives it back later:
//! nobody waits for it for ever.
//!
//! # Examples
//!
//! ```
//! use triveni::deadlock::State;
//!
//! let state = State::of_matrices(
//!     &[4, 2, 3, 1],
//!     &[[0, 0, 1, 0], [2, 0, 0, 1], [0, 1, 2, 0]],
//!     &[[2, 0, 0, 1], [1, 0, 1, 0], [2, 1, 0, 0]],
//! )?;
//! assert_eq!(state.available(), [2, 1, 0, 0]);
//! let detection = state.detect();
//! assert_eq!(detection.order(), [2, 1, 0]); // process 3 finishes first, then 2, then 1
//! assert!(!detection.is_deadlocked());
//! # Ok::<(), triveni::Error>(())
//! ```

mod conditions;
mod draw;
mod graph;
mod layout;
mod matrix;
mod report;
mod state;
#[cfg(all(test, not(loom), not(shuttle)))]
mod tests;

pub use conditions::{Condition, Finding};
pub use graph::{Cycle, Graph};
pub use matrix::{Detection, Shortage, Step};
pub use state::{CLASSES_MAX, PROCESSES_MAX, Resource, State};

/// `a`, `a and b`, `a, b and c`.
fn listed<T: AsRef<str>>(names: &[T]) -> String {
    match names {
        [] => "nothing".into(),
        [one] => one.as_ref().into(),
        [most @ .., last] => {
            let most: Vec<&str> = most.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", most.join(", "), last.as_ref())
        }
    }
}

/// `1 row`, `2 rows`; of a word that ends in s, `2 processes`.
fn counted(count: usize, word: &str) -> String {
    match count {
        1 => format!("1 {word}"),
        _ if word.ends_with('s') => format!("{count} {word}es"),
        _ => format!("{count} {word}s"),
    }
}
