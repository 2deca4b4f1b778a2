//! The other end of the kernel's mechanisms, in Rust: `kernel_peer MECHANISM ROLE ARGUMENT…`.
//!
//! Each mechanism has a file here, with the same roles in Rust, in C, in Python, and in plain C and Python, which use
//! nothing but libc and Python's own library. The roles are told at the head of the Rust file.

mod pipe;

fn main() {
    let mut args = std::env::args().skip(1);
    let mechanism = args.next().expect("kernel_peer MECHANISM ROLE ARGUMENT…");
    let args: Vec<String> = args.collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match mechanism.as_str() {
        "pipe" => pipe::run(&args),
        other => panic!("no mechanism {other:?}"),
    }
}
