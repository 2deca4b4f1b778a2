//! Processes: children, programs, the chain and the fan, and the tree.

use super::Shared;
use crate::error::{call, invalid, type_name, whole};
use crate::wait::{deadline, trying, waiting};
use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyDict, PyInt, PyTuple};
use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use triveni::kernel::{self, Redirect};

/// An end as ``subprocess`` writes it: the exit status, or minus the signal that ended it.
pub(crate) fn returncode(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| -status.signal().unwrap_or(0))
}

/// A child process, by a descriptor that names this very process and no later one with its number.
///
/// ``kernel.spawn`` starts one; ``Child(pid)`` takes a child that ``os.fork`` or somebody else has started. ``wait()`` says
/// how it ended as ``subprocess`` does: its exit status, or minus the signal that ended it.
///
/// ``close()``, which ``with`` calls, leaves one that still runs alone (unless ``kill_on_close``), and no zombie stays: it
/// is reaped by a later call for processes when it has ended. ``fileno()`` is readable once it has ended, for ``select``
/// and ``WaitSet.add``.
///
/// Threads: any number may wait for one child. fork: the handle is the parent's (``Forked``).
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct Child {
    child: Shared<kernel::Child>,
    pid: u32,
}

impl Child {
    pub(crate) fn of(child: kernel::Child) -> Child {
        let pid = child.pid();
        Child { child: Shared::new("child", child), pid }
    }
}

/// A process id, from Python.
pub(crate) fn pid_of(pid: &Bound<'_, PyAny>) -> PyResult<u32> {
    let number = whole("pid", pid)?;
    u32::try_from(number).map_err(|_| invalid(pid.py(), format!("{number} is no process id")))
}

#[pymethods]
impl Child {
    #[new]
    fn new(py: Python<'_>, pid: &Bound<'_, PyAny>) -> PyResult<Child> {
        let pid = pid_of(pid)?;
        Ok(Child::of(call(py, || kernel::Child::adopt(pid))?))
    }

    /// Its process id.
    #[getter]
    fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, if a wait has seen that, else ``None``.
    #[getter]
    fn returncode(&self, py: Python<'_>) -> PyResult<Option<i32>> {
        Ok(self.child.get(py)?.status().map(returncode))
    }

    /// Waits until it has ended: its exit status, or minus the signal that ended it.
    ///
    /// ``ChildProcessError`` if somebody else took its end, as ``os.wait()`` does.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<i32> {
        let child = self.child.get(py)?;
        waiting(py, deadline(py, timeout)?, |until| match until {
            None => child.try_wait(),
            Some(until) => child.wait_until(until).map(Some),
        })
        .map(returncode)
    }

    /// How it ended, or ``None`` while it runs.
    fn try_wait(&self, py: Python<'_>) -> PyResult<Option<i32>> {
        let child = self.child.get(py)?;
        Ok(trying(py, |_| child.try_wait())?.map(returncode))
    }

    /// Waits until it stops, continues or ends: ``("stopped", signal)``, ``("continued", 0)``, ``("exited", status)`` or
    /// ``("killed", signal)``, whatever comes next that nobody was told yet.
    #[pyo3(signature = (timeout=None))]
    fn wait_change(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<(&'static str, i32)> {
        let child = self.child.get(py)?;
        waiting(py, deadline(py, timeout)?, |until| match until {
            None => child.try_wait_change(),
            Some(until) => child.wait_change_until(until).map(Some),
        })
        .map(change)
    }

    /// The next change, or ``None`` if there was none.
    fn try_wait_change(&self, py: Python<'_>) -> PyResult<Option<(&'static str, i32)>> {
        let child = self.child.get(py)?;
        Ok(trying(py, |_| child.try_wait_change())?.map(change))
    }

    /// Sends a signal to this very process. ``ProcessLookupError`` if it has ended.
    fn send(&self, py: Python<'_>, signal: i32) -> PyResult<()> {
        let child = self.child.get(py)?;
        call(py, || child.send(signal))
    }

    /// Ends it at once (SIGKILL). ``wait`` tells when it is gone.
    fn kill(&self, py: Python<'_>) -> PyResult<()> {
        let child = self.child.get(py)?;
        call(py, || child.kill())
    }

    /// Stops it (SIGSTOP). ``wait_change`` tells when it stands.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        let child = self.child.get(py)?;
        call(py, || child.stop())
    }

    /// Lets it go on (SIGCONT).
    fn cont(&self, py: Python<'_>) -> PyResult<()> {
        let child = self.child.get(py)?;
        call(py, || child.cont())
    }

    /// A descriptor that is readable once it has ended; it stays the child's.
    fn fileno(&self, py: Python<'_>) -> PyResult<RawFd> {
        Ok(self.child.get(py)?.as_fd().as_raw_fd())
    }

    /// Lets go of it. Again is nothing new.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.child.close()); // kill_on_close waits for its end
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &Bound<'_, PyTuple>) {
        self.close(py);
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let state = match self.child.get(py).map(|child| child.status()) {
            Err(_) => "closed".to_string(),
            Ok(None) => "not waited for".to_string(),
            Ok(Some(status)) => status.to_string(),
        };
        format!("<triveni.kernel.Child {} {state}>", self.pid)
    }
}

