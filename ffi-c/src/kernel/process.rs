//! Processes in C: children, programs, fork, the chain and the fan, and the tree.

use crate::argument::{array, buffer, bytes, chars, descriptor, output, write_text};
use crate::boundary::call;
use crate::deadline::{TVN_TRY, deadline, tried};
use crate::handle::{give, lend, take};
use crate::segment::fill;
use std::ffi::{CStr, OsString, c_char, c_int, c_uint};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use triveni::kernel::{Child, Family, ProcessTree, Redirect, Spawn, chain, fan, fork_raw};
use triveni::{Error, ErrorKind, Result};

/// A child process, by a descriptor that names this very process and no later one with its number.
pub struct tvn_child_t(pub(super) Child);

impl tvn_child_t {
    /// Stores a handle in `*out`; its process id.
    ///
    /// # Safety
    /// - As for [`give`].
    pub(super) unsafe fn give(child: Child, out: *mut *mut tvn_child_t) -> Result<c_int> {
        let pid = child.pid() as c_int;
        // SAFETY: the caller's promise is the one `give` asks for.
        unsafe { give(out, || Ok(tvn_child_t(child))) }?;
        Ok(pid)
    }
}

/// To or from /dev/null.
pub const TVN_REDIRECT_NULL: c_int = 0;
/// From the file `path`.
pub const TVN_REDIRECT_READ: c_int = 1;
/// To the file `path`, made if it is missing and emptied if it is there.
pub const TVN_REDIRECT_WRITE: c_int = 2;
/// To the end of the file `path`, made if it is missing.
pub const TVN_REDIRECT_APPEND: c_int = 3;
/// To the caller's descriptor `from`, which stays the caller's.
pub const TVN_REDIRECT_FD: c_int = 4;
/// Where the program's own descriptor `from` leads by then: `2>&1` is {2, TVN_REDIRECT_SAME, 1, NULL, 0}.
pub const TVN_REDIRECT_SAME: c_int = 5;
/// Nowhere: the program does not have it.
pub const TVN_REDIRECT_CLOSED: c_int = 6;
/// From the `size` bytes at `path`.
pub const TVN_REDIRECT_BYTES: c_int = 7;

/// Where one descriptor of a new program leads.
#[repr(C)]
pub struct tvn_redirect_t {
    /// The program's descriptor.
    pub fd: c_int,
    /// TVN_REDIRECT_...
    pub kind: c_int,
    /// A descriptor, for TVN_REDIRECT_FD and TVN_REDIRECT_SAME.
    pub from: c_int,
    /// A file, or the bytes for TVN_REDIRECT_BYTES.
    pub path: *const c_char,
    /// How many bytes, for TVN_REDIRECT_BYTES.
    pub size: usize,
}

/// For `flags` of a program: a session and a process group of its own, without a terminal.
pub const TVN_SPAWN_NEW_SESSION: c_uint = 1;
/// For `flags` of a program: closing its handle kills it (SIGKILL).
pub const TVN_SPAWN_KILL_ON_CLOSE: c_uint = 2;
/// For `flags` of a program: it has no variables but those in `environment`.
pub const TVN_SPAWN_CLEAR_ENVIRONMENT: c_uint = 4;

/// How a program starts. Begin with `tvn_spawn_options_t options = TVN_SPAWN_OPTIONS;` and change what you need.
#[repr(C)]
pub struct tvn_spawn_options_t {
    /// The size of this structure, for later versions. TVN_SPAWN_OPTIONS sets it.
    pub size: usize,
    /// Variables for its environment besides the caller's: strings `NAME=value`, and `NAME` for one that it shall not
    /// have; the last is NULL. NULL for none.
    pub environment: *const *const c_char,
    /// Its working directory; NULL: the caller's.
    pub directory: *const c_char,
    /// Redirections, done in their order as in a shell.
    pub redirects: *const tvn_redirect_t,
    /// How many.
    pub redirect_count: usize,
    /// Descriptors that it gets under their own numbers, also if they are close-on-exec; no others but 0, 1 and 2.
    pub inherit: *const c_int,
    /// How many.
    pub inherit_count: usize,
    /// The signal it gets when the thread that starts it ends; 0 for none.
    pub die_with_parent: c_int,
    /// TVN_SPAWN_... or 0.
    pub flags: c_uint,
}

