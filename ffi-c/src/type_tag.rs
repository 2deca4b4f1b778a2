//! Type tags in C: made from the layout that the compiler gave a struct.

use crate::argument::{text, write_text};
use crate::boundary::call;
use std::collections::BTreeSet;
use std::ffi::{CStr, CString, c_char};
use std::sync::Mutex;
use triveni::{Error, ErrorKind, Result, TypeLayout};

/// A member of a struct, as TVN_FIELD() describes it.
#[repr(C)]
pub struct tvn_field_t {
    /// Its name; NULL behind the last member.
    pub name: *const c_char,
    /// The type of its elements, a letter of PEP 3118.
    pub letter: *const c_char,
    /// Bytes before it.
    pub offset: usize,
    /// Its bytes.
    pub size: usize,
}

/// The most members that a description may have.
const MOST_FIELDS: usize = 4096;

/// Text that was given out. It stays: C keeps pointers to it.
static GIVEN: Mutex<BTreeSet<&'static CStr>> = Mutex::new(BTreeSet::new());

/// What TVN_TYPE() calls: the type tag of a struct of `size` bytes with the members in `fields`, which ends with one
/// whose name is NULL. Lends `fields`. The text stays good as long as the process. Never blocks. Any thread; a forked
/// child too.
/// @return the text. For what cannot be described (a pointer, a union) it is one that every function refuses that takes
/// a type, with the reason.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tvn_type_tag(size: usize, fields: *const tvn_field_t) -> *const c_char {
    let mut tag: *const c_char = c"(no type)".as_ptr();
    call("tvn_type_tag", || {
        // SAFETY: the C contract: NULL, or fields up to one without a name.
        tag = kept(unsafe { describe(size, fields) }.unwrap_or_else(|error| format!("({error})")))?;
        Ok(())
    });
    tag
}

/// # Safety
/// - `fields` is NULL or leads to fields up to one without a name, with strings in them; otherwise this reads strange
///   memory.
unsafe fn describe(size: usize, fields: *const tvn_field_t) -> Result<String> {
    let mut members = Vec::new();
    for i in 0..if fields.is_null() { 0 } else { MOST_FIELDS } {
        // SAFETY: not NULL, and no field before this one was the last, as the caller promises.
        let field = unsafe { &*fields.add(i) };
        if field.name.is_null() {
            break;
        }
        // SAFETY: not NULL, and the caller promises strings.
        let (name, letter) = unsafe { (text(field.name)?, text(field.letter)?) };
        let element = TypeLayout::parse(letter)?;
        let count = field.size / element.size();
        let tag = match count {
            1 => letter.to_string(),
            n if letter == "c" => format!("{n}s"),
            n => format!("({n}){letter}"),
        };
        members.push((name, field.offset, element.align(), field.size, tag));
    }
    members.sort_by_key(|(_, offset, ..)| *offset);
    triveni::__of_struct(size, &members)
}

/// The same text each time, for ever.
fn kept(tag: String) -> Result<*const c_char> {
    let tag = CString::new(tag).map_err(|_| Error::new(ErrorKind::Invalid, "a type tag has no NUL inside"))?;
    // A child of a fork may find it locked for ever: then this text is kept once more.
    let Ok(mut given) = GIVEN.try_lock() else { return Ok(tag.into_raw()) };
    if let Some(known) = given.get(tag.as_c_str()) {
        return Ok(known.as_ptr());
    }
    let tag: &'static CStr = Box::leak(tag.into_boxed_c_str());
    given.insert(tag);
    Ok(tag.as_ptr())
}

/// A type that C asks for; NULL: none.
///
/// # Safety
/// - As for [`text`].
pub(crate) unsafe fn wanted<'a>(tag: *const c_char) -> Result<&'a str> {
    if tag.is_null() {
        return Ok("");
    }
    // SAFETY: not NULL; the caller promises a string.
    unsafe { text(tag) }
}

/// Writes a type tag to a buffer, with a NUL; how many bytes it has.
pub(crate) fn tell(tag: &str, buffer: &mut [u8]) -> usize {
    write_text(buffer, tag);
    tag.len()
}
