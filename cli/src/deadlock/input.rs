//! A state from a TOML or JSON file. Every error names the file, the line where it is known, the key and what to do.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use triveni::deadlock::{Graph, Resource, State};

/// The largest file that is read. The largest state needs less.
const SIZE_MAX: u64 = 16 << 20;
/// So much of a line is shown.
const SHOWN: usize = 80;

/// Either form; which one is told by its keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    existing: Option<Vec<u32>>,
    available: Option<Vec<u32>>,
    allocation: Option<Vec<Vec<u32>>>,
    request: Option<Vec<Vec<u32>>>,
    classes: Option<Vec<String>>,
    resources: Option<Instances>,
    assignments: Option<Vec<(String, String)>>,
    requests: Option<Vec<(String, String)>>,
    processes: Option<Vec<String>>,
    #[serde(default)]
    sharable: Vec<String>,
    #[serde(default)]
    preemptible: Vec<String>,
}

/// Names and numbers, in the order of the file. A name used twice stays, and is refused with the other names.
struct Instances(Vec<(String, u32)>);

impl<'de> Deserialize<'de> for Instances {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Instances, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Instances;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("names of resources with how many instances exist of each")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Instances, A::Error> {
                let mut pairs = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    let instances = map
                        .next_value()
                        .map_err(|error| A::Error::custom(format!("the number of instances of {name:?}: {error}")))?;
                    pairs.push((name, instances));
                }
                Ok(Instances(pairs))
            }
        }
        from.deserialize_map(Pairs)
    }
}

/// Reads `path`, or stdin for `-`.
pub fn read(path: &Path) -> Result<State, String> {
    let (file, text) = if path == Path::new("-") {
        ("stdin".to_string(), text(io::stdin().lock()))
    } else {
        (path.display().to_string(), File::open(path).and_then(text))
    };
    let text = text.map_err(|error| format!("{file}: {error}"))?;
    let is_json = match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => true,
        Some("toml") => false,
        _ => text.trim_start().starts_with('{'), // no TOML begins so
    };
    parse(&file, &text, is_json)
}

fn parse(file: &str, text: &str, is_json: bool) -> Result<State, String> {
    let input = if is_json { json(text) } else { toml(text) }.map_err(|said| format!("{file}{said}"))?;
    input.state().map_err(|sentence| match line_of(text, &sentence) {
        Some(line) => format!("{file}, line {line}: {sentence}"),
        None => format!("{file}: {sentence}"),
    })
}