fn change(status: ExitStatus) -> (&'static str, i32) {
    match (status.code(), status.signal(), status.stopped_signal()) {
        (Some(code), ..) => ("exited", code),
        (_, Some(signal), _) => ("killed", signal),
        (.., Some(signal)) => ("stopped", signal),
        _ => ("continued", 0),
    }
}

/// A descriptor of Python's: what has a ``fileno()``, or a number.
///
/// # Safety
/// - The interpreter is held until the reference's last use, and `owner` is alive: so no Python code closes it.
unsafe fn descriptor<'a>(what: &str, owner: &Bound<'_, PyAny>) -> PyResult<BorrowedFd<'a>> {
    let fd: RawFd = match owner.extract() {
        Ok(fd) => fd,
        Err(_) => owner.call_method0("fileno")?.extract()?,
    };
    // SAFETY: fcntl with F_GETFD asks about a number and touches no memory.
    if fd < 0 || unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return Err(invalid(owner.py(), format!("{what}: {fd} is no open descriptor")));
    }
    // SAFETY: it is open, and stays so as the caller promises.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Where a descriptor of a program leads.
///
/// # Safety
/// - As for [`descriptor`].
pub(super) unsafe fn redirect<'a>(fd: RawFd, to: &Bound<'_, PyAny>) -> PyResult<Redirect<'a>> {
    let py = to.py();
    if to.is_none() {
        return Ok(Redirect::Null);
    }
    if to.is_instance_of::<PyBytes>() || to.is_instance_of::<PyByteArray>() {
        return Ok(Redirect::Bytes(to.extract()?));
    }
    if to.is_instance_of::<PyInt>() && !to.is_instance_of::<PyBool>() {
        return Ok(Redirect::Same(to.extract()?));
    }
    if to.hasattr("fileno")? {
        // SAFETY: the caller's promise.
        return Ok(Redirect::Fd(unsafe { descriptor("redirect", to) }?));
    }
    let (path, mode): (PathBuf, String) = match to.extract() {
        Ok(both) => both,
        Err(_) => {
            let path = to.extract().map_err(|_| {
                PyTypeError::new_err(format!(
                    "redirect descriptor {fd}: a path, (path, mode), bytes to read, something with fileno(), the number of \
                     another descriptor of the program, or None is needed, not {}",
                    type_name(to)
                ))
            })?;
            (path, if fd == 0 { "r" } else { "w" }.to_string())
        }
    };
    match mode.as_str() {
        "r" => Ok(Redirect::Read(path)),
        "w" => Ok(Redirect::Write(path)),
        "a" => Ok(Redirect::Append(path)),
        _ => Err(invalid(py, format!("redirect descriptor {fd}: {mode:?} is no mode; give \"r\", \"w\" or \"a\""))),
    }
}

