//! Rivals in C and C++: shared objects in the folder VERSUS_LIBRARIES, with the functions of `c/rival.h`. What could
//! not be built has a file NAME.missing there, with the reason.

use crate::channel::{Channel, Rx, Spec, Tx, Wait, until};
use crate::rows::{BULK, Rows};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::PathBuf;
use std::sync::OnceLock;

#[repr(C)]
struct RawSpec {
    name: *const c_char,
    size: usize,
    depth: usize,
    senders: c_int,
    receivers: c_int,
    to_all: c_int,
    blocking: c_int,
}

pub struct Library {
    why: unsafe extern "C" fn() -> *const c_char,
    make: unsafe extern "C" fn(*const RawSpec) -> *mut c_void,
    unmake: unsafe extern "C" fn(*mut c_void),
    tx: unsafe extern "C" fn(*mut c_void, c_int) -> *mut c_void,
    rx: unsafe extern "C" fn(*mut c_void, c_int) -> *mut c_void,
    end: unsafe extern "C" fn(*mut c_void),
    send: unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> c_int,
    receive: unsafe extern "C" fn(*mut c_void, *mut c_void, usize) -> c_int,
}

fn folder() -> PathBuf {
    std::env::var_os("VERSUS_LIBRARIES").unwrap_or_default().into()
}

fn text(from: *const c_char) -> String {
    // SAFETY: a string of the library's or the loader's, which lives until its next call.
    if from.is_null() { String::new() } else { unsafe { CStr::from_ptr(from) }.to_string_lossy().into_owned() }
}

impl Library {
    fn open(name: &str) -> Result<Library, String> {
        let path = folder().join(format!("{name}.so"));
        let missing = std::fs::read_to_string(folder().join(format!("{name}.missing")));
        let path = CString::new(path.into_os_string().into_encoded_bytes()).map_err(|e| e.to_string())?;
        // SAFETY: a live string. What a library does when it is loaded is its own.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if handle.is_null() {
            // SAFETY: no arguments.
            let why = text(unsafe { libc::dlerror() });
            return Err(missing.map_or(why, |reason| reason.trim().to_string()));
        }
        let find = |name: &CStr| {
            // SAFETY: a live handle and string.
            let found = unsafe { libc::dlsym(handle, name.as_ptr()) };
            if found.is_null() { Err(format!("{name:?} is missing")) } else { Ok(found) }
        };
        /// One function of `rival.h`, by its name.
        macro_rules! function {
            ($name:literal) => {
                // SAFETY: it has this type by `rival.h`, which the library was built with.
                unsafe { std::mem::transmute::<*mut c_void, _>(find($name)?) }
            };
        }
        Ok(Library {
            why: function!(c"versus_why"),
            make: function!(c"versus_make"),
            unmake: function!(c"versus_unmake"),
            tx: function!(c"versus_tx"),
            rx: function!(c"versus_rx"),
            end: function!(c"versus_end"),
            send: function!(c"versus_send"),
            receive: function!(c"versus_receive"),
        })
    }

    #[cold]
    fn reason(&self) -> String {
        // SAFETY: no arguments.
        text(unsafe { (self.why)() })
    }
}

/// Which library a channel is of.
pub trait Name: Sync + 'static {
    const MESH: bool;
    fn library() -> &'static Result<Library, String>;
    fn depth(spec: &Spec) -> String {
        spec.depth.to_string()
    }
}

/// A library: its name, its file, and whether each of its receivers has a queue of its own.
macro_rules! name {
    ($type:ident, $file:literal, $mesh:literal, $depth:expr) => {
        pub struct $type;
        impl Name for $type {
            const MESH: bool = $mesh;
            fn library() -> &'static Result<Library, String> {
                static LIBRARY: OnceLock<Result<Library, String>> = OnceLock::new();
                LIBRARY.get_or_init(|| Library::open($file))
            }
            fn depth(spec: &Spec) -> String {
                let depth: fn(&Spec) -> String = $depth;
                depth(spec)
            }
        }
    };
}

name!(Boost, "boost", false, |spec| spec.depth.to_string());
name!(ZeroMq, "zeromq", true, |spec| format!("{} on each side", spec.depth));
name!(Nng, "nng", true, |spec| format!("{} on each side", spec.depth.min(8192)));

