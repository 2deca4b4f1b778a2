//! The stories lie in the folders beside this file, each told in Rust, C and Python:
//! `cargo run -p triveni-examples --example hello`, `… --example temperature monitor lab`.
