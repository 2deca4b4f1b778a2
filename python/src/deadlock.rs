//! Deadlock as taught: matrices and resource graphs in, steps, conditions and a picture out.

use crate::error::{call, count, invalid, type_name};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::sync::Arc;
use triveni::deadlock::{CLASSES_MAX, Graph, PROCESSES_MAX, Resource, State};

type Core = triveni::deadlock::Detection;

/// What became of processes that ask for resources: who can finish, in which order, and who waits for ever.
///
/// ``detect`` makes it from matrices, ``graph`` from the edges of a resource graph. ``print`` it for the whole story; in
/// a notebook it shows the resource allocation graph. Processes and classes are numbered from 0, as the rows and columns
/// are; ``processes`` and ``classes`` have their names.
#[pyclass(frozen, module = "triveni.deadlock")]
pub(crate) struct Detection(Arc<Core>);

/// One step: what is available, who is blocked, and who finishes.
#[pyclass(frozen, module = "triveni.deadlock")]
pub(crate) struct Step(Arc<Core>, usize);

/// Finds out by the detection with matrices whether there is a deadlock.
///
/// ``existing`` has a number for each class of resources; ``allocation`` and ``request`` have a row for each process with
/// a number for each class: what it holds, and what it asks for. Lists of lists or numpy arrays. ``available``, what
/// nobody holds, is computed, or checked if it is given. ``processes`` and ``classes`` are names; ``sharable`` and
/// ``preemptible`` are names or numbers of classes that any number of processes use at once, or that the system may take
/// away. ``ValueError`` names the class and the numbers that do not agree.
#[pyfunction]
#[pyo3(signature = (existing, allocation, request, available=None, *, processes=None, classes=None, sharable=None, preemptible=None))]
#[pyo3(
    text_signature = "(existing, allocation, request, available=None, *, processes=None, classes=None, sharable=(), preemptible=())"
)]
#[allow(clippy::too_many_arguments)] // Python's are named
pub(crate) fn detect(
    py: Python<'_>,
    existing: &Bound<'_, PyAny>,
    allocation: &Bound<'_, PyAny>,
    request: &Bound<'_, PyAny>,
    available: Option<&Bound<'_, PyAny>>,
    processes: Option<Vec<String>>,
    classes: Option<Vec<String>>,
    sharable: Option<&Bound<'_, PyAny>>,
    preemptible: Option<&Bound<'_, PyAny>>,
) -> PyResult<Detection> {
    let existing = numbers("existing", existing, CLASSES_MAX)?;
    let (allocation, request) = (matrix("allocation", allocation)?, matrix("request", request)?);
    let numbered = |word: &str, n: usize| (1..=n).map(|n| format!("{word} {n}")).collect::<Vec<_>>();
    let processes = processes.unwrap_or_else(|| numbered("process", allocation.len()));
    let classes = classes.unwrap_or_else(|| numbered("class", existing.len()));
    if classes.len() != existing.len() {
        let (names, numbers) = (classes.len(), existing.len());
        return Err(invalid(py, format!("classes: {names} names for {numbers} numbers that exist; give one for each")));
    }
    let mut resources: Vec<Resource> =
        classes.into_iter().zip(existing).map(|(name, n)| Resource::new(name, n)).collect();
    mark("sharable", sharable, &mut resources, |class| class.sharable = true)?;
    mark("preemptible", preemptible, &mut resources, |class| class.preemptible = true)?;
    let state = call(py, || State::new(processes, resources, &allocation, &request))?;
    if let Some(available) = available {
        let available = numbers("available", available, CLASSES_MAX)?;
        call(py, || state.check_available(&available))?;
    }
    Ok(Detection(Arc::new(py.detach(|| state.detect()))))
}