pub struct Foreign<N: Name> {
    channel: *mut c_void,
    library: &'static Library,
    wait: Wait,
    /// The library may look at it for as long as the channel lives.
    _name: CString,
    kind: std::marker::PhantomData<N>,
}

// SAFETY: used by one thread of each process.
unsafe impl<N: Name> Sync for Foreign<N> {}

impl<N: Name> Channel for Foreign<N> {
    type Tx = ForeignEnd;
    type Rx = ForeignEnd;
    const MESH: bool = N::MESH;
    fn make(spec: &Spec) -> Result<Self, String> {
        let library = N::library().as_ref().map_err(|why| why.clone())?;
        let name = CString::new(spec.name.clone()).map_err(|e| e.to_string())?;
        let raw = RawSpec {
            name: name.as_ptr(),
            size: spec.size,
            depth: spec.depth,
            senders: spec.senders as c_int,
            receivers: spec.receivers as c_int,
            to_all: c_int::from(spec.to_all),
            blocking: c_int::from(spec.wait == Wait::Block),
        };
        // SAFETY: a live spec, with a live name.
        let channel = unsafe { (library.make)(&raw) };
        if channel.is_null() {
            return Err(library.reason());
        }
        Ok(Foreign { channel, library, wait: spec.wait, _name: name, kind: std::marker::PhantomData })
    }
    fn tx(&self, index: usize) -> ForeignEnd {
        // SAFETY: a live channel.
        ForeignEnd::new(self.library, unsafe { (self.library.tx)(self.channel, index as c_int) }, self.wait)
    }
    fn rx(&self, index: usize) -> ForeignEnd {
        // SAFETY: a live channel.
        ForeignEnd::new(self.library, unsafe { (self.library.rx)(self.channel, index as c_int) }, self.wait)
    }
    fn depth(spec: &Spec) -> String {
        N::depth(spec)
    }
}

impl<N: Name> Drop for Foreign<N> {
    fn drop(&mut self) {
        // SAFETY: a live channel; its ends were in other processes.
        unsafe { (self.library.unmake)(self.channel) };
    }
}

pub struct ForeignEnd(*mut c_void, &'static Library, Wait);

impl ForeignEnd {
    fn new(library: &'static Library, end: *mut c_void, wait: Wait) -> ForeignEnd {
        assert!(!end.is_null(), "{}", library.reason());
        ForeignEnd(end, library, wait)
    }
}

impl Drop for ForeignEnd {
    fn drop(&mut self) {
        // SAFETY: a live end, dropped once.
        unsafe { (self.1.end)(self.0) };
    }
}

impl Tx for ForeignEnd {
    #[inline]
    fn send(&mut self, message: &[u8]) {
        // SAFETY: a live end and slice.
        until(self.2, || match unsafe { (self.1.send)(self.0, message.as_ptr().cast(), message.len()) } {
            1 => Some(()),
            0 => None,
            _ => panic!("{}", self.1.reason()),
        });
    }
}

impl Rx for ForeignEnd {
    #[inline]
    fn receive(&mut self, message: &mut [u8]) {
        // SAFETY: a live end and slice.
        until(self.2, || match unsafe { (self.1.receive)(self.0, message.as_mut_ptr().cast(), message.len()) } {
            1 => Some(()),
            0 => None,
            _ => panic!("{}", self.1.reason()),
        });
    }
}

fn of<N: Name>(rows: &mut Rows, name: &str, contests: bool) {
    rows.all_of::<Foreign<N>>(name);
    for size in BULK {
        rows.bulk::<Foreign<N>>(name, size, Wait::Block);
    }
    if contests {
        rows.contest::<Foreign<N>>(name, [Wait::Block; 2]);
    }
}

/// All rows of rivals in C and C++.
pub fn rows(rows: &mut Rows) {
    if folder().as_os_str().is_empty() {
        return;
    }
    of::<Boost>(rows, "Boost message_queue", true);
    rows.one_by_one::<Foreign<Boost>>("Boost message_queue, polling", 64, Wait::Poll);
    rows.one_by_one::<Foreign<Boost>>("Boost message_queue, polling", 8, Wait::Poll);
    of::<ZeroMq>(rows, "ZeroMQ", true);
    rows.to_all::<Foreign<ZeroMq>>("ZeroMQ", [Wait::Block; 2]);
    of::<Nng>(rows, "nng", true);
    rows.to_all::<Foreign<Nng>>("nng", [Wait::Block; 2]);
}
