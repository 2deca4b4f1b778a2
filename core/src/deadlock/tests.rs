//! The numbers of the textbook, states whose answer is known, and random ones against a search through all orders.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::HashSet;

/// A. S. Tanenbaum's example, as lectures use it.
fn textbook() -> State {
    State::of_matrices(
        &[4, 2, 3, 1],
        &[[0, 0, 1, 0], [2, 0, 0, 1], [0, 1, 2, 0]],
        &[[2, 0, 0, 1], [1, 0, 1, 0], [2, 1, 0, 0]],
    )
    .unwrap()
}

/// The same, but process 2 asks for the last of class 4 too: nobody can finish after process 3.
fn stuck() -> State {
    State::of_matrices(
        &[4, 2, 3, 1],
        &[[0, 0, 1, 0], [2, 0, 0, 1], [0, 1, 2, 0]],
        &[[2, 0, 0, 1], [1, 0, 3, 0], [2, 1, 0, 0]],
    )
    .unwrap()
}

#[test]
fn the_textbooks_numbers_finish_in_the_order_3_2_1() {
    let state = textbook();
    state.check_available(&[2, 1, 0, 0]).unwrap();
    let detection = state.detect();
    let steps: Vec<Step<'_>> = detection.steps().collect();
    assert_eq!(detection.order(), [2, 1, 0]);
    assert_eq!(steps[0].available(), [2, 1, 0, 0]);
    assert_eq!(steps[0].blocked(), [0, 1]);
    let missing = |step: &Step<'_>, process| {
        step.shortages(process).map(|s| (s.class, s.requested, s.available)).collect::<Vec<_>>()
    };
    assert_eq!(missing(&steps[0], 0), [(3, 1, 0)], "process 1 is blocked for want of class 4");
    assert_eq!(missing(&steps[0], 1), [(2, 1, 0)], "process 2 is blocked for want of class 3");
    assert_eq!((steps[1].available(), steps[1].blocked()), (&[2, 2, 2, 0][..], vec![0]));
    assert!(steps[1].is_finished(2) && !steps[1].is_finished(1));
    assert_eq!((steps[2].available(), steps[2].blocked()), (&[4, 2, 2, 1][..], vec![]));
    assert_eq!(steps[2].then_available(), [4, 2, 3, 1]);
    assert!(!detection.is_deadlocked());
    assert_eq!(
        detection.to_string(),
        "\
classes    class 1, class 2, class 3, class 4
existing   4 2 3 1

available  2 1 0 0
           allocation  request
process 1  0 0 1 0     2 0 0 1     blocked: 1 of class 4 wanted, 0 available
process 2  2 0 0 1     1 0 1 0     blocked: 1 of class 3 wanted, 0 available
process 3  0 1 2 0     2 1 0 0     can finish

process 3 finishes and gives back 0 1 2 0

available  2 2 2 0
           allocation  request
process 1  0 0 1 0     2 0 0 1     blocked: 1 of class 4 wanted, 0 available
process 2  2 0 0 1     1 0 1 0     can finish
process 3  - - - -     - - - -

process 2 finishes and gives back 2 0 0 1

available  4 2 2 1
           allocation  request
process 1  0 0 1 0     2 0 0 1     can finish
process 2  - - - -     - - - -
process 3  - - - -     - - - -

process 1 finishes and gives back 0 0 1 0

no deadlock: all processes can finish, in the order process 3, process 2, process 1"
    );
}

#[test]
fn a_circle_through_several_instances_is_not_always_a_deadlock() {
    let state = textbook();
    // 1 waits for class 4, which 2 holds; 2 waits for class 3, of which 1 holds one: and 3 the others.
    assert_eq!(state.cycles(), [Cycle { links: vec![(0, 3), (1, 2)] }]);
    assert!(state.conditions().iter().all(|finding| finding.holds));
    assert!(state.conditions_verdict().contains("necessary, not sufficient"), "{}", state.conditions_verdict());
}