/// The program that `argv` and the keyword arguments of `spawn` describe.
///
/// # Safety
/// - As for [`descriptor`], for all that is in `options`.
pub(super) unsafe fn program<'a>(
    argv: &Bound<'_, PyAny>,
    options: Option<&Bound<'_, PyDict>>,
) -> PyResult<kernel::Spawn<'a>> {
    let arguments = strings("argv", argv)?;
    let mut spawn = kernel::Spawn::new(arguments);
    for (name, value) in options.into_iter().flatten() {
        let name: String = name.extract()?;
        spawn = match name.as_str() {
            "env" => environment(spawn, &value)?,
            "clear_env" if value.is_truthy()? => spawn.env_clear(),
            "directory" if !value.is_none() => spawn.directory(value.extract::<PathBuf>()?),
            "new_session" if value.is_truthy()? => spawn.new_session(),
            "kill_on_close" if value.is_truthy()? => spawn.kill_on_drop(),
            "die_with_parent" if !value.is_none() => spawn.die_with_parent(value.extract()?),
            "redirect" if !value.is_none() => {
                for (fd, to) in value.cast::<PyDict>()? {
                    let fd = fd.extract()?;
                    // SAFETY: the caller's promise.
                    spawn = spawn.redirect(fd, unsafe { redirect(fd, &to) }?);
                }
                spawn
            }
            "inherit" if !value.is_none() => {
                for owner in value.try_iter()? {
                    // SAFETY: the caller's promise: the list keeps it alive.
                    spawn = spawn.inherit(unsafe { descriptor("inherit", &owner?) }?);
                }
                spawn
            }
            "clear_env" | "directory" | "new_session" | "kill_on_close" | "die_with_parent" | "redirect"
            | "inherit" => spawn,
            _ => return Err(PyKeyError::new_err(format!("{name}: spawn() knows no such option"))),
        };
    }
    Ok(spawn)
}

fn strings(what: &str, list: &Bound<'_, PyAny>) -> PyResult<Vec<OsString>> {
    if list.is_instance_of::<pyo3::types::PyString>() {
        let sentence =
            format!("{what}: a list of strings is needed; a command line is for a shell: [\"sh\", \"-c\", line]");
        return Err(PyTypeError::new_err(sentence));
    }
    list.try_iter()?.map(|item| item?.extract::<PathBuf>().map(PathBuf::into_os_string)).collect()
}

fn environment<'a>(mut spawn: kernel::Spawn<'a>, variables: &Bound<'_, PyAny>) -> PyResult<kernel::Spawn<'a>> {
    if variables.is_none() {
        return Ok(spawn);
    }
    for (name, value) in variables.cast::<PyDict>()? {
        let name: OsString = name.extract()?;
        spawn = if value.is_none() { spawn.env_remove(name) } else { spawn.env(name, value.extract::<OsString>()?) };
    }
    Ok(spawn)
}

/// Starts a program: ``argv`` is a list of its name, looked for in PATH unless there is a slash in it, and its arguments.
///
/// ``env`` adds variables to its environment (``None`` takes one out; ``clear_env``: no others); ``directory`` is its
/// working directory; ``new_session`` takes its terminal away; ``die_with_parent=signal`` is what it gets when the thread
/// that starts it ends; ``kill_on_close`` ends it with the handle.
///
/// ``redirect`` is a dict, done in its order as in a shell: ``{1: "out.txt", 2: 1}`` is ``>out.txt 2>&1``. A value is a
/// path (read for descriptor 0, else written), ``(path, "r" | "w" | "a")``, bytes to read, something with ``fileno()`` (a
/// pipe's end, a file), the number of another descriptor of the program, or ``None`` for /dev/null. It gets no other
/// descriptors than 0, 1, 2, those and the ones in ``inherit``, which keep their numbers.
///
/// The program dies of SIGPIPE and blocks no signal. ``FileNotFoundError`` says where it was looked for; when an exception
/// comes, there is no child.
#[pyfunction]
#[pyo3(
    signature = (argv, **options),
    text_signature = "(argv, *, env=None, clear_env=False, directory=None, redirect=None, inherit=(), \
                      new_session=False, die_with_parent=None, kill_on_close=False)"
)]
pub(crate) fn spawn(argv: &Bound<'_, PyAny>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Child> {
    let py = argv.py();
    // SAFETY: the interpreter is held until the program has started, and the arguments keep their descriptors alive.
    let program = unsafe { program(argv, options) }?;
    Ok(Child::of(call(py, || program.start())?))
}

