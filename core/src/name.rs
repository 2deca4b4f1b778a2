//! A checked name, for segments and for the objects in them.

use crate::error::{Error, ErrorKind, Result};

/// The longest name, in bytes of UTF-8.
pub const NAME_MAX: usize = 63;

/// Checks a name: 1 to [`NAME_MAX`] bytes, no `/`, no control character, not `.` or `..`.
///
/// `what` is the noun for the message: `segment`, `mailbox`.
pub(crate) fn check<'n>(what: &str, name: &'n str) -> Result<&'n str> {
    check_up_to(NAME_MAX, what, name)
}

/// As [`check`], for a name that becomes a part of another one.
pub(crate) fn check_up_to<'n>(most: usize, what: &str, name: &'n str) -> Result<&'n str> {
    let wrong = if name.is_empty() {
        format!("is empty; give it 1 to {most} bytes")
    } else if name.len() > most {
        format!("has {} bytes; the longest has {most}", name.len())
    } else if name.contains('/') {
        "contains '/'; an address is SEGMENT/OBJECT, and each of the two names goes without a slash".to_string()
    } else if let Some(c) = name.chars().find(|c| c.is_control() || is_invisible(*c)) {
        format!("contains the control or format character {c:?}; use printable ones")
    } else if name == "." || name == ".." {
        "is a directory's name; choose another".to_string()
    } else {
        return Ok(name);
    };
    let shown: String = name.chars().take(80).collect();
    Err(Error::new(ErrorKind::Invalid, format!("{what} name {shown:?} {wrong}")))
}

/// Characters that change how a line is shown without being seen themselves.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_name_is_refused_with_the_reason() {
        for (bad, reason) in [
            ("", "empty"),
            ("a/b", "'/'"),
            ("a\0b", "control"),
            ("a\u{202E}b", "format"),
            ("..", "directory"),
            (&"x".repeat(64), "64 bytes"),
        ] {
            let error = check("segment", bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(reason), "{error}");
        }
        assert_eq!(check("segment", &"x".repeat(63)).unwrap().len(), 63);
        assert_eq!(check("mailbox", "TEMP_MONITOR").unwrap(), "TEMP_MONITOR");
    }
}