fn text(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(SIZE_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > SIZE_MAX {
        let sentence = format!("larger than {SIZE_MAX} bytes: no state that could be looked at needs so many");
        return Err(io::Error::other(sentence));
    }
    Ok(text)
}

const REMEDY: &str = "numbers go from 0 to 4294967295; `triveni help deadlock` lists the keys";

fn json(text: &str) -> Result<Input, String> {
    serde_json::from_str(text).map_err(|error| {
        let whole = error.to_string();
        let said = whole.rsplit_once(" at line ").map_or(&*whole, |(said, _)| said);
        format!("{}: {said}; {REMEDY}", position(text, error.line(), error.column()))
    })
}

fn toml(text: &str) -> Result<Input, String> {
    toml::from_str(text).map_err(|error| {
        let place = match error.span() {
            Some(span) => {
                let before = text.get(..span.start).unwrap_or_default();
                let column = before.rsplit('\n').next().map_or(1, |line| line.chars().count() + 1);
                position(text, before.matches('\n').count() + 1, column)
            }
            None => String::new(),
        };
        format!("{place}: {}; {REMEDY}", error.message().trim().replace('\n', " "))
    })
}

/// `, line 3, column 7 (request = [[1, -1]])`
fn position(text: &str, line: usize, column: usize) -> String {
    let shown = text.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim();
    let cut: String = shown.chars().filter(|letter| !letter.is_control()).take(SHOWN).collect();
    let more = if cut.len() < shown.len() { "…" } else { "" };
    format!(", line {line}, column {column} ({cut}{more})")
}

/// The line of the key with which a sentence begins.
fn line_of(text: &str, sentence: &str) -> Option<usize> {
    let (key, _) = sentence.split_once(':')?;
    let is_here = |line: &str| {
        let line = line.trim_start().trim_start_matches(['{', '[', '"', ' ']);
        line.strip_prefix(key).is_some_and(|rest| rest.trim_start_matches(['"', ' ']).starts_with(['=', ':', ']']))
    };
    text.lines().position(is_here).map(|line| line + 1)
}

impl Input {
    fn state(self) -> Result<State, String> {
        match (&self.existing, &self.resources) {
            (Some(_), None) => self.matrices(),
            (None, Some(_)) => self.graph(),
            (None, None) => Err("there is neither `existing` (matrices) nor `resources` (a graph); \
                                 `triveni help deadlock` shows both"
                .into()),
            (Some(_), Some(_)) => {
                Err("existing: there is `resources` as well; give matrices or a graph, not both".into())
            }
        }
    }

    fn matrices(self) -> Result<State, String> {
        refuse("assignments", self.assignments.is_some(), "matrices have `allocation`")?;
        refuse("requests", self.requests.is_some(), "matrices have `request`")?;
        let existing = self.existing.unwrap_or_default();
        let allocation = self.allocation.ok_or("allocation: it is missing; give a row for each process")?;
        let request = self.request.ok_or("request: it is missing; give a row for each process")?;
        let numbered = |kind: &str, count: usize| (1..=count).map(|n| format!("{kind} {n}")).collect::<Vec<_>>();
        let processes = self.processes.unwrap_or_else(|| numbered("process", allocation.len()));
        let classes = self.classes.unwrap_or_else(|| numbered("class", existing.len()));
        if classes.len() != existing.len() {
            let (names, numbers) = (classes.len(), existing.len());
            return Err(format!(
                "classes: there are {names} names for the {numbers} numbers in `existing`; give one for each"
            ));
        }
        let resources = resources(classes.into_iter().zip(existing).collect(), &self.sharable, &self.preemptible)?;
        let state = State::new(processes, resources, &allocation, &request).map_err(|error| error.to_string())?;
        if let Some(available) = self.available {
            state.check_available(&available).map_err(|error| error.to_string())?;
        }
        Ok(state)
    }

    fn graph(self) -> Result<State, String> {
        refuse("available", self.available.is_some(), "in a graph it is what the assignments leave")?;
        refuse("allocation", self.allocation.is_some(), "a graph has `assignments`")?;
        refuse("request", self.request.is_some(), "a graph has `requests`")?;
        refuse("classes", self.classes.is_some(), "a graph has `resources`")?;
        let instances = self.resources.map_or_else(Vec::new, |pairs| pairs.0);
        let mut graph = Graph::new();
        for resource in resources(instances, &self.sharable, &self.preemptible)? {
            graph = graph.resource_with(resource);
        }
        for process in self.processes.unwrap_or_default() {
            graph = graph.process(process);
        }
        for (resource, process) in self.assignments.unwrap_or_default() {
            graph = graph.assignment(resource, process);
        }
        for (process, resource) in self.requests.unwrap_or_default() {
            graph = graph.request(process, resource);
        }
        graph.state().map_err(|error| error.to_string())
    }
}

fn refuse(key: &str, is_there: bool, why: &str) -> Result<(), String> {
    if is_there { Err(format!("{key}: {why}; leave it out")) } else { Ok(()) }
}

fn resources(
    classes: Vec<(String, u32)>,
    sharable: &[String],
    preemptible: &[String],
) -> Result<Vec<Resource>, String> {
    for (key, names) in [("sharable", sharable), ("preemptible", preemptible)] {
        if let Some(unknown) = names.iter().find(|name| !classes.iter().any(|(class, _)| class == *name)) {
            return Err(format!("{key}: there is no resource {unknown:?}; use one of the names given"));
        }
    }
    let resource = |(name, instances): (String, u32)| {
        let (sharable, preemptible) = (sharable.contains(&name), preemptible.contains(&name));
        Resource { name, instances, sharable, preemptible }
    };
    Ok(classes.into_iter().map(resource).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        parse("f", text, text.starts_with('{')).unwrap_err()
    }

    #[test]
    fn what_is_wrong_is_said_with_line_key_and_numbers() {
        for (text, part) in [
            ("existing = [1", "f, line 1, column"),
            ("\nexisting = [-1]", "f, line 2, column 13 (existing = [-1]): invalid value: integer `-1`, expected u32"),
            ("existing = [5000000000]", "numbers go from 0 to 4294967295"),
            ("{\"existing\": [1,\n \"x\"]}", "f, line 2, column 4 (\"x\"]})"),
            ("exsting = [1]", "unknown field `exsting`, expected one of `existing`"),
            ("", "neither `existing` (matrices) nor `resources` (a graph)"),
            ("existing = [1]\n[resources]\na = 1", "f, line 1: existing: there is `resources` as well"),
            ("existing = [1]", "f: allocation: it is missing"),
            (
                "existing = [1]\nallocation = [[0]]\nrequest = [[0], [1]]",
                "f, line 3: request: it has 2 rows for 1 process",
            ),
            ("existing = [1]\nallocation = [[0]]\nrequest = [[0, 1]]", "has 2 numbers for 1 class"),
            (
                "existing = [1]\nallocation = [[2]]\nrequest = [[0]]",
                "f, line 2: allocation: 2 of \"class 1\" are allocated",
            ),
            (
                "existing = [1]\nallocation = [[0]]\nrequest = [[0]]\nrequests = []",
                "f, line 4: requests: matrices have `request`",
            ),
            (
                "existing = [1]\nclasses = []\nallocation = [[0]]\nrequest = [[0]]",
                "f, line 2: classes: there are 0 names",
            ),
            ("available = [1]\n[resources]\na = 1", "f, line 1: available: in a graph it is"),
            (
                "sharable = ['b']\nprocesses = ['P']\n[resources]\na = 1",
                "f, line 1: sharable: there is no resource \"b\"",
            ),
            ("requests = [['P', 'b']]\n[resources]\na = 1", "f, line 1: requests: \"P\" and \"b\" are joined"),
            ("[resources]\na = 1.5", "the number of instances of \"a\""),
            ("{\"resources\": {\"a\": 1, \"a\": 2}, \"processes\": [\"P\"]}", "the name \"a\" is used twice"),
            ("{\"resources\": {\"a\": 1}, \"requests\": [[\"P\"]]}", "invalid length 1"),
            ("{\"resources\": 7}", "names of resources with how many instances"),
        ] {
            let said = said(text);
            assert!(said.starts_with('f') && said.contains(part), "{text}\n{said}\nlacks {part}");
        }
    }

    #[test]
    fn toml_and_json_are_the_same_and_a_graph_keeps_its_order() {
        let toml =
            "assignments = [['b', 'P']]\nrequests = [['Q', 'b'], ['Q', 'a'], ['Q', 'a']]\n[resources]\nb = 1\na = 2";
        let json = r#"{"resources": {"b": 1, "a": 2}, "assignments": [["b", "P"]], "requests": [["Q", "b"], ["Q", "a"], ["Q", "a"]]}"#;
        let state = parse("f", toml, false).unwrap();
        assert_eq!(state, parse("f", json, true).unwrap());
        assert_eq!((&*state.resources()[0].name, state.process(0)), ("b", "P"));
        assert_eq!(state.request(1), [1, 2]);
    }

    /// Every beginning of a good file, and every good file with a byte changed, is answered.
    #[test]
    fn garbage_is_answered() {
        let good =
            "existing = [4, 2]\nallocation = [[1, 0], [0, 1]]\nrequest = [[0, 1], [1, 0]]\nsharable = ['class 1']\n";
        let json = r#"{"resources": {"b": 1, "a": 2}, "assignments": [["b", "P"]], "requests": [["Q", "b"]]}"#;
        for (text, is_json) in [(good, false), (json, true), (good, true), (json, false)] {
            for end in 0..text.len() {
                let _ = parse("f", &text[..end], is_json);
                for byte in [b'\0', b'"', b'[', b'9', b'-', b'{', 0x7F] {
                    let mut changed = text.as_bytes().to_vec();
                    changed[end] = byte;
                    let _ = parse("f", &String::from_utf8_lossy(&changed), is_json);
                }
            }
        }
        for deep in
            ["[".repeat(100_000), "{\"existing\":".repeat(50_000), format!("existing = {}", "[".repeat(100_000))]
        {
            assert!(parse("f", &deep, deep.starts_with('{')).is_err());
        }
    }
}
