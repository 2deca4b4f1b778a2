//! The state of a live segment: who sleeps for which lock, and who holds it.
//!
//! A node is a thread that sleeps, or that is in the way of one. Of an object each holder has one instance, and who sleeps
//! for it asks for those of all others: it goes on when they have let go. Of a leased semaphore permits are instances.

use std::collections::BTreeMap;
use triveni::deadlock::{Resource, State};
use triveni::{Holder, ObjectState, Snapshot, Wait, WaitMode};

/// Slot and number of a thread.
type Thread = (u32, u32);

/// The state of a segment. An error if nobody sleeps for anything that somebody holds.
pub fn state(snapshot: &Snapshot) -> Result<State, String> {
    let waits: Vec<&Wait> = snapshot.waits.iter().filter(|wait| !wait.blocked_by.is_empty()).collect();
    let mut threads: BTreeMap<Thread, usize> = BTreeMap::new();
    let mut objects: BTreeMap<&str, Vec<Thread>> = BTreeMap::new();
    for wait in &waits {
        threads.entry((wait.slot, wait.thread)).or_default();
        let holders = objects.entry(&wait.object).or_default();
        for Holder { slot, thread, .. } in &wait.blocked_by {
            threads.entry((*slot, *thread)).or_default();
            if !holders.contains(&(*slot, *thread)) {
                holders.push((*slot, *thread));
            }
        }
    }
    if waits.is_empty() {
        return Err("nobody sleeps for a lock or permit that somebody holds: nothing to look at".into());
    }
    threads.values_mut().enumerate().for_each(|(place, thread)| *thread = place);
    let mut allocation = vec![vec![0u32; objects.len()]; threads.len()];
    let mut request = allocation.clone();
    let mut resources = Vec::new();
    for (class, (name, holders)) in objects.iter().enumerate() {
        let leases =
            snapshot.objects.iter().find(|object| object.name == *name).and_then(|object| match &object.state {
                ObjectState::Semaphore { max, leases, .. } => Some((*max, leases)),
                _ => None,
            });
        for thread in leases.map_or(holders, |(_, leases)| leases) {
            if let Some(place) = threads.get(thread) {
                allocation[*place][class] += 1;
            }
        }
        // Holders that sleep nowhere and are in nobody's way let their permits come back: as if nobody had them.
        let instances = leases.map_or(holders.len() as u32, |(max, _)| max);
        resources.push(Resource::new(*name, instances));
        for wait in waits.iter().filter(|wait| wait.object == *name) {
            let Some(place) = threads.get(&(wait.slot, wait.thread)) else { continue };
            let others = instances - allocation[*place][class].min(instances);
            let asked = if wait.mode == WaitMode::Permit { wait.count } else { others.max(1) };
            request[*place][class] = asked.min(instances);
        }
    }
    let processes = threads.keys().map(|thread| named(snapshot, *thread)).collect();
    State::new(processes, resources, &allocation, &request).map_err(|error| error.to_string())
}

/// `4711 python3`, with the thread's number unless it is the first.
fn named(snapshot: &Snapshot, (slot, thread): Thread) -> String {
    let who = match snapshot.participants.iter().find(|participant| participant.slot == slot) {
        Some(who) => format!("{} {}", who.pid, who.name.chars().filter(|c| !c.is_control()).collect::<String>()),
        None => format!("slot {slot}"),
    };
    if thread == 0 { who } else { format!("{who} thread {thread}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use triveni::Segment;

    #[test]
    fn two_threads_that_wait_for_each_other_are_seen_from_outside() {
        let name = format!("live-{}", std::process::id());
        let segment = Segment::create(&name, 1 << 20).unwrap();
        let (a, b) = (segment.mutex("a").unwrap(), segment.mutex("b").unwrap());
        let both = Barrier::new(2);
        assert!(state(&segment.snapshot().unwrap()).unwrap_err().contains("nobody sleeps"));
        std::thread::scope(|scope| {
            for (first, second) in [(&a, &b), (&b, &a)] {
                let both = &both;
                scope.spawn(move || {
                    let _held = first.lock().unwrap();
                    both.wait();
                    drop(second.lock()); // ends when one is removed: with an error, or with the lock of who got one
                });
            }
            while segment.snapshot().unwrap().deadlocks.is_empty() {
                std::thread::yield_now();
            }
            let state = state(&Segment::inspect(&name).unwrap()).unwrap();
            segment.remove("a").unwrap();
            segment.remove("b").unwrap();
            let detection = state.detect();
            assert_eq!(detection.deadlocked().len(), 2, "{detection}");
            assert_eq!(state.cycles().len(), 1);
            assert!(state.process(0).starts_with(&std::process::id().to_string()));
            assert!(state.svg().is_ok());
        });
        Segment::unlink(&name).unwrap();
    }
}
