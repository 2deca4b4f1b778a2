//! Daemons in C.

use super::process::path;
use crate::argument::{output, text};
use crate::boundary::call;
use crate::handle::{give, lend_mut, take};
use std::ffi::{c_char, c_int, c_uint};
use triveni::kernel::{__fork, Daemon, DaemonOptions, DaemonSide};
use triveni::{Error, ErrorKind};

/// The daemon as itself sees it.
pub struct tvn_daemon_t(Daemon);

/// How a daemon lives. Begin with `tvn_daemon_options_t options = TVN_DAEMON_OPTIONS;` and change what you need.
#[repr(C)]
pub struct tvn_daemon_options_t {
    /// The size of this structure, for later versions. TVN_DAEMON_OPTIONS sets it.
    pub size: usize,
    /// Its working directory; NULL: /.
    pub directory: *const c_char,
    /// The file to whose end its standard output and error go, made with mode 0600; NULL: /dev/null.
    pub output: *const c_char,
    /// A file with its process id, locked as long as it lives, so that a second instance is refused; NULL: none. It goes
    /// with the daemon's handle; if the daemon is killed it stays, unlocked, and the next instance takes it over.
    pub pid_file: *const c_char,
    /// Which bits the files it makes shall not have; 0: 022.
    pub umask: c_uint,
}

/// Makes a daemon of this program: fork, setsid, fork; standard streams, directory and umask as `options` say. In the
/// daemon it gives `*out` and returns 0; the daemon says tvn_daemon_ready() or tvn_daemon_failed(). The first process waits
/// for that word and then usually ends. Lends `options` (NULL: all defaults). Flush stdio before: what it has buffered
/// is in both. The daemon has none of the other threads.
/// @return 0 in the daemon. In the first process: the daemon's process id once it is ready; -EBUSY if an instance holds
/// the pid file; -TVN_EFAILED if the daemon said that it failed, and tvn_last_error() has its sentence; -ECONNRESET if it
/// ended without a word; -EAGAIN if a limit on processes is reached; what opening the files reports.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_daemonize(options: *const tvn_daemon_options_t, out: *mut *mut tvn_daemon_t) -> c_int {
    call("tvn_daemonize", || {
        // SAFETY: the C contract: NULL or a place for a handle; NULL or options whose pointers are strings or NULL; after
        // a fork C has the obligations that fork(2) names.
        unsafe {
            output(out)?;
            let mut daemon = DaemonOptions::new();
            if let Some(options) = options.as_ref() {
                if options.size != size_of::<tvn_daemon_options_t>() {
                    let sentence = "these daemon options have another size; begin with TVN_DAEMON_OPTIONS";
                    return Err(Error::new(ErrorKind::Invalid, sentence));
                }
                if !options.directory.is_null() {
                    daemon = daemon.directory(path(options.directory)?);
                }
                if !options.output.is_null() {
                    daemon = daemon.output(path(options.output)?);
                }
                if !options.pid_file.is_null() {
                    daemon = daemon.pid_file(path(options.pid_file)?);
                }
                if options.umask != 0 {
                    daemon = daemon.umask(options.umask);
                }
            }
            match daemon.divide(|| __fork())? {
                DaemonSide::First(starting) => Ok(starting.wait()? as c_int),
                DaemonSide::Daemon(daemon) => {
                    give(out, || Ok(tvn_daemon_t(daemon)))?;
                    Ok(0)
                }
            }
        }
    })
}

/// Tells the first process that the daemon came up. Only the first word counts. Lends `daemon`. Never blocks.
/// @return 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_daemon_ready(daemon: *mut tvn_daemon_t) -> c_int {
    call("tvn_daemon_ready", || {
        // SAFETY: the C contract: NULL, or a handle that only this thread uses.
        unsafe { lend_mut(daemon) }?.0.ready();
        Ok(())
    })
}

/// Tells the first process that the daemon did not come up, and `why`. The daemon should end then. Lends `daemon` and
/// `why`. Never blocks.
/// @return 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_daemon_failed(daemon: *mut tvn_daemon_t, why: *const c_char) -> c_int {
    call("tvn_daemon_failed", || {
        // SAFETY: the C contract: NULL, or a handle that only this thread uses; NULL or a string.
        let (daemon, why) = unsafe { (lend_mut(daemon)?, text(why)?) };
        daemon.0.failed(why);
        Ok(())
    })
}

/// Lets go of the daemon's pid file and removes it. Takes `daemon`; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_daemon_close(daemon: *mut tvn_daemon_t) {
    // SAFETY: the C contract: NULL, or a handle that nobody uses any more.
    call("tvn_daemon_close", || unsafe { take(daemon) });
}
