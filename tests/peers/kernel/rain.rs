//! Signals that rain on a process: one every 2 ms, whatever it does.

/// Lets it rain from now on. Threads that are started later get wet too.
pub fn rain() {
    extern "C" fn drop_of_rain(_: libc::c_int) {}
    // SAFETY: a zeroed sigaction with a handler that does nothing, and no SA_RESTART; all pointers are to locals.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = drop_of_rain as extern "C" fn(libc::c_int) as usize;
        assert_eq!(libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut()), 0);
        let often = libc::timeval { tv_sec: 0, tv_usec: 2000 };
        let timer = libc::itimerval { it_interval: often, it_value: often };
        assert_eq!(libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()), 0);
    }
}