/// The items of an array to read.
///
/// # Safety
/// - `count` items at `first` may be read, unchanged until the reference's last use.
pub(super) unsafe fn items<'a, T>(first: *const T, count: usize) -> Result<&'a [T]> {
    // SAFETY: `array` checks the pointer and the size; nothing is written through it.
    let items: &[MaybeUninit<T>] = unsafe { array(first.cast_mut(), count) }?;
    // SAFETY: the caller promises that they may be read: C has filled them in; same layout.
    Ok(unsafe { &*(std::ptr::from_ref(items) as *const [T]) })
}

/// A string in any encoding.
///
/// # Safety
/// - `text` is not NULL and ends with a NUL inside memory that may be read.
unsafe fn os(text: *const c_char) -> OsString {
    // SAFETY: the caller's promise.
    OsString::from_vec(unsafe { CStr::from_ptr(text) }.to_bytes().to_vec())
}

/// A path.
///
/// # Safety
/// - `path` is NULL or ends with a NUL inside memory that may be read.
pub(super) unsafe fn path(path: *const c_char) -> Result<PathBuf> {
    if path.is_null() {
        return Err(Error::new(ErrorKind::Invalid, "a path is NULL; give one"));
    }
    // SAFETY: not NULL; the caller's promise.
    Ok(unsafe { os(path) }.into())
}

/// Strings up to a NULL.
///
/// # Safety
/// - `list` is NULL, for none, or an array of strings whose last item is NULL.
unsafe fn strings(list: *const *const c_char) -> Vec<OsString> {
    let mut all = Vec::new();
    if list.is_null() {
        return all;
    }
    // SAFETY: the caller promises a NULL at the end, and strings before it.
    unsafe {
        while let item = *list.add(all.len())
            && !item.is_null()
        {
            all.push(os(item));
        }
    }
    all
}

/// # Safety
/// - `path` as its `kind` says: a string, or `size` bytes; `from` is open until the program has started.
pub(super) unsafe fn redirect<'a>(to: &tvn_redirect_t) -> Result<Redirect<'a>> {
    // SAFETY: the caller's promise.
    unsafe {
        Ok(match to.kind {
            TVN_REDIRECT_NULL => Redirect::Null,
            TVN_REDIRECT_READ => Redirect::Read(path(to.path)?),
            TVN_REDIRECT_WRITE => Redirect::Write(path(to.path)?),
            TVN_REDIRECT_APPEND => Redirect::Append(path(to.path)?),
            TVN_REDIRECT_FD => Redirect::Fd(descriptor(to.from)?),
            TVN_REDIRECT_SAME => Redirect::Same(to.from),
            TVN_REDIRECT_CLOSED => Redirect::Closed,
            TVN_REDIRECT_BYTES => Redirect::Bytes(bytes(to.path.cast(), to.size)?.to_vec()),
            kind => {
                let sentence = format!("{kind} is no kind of redirection; they are TVN_REDIRECT_...");
                return Err(Error::new(ErrorKind::Invalid, sentence));
            }
        })
    }
}

/// The program that C describes.
///
/// # Safety
/// - `argv` is NULL or an array of strings whose last item is NULL.
/// - `options` is NULL or points to options whose pointers are as their documentation says.
pub(super) unsafe fn program<'a>(argv: *const *const c_char, options: *const tvn_spawn_options_t) -> Result<Spawn<'a>> {
    // SAFETY: the caller's promise about `argv`; NULL becomes `None`, and `options` may be read.
    let (argv, options) = unsafe { (strings(argv), options.as_ref()) };
    let mut spawn = Spawn::new(argv);
    let Some(options) = options else { return Ok(spawn) };
    if options.size != size_of::<tvn_spawn_options_t>() {
        let sentence = format!(
            "spawn options of {} bytes, this library knows {}; begin with TVN_SPAWN_OPTIONS, and compile against this \
             library's header",
            options.size,
            size_of::<tvn_spawn_options_t>()
        );
        return Err(Error::new(ErrorKind::Invalid, sentence));
    }
    if options.flags & TVN_SPAWN_CLEAR_ENVIRONMENT != 0 {
        spawn = spawn.env_clear();
    }
    // SAFETY: the caller's promise about the options.
    unsafe {
        for variable in strings(options.environment) {
            let mut name = variable.into_vec();
            spawn = match name.iter().position(|byte| *byte == b'=') {
                Some(at) => {
                    let value = name.split_off(at + 1);
                    name.truncate(at);
                    spawn.env(OsString::from_vec(name), OsString::from_vec(value))
                }
                None => spawn.env_remove(OsString::from_vec(name)),
            };
        }
        if !options.directory.is_null() {
            spawn = spawn.directory(path(options.directory)?);
        }
        for fd in items(options.inherit, options.inherit_count)? {
            spawn = spawn.inherit(descriptor(*fd)?);
        }
        for to in items(options.redirects, options.redirect_count)? {
            spawn = spawn.redirect(to.fd, redirect(to)?);
        }
    }
    if options.flags & TVN_SPAWN_NEW_SESSION != 0 {
        spawn = spawn.new_session();
    }
    if options.flags & TVN_SPAWN_KILL_ON_CLOSE != 0 {
        spawn = spawn.kill_on_drop();
    }
    Ok(spawn.die_with_parent(options.die_with_parent))
}

