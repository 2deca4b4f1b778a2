//! Which limit stands in the way of one more process, with its present value and where it is changed.

use crate::error::{Error, ErrorKind};
use nix::sys::resource::{Resource, getrlimit};
use std::fs;

/// The error for a `fork` or `clone` that failed; `tried` says what it was for.
#[cold]
pub(super) fn no_process(tried: &str, errno: i32) -> Error {
    match errno {
        libc::EAGAIN => {
            let sentence = format!(
                "{tried}: the system refuses one more process: RLIMIT_NPROC is {} (ulimit -u); /proc/sys/kernel/pid_max \
                 is {}; {}; {} processes and threads run now",
                limit(Resource::RLIMIT_NPROC),
                read("/proc/sys/kernel/pid_max"),
                cgroup(),
                running()
            );
            Error::new(ErrorKind::WouldBlock, sentence)
        }
        libc::ENOMEM => Error::new(
            ErrorKind::System(errno),
            format!(
                "{tried}: no memory for one more process, or pid 1 of this pid namespace has ended; \
                 /proc/sys/vm/overcommit_memory is {}",
                read("/proc/sys/vm/overcommit_memory")
            ),
        ),
        errno => Error::os(errno, tried),
    }
}

fn read(file: &str) -> String {
    fs::read_to_string(file).map_or_else(|_| "not to be read".to_string(), |text| text.trim().to_string())
}

/// The soft limit on a resource.
pub(super) fn limit(resource: Resource) -> String {
    match getrlimit(resource) {
        Ok((libc::RLIM_INFINITY, _)) => "unlimited".to_string(),
        Ok((soft, _)) => soft.to_string(),
        Err(_) => "unknown".to_string(),
    }
}

/// The fourth field of /proc/loadavg is `runnable/all`.
fn running() -> String {
    let load = read("/proc/loadavg");
    load.split_ascii_whitespace().nth(3).and_then(|field| field.split_once('/')).map_or("?", |(_, all)| all).to_string()
}

/// The limit of the cgroup this process is in, where cgroups have one tree (version 2).
fn cgroup() -> String {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let path = groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    let file = format!("/sys/fs/cgroup{}/pids.max", path.trim_end_matches('/'));
    match fs::read_to_string(&file) {
        Ok(max) => format!("{file} is {}", max.trim()),
        Err(_) => "no pids.max of a cgroup is to be read".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_fork_names_all_three_limits() {
        let said = no_process("fork", libc::EAGAIN).to_string();
        assert!(["RLIMIT_NPROC", "pid_max", "pids.max"].iter().all(|limit| said.contains(limit)), "{said}");
    }
}
