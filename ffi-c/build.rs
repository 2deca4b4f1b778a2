//! Gives the library its soname. The major version is part of it: what links today runs with any 0.x
//! that kept the ABI, and a break changes the name.

fn main() {
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libtriveni.so.0");
    println!("cargo::rerun-if-changed=build.rs");
}