/// Starts a program: `argv` is its name, looked for in PATH unless there is a slash in it, and its arguments, and ends
/// with NULL. It dies of SIGPIPE and blocks no signal, whatever the caller does. Lends `argv` and `options` (NULL: all
/// defaults), gives `*out`. Returns when the program runs; on failure there is no child. Any thread.
/// @return 0; -ENOENT if there is no such program, interpreter, file or directory: tvn_last_error() says where it was
/// looked for; -EACCES if it may not be executed; -ENOEXEC if it is no program; -E2BIG for too many arguments; -EAGAIN if
/// a limit on processes is reached, which tvn_last_error() names; what opening the files reports.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_spawn(
    argv: *const *const c_char,
    options: *const tvn_spawn_options_t,
    out: *mut *mut tvn_child_t,
) -> c_int {
    call("tvn_spawn", || {
        // SAFETY: the C contract: strings and options as documented, NULL or a place for a handle.
        unsafe { give(out, || program(argv, options)?.start().map(tvn_child_t)) }
    })
}

/// Makes a child that goes on where the caller does, like fork(2). Gives `*out` to the parent; in the child it is
/// untouched. Segments and objects go on working in the child. What stdio has buffered is in both: fflush() before.
/// @return the child's process id; 0 in the child; -EAGAIN if a limit on processes is reached; -EMFILE without a
/// descriptor for the child: then there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_fork(out: *mut *mut tvn_child_t) -> c_int {
    call("tvn_fork", || {
        // SAFETY: the C contract: NULL or a place for a handle; after a fork C has the obligations that fork(2) names.
        unsafe {
            output(out)?;
            let Some(child) = fork_raw()? else { return Ok(0) };
            tvn_child_t::give(child, out)
        }
    })
}

/// A handle on a child that something else has started, which nobody has waited for. Gives `*out`. Does not wait.
/// @return 0; -ECHILD if there is no such child of this process; -ESRCH if there is no such process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_child_adopt(pid: c_int, out: *mut *mut tvn_child_t) -> c_int {
    call("tvn_child_adopt", || {
        // SAFETY: the C contract: NULL or a place for a handle.
        unsafe { give(out, || Child::adopt(number(pid)).map(tvn_child_t)) }
    })
}

/// A process id as core knows it; what is none becomes one that core refuses.
pub(super) fn number(pid: c_int) -> u32 {
    u32::try_from(pid).unwrap_or(0)
}

/// Lets go of a child. Takes `child`; NULL is fine. One that still runs goes on, and is reaped by a later call for
/// processes when it has ended: no zombie stays. With TVN_SPAWN_KILL_ON_CLOSE it is killed, and this waits for its end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_child_close(child: *mut tvn_child_t) {
    // SAFETY: the C contract: NULL, or a handle that nobody uses any more.
    call("tvn_child_close", || unsafe { take(child) });
}

/// Its process id. Lends `child`. Never blocks.
/// @return the process id.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_child_pid(child: *const tvn_child_t) -> c_int {
    call("tvn_child_pid", || {
        // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
        Ok(unsafe { lend(child) }?.0.pid() as c_int)
    })
}

