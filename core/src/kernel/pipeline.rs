//! `a | b | c`, built in code.
//!
//! # Ends
//!
//! Each program gets the reading end of the pipe before it and the writing end of the pipe behind it, and nobody else has
//! them: so a program sees the end of its input when the one before it has ended, and one that writes to a program that
//! has ended dies of SIGPIPE, which no program started here ignores unless it chose to.
//!
//! # Input
//!
//! Bytes given as input lie in a memory file that the first program reads. So nobody has to feed it while the output is
//! read, and nothing can get stuck between the two.

use super::child::Child;
use super::pipe::{Pipe, PipeReader, pipe};
use super::spawn::{Redirect, Spawn};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use std::process::ExitStatus;

/// A pipeline to be run once.
///
/// # Examples
/// ```
/// use triveni::kernel::Pipeline;
/// let counted = Pipeline::new().then(["sort"]).then(["uniq", "-c"]).input("b\na\nb\n").run()?;
/// assert!(counted.success() && counted.output.ends_with(b"2 b\n"));
/// # Ok::<(), triveni::Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use = "a pipeline runs with `run` or `start`"]
pub struct Pipeline<'fd> {
    stages: Vec<Spawn<'fd>>,
    input: Option<Redirect<'fd>>,
    output: Option<Redirect<'fd>>,
}

/// What a pipeline left.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PipelineOutput {
    /// What its last program wrote, unless that was redirected.
    pub output: Vec<u8>,
    /// How each of its programs ended, in their order.
    pub statuses: Vec<ExitStatus>,
}

impl PipelineOutput {
    /// Did all of them end with 0?
    pub fn success(&self) -> bool {
        self.statuses.iter().all(ExitStatus::success)
    }

    /// What a shell with `pipefail` calls the status of the pipeline: that of the last one that did not end with 0, or
    /// 0. Who was killed by signal n counts as 128 + n.
    pub fn pipefail(&self) -> i32 {
        self.statuses.iter().rev().map(|status| shell_status(*status)).find(|code| *code != 0).unwrap_or(0)
    }
}

