//! Deadlocks among the locks of a segment, found while they stand.
//!
//! # The graph
//!
//! A node is a thread that sleeps; its edges go to the threads that hold what it waits for. One that waits for a
//! mutex, a monitor or a readers-writer lock needs *all* of them to let go; one that waits for permits needs *enough*
//! of them. Threads that do not sleep, or sleep for something that nobody owes, can go on. What is left when everybody
//! who can go on, or could once those have let go, is crossed out, is deadlocked: the reduction of Holt, "Some deadlock
//! properties of computer systems" (1972). Whoever is left has an edge to somebody who is left, so following one edge
//! from each leads into a circle.
//!
//! # Why what is reported was true
//!
//! Notes are read, then locks, then the same notes again. A thread whose note says ASLEEP under the same word slept all
//! the time, so what it was seen to hold in between it held all the time, and took nothing: at one moment all edges of
//! the circle stood together. One that was woken already but has not run yet looks as if it slept on; so a circle
//! counts only if the same sleeps are found a moment later. A real one stands for ever, and who in it looks again at
//! the end of a slice is asleep the next time.

use super::region::Region;
use super::waits::{self, Needs, Sleeper, Wait};
use crate::error::{Error, ErrorKind};
use std::fmt;
use std::time::Duration;

/// How long a circle must have stood.
const MOMENT: Duration = Duration::from_millis(1);
/// How often to look: somebody in the circle may be between two slices just then.
const LOOKS: usize = 10;

/// Threads that wait for each other in a circle: each for an object that the next one holds.
#[derive(Clone, Debug)]
pub struct Deadlock {
    /// The waits; each is blocked by the thread of the next one, the last by that of the first.
    pub cycle: Vec<Wait>,
}

/// `process 7 (a) waits to lock "x", held by process 8 (b), which waits to lock "y", held by process 7 (a)`
impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, wait) in self.cycle.iter().enumerate() {
            if i == 0 {
                f.write_str(&wait.who())?;
            } else {
                f.write_str(", which")?;
            }
            write!(f, " waits {}, held by {}", wait.what(), self.cycle[(i + 1) % self.cycle.len()].who())?;
        }
        Ok(())
    }
}

/// All circles that stand at this moment.
pub fn find(region: &Region, is_alive: impl Fn(u32) -> bool) -> Vec<Deadlock> {
    standing(region, &is_alive, None, |_| true)
        .iter()
        .map(|circle| Deadlock { cycle: circle.iter().map(|sleeper| waits::describe(region, sleeper)).collect() })
        .collect()
}

/// The error for the sleeper `me`, if it is the last one in a circle: who came first goes on waiting.
pub fn mine(region: &Region, is_alive: impl Fn(u32) -> bool, me: u32) -> Option<Error> {
    let is_last_of = |circle: &[&Sleeper]| {
        let last = circle.iter().max_by_key(|sleeper| (sleeper.said.since_ns, sleeper.said.owner));
        last.is_some_and(|last| last.said.owner == me)
    };
    let circle = standing(region, &is_alive, Some(me), is_last_of).into_iter().next()?;
    // Told from the victim's view, so that the sentence begins with it.
    let at = circle.iter().position(|sleeper| sleeper.said.owner == me).unwrap_or(0);
    let cycle = (0..circle.len()).map(|i| waits::describe(region, &circle[(at + i) % circle.len()])).collect();
    Some(Error::new(
        ErrorKind::Deadlock,
        format!("waiting would never end: {}; release what you hold and try again", Deadlock { cycle }),
    ))
}

/// The circles that `counts` accepts and that stand for certain. `me`: the caller, who is awake, but only here.
fn standing(
    region: &Region,
    is_alive: &impl Fn(u32) -> bool,
    me: Option<u32>,
    counts: impl Fn(&[&Sleeper]) -> bool,
) -> Vec<Vec<Sleeper>> {
    let mut before: Vec<Sleeper> = Vec::new();
    let mut found: Vec<Vec<Sleeper>> = Vec::new();
    for look in 1..=LOOKS {
        let sleepers = waits::look(region, is_alive);
        let slept_on = |now: &Sleeper| {
            let then = before.iter().find(|then| then.is_same_sleep(now));
            then.is_some() && (now.said.asleep || Some(now.said.owner) == me) && now.sleeps_still(region)
        };
        let certain: Vec<bool> = sleepers.iter().map(slept_on).collect();
        let circles: Vec<Vec<usize>> = circles(&sleepers)
            .into_iter()
            .filter(|circle| counts(&circle.iter().map(|i| &sleepers[*i]).collect::<Vec<_>>()))
            .collect();
        // Each circle is judged by itself: others may come and go, with deadlines, as fast as we look.
        let (sure, unsure): (Vec<_>, Vec<_>) =
            circles.into_iter().partition(|circle| circle.iter().all(|i| certain[*i]));
        for circle in sure {
            let is_known =
                |known: &Vec<Sleeper>| known.iter().any(|one| one.said.owner == sleepers[circle[0]].said.owner);
            if !found.iter().any(is_known) {
                found.push(circle.iter().map(|i| sleepers[*i].clone()).collect());
            }
        }
        if unsure.is_empty() || look == LOOKS {
            break;
        }
        before = sleepers;
        std::thread::sleep(MOMENT);
    }
    found
}

