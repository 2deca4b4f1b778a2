//! Lays the C kit out for the wheel: header, libraries, pkg-config and CMake files, beside the extension.
//!
//! Only when maturin asks, so that `cargo check` and clippy stay quick.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-env-changed=PYO3_BUILD_EXTENSION_MODULE");
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("PYO3_BUILD_EXTENSION_MODULE").is_none() {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for part in ["core", "ffi-c", "include", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(part).display());
    }
    let target = env::var("TARGET").expect("cargo sets TARGET");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));

    // A target directory of its own: the cargo that runs us holds the lock on the other one.
    let build = out.join("build");
    run(Command::new(env::var_os("CARGO").expect("cargo sets CARGO"))
        .current_dir(&root)
        .args(["build", "--release", "-p", "triveni-ffi-c", "--target", &target, "--target-dir"])
        .arg(&build));

    let kit = out.join("kit");
    if kit.exists() {
        fs::remove_dir_all(&kit).expect("remove the kit of the last build");
    }
    run(Command::new("sh") // run directly, it would need its execute bit, which an sdist may lose
        .current_dir(&root)
        .arg("ffi-c/kit.sh")
        .arg(&kit)
        .arg(build.join(&target).join("release")));
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}