/// An exit status as a shell shows it in `$?`.
pub(super) fn shell_status(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

impl<'fd> Pipeline<'fd> {
    /// An empty one.
    pub fn new() -> Pipeline<'fd> {
        Pipeline::default()
    }

    /// Adds a program, `argv[0]` with its arguments.
    pub fn then<S: Into<std::ffi::OsString>>(self, argv: impl IntoIterator<Item = S>) -> Self {
        self.then_spawn(Spawn::new(argv))
    }

    /// Adds a program with an environment, a directory or redirections of its own; these are done after the pipes, so
    /// `redirect(2, Redirect::Same(1))` is what the shell writes `2>&1 |`.
    pub fn then_spawn(mut self, spawn: Spawn<'fd>) -> Self {
        self.stages.push(spawn);
        self
    }

    /// Where the first program reads: a file (`< file`), a pipe, nothing. Unless said, where the caller does.
    pub fn input_from(mut self, from: impl Into<Redirect<'fd>>) -> Self {
        self.input = Some(from.into());
        self
    }

    /// What the first program reads.
    pub fn input(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input_from(Redirect::Bytes(bytes.into()))
    }

    /// Where the last program writes: a file (`> file`, `>> file`), a pipe, nothing. Unless said, its output is
    /// collected by [`Pipeline::run`].
    pub fn output_to(mut self, to: impl Into<Redirect<'fd>>) -> Self {
        self.output = Some(to.into());
        self
    }

    /// Starts all programs and does not wait for them.
    ///
    /// # Errors
    /// As [`Spawn::start`]: then those that were started already are killed. `Invalid` for no program.
    pub fn start(mut self) -> Result<RunningPipeline> {
        let count = self.stages.len();
        if count == 0 {
            return Err(Error::new(ErrorKind::Invalid, "a pipeline needs a program; add one with `then`"));
        }
        let mut running = RunningPipeline { children: Vec::with_capacity(count), output: None, collected: Vec::new() };
        let mut input = self.input.take();
        let mut last_output = self.output.take();
        for (at, mut stage) in self.stages.into_iter().enumerate() {
            let (output, next) = match last_output.take_if(|_| at + 1 == count) {
                Some(to) => (to, None),
                None => {
                    let Pipe { reader, writer } = pipe()?;
                    (Redirect::Owned(writer.into()), Some(reader))
                }
            };
            let own = std::mem::take(&mut stage.redirects);
            stage.redirects.extend(input.take().map(|from| (0, from)));
            stage.redirects.push((1, output));
            stage.redirects.extend(own);
            running.children.push(stage.kill_on_drop().start()?); // on failure the drop of `running` kills the others
            if at + 1 == count {
                running.output = next;
            } else {
                input = next.map(|reader| Redirect::Owned(reader.into()));
            }
        }
        Ok(running)
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// As [`Pipeline::start`]. That a program fails is no error: see [`PipelineOutput`].
    pub fn run(self) -> Result<PipelineOutput> {
        self.run_until(Deadline::never())
    }

    /// Runs it to its end, or to the deadline; then its programs are killed.
    ///
    /// # Errors
    /// As [`Pipeline::start`]; `Timeout`; `Interrupted`.
    pub fn run_until(self, until: Deadline) -> Result<PipelineOutput> {
        let mut running = self.start()?;
        let statuses = running.finish(until)?;
        Ok(PipelineOutput { output: std::mem::take(&mut running.collected), statuses })
    }
}

/// A pipeline that runs. Dropping it kills its programs, unless it has been waited for.
#[derive(Debug)]
pub struct RunningPipeline {
    children: Vec<Child>,
    output: Option<PipeReader>,
    collected: Vec<u8>,
}

/// So many pieces are read after a deadline: a mebibyte, the most that a pipe holds unless somebody has made it larger.
const LATE: usize = 64;

impl RunningPipeline {
    /// Its programs, in their order.
    pub fn children(&self) -> &[Child] {
        &self.children
    }

    /// Takes the pipe that the last program writes to, to read it piece by piece; `None` if its output went elsewhere.
    pub fn take_output(&mut self) -> Option<PipeReader> {
        self.output.take()
    }

    /// Reads what is left of the output and waits until all programs have ended. A later wait says the same.
    ///
    /// # Errors
    /// As [`Child::wait`].
    pub fn wait(&mut self) -> Result<PipelineOutput> {
        self.wait_until(Deadline::never())
    }

    /// What it left, if all its programs have ended.
    ///
    /// # Errors
    /// As [`Child::wait`].
    pub fn try_wait(&mut self) -> Result<Option<PipelineOutput>> {
        match self.wait_until(Deadline::now()) {
            Ok(output) => Ok(Some(output)),
            Err(error) if error.kind() == ErrorKind::Timeout => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// As [`RunningPipeline::wait`], until the deadline. What was read by then is kept for the next wait.
    ///
    /// # Errors
    /// As [`Child::wait`]; `Timeout`; `Interrupted`.
    pub fn wait_until(&mut self, until: Deadline) -> Result<PipelineOutput> {
        let statuses = self.finish(until)?;
        Ok(PipelineOutput { output: self.collected.clone(), statuses })
    }

    fn finish(&mut self, until: Deadline) -> Result<Vec<ExitStatus>> {
        let mut piece = [0; 16 << 10];
        let mut late = 0;
        while let Some(reader) = &self.output {
            match reader.read_until(&mut piece, until)? {
                0 => self.output = None,
                n => self.collected.extend_from_slice(piece.get(..n).unwrap_or_default()),
            }
            // What lies in the pipe is taken also when the deadline has passed; not what comes and comes.
            late += usize::from(until.passed());
            if late > LATE {
                return Err(ErrorKind::Timeout.into());
            }
        }
        self.children.iter().map(|child| child.wait_until(until)).collect()
    }
}
