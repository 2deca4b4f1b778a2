//! Pipelines in C: `a | b | c`.

use super::pipe::tvn_pipe_reader_t;
use super::process::{items, program, redirect, tvn_redirect_t, tvn_spawn_options_t};
use crate::argument::{array, output};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline};
use crate::handle::{give, lend, lend_mut, take};
use crate::segment::fill;
use std::ffi::{c_char, c_int};
use std::os::unix::process::ExitStatusExt;
use triveni::kernel::{Pipeline, PipelineOutput, RunningPipeline};
use triveni::{Deadline, Error, ErrorKind};

/// A pipeline that runs, and what it left. One thread at a time.
pub struct tvn_pipeline_t {
    running: RunningPipeline,
    left: Option<PipelineOutput>,
}

/// One program of a pipeline.
#[repr(C)]
pub struct tvn_stage_t {
    /// Its name and its arguments, and NULL at the end.
    pub argv: *const *const c_char,
    /// How it starts; NULL: all defaults. Its redirections are done after the pipes: {2, TVN_REDIRECT_SAME, 1, NULL, 0} is
    /// what the shell writes `2>&1 |`.
    pub options: *const tvn_spawn_options_t,
}

/// Starts the programs of a pipeline: each reads what the one before it writes. The first reads from `input` (its `fd` is
/// of no account; NULL: where the caller does), the last writes to `out_to` (NULL: it is collected for
/// tvn_pipeline_output()). Lends all but `out`, gives `*out`. Does not wait for their ends. Any thread.
/// @return 0; -EINVAL for no program; otherwise as tvn_spawn(): then those that were started already are killed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipeline_start(
    stages: *const tvn_stage_t,
    count: usize,
    input: *const tvn_redirect_t,
    out_to: *const tvn_redirect_t,
    out: *mut *mut tvn_pipeline_t,
) -> c_int {
    call("tvn_pipeline_start", || {
        // SAFETY: the C contract: `count` stages as documented, NULL or redirections, NULL or a place for a handle.
        unsafe {
            give(out, || {
                let mut pipeline = Pipeline::new();
                for stage in items(stages, count)? {
                    pipeline = pipeline.then_spawn(program(stage.argv, stage.options)?);
                }
                if let Some(from) = input.as_ref() {
                    pipeline = pipeline.input_from(redirect(from)?);
                }
                if let Some(to) = out_to.as_ref() {
                    pipeline = pipeline.output_to(redirect(to)?);
                }
                Ok(tvn_pipeline_t { running: pipeline.start()?, left: None })
            })
        }
    })
}

/// Takes the pipe that the last program writes to, to read it piece by piece. Gives `*out`, lends `pipeline`. Does not wait.
/// @return 0; -ENOENT if its output went elsewhere or was taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipeline_take_output(
    pipeline: *mut tvn_pipeline_t,
    out: *mut *mut tvn_pipe_reader_t,
) -> c_int {
    call("tvn_pipeline_take_output", || {
        // SAFETY: the C contract: NULL, or a handle that only this thread uses; NULL or a place for a handle.
        unsafe {
            let pipeline = lend_mut(pipeline)?;
            give(out, || {
                let gone =
                    || Error::new(ErrorKind::NotFound, "the output of this pipeline went elsewhere or was taken");
                pipeline.running.take_output().map(tvn_pipe_reader_t::new).ok_or_else(gone)
            })
        }
    })
}

/// Reads the output and waits until all programs have ended. Fills `statuses` as from waitpid(2), at most `count`, in the
/// order of the programs. Lends `pipeline` and `statuses` (NULL will do with 0). A later wait says the same.
/// @return what a shell with `pipefail` says: the exit status of the last program that did not end with 0 (128 + n if
/// signal n killed it), or 0; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipeline_wait(
    pipeline: *mut tvn_pipeline_t,
    statuses: *mut c_int,
    count: usize,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_pipeline_wait", || {
        // SAFETY: the C contract: NULL, or a handle that only this thread uses; `count` items to write.
        let (pipeline, statuses) = unsafe { (lend_mut(pipeline)?, array(statuses, count)?) };
        let left = match pipeline.left.take() {
            Some(left) => left,
            None if timeout_ms == TVN_TRY => {
                pipeline.running.wait_until(Deadline::now()).map_err(|error| match error.kind() {
                    ErrorKind::Timeout => ErrorKind::WouldBlock.into(),
                    _ => error,
                })?
            }
            None => pipeline.running.wait_until(deadline(timeout_ms))?,
        };
        let left = pipeline.left.insert(left);
        fill(statuses, left.statuses.iter().map(|status| status.into_raw()));
        Ok(left.pipefail())
    })
}

/// What the last program wrote, once tvn_pipeline_wait() has said that all have ended. Lends `pipeline`; `*data` is lent
/// until the pipeline is closed.
/// @return how many bytes; -EAGAIN before the end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipeline_output(pipeline: *const tvn_pipeline_t, data: *mut *const c_char) -> i64 {
    call("tvn_pipeline_output", || {
        // SAFETY: the C contract: NULL, or a handle that is not closed during this call; NULL or a place for a pointer.
        let (pipeline, data) = unsafe { (lend(pipeline)?, output(data)?) };
        let left = pipeline.left.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::WouldBlock, "the pipeline has not been waited for; tvn_pipeline_wait() does that")
        })?;
        data.write(left.output.as_ptr().cast());
        Ok(left.output.len())
    })
}

/// Lets go of a pipeline. Takes `pipeline`; NULL is fine. Programs that still run are killed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_pipeline_close(pipeline: *mut tvn_pipeline_t) {
    // SAFETY: the C contract: NULL, or a handle that nobody uses any more.
    call("tvn_pipeline_close", || unsafe { take(pipeline) });
}
