//! What a system has, who holds it, and who asks for more.

use super::counted;
use super::matrix::Detection;
use crate::error::{Error, ErrorKind, Result};
use std::collections::HashSet;

/// The most processes of a [`State`].
pub const PROCESSES_MAX: usize = 1024;
/// The most classes of resources of a [`State`].
pub const CLASSES_MAX: usize = 1024;
/// The longest name of a process or a resource, in bytes.
const NAME_MAX: usize = 100;

/// A class of resources: a name, and how many instances of it exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its name.
    pub name: String,
    /// How many instances exist.
    pub instances: u32,
    /// May any number of processes use it at once? Nobody waits for it then.
    pub sharable: bool,
    /// May the system take it away from who holds it? Nobody waits for it for ever then.
    pub preemptible: bool,
}

impl Resource {
    /// A class of `instances` resources, each of which one process at a time holds until it gives it back.
    pub fn new(name: impl Into<String>, instances: u32) -> Resource {
        Resource { name: name.into(), instances, sharable: false, preemptible: false }
    }

    /// The same, sharable: any number of processes use it at once.
    pub fn sharable(self) -> Resource {
        Resource { sharable: true, ..self }
    }

    /// The same, preemptible: the system may take it away.
    pub fn preemptible(self) -> Resource {
        Resource { preemptible: true, ..self }
    }
}

/// What a system has, who holds it, and who asks for more: the two vectors and the two matrices of deadlock detection,
/// which are also a resource graph.
///
/// Processes and classes are numbered from 0 here; in texts the names that were not given begin with `process 1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    processes: Vec<String>,
    resources: Vec<Resource>,
    /// Row after row. Both matrices have a row for each process and a column for each class.
    allocation: Vec<u32>,
    request: Vec<u32>,
    /// Existing, less the sum of the column of `allocation`; all that exist of a sharable class.
    available: Vec<u32>,
}

impl State {
    /// A state of named processes and classes. Both matrices have a row for each process and a column for each class.
    ///
    /// # Errors
    /// `Invalid`, with a sentence that names process, class and numbers: for matrices of another shape; for more of a
    /// class allocated or requested than exist; for names that are empty, too long, used twice or hold control
    /// characters; for none or more than [`PROCESSES_MAX`] processes or [`CLASSES_MAX`] classes.
    pub fn new<A: AsRef<[u32]>, R: AsRef<[u32]>>(
        processes: Vec<String>,
        resources: Vec<Resource>,
        allocation: &[A],
        request: &[R],
    ) -> Result<State> {
        check_names("processes", processes.iter().map(String::as_str), PROCESSES_MAX)?;
        check_names("classes", resources.iter().map(|class| class.name.as_str()), CLASSES_MAX)?;
        let allocation = flat("allocation", allocation, &processes, resources.len())?;
        let request = flat("request", request, &processes, resources.len())?;
        let mut state = State { processes, resources, allocation, request, available: Vec::new() };
        state.available = (0..state.resources.len()).map(|class| state.free(class)).collect::<Result<_>>()?;
        state.check_requests()?;
        Ok(state)
    }

    /// A state of processes and classes that are known by their numbers: `process 1`, `class 1` and so on.
    ///
    /// # Errors
    /// As for [`new`](State::new).
    pub fn of_matrices<A: AsRef<[u32]>, R: AsRef<[u32]>>(
        existing: &[u32],
        allocation: &[A],
        request: &[R],
    ) -> Result<State> {
        check_count("processes", allocation.len(), PROCESSES_MAX)?;
        check_count("classes", existing.len(), CLASSES_MAX)?;
        let processes = (1..=allocation.len()).map(|n| format!("process {n}")).collect();
        let resources =
            (1..).zip(existing).map(|(n, existing)| Resource::new(format!("class {n}"), *existing)).collect();
        State::new(processes, resources, allocation, request)
    }

    /// Checks a vector of available resources that was written down: together with what is allocated it must be what
    /// exists.
    ///
    /// # Errors
    /// `Invalid`, naming the first class for which it is not.
    pub fn check_available(&self, available: &[u32]) -> Result<()> {
        if available.len() != self.resources.len() {
            let (found, needed) = (counted(available.len(), "number"), counted(self.resources.len(), "class"));
            return Err(invalid(format!("available: it has {found} for {needed}; give one for each class")));
        }
        for (class, (said, real)) in available.iter().zip(&self.available).enumerate() {
            if said != real {
                let Resource { name, instances, sharable, .. } = &self.resources[class];
                let real = match sharable {
                    true => format!("{instances} are available, as it is sharable"),
                    false => format!("{instances} less {} allocated makes {real} available", self.allocated(class)),
                };
                return Err(invalid(format!(
                    "available: of {name:?} {real}, not {said}; correct one of the three numbers, or leave available out"
                )));
            }
        }
        Ok(())
    }

    /// How many processes there are.
    pub fn processes(&self) -> usize {
        self.processes.len()
    }