/// Finds out from a resource graph whether there is a deadlock.
///
/// ``resources`` maps names to how many instances exist; ``assignments`` are pairs (resource, process): who holds one;
/// ``requests`` are pairs (process, resource): who asks for one. The same pair twice means two. ``processes`` names those
/// without edges, or all, to choose their order. ``sharable`` and ``preemptible`` as for ``detect``.
#[pyfunction]
#[pyo3(signature = (resources, assignments, requests, *, processes=None, sharable=None, preemptible=None))]
#[pyo3(text_signature = "(resources, assignments, requests, *, processes=(), sharable=(), preemptible=())")]
pub(crate) fn graph(
    py: Python<'_>,
    resources: &Bound<'_, PyDict>,
    assignments: &Bound<'_, PyAny>,
    requests: &Bound<'_, PyAny>,
    processes: Option<Vec<String>>,
    sharable: Option<&Bound<'_, PyAny>>,
    preemptible: Option<&Bound<'_, PyAny>>,
) -> PyResult<Detection> {
    let resource = |(name, n): (Bound<'_, PyAny>, Bound<'_, PyAny>)| -> PyResult<Resource> {
        let name: String = name.extract()?;
        let n = count(&format!("instances of {name:?}"), &n)?;
        Ok(Resource::new(name, n))
    };
    let mut nodes = resources.iter().map(resource).collect::<PyResult<Vec<_>>>()?;
    mark("sharable", sharable, &mut nodes, |class| class.sharable = true)?;
    mark("preemptible", preemptible, &mut nodes, |class| class.preemptible = true)?;
    let mut graph = nodes.into_iter().fold(Graph::new(), Graph::resource_with);
    graph = processes.unwrap_or_default().into_iter().fold(graph, Graph::process);
    for [resource, process] in pairs("assignments", assignments)? {
        graph = graph.assignment(resource, process);
    }
    for [process, resource] in pairs("requests", requests)? {
        graph = graph.request(process, resource);
    }
    let state = call(py, || graph.state())?;
    Ok(Detection(Arc::new(py.detach(|| state.detect()))))
}

/// A list, tuple or array of whole numbers. Not read further than `most`: what is longer is refused by core.
fn numbers(what: &str, list: &Bound<'_, PyAny>, most: usize) -> PyResult<Vec<u32>> {
    let items = list.try_iter().map_err(|_| {
        PyTypeError::new_err(format!("{what}: a list or array of whole numbers is needed, not {}", type_name(list)))
    })?;
    items.take(most + 1).map(|item| count(what, &item?)).collect()
}

/// A list of rows, or an array of two dimensions.
fn matrix(what: &str, rows: &Bound<'_, PyAny>) -> PyResult<Vec<Vec<u32>>> {
    let rows = rows.try_iter().map_err(|_| {
        PyTypeError::new_err(format!(
            "{what}: a list of rows or an array of two dimensions is needed, not {}",
            type_name(rows)
        ))
    })?;
    rows.take(PROCESSES_MAX + 1)
        .enumerate()
        .map(|(i, row)| numbers(&format!("{what}, row {i}"), &row?, CLASSES_MAX))
        .collect()
}

/// Edges: tuples or lists of two names.
fn pairs(what: &str, edges: &Bound<'_, PyAny>) -> PyResult<Vec<[String; 2]>> {
    let pair = |edge: PyResult<Bound<'_, PyAny>>| {
        let edge = edge?;
        edge.extract::<[String; 2]>().or_else(|_| edge.extract::<(String, String)>().map(|(a, b)| [a, b])).map_err(
            |_| {
                let shown = edge.repr().map_or_else(|_| type_name(&edge), |shown| shown.to_string());
                PyTypeError::new_err(format!("{what}: pairs of two names are needed, not {shown}"))
            },
        )
    };
    edges.try_iter()?.map(pair).collect()
}

/// Marks the classes that `which` names, or numbers.
fn mark(
    key: &str,
    which: Option<&Bound<'_, PyAny>>,
    classes: &mut [Resource],
    set: impl Fn(&mut Resource),
) -> PyResult<()> {
    let Some(which) = which else { return Ok(()) };
    for item in which.try_iter()? {
        let item = item?;
        let place = match item.cast::<PyString>() {
            Ok(name) => {
                let name = name.to_str()?;
                classes.iter().position(|class| class.name == name)
            }
            Err(_) => Some(count(key, &item)? as usize).filter(|place| *place < classes.len()),
        };
        match place.and_then(|place| classes.get_mut(place)) {
            Some(class) => set(class),
            None => {
                let shown = item.repr()?;
                return Err(invalid(
                    item.py(),
                    format!("{key}: there is no class {shown}; use a name or number of one"),
                ));
            }
        }
    }
    Ok(())
}

