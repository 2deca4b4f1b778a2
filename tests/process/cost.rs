//! What the fast paths cost, by counting: this process traces another one and counts its system calls.

use std::os::unix::process::CommandExt;
use std::process::Stdio;
use triveni::Segment;
use triveni_tests::{Name, PATIENCE, Peer, watchdog};

const N: u64 = 10_000;

/// Lets a traced process run to the next stop; its wait status.
fn next_stop(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: the pid is our own traced child's, which is stopped now; `status` is a valid int.
    unsafe {
        let none = std::ptr::null_mut::<libc::c_void>();
        assert_eq!(libc::ptrace(libc::PTRACE_SYSCALL, pid, none, none), 0, "{}", std::io::Error::last_os_error());
        assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
    }
    status
}

/// The number of the system call at whose entry the process stands; `None` at an exit.
fn system_call(pid: i32) -> Option<i64> {
    // SAFETY: an all-zero ptrace_syscall_info is a valid one; the kernel writes at most `size` bytes into it.
    let info = unsafe {
        let mut info: libc::ptrace_syscall_info = std::mem::zeroed();
        let size = size_of::<libc::ptrace_syscall_info>();
        let got = libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, pid, size, &mut info as *mut libc::ptrace_syscall_info);
        assert!(got > 0, "{}", std::io::Error::last_os_error());
        info
    };
    if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return None;
    }
    // SAFETY: `op` says that the kernel has written this variant of the union.
    Some(unsafe { info.u.entry.nr } as i64)
}

#[test]
fn an_uncontended_lock_and_a_wait_with_a_permit_make_no_system_call() {
    let _watchdog = watchdog("counting system calls", 2 * PATIENCE);
    let name = Name::fresh("cost");
    let segment = Segment::create(&name, 1 << 20).unwrap();
    segment.create_mutex("m").unwrap();
    let mut command = Peer::rust_command(&["uncontended", &name, "m", &N.to_string()]);
    command.stdout(Stdio::null());
    // SAFETY: ptrace(TRACEME) is async-signal-safe and touches no memory.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            println!("SKIPPED: this machine does not let a process trace its child");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let pid = child.id() as i32;
    let mut status = 0;
    // SAFETY: the pid is our own child's; `status` is a valid int. After the execve the child stands at a SIGTRAP.
    unsafe {
        assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
        let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL;
        assert_eq!(libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0, options), 0);
    }
    let mut marks = 0;
    let mut before = 0;
    let mut between = Vec::new();
    while !libc::WIFEXITED(status) && !libc::WIFSIGNALED(status) {
        status = next_stop(pid);
        if !libc::WIFSTOPPED(status) || libc::WSTOPSIG(status) != libc::SIGTRAP | 0x80 {
            continue;
        }
        match (system_call(pid), marks) {
            (Some(libc::SYS_getppid), _) => marks += 1,
            (Some(_), 0) => before += 1,
            (Some(call), 1) => between.push(call),
            _ => {}
        }
    }
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "the peer ended with status {status:#x}");
    assert_eq!(marks, 2);
    assert!(before > 10, "only {before} system calls were seen where the peer starts: the count does not count");
    println!("{N} lock + unlock and {N} wait + post: {} system calls ({before} before them)", between.len());
    assert!(between.is_empty(), "system calls on the fast path: {between:?}");
}