/// A descriptor that is readable once the child has ended, for poll() or tvn_wait_set_add_fd(). Lends `child`, and the
/// descriptor until it is closed. Never blocks.
/// @return the descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_child_fd(child: *const tvn_child_t) -> c_int {
    call("tvn_child_fd", || {
        // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
        Ok(unsafe { lend(child) }?.0.as_fd().as_raw_fd())
    })
}

/// Waits until the child has ended, and reaps it. `*status` is as from waitpid(2): WIFEXITED() and so on read it. A
/// second wait says the same. Lends `child` and `status` (NULL will do). Any number of threads; in a forked child it
/// answers -TVN_EFORKED.
/// @return 0; -EAGAIN with TVN_TRY; -ETIMEDOUT; -EINTR if this thread is interruptible; -ECHILD if somebody else took
/// its end, as waitpid(-1) does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_child_wait(child: *const tvn_child_t, status: *mut c_int, timeout_ms: c_int) -> c_int {
    call("tvn_child_wait", || {
        // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
        let child = &unsafe { lend(child) }?.0;
        let ended = match timeout_ms {
            TVN_TRY => tried(child.try_wait()?),
            ms => child.wait_until(deadline(ms)),
        }?;
        // SAFETY: the C contract: NULL or a place for an int.
        unsafe { store(status, ended) };
        Ok(())
    })
}

/// # Safety
/// - `status` is NULL or may be written to.
unsafe fn store(status: *mut c_int, ended: ExitStatus) {
    // SAFETY: the caller's promise.
    if let Some(place) = unsafe { crate::argument::optional(status) } {
        place.write(ended.into_raw());
    }
}

/// Waits until the child stops, continues or ends, whatever nobody was told yet. `*status` is as from waitpid(2):
/// WIFSTOPPED(), WIFCONTINUED(), WIFEXITED() and so on read it. Lends `child` and `status` (NULL will do). Threads and fork
/// as tvn_child_wait().
/// @return as tvn_child_wait().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_child_wait_change(
    child: *const tvn_child_t,
    status: *mut c_int,
    timeout_ms: c_int,
) -> c_int {
    call("tvn_child_wait_change", || {
        // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
        let child = &unsafe { lend(child) }?.0;
        let changed = match timeout_ms {
            TVN_TRY => tried(child.try_wait_change()?),
            ms => child.wait_change_until(deadline(ms)),
        }?;
        // SAFETY: the C contract: NULL or a place for an int.
        unsafe { store(status, changed) };
        Ok(())
    })
}

/// Sends a signal to this very process, never to a later one with its number: SIGTERM, SIGSTOP, SIGCONT, SIGKILL, ...
/// Lends `child`. Never blocks. Any thread.
/// @return 0; -ESRCH if it has ended; -EACCES if it is another user's by now; -EINVAL for no signal.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_child_send(child: *const tvn_child_t, signal: c_int) -> c_int {
    call("tvn_child_send", || {
        // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
        unsafe { lend(child) }?.0.send(signal)
    })
}

/// Ends the child at once (SIGKILL). Lends `child`. Never blocks; tvn_child_wait() tells when it is gone.
/// @return as tvn_child_send().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_child_kill(child: *const tvn_child_t) -> c_int {
    call("tvn_child_kill", || {
        // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
        unsafe { lend(child) }?.0.kill()
    })
}

/// Asks the system to stop the child (SIGSTOP). Lends `child`. Never blocks; tvn_child_wait_change() tells when it stands.
/// @return as tvn_child_send().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_child_stop(child: *const tvn_child_t) -> c_int {
    call("tvn_child_stop", || {
        // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
        unsafe { lend(child) }?.0.stop()
    })
}

/// Lets the child go on (SIGCONT). Lends `child`. Never blocks.
/// @return as tvn_child_send().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_child_cont(child: *const tvn_child_t) -> c_int {
    call("tvn_child_cont", || {
        // SAFETY: the C contract: NULL, or a handle that is not closed during this call.
        unsafe { lend(child) }?.0.cont()
    })
}

/// The processes of a chain or a fan.
pub struct tvn_family_t(Family);

/// One of a chain or a fan, as it reported itself.
#[repr(C)]
pub struct tvn_member_t {
    /// What getpid() told it.
    pub pid: c_int,
    /// What getppid() told it.
    pub ppid: c_int,
}