    /// The name of a process.
    ///
    /// # Panics
    /// If there is no process of this number.
    pub fn process(&self, process: usize) -> &str {
        &self.processes[process]
    }

    /// The classes of resources.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// The available resource vector: of each class, how many nobody holds.
    pub fn available(&self) -> &[u32] {
        &self.available
    }

    /// What a process holds of each class: its row of the allocation matrix. Empty if there is no such process.
    pub fn allocation(&self, process: usize) -> &[u32] {
        row(&self.allocation, process, self.resources.len())
    }

    /// What a process asks for of each class: its row of the request matrix. Empty if there is no such process.
    pub fn request(&self, process: usize) -> &[u32] {
        row(&self.request, process, self.resources.len())
    }

    /// Has each class one instance? Then a cycle of the graph is a deadlock.
    pub fn has_single_instances(&self) -> bool {
        self.resources.iter().all(|class| class.instances <= 1)
    }

    /// Plays the detection with matrices.
    pub fn detect(&self) -> Detection {
        Detection::of(self.clone())
    }

    /// How many of a class all processes hold together.
    fn allocated(&self, class: usize) -> u64 {
        (0..self.processes()).map(|process| u64::from(self.allocation(process)[class])).sum()
    }

    /// How many of a class are available.
    fn free(&self, class: usize) -> Result<u32> {
        let Resource { name, instances, sharable, .. } = &self.resources[class];
        if *sharable {
            return Ok(*instances);
        }
        let allocated = self.allocated(class);
        u32::try_from(allocated).ok().and_then(|allocated| instances.checked_sub(allocated)).ok_or_else(|| {
            invalid(format!(
                "allocation: {allocated} of {name:?} are allocated of only {instances} existing; correct the column of \
                 {name:?}, or the number that exists"
            ))
        })
    }

    /// Asks anybody for more than there can ever be?
    fn check_requests(&self) -> Result<()> {
        for process in 0..self.processes() {
            for (class, resource) in self.resources.iter().enumerate() {
                let (held, asked) = (self.allocation(process)[class], self.request(process)[class]);
                let Resource { name, instances, sharable, preemptible } = resource;
                let who = self.process(process);
                if !sharable && asked > *instances {
                    return Err(invalid(format!(
                        "request: {who:?} asks for {asked} of {name:?}, of only {instances} existing; no system can grant \
                         that: correct the request, or the number that exists"
                    )));
                }
                if !sharable && *preemptible && u64::from(held) + u64::from(asked) > u64::from(*instances) {
                    return Err(invalid(format!(
                        "request: {who:?} holds {held} and asks for {asked} more of {name:?}, of only {instances} existing; \
                         it is preemptible, but nobody can take away from itself: correct the request"
                    )));
                }
            }
        }
        Ok(())
    }
}

fn row(matrix: &[u32], process: usize, classes: usize) -> &[u32] {
    let begin = process.saturating_mul(classes);
    matrix.get(begin..begin.saturating_add(classes)).unwrap_or_default()
}

fn flat<R: AsRef<[u32]>>(key: &str, rows: &[R], processes: &[String], classes: usize) -> Result<Vec<u32>> {
    if rows.len() != processes.len() {
        let (found, needed) = (counted(rows.len(), "row"), counted(processes.len(), "process"));
        return Err(invalid(format!("{key}: it has {found} for {needed}; give one for each process")));
    }
    let mut flat = Vec::with_capacity(rows.len() * classes);
    for (row, process) in rows.iter().zip(processes) {
        let row = row.as_ref();
        if row.len() != classes {
            let (found, needed) = (counted(row.len(), "number"), counted(classes, "class"));
            return Err(invalid(format!(
                "{key}: the row of {process:?} has {found} for {needed}; give one for each class"
            )));
        }
        flat.extend_from_slice(row);
    }
    Ok(flat)
}

fn check_count(key: &str, count: usize, most: usize) -> Result<()> {
    match count {
        0 => Err(invalid(format!("{key}: there are none; a state has at least one"))),
        count if count > most => Err(invalid(format!(
            "{key}: there are {count}, and at most {most} are taken; leave out \
             what is not needed"
        ))),
        _ => Ok(()),
    }
}

fn check_names<'a>(key: &str, names: impl ExactSizeIterator<Item = &'a str>, most: usize) -> Result<()> {
    check_count(key, names.len(), most)?;
    let mut seen = HashSet::new();
    for name in names {
        let short: String = name.chars().take(NAME_MAX).collect();
        if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
            return Err(invalid(format!(
                "{key}: the name {short:?} is no name; use 1 to {NAME_MAX} bytes without control characters"
            )));
        }
        if !seen.insert(name) {
            return Err(invalid(format!("{key}: the name {name:?} is used twice; give each its own")));
        }
    }
    Ok(())
}

#[cold]
pub(super) fn invalid(sentence: String) -> Error {
    Error::new(ErrorKind::Invalid, sentence)
}