#[test]
fn who_is_left_is_deadlocked_and_the_others_can_finish() {
    let detection = stuck().detect();
    assert_eq!((detection.order(), detection.deadlocked()), (&[2][..], &[0, 1][..]));
    assert_eq!(detection.verdict(), "deadlock: process 1 and process 2 wait for ever; process 3 can finish");
    let last = detection.steps().last().unwrap();
    assert_eq!((last.finishes(), last.blocked()), (None, vec![0, 1]));
    assert!(stuck().conditions().iter().all(|finding| finding.holds));
}

fn ring(n: usize) -> State {
    let mut graph = Graph::new();
    for i in 0..n {
        graph = graph.resource(format!("fork {i}"), 1).process(format!("P{i}"));
    }
    for i in 0..n {
        graph = graph.assignment(format!("fork {i}"), format!("P{i}"));
        graph = graph.request(format!("P{i}"), format!("fork {}", (i + 1) % n));
    }
    graph.state().unwrap()
}

#[test]
fn five_philosophers_with_a_fork_each_are_one_circle() {
    let state = ring(5);
    assert!(state.has_single_instances());
    assert_eq!(state.cycles(), [Cycle { links: vec![(0, 1), (1, 2), (2, 3), (3, 4), (4, 0)] }]);
    assert_eq!(state.detect().deadlocked(), [0, 1, 2, 3, 4]);
    let circle = &state.conditions()[3];
    assert!(circle.holds && circle.witness.starts_with("P0 waits for fork 1, which P1 holds; P1 waits"), "{circle}");
}

#[test]
fn who_locks_twice_waits_for_itself() {
    let state = Graph::new().resource("m", 1).assignment("m", "A").request("A", "m").state().unwrap();
    assert_eq!(state.cycles(), [Cycle { links: vec![(0, 0)] }]);
    assert_eq!(state.detect().verdict(), "deadlock: A waits for ever");
    assert_eq!(state.conditions()[1].witness, "A holds m and waits for more of it");
}

fn pair(a: Resource, b: Resource) -> State {
    let (name_a, name_b) = (a.name.clone(), b.name.clone());
    Graph::new()
        .resource_with(a)
        .resource_with(b)
        .assignment(name_a.clone(), "A")
        .assignment(name_b.clone(), "B")
        .request("A", name_b)
        .request("B", name_a)
        .state()
        .unwrap()
}

#[test]
fn each_condition_alone_can_be_missing() {
    let holds = |state: &State| state.conditions().map(|finding| finding.holds);
    let plain = |name: &str| Resource::new(name, 1);
    assert_eq!(holds(&pair(plain("x"), plain("y"))), [true; 4]);
    let shared = pair(plain("x").sharable(), plain("y"));
    assert_eq!((holds(&shared), shared.detect().is_deadlocked()), ([false, true, true, true], false));
    assert!(shared.conditions_verdict().ends_with("missing: mutual exclusion"));
    let taken = pair(plain("x"), plain("y").preemptible());
    assert_eq!((holds(&taken), taken.detect().is_deadlocked()), ([true, true, false, true], false));
    assert!(taken.conditions()[2].witness.contains("through y"), "{}", taken.conditions()[2]);
    let line =
        Graph::new().resource("x", 1).resource("y", 1).assignment("x", "A").assignment("y", "B").request("A", "y");
    assert_eq!(holds(&line.clone().state().unwrap()), [true, true, true, false]);
    let queue = Graph::new().resource("x", 1).assignment("x", "A").request("B", "x").state().unwrap();
    assert_eq!(holds(&queue), [true, false, true, false]);
}

