//! Explores every state of a small model of an algorithm, breadth first: for what loom cannot do, which is to kill
//! somebody at every step.
//!
//! A model is a start and the steps that lead on from a state. One step is one access to shared memory; that memory
//! is sequentially consistent here (weak orders are loom's part). In every state that can be reached, `check` must
//! hold, and from every one of them a state must be reachable in which all is `done`, by steps that may be counted
//! on: nobody is saved by a fault, and by the end of a slice only where the model says so.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Debug;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// How a state is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Whose step it is.
    pub by: u8,
    /// What it does, for the story of a fault.
    pub does: &'static str,
    /// May progress count on it? Not on deaths and on giving up.
    pub counts: bool,
}

/// A model of an algorithm.
pub trait Model {
    /// Everything there is, shared and private.
    type State: Clone + Eq + Hash + Debug;
    /// Where it begins.
    fn start(&self) -> Self::State;
    /// Every step that can follow.
    fn steps(&self, state: &Self::State) -> Vec<(Step, Self::State)>;
    /// What is wrong with this state, if anything.
    fn check(&self, state: &Self::State) -> Result<(), String>;
    /// Has everybody who is alive finished?
    fn is_done(&self, state: &Self::State) -> bool;
}

/// Explores all states; returns how many there are. Panics with the shortest story that leads to a fault: a state
/// that is wrong, or one from which nobody finishes any more.
pub fn explore<M: Model>(model: &M) -> usize {
    match find_fault(model) {
        Ok(states) => states,
        Err(story) => panic!("{story}"),
    }
}

/// As [`explore`], with the story as an error: for models that must fail.
pub fn find_fault<M: Model>(model: &M) -> Result<usize, String> {
    let start = model.start();
    let mut numbers: HashMap<M::State, usize, BuildHasherDefault<Fast>> = HashMap::default();
    numbers.insert(start.clone(), 0);
    let mut states = vec![start];
    let mut from: Vec<Option<(usize, Step)>> = vec![None];
    let mut before: Vec<Vec<u32>> = vec![Vec::new()];
    let mut at = 0;
    while at < states.len() {
        if let Err(wrong) = model.check(&states[at]) {
            return Err(story(&states, &from, at, &wrong));
        }
        for (step, next) in model.steps(&states[at]) {
            let number = match numbers.entry(next) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(unknown) => {
                    states.push(unknown.key().clone());
                    from.push(Some((at, step)));
                    before.push(Vec::new());
                    *unknown.insert(states.len() - 1)
                }
            };
            if step.counts {
                before[number].push(at as u32);
            }
        }
        at += 1;
    }
    // Backwards from every end along the steps that count: whoever is not met never ends.
    let mut ends: Vec<bool> = states.iter().map(|state| model.is_done(state)).collect();
    let mut todo: Vec<usize> = (0..states.len()).filter(|i| ends[*i]).collect();
    while let Some(number) = todo.pop() {
        for earlier in &before[number] {
            if !std::mem::replace(&mut ends[*earlier as usize], true) {
                todo.push(*earlier as usize);
            }
        }
    }
    match ends.iter().position(|ends| !ends) {
        Some(stuck) => Err(story(&states, &from, stuck, "from here on nobody finishes")),
        None => Ok(states.len()),
    }
}

fn story<S: Debug>(states: &[S], from: &[Option<(usize, Step)>], mut at: usize, wrong: &str) -> String {
    let mut lines = vec![format!("{wrong}: {:#?}", states[at])];
    while let Some((earlier, step)) = &from[at] {
        lines.push(format!("{}: {}", step.by, step.does));
        at = *earlier;
    }
    lines.reverse();
    lines.join("\n")
}

/// States are many and small, and nobody attacks this table.
#[derive(Default)]
struct Fast(u64);

impl Hasher for Fast {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u8(*byte));
    }
    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two threads add one to a number: each loads it, then stores it. `atomic`: in one step.
    struct Adders {
        atomic: bool,
    }

    impl Model for Adders {
        /// The number, and what each has loaded; 9: it is done.
        type State = (u8, [Option<u8>; 2]);

        fn start(&self) -> Self::State {
            (0, [None; 2])
        }

        fn steps(&self, state: &Self::State) -> Vec<(Step, Self::State)> {
            let mut all = Vec::new();
            for i in 0..2 {
                let (mut number, mut loaded) = *state;
                let does = match loaded[i] {
                    Some(9) => continue,
                    None if !self.atomic => {
                        loaded[i] = Some(number);
                        "load"
                    }
                    before => {
                        number = before.unwrap_or(number) + 1;
                        loaded[i] = Some(9);
                        "store"
                    }
                };
                all.push((Step { by: i as u8, does, counts: true }, (number, loaded)));
            }
            all
        }

        fn check(&self, state: &Self::State) -> Result<(), String> {
            if self.is_done(state) && state.0 != 2 { Err(format!("{} and not 2", state.0)) } else { Ok(()) }
        }

        fn is_done(&self, state: &Self::State) -> bool {
            state.1 == [Some(9); 2]
        }
    }

    #[test]
    fn a_lost_update_is_found_with_its_story() {
        assert_eq!(explore(&Adders { atomic: true }), 4);
        let story = find_fault(&Adders { atomic: false }).unwrap_err();
        assert!(story.starts_with("0: load\n1: load\n0: store\n1: store\n1 and not 2"), "{story}");
    }

    /// One waits for a flag that the other may set, or die before it does.
    struct Waiter;

    impl Model for Waiter {
        type State = (bool, bool, bool);

        fn start(&self) -> Self::State {
            (false, false, false)
        }

        fn steps(&self, &(set, dead, done): &Self::State) -> Vec<(Step, Self::State)> {
            let mut all = Vec::new();
            if !dead && !set {
                all.push((Step { by: 0, does: "set", counts: true }, (true, dead, done)));
                all.push((Step { by: 0, does: "die", counts: false }, (set, true, done)));
            }
            if set && !done {
                all.push((Step { by: 1, does: "see it", counts: true }, (set, dead, true)));
            }
            all
        }

        fn check(&self, _: &Self::State) -> Result<(), String> {
            Ok(())
        }

        fn is_done(&self, state: &Self::State) -> bool {
            state.2
        }
    }

    #[test]
    fn who_waits_for_ever_is_found() {
        let story = find_fault(&Waiter).unwrap_err();
        assert!(story.starts_with("0: die\nfrom here on nobody finishes"), "{story}");
    }
}
