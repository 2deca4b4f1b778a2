//! The command `triveni`.
/// Runs the command; returns its exit code.
pub fn run(_args: Vec<std::ffi::OsString>) -> i32 { 0 }