#[test]
fn what_is_inconsistent_is_refused_with_class_and_numbers() {
    let sentence = |state: Result<State, crate::Error>| state.unwrap_err().to_string();
    let none: &[[u32; 1]] = &[];
    let said = textbook().check_available(&[2, 1, 1, 0]).unwrap_err().to_string();
    assert!(said.contains("of \"class 3\" 3 less 3 allocated makes 0 available, not 1"), "{said}");
    let said = textbook().check_available(&[2, 1]).unwrap_err().to_string();
    assert!(said.contains("2 numbers for 4 classes"), "{said}");
    let said = sentence(State::of_matrices(&[1], &[[1], [1]], &[[0], [0]]));
    assert!(said.contains("2 of \"class 1\" are allocated of only 1 existing"), "{said}");
    let said = sentence(State::of_matrices(&[1], &[[u32::MAX], [u32::MAX]], &[[0], [0]]));
    assert!(said.contains("8589934590 of"), "{said}");
    let said = sentence(State::of_matrices(&[1], &[[0]], &[[2]]));
    assert!(said.contains("\"process 1\" asks for 2 of \"class 1\", of only 1 existing"), "{said}");
    let said = sentence(State::of_matrices(&[1, 1], &[vec![0, 0], vec![0]], &[vec![0, 0], vec![0, 0]]));
    assert!(said.contains("the row of \"process 2\" has 1 number for 2 classes"), "{said}");
    let said = sentence(State::of_matrices(&[1], &[[0]], &[[0], [0]]));
    assert!(said.contains("request: it has 2 rows for 1 process;"), "{said}");
    assert!(sentence(State::of_matrices(&[1], none, none)).contains("there are none"));
    assert!(sentence(State::of_matrices(&[1], &[[0]; 1025], &[[0]; 1025])).contains("at most 1024"));
    assert!(sentence(State::of_matrices(&[0; 100_000], &[[0]], &[[0]])).contains("at most 1024"));
    let twice = Graph::new().resource("x", 1).resource("x", 1).process("A").state();
    assert!(sentence(twice).contains("\"x\" is used twice"));
    let bad = Graph::new().resource("x", 1).process("A\n").state();
    assert!(sentence(bad).contains("no name"));
    let unknown = Graph::new().resource("x", 1).request("A", "y").state();
    assert!(sentence(unknown).contains("there is no resource \"y\""));
    let many = (0..1_000_000).fold(Graph::new().resource("x", 1), |graph, i| graph.process(i.to_string()));
    assert!(sentence(many.state()).contains("there are 1000000"));
    let own = Graph::new().resource_with(Resource::new("m", 1).preemptible()).assignment("m", "A").request("A", "m");
    assert!(sentence(own.state()).contains("nobody can take away from itself"));
}

#[test]
fn the_largest_state_is_answered_and_too_large_to_draw() {
    let state = ring(PROCESSES_MAX);
    let detection = state.detect();
    assert_eq!(detection.deadlocked().len(), PROCESSES_MAX);
    assert_eq!(state.cycles()[0].links.len(), PROCESSES_MAX);
    assert_eq!(state.svg().unwrap_err().kind(), crate::ErrorKind::TooLarge);
    assert!(detection.to_string().len() < 100_000);
}

#[test]
fn a_picture_escapes_names_and_shows_each_instance() {
    let state = Graph::new()
        .resource("<tape & \"plotter\">", 3)
        .assignment("<tape & \"plotter\">", "A")
        .assignment("<tape & \"plotter\">", "A")
        .process("a process with a name that is far too long for a picture")
        .state()
        .unwrap();
    let svg = state.svg().unwrap();
    assert!(well_formed(&svg));
    assert!(svg.contains("&lt;tape &amp; &quot;plotter&quot;&gt;") && !svg.contains("<tape"));
    assert_eq!(svg.matches("r=\"4\"").count(), 3, "a dot for each instance");
    assert_eq!(svg.matches("class=\"head\"").count(), 2, "an edge for each assigned one");
    assert!(svg.contains("<title>a process with a name that is far too long for a picture</title>"));
    assert_eq!(svg, state.svg().unwrap());
}

/// Do all tags close in order, and is every `&` the begin of an entity?
fn well_formed(svg: &str) -> bool {
    let mut open = Vec::new();
    let mut rest = svg;
    while let Some((text, tail)) = rest.split_once('<') {
        let Some((tag, after)) = tail.split_once('>') else { return false };
        let is_entity = |part: &str| ["amp;", "lt;", "gt;", "quot;"].iter().any(|name| part.starts_with(name));
        if text.split('&').skip(1).any(|part| !is_entity(part)) || text.contains('>') || tag.contains("NaN") {
            return false;
        }
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return false;
            }
        } else if !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().unwrap_or(""));
        }
    }
    open.is_empty() && rest.trim().is_empty()
}

