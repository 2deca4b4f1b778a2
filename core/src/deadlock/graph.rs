//! Resource graphs: processes and resources as nodes, requests and assignments as edges.
//!
//! An edge from a process to a resource is a request, one from a resource to a process an assignment. The waiting that
//! matters is that for more than is available: of all requests, those are the edges in which cycles are sought.

use super::state::{CLASSES_MAX, PROCESSES_MAX, Resource, State, invalid};
use crate::error::Result;
use std::collections::HashMap;

/// A resource graph that is put together edge by edge.
///
/// ```
/// use triveni::deadlock::Graph;
///
/// let state = Graph::new()
///     .resource("printer", 1)
///     .resource("scanner", 1)
///     .assignment("printer", "A")
///     .request("A", "scanner")
///     .assignment("scanner", "B")
///     .request("B", "printer")
///     .state()?;
/// assert_eq!(state.cycles().len(), 1);
/// assert_eq!(state.detect().verdict(), "deadlock: A and B wait for ever");
/// # Ok::<(), triveni::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Graph {
    processes: Vec<String>,
    resources: Vec<Resource>,
    /// Process, resource, how many.
    requests: Vec<(String, String, u32)>,
    assignments: Vec<(String, String, u32)>,
}

/// Processes that wait for each other in a circle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// Each process waits for the class beside it, of which the next process holds some; the last waits for the first.
    pub links: Vec<(usize, usize)>,
}

impl Graph {
    /// A graph without nodes.
    pub fn new() -> Graph {
        Graph::default()
    }

    /// Adds a process. Those that no edge mentions must be added; the others are, by their first edge.
    pub fn process(mut self, name: impl Into<String>) -> Graph {
        self.processes.push(name.into());
        self
    }

    /// Adds a resource of so many instances.
    pub fn resource(self, name: impl Into<String>, instances: u32) -> Graph {
        self.resource_with(Resource::new(name, instances))
    }

    /// Adds a resource that may be sharable or preemptible.
    pub fn resource_with(mut self, resource: Resource) -> Graph {
        self.resources.push(resource);
        self
    }

    /// Adds an edge from a process to a resource: it asks for one instance, or for one more.
    pub fn request(mut self, process: impl Into<String>, resource: impl Into<String>) -> Graph {
        self.requests.push((process.into(), resource.into(), 1));
        self
    }

    /// Adds an edge from a resource to a process: it holds one instance, or one more.
    pub fn assignment(mut self, resource: impl Into<String>, process: impl Into<String>) -> Graph {
        self.assignments.push((process.into(), resource.into(), 1));
        self
    }

    /// The state that the graph shows.
    ///
    /// # Errors
    /// `Invalid` if an edge names a resource that was not added, and as for [`State::new`].
    pub fn state(self) -> Result<State> {
        let Graph { mut processes, resources, requests, assignments } = self;
        let mut places: HashMap<String, usize> = HashMap::new();
        for (place, name) in processes.iter().enumerate() {
            places.entry(name.clone()).or_insert(place); // a name used twice is refused by `State::new`
        }
        for (process, ..) in assignments.iter().chain(&requests) {
            if !places.contains_key(process) {
                places.insert(process.clone(), processes.len());
                processes.push(process.clone());
            }
        }
        let classes: HashMap<&str, usize> =
            resources.iter().enumerate().rev().map(|(place, class)| (class.name.as_str(), place)).collect();
        // Too many are refused by `State::new`: no matrix is made for them before.
        let rows = if processes.len() > PROCESSES_MAX || resources.len() > CLASSES_MAX { 0 } else { processes.len() };
        let matrix = |key: &str, edges: &[(String, String, u32)]| -> Result<Vec<Vec<u32>>> {
            let mut matrix = vec![vec![0u32; resources.len()]; rows];
            for (process, resource, count) in edges {
                let Some(class) = classes.get(resource.as_str()) else {
                    return Err(invalid(format!(
                        "{key}: {process:?} and {resource:?} are joined by an edge, but there is no resource {resource:?}; \
                         add it to the resources"
                    )));
                };
                if let Some(cell) = places.get(process).and_then(|place| matrix.get_mut(*place)?.get_mut(*class)) {
                    *cell = cell.saturating_add(*count);
                }
            }
            Ok(matrix)
        };
        let (allocation, request) = (matrix("assignments", &assignments)?, matrix("requests", &requests)?);
        State::new(processes, resources, &allocation, &request)
    }
}

