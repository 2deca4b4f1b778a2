//! Errors in C: a number each, a sentence for every number, and the whole story of the last failure.

use crate::boundary::call;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int};
use std::io::{self, Write};
use std::sync::OnceLock;
use triveni::{Error, ErrorKind};

/// The handle was made before fork and belongs to the parent; take it anew.
pub const TVN_EFORKED: c_int = 1000;
/// What was read from the segment cannot be: some process wrote garbage into it.
pub const TVN_ECORRUPT: c_int = 1001;
/// Another kind of object, another geometry, or a segment of another version.
pub const TVN_EINCOMPATIBLE: c_int = 1002;
/// A bug in triveni: a panic was caught.
pub const TVN_EPANIC: c_int = 1003;
/// A process that takes part in the barrier died, or somebody reset it.
pub const TVN_EBROKEN: c_int = 1004;
/// The writer was faster than this reader: messages were overwritten before they were read.
pub const TVN_ELOST: c_int = 1005;
/// This reader kept a writer waiting too long and was put out.
pub const TVN_EEVICTED: c_int = 1006;
/// The server of a call said that it could not answer, or let go of the request without an answer.
pub const TVN_EFAILED: c_int = 1007;

// A code of our own that has no constant above stops the build.
const _: () = {
    let mut i = 0;
    while i < ErrorKind::TABLE.len() {
        let number = ErrorKind::TABLE[i].errno;
        assert!(
            number < 1000
                || matches!(
                    number,
                    TVN_EFORKED
                        | TVN_ECORRUPT
                        | TVN_EINCOMPATIBLE
                        | TVN_EPANIC
                        | TVN_EBROKEN
                        | TVN_ELOST
                        | TVN_EEVICTED
                        | TVN_EFAILED
                )
        );
        i += 1;
    }
};

/// The last failure of a thread. It becomes text when somebody asks: most are only counted.
struct Last {
    error: Option<Error>,
    text: Option<CString>,
}

thread_local! {
    static LAST: RefCell<Last> = const { RefCell::new(Last { error: None, text: None }) };
}

/// Keeps `error` as the calling thread's last failure. A thread that is just ending keeps none.
pub(crate) fn keep(error: Error) {
    let _ = LAST.try_with(|last| *last.borrow_mut() = Last { error: Some(error), text: None });
}

/// `text` for C. A NUL inside it would end it too early, so it is shown as `\0`.
fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "\\0")).unwrap_or_default()
}

/// The sentences for all numbers: ours from the table of errors, the rest from the system.
fn sentences() -> &'static BTreeMap<c_int, CString> {
    static SENTENCES: OnceLock<BTreeMap<c_int, CString>> = OnceLock::new();
    SENTENCES.get_or_init(|| {
        let system = (1..=133).map(|number| (number, io::Error::from_raw_os_error(number).to_string()));
        let table = ErrorKind::TABLE.iter().map(|row| (row.errno, row.sentence.to_string()));
        let success = (0, "success".to_string());
        system.chain(table).chain([success]).map(|(number, text)| (number, c_text(&text))).collect()
    })
}

/// One sentence about an error number, negative as functions return it, or positive. Never blocks; any thread.
/// @return a string that stays for ever; never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn tvn_strerror(error: c_int) -> *const c_char {
    sentences().get(&error.saturating_abs()).map_or(c"no error has this number", |text| text.as_c_str()).as_ptr()
}

/// The story of the last failure in the calling thread: what was tried, on what, with which value, and what
/// to do. A success leaves it as it is. Never blocks; each thread and each forked child has its own.
/// @return a string that stays until a call in this thread fails or the thread ends; empty if none has
/// failed yet; never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn tvn_last_error() -> *const c_char {
    let text = LAST.try_with(|last| {
        let Last { error, text } = &mut *last.borrow_mut();
        let error = error.as_ref()?;
        Some(text.get_or_insert_with(|| c_text(&error.to_string())).as_ptr())
    });
    text.ok().flatten().unwrap_or(c"".as_ptr())
}

/// Prints the last failure of the calling thread to standard error, as perror(3) does: `prefix: story`, or
/// the story alone if `prefix` is NULL or empty. Lends `prefix`. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_perror(prefix: *const c_char) {
    call("tvn_perror", || {
        let (prefix, colon) = match prefix.is_null() {
            true => (c"", ""),
            // SAFETY: not NULL; the header asks for a string that ends with NUL.
            false => (unsafe { CStr::from_ptr(prefix) }, ": "),
        };
        let colon = if prefix.is_empty() { "" } else { colon };
        // SAFETY: `tvn_last_error` gives a string that stays until a call in this thread fails; none does before its end.
        let story = unsafe { CStr::from_ptr(tvn_last_error()) };
        let line = format!("{}{colon}{}\n", prefix.to_string_lossy(), story.to_string_lossy());
        let _ = io::stderr().write_all(line.as_bytes()); // nobody to tell, as in perror(3)
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pointer: *const c_char) -> String {
        // SAFETY: the functions under test give strings that end with NUL and stay until this thread fails again.
        unsafe { CStr::from_ptr(pointer) }.to_str().unwrap().to_string()
    }

    #[test]
    fn the_table_and_the_constants_agree() {
        for (kind, constant) in [
            (ErrorKind::Forked, TVN_EFORKED),
            (ErrorKind::Corrupt, TVN_ECORRUPT),
            (ErrorKind::Incompatible, TVN_EINCOMPATIBLE),
            (ErrorKind::Panic, TVN_EPANIC),
            (ErrorKind::Broken, TVN_EBROKEN),
            (ErrorKind::Lost, TVN_ELOST),
            (ErrorKind::Evicted, TVN_EEVICTED),
            (ErrorKind::Failed, TVN_EFAILED),
        ] {
            assert_eq!(kind.errno(), constant);
        }
    }

    #[test]
    fn every_row_of_the_table_has_its_sentence_with_either_sign() {
        for row in ErrorKind::TABLE {
            assert_eq!(text(tvn_strerror(row.errno)), row.sentence);
            assert_eq!(text(tvn_strerror(-row.errno)), row.sentence);
        }
    }

    #[test]
    fn any_number_has_a_sentence() {
        assert_eq!(text(tvn_strerror(0)), "success");
        assert!(text(tvn_strerror(-libc::EBADF)).contains("descriptor"));
        for strange in [c_int::MIN, c_int::MAX, 999, -134] {
            assert_eq!(text(tvn_strerror(strange)), "no error has this number");
        }
    }

    #[test]
    fn the_last_error_is_the_threads_own_and_starts_empty() {
        keep(Error::new(ErrorKind::Busy, "here\0too"));
        assert_eq!(text(tvn_last_error()), "here\\0too");
        std::thread::spawn(|| assert_eq!(text(tvn_last_error()), "")).join().unwrap();
    }
}
