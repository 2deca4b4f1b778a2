//! The other end of the kernel's mechanisms, in Rust: `kernel_peer MECHANISM ROLE ARGUMENT…`.
//!
//! Each mechanism has a file here, with the same roles in Rust, in C, in Python, and in plain C and Python, which use
//! nothing but libc and Python's own library. The roles are told at the head of the Rust file.

mod file_lock;
mod memory;
mod pipe;
mod posix_queue;
mod process;
mod rain;
mod sockets;
mod sysv_queue;
mod world;

fn main() {
    let mut args = std::env::args().skip(1);
    let mechanism = args.next().expect("kernel_peer MECHANISM ROLE ARGUMENT…");
    let args: Vec<String> = args.collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match mechanism.as_str() {
        "file_lock" => file_lock::run(&args),
        "memory" => memory::run(&args),
        "pipe" => pipe::run(&args),
        "posix_queue" => posix_queue::run(&args),
        "process" => process::run(&args),
        "sockets" => sockets::run(&args),
        "sysv_queue" => sysv_queue::run(&args),
        other => panic!("no mechanism {other:?}"),
    }
}
