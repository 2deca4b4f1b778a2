//! The version, to compile against and to ask at run time.

use std::ffi::{CStr, c_char};

/// The version of this header: major.
pub const TVN_VERSION_MAJOR: u32 = 0;
/// The version of this header: minor.
pub const TVN_VERSION_MINOR: u32 = 1;
/// The version of this header: patch.
pub const TVN_VERSION_PATCH: u32 = 0;

const fn number(text: &str) -> u32 {
    match u32::from_str_radix(text, 10) {
        Ok(number) => number,
        Err(_) => panic!("cargo gives numbers"),
    }
}

// cbindgen leaves out what it cannot evaluate, so the literals above are held against the manifest here.
const _: () = assert!(TVN_VERSION_MAJOR == number(env!("CARGO_PKG_VERSION_MAJOR")));
const _: () = assert!(TVN_VERSION_MINOR == number(env!("CARGO_PKG_VERSION_MINOR")));
const _: () = assert!(TVN_VERSION_PATCH == number(env!("CARGO_PKG_VERSION_PATCH")));

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("a version has no NUL"),
};

/// The version of the library that is loaded, as text: `0.1.0`. Compare it with TVN_VERSION_MAJOR and its
/// sisters, the version this program was compiled against. Never blocks; any thread.
/// @return a string that stays for ever.
#[unsafe(no_mangle)]
pub extern "C" fn tvn_version() -> *const c_char {
    VERSION.as_ptr()
}