/// Makes a chain of `n` processes: the first is a child of the caller, each other one of the one before. They sleep until
/// tvn_family_close(), or until the caller ends. Gives `*out`. Any thread.
/// @return 0; -EINVAL unless `n` is 1 to 1024; -EAGAIN if a limit on processes is reached, which tvn_last_error() names:
/// then none is left.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_chain(n: usize, out: *mut *mut tvn_family_t) -> c_int {
    call("tvn_chain", || {
        // SAFETY: the C contract: NULL or a place for a handle.
        unsafe { give(out, || chain(n).map(tvn_family_t)) }
    })
}

/// Makes a fan of `n` processes: all are children of the caller. As tvn_chain() in everything else.
/// @return as tvn_chain().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_fan(n: usize, out: *mut *mut tvn_family_t) -> c_int {
    call("tvn_fan", || {
        // SAFETY: the C contract: NULL or a place for a handle.
        unsafe { give(out, || fan(n).map(tvn_family_t)) }
    })
}

/// Fills `array` with what the processes reported, in the order in which they were made, at most `count`. Lends `family`
/// and `array` (NULL will do with 0). Never blocks.
/// @return how many there are, which may be more than `count`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_family_members(
    family: *const tvn_family_t,
    array: *mut tvn_member_t,
    count: usize,
) -> i64 {
    call("tvn_family_members", || {
        // SAFETY: the C contract: NULL or a handle, not closed during this call; `count` items to write.
        let (family, array) = unsafe { (&lend(family)?.0, self::array(array, count)?) };
        let members = family.members().iter();
        Ok(fill(array, members.map(|one| tvn_member_t { pid: one.pid as c_int, ppid: one.ppid as c_int })))
    })
}

/// Ends the processes and waits until they are gone. Takes `family`; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_family_close(family: *mut tvn_family_t) {
    // SAFETY: the C contract: NULL, or a handle that nobody uses any more.
    call("tvn_family_close", || unsafe { take(family) });
}

/// One process of a tree.
#[repr(C)]
pub struct tvn_tree_node_t {
    /// Its process id.
    pub pid: c_int,
    /// Its parent's.
    pub ppid: c_int,
    /// How many steps it is below the root.
    pub depth: c_int,
    /// R runs, S sleeps, D waits for a device, T stands (SIGSTOP), Z has ended and was not waited for.
    pub state: c_char,
    /// The name of its program, as ps shows it.
    pub name: [c_char; 64],
}

fn tree(pid: c_int) -> Result<ProcessTree> {
    if pid == 0 { ProcessTree::own() } else { ProcessTree::of(number(pid)) }
}

/// Fills `array` with process `pid` (0: the caller) and all that descend from it, each before its children, at most
/// `count`. Lends `array` (NULL will do with 0). Does not wait; it reads /proc. Any thread.
/// @return how many there are, which may be more than `count`; -ESRCH if there is no such process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_process_tree(pid: c_int, array: *mut tvn_tree_node_t, count: usize) -> i64 {
    call("tvn_process_tree", || {
        // SAFETY: the C contract: `count` items to write.
        let array = unsafe { self::array(array, count) }?;
        let tree = tree(pid)?;
        let nodes = tree.nodes().iter().map(|node| tvn_tree_node_t {
            pid: node.pid as c_int,
            ppid: node.ppid as c_int,
            depth: node.depth as c_int,
            state: node.state as c_char,
            name: chars(&node.name),
        });
        Ok(fill(array, nodes))
    })
}

/// Draws the tree under process `pid` (0: the caller), a line for each, in UTF-8 with a NUL at its end, cut if it has no
/// room in the `size` bytes of `buffer`. Lends `buffer` (NULL will do with 0). Does not wait. Any thread.
/// @return how many bytes the whole drawing has, without the NUL; -ESRCH if there is no such process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_process_tree_draw(pid: c_int, buffer: *mut c_char, size: usize) -> i64 {
    call("tvn_process_tree_draw", || {
        // SAFETY: the C contract: `size` bytes to write.
        let buffer = unsafe { self::buffer(buffer.cast(), size) }?;
        let drawn = tree(pid)?.to_string();
        write_text(buffer, &drawn);
        Ok(drawn.len())
    })
}
