//! Plain values: Rust types of which any bytes are a value, with the type tag that says so to the other languages.

use super::type_tag::{of_array, of_struct};
use crate::error::{Error, ErrorKind, Result};
use std::fmt;

/// A plain value that may lie in shared memory as it is: a number, an array of them, or a `#[repr(C)]` struct of them.
///
/// Derive it for structs. Its type tag then has the names, types and offsets of the fields, so that C, Python and
/// other versions of the program are refused if they mean something else. A field whose name begins with an
/// underscore is padding: it stands where another language's compiler puts some.
///
/// ```
/// use triveni::Typed;
///
/// #[derive(Clone, Copy, Typed)]
/// #[repr(C)]
/// struct Reading {
///     time: f64,
///     sensor_id: i32,
///     position: [f32; 3],
///     valid: triveni::Bool,
///     _pad: [u8; 7],
/// }
/// assert_eq!(Reading::type_tag(), "T{d:time:i:sensor_id:(3)f:position:?:valid:7x}");
///
/// let reading = Reading { time: 1.5, sensor_id: 7, position: [0.0; 3], valid: true.into(), _pad: [0; 7] };
/// let copy = Reading::from_bytes(reading.as_bytes())?;
/// assert_eq!((copy.time, copy.sensor_id, bool::from(copy.valid)), (1.5, 7, true));
/// # Ok::<(), triveni::Error>(())
/// ```
///
/// Padding is refused, as its bytes are nobody's (they may hold what this process had there before):
///
/// ```compile_fail
/// #[derive(Clone, Copy, triveni::Typed)]
/// #[repr(C)]
/// struct Holed { a: i32, b: f64 }
/// ```
///
/// ```compile_fail
/// macro_rules! assert { ($($all:tt)*) => { () } } // no way around it
/// #[derive(Clone, Copy, triveni::Typed)]
/// #[repr(C)]
/// struct Holed { a: i32, b: f64 }
/// # fn main() {}
/// ```
///
/// So is all that is not a value for any bytes: `bool`, `char`, enums, references and pointers.
///
/// ```compile_fail
/// #[derive(Clone, Copy, triveni::Typed)]
/// #[repr(C)]
/// struct Flag { set: bool }
/// ```
/// ```compile_fail
/// #[derive(Clone, Copy, triveni::Typed)]
/// #[repr(C)]
/// struct Pointing { to: *const u8 }
/// ```
/// ```compile_fail
/// #[derive(Clone, Copy, triveni::Typed)]
/// #[repr(C)]
/// struct Holding { name: String }
/// ```
/// ```compile_fail
/// #[derive(Clone, Copy, triveni::Typed)]
/// #[repr(u8)]
/// enum Colour { Red, Green }
/// ```
///
/// And a struct whose layout Rust may choose:
///
/// ```compile_fail
/// #[derive(Clone, Copy, triveni::Typed)]
/// struct Loose { a: u32 }
/// ```
///
/// # Safety
/// - Any bytes are a value; otherwise a peer could make an invalid one.
/// - It has no padding and no interior mutability; otherwise [`Typed::as_bytes`] would read what is not there to be read.
/// - [`Typed::type_tag`] describes its layout; otherwise others would take its bytes for something else.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no plain value: it cannot lie in shared memory as it is",
    note = "plain are integers, floats, `triveni::Bool`, `triveni::F16`, `triveni::Complex`, arrays of them, and structs with #[derive(Typed)]"
)]
pub unsafe trait Typed: Copy + Send + Sync + 'static {
    /// The PEP 3118 format of its layout.
    fn type_tag() -> String;

    /// Its bytes.
    fn as_bytes(&self) -> &[u8] {
        // SAFETY: a `Typed` value has no padding, so all its bytes are initialised; the slice borrows `self`.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(self).cast(), size_of::<Self>()) }
    }

    /// The value with these bytes.
    ///
    /// # Errors
    /// `Invalid` if there are not exactly as many as a value has.
    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        if bytes.len() != size_of::<Self>() {
            let why = format!(
                "{} bytes are no {}, which has {}",
                bytes.len(),
                std::any::type_name::<Self>(),
                size_of::<Self>()
            );
            return Err(Error::new(ErrorKind::Invalid, why));
        }
        // SAFETY: as many bytes as a value has, read at any alignment; any bytes are a value.
        Ok(unsafe { bytes.as_ptr().cast::<Self>().read_unaligned() })
    }
}

/// What the derive macro and the other languages call: name, offset, alignment, size and type tag of each member, in the
/// order of their offsets.
#[doc(hidden)]
pub fn __of_struct(size: usize, members: &[(&str, usize, usize, usize, String)]) -> Result<String> {
    let visible = members.iter().filter(|(name, ..)| !name.starts_with('_'));
    of_struct(size, visible.map(|(name, offset, align, size, tag)| (*name, *offset, *align, *size, tag.as_str())))
}

macro_rules! typed {
    ($($(#[$why:meta])* $type:ty: $tag:literal,)*) => { $(
        // SAFETY: any bits are a value; no padding; PEP 3118 says this letter for it.
        unsafe impl Typed for $type {
            fn type_tag() -> String {
                $tag.into()
            }
        }
    )* };
}

typed! {
    u8: "B", u16: "H", u32: "I", u64: "Q", usize: "Q",
    i8: "b", i16: "h", i32: "i", i64: "q", isize: "q",
    f32: "f", f64: "d",
    Bool: "?", F16: "e", Complex<f32>: "Zf", Complex<f64>: "Zd",
}

// SAFETY: elements lie one behind the other, without gaps, and any bytes are one.
unsafe impl<T: Typed, const N: usize> Typed for [T; N] {
    fn type_tag() -> String {
        of_array(N, &T::type_tag())
    }
}

/// A truth value of one byte that may have come from anywhere: everything but 0 is true.
#[derive(Clone, Copy, Default)]
#[repr(transparent)]
pub struct Bool(u8);

impl From<bool> for Bool {
    fn from(value: bool) -> Bool {
        Bool(value.into())
    }
}

impl From<Bool> for bool {
    fn from(value: Bool) -> bool {
        value.0 != 0
    }
}

impl PartialEq for Bool {
    fn eq(&self, other: &Bool) -> bool {
        bool::from(*self) == bool::from(*other)
    }
}

impl Eq for Bool {}

impl fmt::Debug for Bool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bool::from(*self).fmt(f)
    }
}

/// The bits of an IEEE number of 16 bits (`float16` in numpy, `_Float16` in C), for passing on: Rust has no such type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct F16(pub u16);

/// A complex number as C and numpy lay it out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct Complex<T> {
    /// The real part.
    pub re: T,
    /// The imaginary part.
    pub im: T,
}