/// Is there an order in which all of `left` can finish? And who is left in the best one?
fn search(state: &State, left: &mut Vec<usize>, free: &[u32], best: &mut Vec<usize>) {
    if left.len() < best.len() {
        best.clone_from(left);
    }
    for place in 0..left.len() {
        let process = left[place];
        let fits = |(class, free): (usize, &u32)| {
            let resource = &state.resources()[class];
            resource.sharable || resource.preemptible || state.request(process)[class] <= *free
        };
        if free.iter().enumerate().all(fits) {
            left.remove(place);
            let then: Vec<u32> = free.iter().zip(state.allocation(process)).map(|(free, held)| free + held).collect();
            search(state, left, &then, best);
            left.insert(place, process);
        }
    }
}

fn states(instances: u32) -> impl Strategy<Value = State> {
    (1usize..=5, 1usize..=4).prop_flat_map(move |(processes, classes)| {
        let matrix = || vec(vec(0..=instances, classes), processes);
        (vec(1..=instances, classes), matrix(), matrix(), vec(0..8u8, classes)).prop_map(
            move |(mut existing, mut allocation, mut request, kinds)| {
                for class in 0..classes {
                    let mut free = existing[class];
                    for row in &mut allocation {
                        row[class] = row[class].min(free);
                        free -= row[class];
                    }
                    for (row, held) in request.iter_mut().zip(&allocation) {
                        row[class] = row[class].min(existing[class] - if kinds[class] == 1 { held[class] } else { 0 });
                    }
                    existing[class] = existing[class].max(1);
                }
                let resources = existing.iter().zip(&kinds).enumerate().map(|(i, (n, kind))| {
                    let resource = Resource::new(format!("R{i}"), *n);
                    match kind {
                        0 => resource.sharable(),
                        1 => resource.preemptible(),
                        _ => resource,
                    }
                });
                let names = (0..processes).map(|i| format!("P{i}")).collect();
                State::new(names, resources.collect(), &allocation, &request).unwrap()
            },
        )
    })
}

proptest! {
    #[test]
    fn the_detection_leaves_whom_every_order_leaves(state in states(3)) {
        let mut best: Vec<usize> = (0..state.processes()).collect();
        search(&state, &mut best.clone(), state.available(), &mut best);
        let detection = state.detect();
        prop_assert_eq!(detection.deadlocked(), &best[..]);
        let all: HashSet<usize> = detection.order().iter().chain(detection.deadlocked()).copied().collect();
        prop_assert_eq!(all.len(), state.processes());
    }

    #[test]
    fn with_one_instance_each_a_circle_is_a_deadlock_and_with_several_it_is_necessary(one in states(1), more in states(3)) {
        let lasting = |state: &State| !graph::cycles(state, |class| !class.sharable && !class.preemptible).is_empty();
        prop_assert_eq!(lasting(&one), one.detect().is_deadlocked());
        prop_assert!(lasting(&more) || !more.detect().is_deadlocked());
    }

    #[test]
    fn in_a_deadlock_all_conditions_hold_and_without_one_of_them_there_is_none(state in states(2)) {
        let conditions = state.conditions();
        if state.detect().is_deadlocked() {
            prop_assert!(conditions.iter().all(|finding| finding.holds), "{:?}", conditions);
        }
        if state.has_single_instances() && conditions.iter().all(|finding| finding.holds) {
            prop_assert!(state.detect().is_deadlocked(), "{:?}", conditions);
        }
        let _ = (state.conditions_verdict(), state.detect().to_string());
    }

    #[test]
    fn a_circle_is_one(state in states(2)) {
        for Cycle { links } in state.cycles() {
            for ((process, class), (holder, _)) in links.iter().zip(links.iter().cycle().skip(1)) {
                prop_assert!(state.request(*process)[*class] > 0 && state.allocation(*holder)[*class] > 0);
            }
        }
    }

    #[test]
    fn the_picture_of_any_state_is_well_formed_and_names_all(state in states(30)) {
        let svg = state.svg().unwrap();
        prop_assert!(well_formed(&svg), "{}", svg);
        for process in 0..state.processes() {
            let name = format!(">{}<", state.process(process));
            prop_assert!(svg.contains(&name), "{} {}", name, svg);
        }
        for resource in state.resources() {
            let name = format!(">{}<", resource.name);
            prop_assert!(svg.contains(&name));
        }
    }
}
