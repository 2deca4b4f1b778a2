//! Gives the library its soname. The major version is part of it: what links today runs with any 0.x
//! that kept the ABI, and a break changes the name. It is never unloaded (`nodelete`): threads that have used it run
//! code of it when they end.

fn main() {
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libtriveni.so.0");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo::rerun-if-changed=build.rs");
}
