//! Pipelines: `a | b | c`.

use super::Exclusive;
use super::process::{program, redirect, returncode};
use crate::error::call;
use crate::wait::{deadline, trying, waiting};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use triveni::kernel;
use triveni::{Deadline, Result};

/// ``a | b | c``: ``Pipeline(["sort"], ["uniq", "-c"], input=b"b\na\nb\n").run().output``.
///
/// Each stage is a list of a program's name and its arguments, or a dict with ``argv`` and the options of ``spawn``.
/// ``input`` is bytes, a path, something with ``fileno()``, or ``None`` for nothing (/dev/null); left out, the first
/// program reads where this one does. ``output`` is a path, ``(path, "a")``, something with ``fileno()``; left out, it is
/// collected.
///
/// It may be run several times.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct Pipeline {
    stages: Py<PyTuple>,
    options: Option<Py<PyDict>>,
}

#[pymethods]
impl Pipeline {
    #[new]
    #[pyo3(signature = (*stages, **options), text_signature = "(*stages, input=..., output=...)")]
    fn new(stages: Bound<'_, PyTuple>, options: Option<Bound<'_, PyDict>>) -> PyResult<Pipeline> {
        for name in options.iter().flat_map(|options| options.keys()) {
            let name: String = name.extract()?;
            if !["input", "output"].contains(&name.as_str()) {
                let sentence = format!("{name}: Pipeline() knows input and output");
                return Err(pyo3::exceptions::PyTypeError::new_err(sentence));
            }
        }
        Ok(Pipeline { stages: stages.unbind(), options: options.map(Bound::unbind) })
    }

    /// Starts its programs and does not wait for them. If one does not start, those before it are killed.
    fn start(&self, py: Python<'_>) -> PyResult<RunningPipeline> {
        let mut pipeline = kernel::Pipeline::new();
        for stage in self.stages.bind(py) {
            // SAFETY: the interpreter is held until the programs have started, and we keep what has the descriptors.
            let spawn = unsafe {
                match stage.cast::<PyDict>() {
                    Ok(options) => {
                        let options = options.copy()?;
                        let argv = options.as_any().get_item("argv")?;
                        options.del_item("argv")?;
                        program(&argv, Some(&options))?
                    }
                    Err(_) => program(&stage, None)?,
                }
            };
            pipeline = pipeline.then_spawn(spawn);
        }
        if let Some(options) = &self.options {
            let options = options.bind(py);
            // SAFETY: as above.
            unsafe {
                if let Some(from) = options.get_item("input")? {
                    pipeline = pipeline.input_from(redirect(0, &from)?);
                }
                if let Some(to) = options.get_item("output")? {
                    pipeline = pipeline.output_to(redirect(1, &to)?);
                }
            }
        }
        let running = call(py, || pipeline.start())?;
        let pids = running.children().iter().map(kernel::Child::pid).collect();
        Ok(RunningPipeline { running: Exclusive::new("pipeline", running), pids })
    }

    /// Runs it to its end. At the ``timeout`` its programs are killed, and ``TimeoutError`` comes. That a program fails is
    /// no exception: see ``statuses``.
    #[pyo3(signature = (timeout=None))]
    fn run(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<PipelineOutput> {
        let until = deadline(py, timeout)?;
        let running = self.start(py)?;
        waiting(py, until, |until| running.attempt(until)).map(|left| PipelineOutput::new(py, left))
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        format!("<triveni.kernel.Pipeline of {} programs>", self.stages.bind(py).len())
    }
}

/// A pipeline that runs. ``close()``, which ``with`` calls, kills its programs unless they have been waited for.
#[pyclass(frozen, module = "triveni.kernel")]
pub(crate) struct RunningPipeline {
    running: Exclusive<kernel::RunningPipeline>,
    pids: Vec<u32>,
}

impl RunningPipeline {
    fn attempt(&self, until: Option<Deadline>) -> Result<Option<kernel::PipelineOutput>> {
        self.running.with(|running| match until {
            None => running.try_wait(),
            Some(until) => running.wait_until(until).map(Some),
        })
    }
}

#[pymethods]
impl RunningPipeline {
    /// Process ids of its programs, in their order.
    #[getter]
    fn pids(&self) -> Vec<u32> {
        self.pids.clone()
    }

    /// Reads the output and waits until all programs have ended. A later ``wait`` says the same.
    #[pyo3(signature = (timeout=None))]
    fn wait(&self, py: Python<'_>, timeout: Option<&Bound<'_, PyAny>>) -> PyResult<PipelineOutput> {
        waiting(py, deadline(py, timeout)?, |until| self.attempt(until)).map(|left| PipelineOutput::new(py, left))
    }

    /// What it left, or ``None`` while one of its programs runs.
    fn try_wait(&self, py: Python<'_>) -> PyResult<Option<PipelineOutput>> {
        Ok(trying(py, |until| self.attempt(until))?.map(|left| PipelineOutput::new(py, left)))
    }

    /// Kills what still runs. Again is nothing new. ``Busy`` while another thread waits with it.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let running = call(py, || self.running.take())?;
        py.detach(|| drop(running));
        Ok(())
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.close(py)
    }

    fn __repr__(&self) -> String {
        format!("<triveni.kernel.RunningPipeline {:?}>", self.pids)
    }
}

/// What a pipeline left.
#[pyclass(frozen, module = "triveni.kernel", get_all)]
pub(crate) struct PipelineOutput {
    /// What its last program wrote, unless that was redirected.
    output: Py<PyBytes>,
    /// How each program ended, as ``subprocess`` writes it.
    statuses: Vec<i32>,
    /// What a shell with ``pipefail`` says: the status of the last program that did not end with 0 (128 + n if signal n
    /// killed it), or 0.
    pipefail: i32,
    /// Did all of them end with 0?
    success: bool,
}

impl PipelineOutput {
    fn new(py: Python<'_>, left: kernel::PipelineOutput) -> PipelineOutput {
        PipelineOutput {
            output: PyBytes::new(py, &left.output).unbind(),
            statuses: left.statuses.iter().map(|status| returncode(*status)).collect(),
            pipefail: left.pipefail(),
            success: left.success(),
        }
    }
}

#[pymethods]
impl PipelineOutput {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let size = self.output.bind(py).len()?;
        Ok(format!("<triveni.kernel.PipelineOutput {size} bytes, statuses {:?}>", self.statuses))
    }
}
