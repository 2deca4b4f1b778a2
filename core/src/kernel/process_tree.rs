//! Who is whose child, read from /proc and drawn.

use crate::error::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;

/// One process of a [`ProcessTree`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TreeNode {
    /// Its process id.
    pub pid: u32,
    /// Its parent's.
    pub ppid: u32,
    /// The name of its program, as `ps` shows it.
    pub name: String,
    /// What it does: R runs, S sleeps, D waits for a device, T stands (SIGSTOP), Z has ended and was not waited for.
    pub state: char,
    /// How many steps it is below the root.
    pub depth: usize,
}

/// A process and all that descend from it, at one moment.
///
/// The moment is as long as reading /proc takes: who is born or dies meanwhile may be missing. It shows as a drawing:
///
/// ```text
/// 100 sh
/// ├─ 101 make
/// │  └─ 103 cc
/// └─ 102 sleep (stopped)
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessTree {
    /// In the order of the drawing: before its children, children by their number.
    nodes: Vec<TreeNode>,
}

impl ProcessTree {
    /// The tree under process `pid`.
    ///
    /// # Errors
    /// `System(ESRCH)` if there is no such process; what reading /proc reports.
    pub fn of(pid: u32) -> Result<ProcessTree> {
        let mut children: BTreeMap<u32, Vec<TreeNode>> = BTreeMap::new();
        let mut root = None;
        let listing = fs::read_dir("/proc").map_err(|error| {
            Error::os(error.raw_os_error().unwrap_or(libc::EIO), "read the processes in /proc; is it mounted?")
        })?;
        for entry in listing.flatten() {
            let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let Some(node) = read(number) else { continue }; // it has just ended
            if node.pid == pid {
                root = Some(node);
            } else {
                children.entry(node.ppid).or_default().push(node);
            }
        }
        let root = root.ok_or_else(|| super::signal::nobody(pid))?;
        for siblings in children.values_mut() {
            siblings.sort_by_key(|node| std::cmp::Reverse(node.pid));
        }
        let (mut nodes, mut to_do) = (Vec::new(), vec![root]);
        // Whoever is taken out of `children` is gone from it, so numbers that were used again make no circle.
        while let Some(node) = to_do.pop() {
            for mut child in children.remove(&node.pid).unwrap_or_default() {
                child.depth = node.depth + 1;
                to_do.push(child);
            }
            nodes.push(node);
        }
        Ok(ProcessTree { nodes })
    }

    /// The tree under the calling process.
    ///
    /// # Errors
    /// As [`ProcessTree::of`].
    pub fn own() -> Result<ProcessTree> {
        ProcessTree::of(std::process::id())
    }

    /// Its processes: each before its children, the root first.
    pub fn nodes(&self) -> &[TreeNode] {
        &self.nodes
    }

    /// The process `pid`, if it is in the tree.
    pub fn find(&self, pid: u32) -> Option<&TreeNode> {
        self.nodes.iter().find(|node| node.pid == pid)
    }

    /// The children of process `pid`.
    pub fn children(&self, pid: u32) -> impl Iterator<Item = &TreeNode> {
        self.nodes.iter().filter(move |node| node.depth > 0 && node.ppid == pid)
    }

    /// How many steps the lowest is below the root: n for a chain of n, 1 for a fan.
    pub fn depth(&self) -> usize {
        self.nodes.iter().map(|node| node.depth).max().unwrap_or(0)
    }
}

impl fmt::Display for ProcessTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // For each level: does a later sibling follow there?
        let mut follows = vec![false; self.depth() + 1];
        let mut lines: Vec<String> = Vec::with_capacity(self.nodes.len());
        // From below: a process is the last of its siblings if none of the same depth follows before a higher one.
        for node in self.nodes.iter().rev() {
            let mut line = String::new();
            for level in 1..=node.depth {
                let here = follows.get(level).copied().unwrap_or(false);
                line.push_str(match (level == node.depth, here) {
                    (true, true) => "├─ ",
                    (true, false) => "└─ ",
                    (false, true) => "│  ",
                    (false, false) => "   ",
                });
            }
            if let Some(here) = follows.get_mut(node.depth) {
                *here = true;
            }
            for deeper in follows.iter_mut().skip(node.depth + 1) {
                *deeper = false;
            }
            let state = match node.state {
                'T' | 't' => " (stopped)",
                'Z' => " (zombie)",
                _ => "",
            };
            lines.push(format!("{line}{} {}{state}\n", node.pid, printable(&node.name)));
        }
        lines.iter().rev().try_for_each(|line| f.write_str(line))
    }
}

/// A program may call itself anything, also what would move the cursor of a terminal.
fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// What /proc/PID/stat says; `None` if the process is gone.
pub(super) fn read(pid: u32) -> Option<TreeNode> {
    parse(pid, &String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/stat")).ok()?))
}

/// `PID (NAME) STATE PPID …`, where NAME may hold anything, also parentheses and line breaks.
fn parse(pid: u32, stat: &str) -> Option<TreeNode> {
    let (before, rest) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let ppid = fields.next()?.parse().ok()?;
    Some(TreeNode { pid, ppid, name: name.to_string(), state, depth: 0 })
}

/// The state of process `pid`: `T` if it stands.
pub(super) fn state(pid: u32) -> Result<char> {
    match read(pid) {
        Some(node) if node.state == 'Z' || node.state == 'X' => {
            let sentence = format!("process {pid} has ended");
            Err(Error::new(ErrorKind::System(libc::ESRCH), sentence))
        }
        Some(node) => Ok(node.state),
        None => Err(super::signal::nobody(pid)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node(pid: u32, depth: usize, state: char) -> TreeNode {
        TreeNode { pid, ppid: 0, name: format!("p{pid}"), state, depth }
    }

    #[test]
    fn the_drawing_shows_who_is_whose_child() {
        let nodes = [(1, 0, 'S'), (2, 1, 'S'), (3, 2, 'R'), (4, 2, 'Z'), (5, 1, 'T'), (6, 2, 'S')];
        let tree = ProcessTree { nodes: nodes.map(|(pid, depth, state)| node(pid, depth, state)).to_vec() };
        let drawn = "1 p1\n├─ 2 p2\n│  ├─ 3 p3\n│  └─ 4 p4 (zombie)\n└─ 5 p5 (stopped)\n   └─ 6 p6\n";
        assert_eq!(tree.to_string(), drawn);
    }

    #[test]
    fn a_name_with_parentheses_and_a_line_break_is_a_name() {
        let node = parse(7, "7 (a) S 1 (\n) T 42 1 1 0").unwrap();
        assert_eq!((node.name.as_str(), node.state, node.ppid), ("a) S 1 (\n", 'T', 42));
        assert_eq!(printable(&node.name), "a) S 1 (?");
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error_and_this_one_is_there() {
        assert_eq!(ProcessTree::of(0).unwrap_err().kind(), ErrorKind::System(libc::ESRCH));
        assert_eq!(ProcessTree::own().unwrap().nodes()[0].pid, std::process::id());
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in ".*") {
            let _ = parse(1, &text);
        }

        #[test]
        fn any_depths_are_drawn_one_line_each(depths in prop::collection::vec(0usize..6, 0..20)) {
            let tree = ProcessTree { nodes: depths.iter().map(|depth| node(1, *depth, 'S')).collect() };
            prop_assert_eq!(tree.to_string().lines().count(), depths.len());
        }
    }
}