impl State {
    /// Cycles of the resource graph: one for each part of it in which processes wait for each other, the shortest one
    /// from the first process of that part on. With one instance of each resource they are deadlocks; otherwise ask
    /// [`detect`](State::detect) whether somebody outside of the cycle can finish and give back what is missing.
    pub fn cycles(&self) -> Vec<Cycle> {
        cycles(self, |_| true)
    }
}

/// The wants of a process in which cycles are sought: what it asks for beyond what is free. Of a sharable or preemptible
/// class, what would not be free if it were not.
pub(super) fn wants(state: &State, free: &[u32], process: usize) -> Vec<usize> {
    let requests = state.request(process).iter().zip(free).enumerate();
    requests.filter(|(_, (requested, free))| requested > free).map(|(class, _)| class).collect()
}

/// What nobody holds of each class, sharable or not.
pub(super) fn unheld(state: &State) -> Vec<u32> {
    let held = |class: usize| (0..state.processes()).map(|process| u64::from(state.allocation(process)[class])).sum();
    let left = |(class, resource): (usize, &Resource)| u64::from(resource.instances).saturating_sub(held(class)) as u32;
    state.resources().iter().enumerate().map(left).collect()
}

/// The cycles through classes that `counts` accepts.
pub(super) fn cycles(state: &State, counts: impl Fn(&Resource) -> bool) -> Vec<Cycle> {
    let (processes, classes) = (state.processes(), state.resources().len());
    let free = unheld(state);
    let is_counted: Vec<bool> = state.resources().iter().map(counts).collect();
    // Nodes: the processes, then the classes.
    let edges: Vec<Vec<usize>> = (0..processes)
        .map(|process| {
            wants(state, &free, process).into_iter().filter(|class| is_counted[*class]).map(|c| processes + c).collect()
        })
        .chain(
            (0..classes).map(|class| (0..processes).filter(|process| state.allocation(*process)[class] > 0).collect()),
        )
        .collect();
    let part = parts(&edges);
    let mut size = vec![0usize; edges.len()];
    part.iter().for_each(|part| size[*part] += 1);
    let mut is_done = vec![false; edges.len()];
    let mut found = Vec::new();
    for start in 0..processes {
        // A cycle has two nodes at least, as no edge joins a node to itself.
        if size[part[start]] >= 2 && !std::mem::replace(&mut is_done[part[start]], true) {
            let path = shortest(&edges, &part, start);
            found.push(Cycle { links: path.chunks_exact(2).map(|link| (link[0], link[1] - processes)).collect() });
        }
    }
    found
}

/// The strongly connected part of each node, as a number (Tarjan 1972, with a stack of its own instead of recursion).
fn parts(edges: &[Vec<usize>]) -> Vec<usize> {
    const NONE: usize = usize::MAX;
    let count = edges.len();
    let (mut index, mut low, mut part) = (vec![NONE; count], vec![0; count], vec![NONE; count]);
    let (mut stack, mut next_index, mut next_part) = (Vec::new(), 0, 0);
    for root in 0..count {
        let mut calls = if index[root] == NONE { vec![(root, 0)] } else { Vec::new() };
        while let Some((node, at)) = calls.pop() {
            if at == 0 {
                index[node] = next_index;
                low[node] = next_index;
                next_index += 1;
                stack.push(node);
            } else {
                // Back from the edge before.
                let child = edges[node][at - 1];
                if part[child] == NONE {
                    low[node] = low[node].min(low[child]);
                }
            }
            if let Some(child) = edges[node].get(at) {
                calls.push((node, at + 1));
                if index[*child] == NONE {
                    calls.push((*child, 0));
                }
            } else if low[node] == index[node] {
                while let Some(member) = stack.pop() {
                    part[member] = next_part;
                    if member == node {
                        break;
                    }
                }
                next_part += 1;
            }
        }
    }
    part
}

/// The nodes of the shortest cycle through `start` inside its part.
fn shortest(edges: &[Vec<usize>], part: &[usize], start: usize) -> Vec<usize> {
    let mut before: HashMap<usize, usize> = HashMap::new();
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for next in edges[node].iter().filter(|next| part[**next] == part[start]) {
            if *next == start {
                let mut path = vec![node];
                while let Some(previous) = path.last().filter(|last| **last != start).and_then(|last| before.get(last))
                {
                    path.push(*previous);
                }
                path.reverse();
                return path;
            }
            before.entry(*next).or_insert_with(|| {
                queue.push_back(*next);
                node
            });
        }
    }
    Vec::new()
}