/// The circles among the sleepers, as their indexes in the order of the edges. No two share a sleeper.
fn circles(sleepers: &[Sleeper]) -> Vec<Vec<usize>> {
    let place = |owner: u32| sleepers.iter().position(|sleeper| sleeper.said.owner == owner);
    let mut stuck: Vec<bool> = sleepers.iter().map(|sleeper| !sleeper.needs.threads().is_empty()).collect();
    loop {
        let is_stuck = |owner: &&u32| place(**owner).is_some_and(|i| stuck[i]);
        let freed: Vec<usize> = (0..sleepers.len())
            .filter(|i| stuck[*i])
            .filter(|i| match &sleepers[*i].needs {
                Needs::Nobody => true,
                Needs::All(threads) => !threads.iter().any(|thread| is_stuck(&thread)),
                Needs::Permits { missing, out } => out.iter().filter(|thread| !is_stuck(thread)).count() >= *missing,
            })
            .collect();
        if freed.is_empty() {
            break;
        }
        freed.into_iter().for_each(|i| stuck[i] = false);
    }
    // Its own permits come last: they close a circle only if there is nobody else.
    let next = |i: usize| {
        let mut stuck_ones = sleepers[i].needs.threads().iter().filter_map(|owner| place(*owner)).filter(|j| stuck[*j]);
        stuck_ones.clone().find(|j| *j != i).or_else(|| stuck_ones.next())
    };
    let mut seen = vec![0usize; sleepers.len()]; // On which walk a sleeper was met; 0: on none.
    let mut found = Vec::new();
    for start in (0..sleepers.len()).filter(|i| stuck[*i]) {
        let (mut path, mut at) = (Vec::new(), Some(start));
        while let Some(i) = at.filter(|i| seen[*i] == 0) {
            seen[i] = start + 1;
            path.push(i);
            at = next(i);
        }
        // The walk ended at a sleeper of its own: from there on, the path is a circle.
        if let Some(i) = at.filter(|i| seen[*i] == start + 1)
            && let Some(begin) = path.iter().position(|j| *j == i)
        {
            found.push(path.split_off(begin));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::WaitMode;

    fn sleepers(all: &[(u32, Needs)]) -> Vec<Sleeper> {
        all.iter().map(|(owner, needs)| Sleeper::for_test(*owner, WaitMode::Lock, needs.clone())).collect()
    }

    fn found(all: &[(u32, Needs)]) -> Vec<Vec<u32>> {
        let sleepers = sleepers(all);
        circles(&sleepers).into_iter().map(|c| c.into_iter().map(|i| sleepers[i].said.owner).collect()).collect()
    }

    fn all(threads: &[u32]) -> Needs {
        Needs::All(threads.to_vec())
    }

    #[test]
    fn two_and_five_in_a_circle_are_found_and_who_waits_behind_them_is_not_in_it() {
        assert_eq!(found(&[(1, all(&[2])), (2, all(&[1])), (3, all(&[1]))]), [[1, 2]]);
        let five: Vec<_> = (0..5).map(|i| (i + 1, all(&[(i + 1) % 5 + 1]))).collect();
        assert_eq!(found(&five), [[1, 2, 3, 4, 5]]);
        assert_eq!(found(&[(3, all(&[1])), (1, all(&[2])), (2, all(&[1]))]), [[1, 2]]);
    }

    #[test]
    fn a_chain_that_ends_with_somebody_awake_is_none() {
        assert!(found(&[(1, all(&[2])), (2, all(&[3]))]).is_empty());
        assert!(found(&[(1, all(&[2])), (2, Needs::Nobody)]).is_empty());
    }

    #[test]
    fn a_writer_needs_all_readers_to_leave() {
        assert_eq!(found(&[(1, all(&[7, 2])), (2, all(&[1]))]), [[1, 2]]);
    }

    #[test]
    fn permits_are_missing_only_while_enough_holders_are_stuck() {
        let permits = |missing, out: &[u32]| Needs::Permits { missing, out: out.to_vec() };
        assert!(found(&[(1, permits(1, &[2, 9])), (2, all(&[1]))]).is_empty(), "9 is awake and will post");
        assert_eq!(found(&[(1, permits(2, &[2, 9])), (2, all(&[1]))]), [[1, 2]]);
        assert_eq!(found(&[(1, permits(1, &[1, 2])), (2, all(&[1]))]), [[1, 2]], "its own permit does not help");
        assert_eq!(found(&[(1, permits(1, &[1, 1]))]), [[1]], "a circle of one");
    }

    #[test]
    fn two_circles_are_two() {
        let two = found(&[(1, all(&[2])), (2, all(&[1])), (3, all(&[4])), (4, all(&[3]))]);
        assert_eq!(two, [[1, 2], [3, 4]]);
    }
}