#[pymethods]
impl Detection {
    /// The names of the processes.
    #[getter]
    fn processes(&self) -> Vec<String> {
        let state = self.0.state();
        (0..state.processes()).map(|process| state.process(process).to_string()).collect()
    }

    /// The names of the classes of resources.
    #[getter]
    fn classes(&self) -> Vec<String> {
        self.0.state().resources().iter().map(|class| class.name.clone()).collect()
    }

    /// What nobody holds of each class, before anybody has finished.
    #[getter]
    fn available(&self) -> Vec<u32> {
        self.0.state().available().to_vec()
    }

    /// The processes that can finish, in this order.
    #[getter]
    fn order(&self) -> Vec<usize> {
        self.0.order().to_vec()
    }

    /// The processes that wait for ever; an empty list if there is no deadlock.
    #[getter]
    fn deadlocked(&self) -> Vec<usize> {
        self.0.deadlocked().to_vec()
    }

    /// The steps: one for each process that finishes, and one more in which all who are left are blocked, if there are any.
    #[getter]
    fn steps(&self) -> Vec<Step> {
        (0..self.0.steps().len()).map(|number| Step(self.0.clone(), number)).collect()
    }

    /// Circles of waiting: lists of pairs (process, class it waits for), of which the next process holds some.
    #[getter]
    fn cycles(&self, py: Python<'_>) -> Vec<Vec<(usize, usize)>> {
        py.detach(|| self.0.state().cycles()).into_iter().map(|cycle| cycle.links).collect()
    }

    /// Coffman's four conditions by name: whether each holds, and what shows it.
    #[getter]
    fn conditions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for finding in py.detach(|| self.0.state().conditions()) {
            dict.set_item(finding.condition.name(), (finding.holds, finding.witness))?;
        }
        Ok(dict)
    }

    /// One sentence: whether there is a deadlock, and who is in it.
    #[getter]
    fn verdict(&self) -> String {
        self.0.verdict()
    }

    /// The resource allocation graph as SVG. ``TooLarge`` if nobody could read it.
    fn svg(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| self.0.state().svg()).map_err(|error| crate::error::to_py(py, error))
    }

    fn _repr_svg_(&self, py: Python<'_>) -> Option<String> {
        py.detach(|| self.0.state().svg()).ok() // what is too large is shown as text
    }

    fn __str__(&self, py: Python<'_>) -> String {
        py.detach(|| self.0.report())
    }

    fn __repr__(&self) -> String {
        format!("<triveni.deadlock.Detection {}>", self.0.verdict())
    }
}

impl Step {
    fn of<T>(&self, ask: impl FnOnce(triveni::deadlock::Step<'_>) -> T) -> Option<T> {
        self.0.steps().nth(self.1).map(ask)
    }
}

#[pymethods]
impl Step {
    /// What is available of each class before the step.
    #[getter]
    fn available(&self) -> Vec<u32> {
        self.of(|step| step.available().to_vec()).unwrap_or_default()
    }

    /// What is available of each class after the step.
    #[getter]
    fn then_available(&self) -> Vec<u32> {
        self.of(|step| step.then_available().to_vec()).unwrap_or_default()
    }

    /// Who finishes; ``None`` if all who are left are blocked.
    #[getter]
    fn finishes(&self) -> Option<usize> {
        self.of(|step| step.finishes()).flatten()
    }

    /// Who is blocked, and by what: from process to a list of (class, requested, available).
    #[getter]
    fn blocked<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let blocked = PyDict::new(py);
        let rows = self.of(|step| {
            let wants = |process: usize| step.shortages(process).map(|s| (s.class, s.requested, s.available)).collect();
            step.blocked().into_iter().map(|process| (process, wants(process))).collect::<Vec<(_, Vec<_>)>>()
        });
        for (process, wants) in rows.unwrap_or_default() {
            blocked.set_item(process, wants)?;
        }
        Ok(blocked)
    }

    fn __repr__(&self) -> String {
        let state = self.0.state();
        let said = match self.finishes() {
            Some(process) => format!("{} finishes", state.process(process)),
            None => "all who are left are blocked".into(),
        };
        format!("<triveni.deadlock.Step {said}, available {:?}>", self.available())
    }
}