/// The processes of a chain or a fan.
///
/// They sleep until ``close()``, which ``with`` calls and which waits until they are gone, or until this process ends.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct Family(Shared<kernel::Family>);

#[pymethods]
impl Family {
    /// ``(pid, ppid)`` of each, as it reported itself, in the order in which they were made.
    #[getter]
    fn members(&self, py: Python<'_>) -> PyResult<Vec<(u32, u32)>> {
        Ok(self.0.get(py)?.members().iter().map(|member| (member.pid, member.ppid)).collect())
    }

    /// The tree under the process that made them.
    fn tree(&self, py: Python<'_>) -> PyResult<ProcessTree> {
        let family = self.0.get(py)?;
        call(py, || family.tree()).map(ProcessTree)
    }

    /// Ends them and waits until they are gone. Again is nothing new.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &Bound<'_, PyTuple>) {
        self.close(py);
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let pids = self.0.get(py).map(|family| family.members().iter().map(|m| m.pid.to_string()).collect::<Vec<_>>());
        pids.map_or("<triveni.kernel.Family closed>".to_string(), |pids| {
            format!("<triveni.kernel.Family {}>", pids.join(" "))
        })
    }
}

/// Makes a chain of ``n`` processes (1 to 1024): the first is a child of this one, each other one a child of the one before.
///
/// ``with kernel.chain(3) as family: print(family.tree())``
#[pyfunction]
pub(crate) fn chain(py: Python<'_>, n: &Bound<'_, PyAny>) -> PyResult<Family> {
    let n = whole("n", n)?;
    Ok(Family(Shared::new("family", call(py, || kernel::chain(n))?)))
}

/// Makes a fan of ``n`` processes (1 to 1024): all are children of this one.
#[pyfunction]
pub(crate) fn fan(py: Python<'_>, n: &Bound<'_, PyAny>) -> PyResult<Family> {
    let n = whole("n", n)?;
    Ok(Family(Shared::new("family", call(py, || kernel::fan(n))?)))
}

/// One process of a ``ProcessTree``.
#[pyclass(frozen, module = "triveni.kernel", get_all)]
pub(crate) struct TreeNode {
    /// Its process id.
    pid: u32,
    /// Its parent's.
    ppid: u32,
    /// The name of its program, as ``ps`` shows it.
    name: String,
    /// R runs, S sleeps, D waits for a device, T stands (SIGSTOP), Z has ended and was not waited for.
    state: char,
    /// How many steps it is below the root.
    depth: usize,
}

#[pymethods]
impl TreeNode {
    fn __repr__(&self) -> String {
        format!("<triveni.kernel.TreeNode {} {} of {}>", self.pid, self.name, self.ppid)
    }
}

/// A process and all that descend from it, at one moment: ``ProcessTree(pid)``, or ``ProcessTree()`` for this one.
///
/// ``print`` draws it. ``ProcessLookupError`` if there is no such process.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct ProcessTree(kernel::ProcessTree);

#[pymethods]
impl ProcessTree {
    #[new]
    #[pyo3(signature = (pid=None))]
    fn new(py: Python<'_>, pid: Option<&Bound<'_, PyAny>>) -> PyResult<ProcessTree> {
        let pid = pid.map_or(Ok(std::process::id()), pid_of)?;
        call(py, || kernel::ProcessTree::of(pid)).map(ProcessTree)
    }

    /// Its processes, each before its children.
    #[getter]
    fn nodes(&self) -> Vec<TreeNode> {
        let node = |node: &kernel::TreeNode| TreeNode {
            pid: node.pid,
            ppid: node.ppid,
            name: node.name.clone(),
            state: node.state,
            depth: node.depth,
        };
        self.0.nodes().iter().map(node).collect()
    }

    /// How many steps the lowest is below the root.
    #[getter]
    fn depth(&self) -> usize {
        self.0.depth()
    }

    fn __len__(&self) -> usize {
        self.0.nodes().len()
    }

    fn __str__(&self) -> String {
        self.0.to_string().trim_end().to_string()
    }

    fn __repr__(&self) -> String {
        let root = self.0.nodes().first().map_or(0, |node| node.pid);
        format!("<triveni.kernel.ProcessTree of {root}: {} processes>", self.0.nodes().len())
    }
}
