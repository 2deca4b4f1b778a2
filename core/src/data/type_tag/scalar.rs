//! The scalars of a type tag, and the letters that stand for them.

use std::fmt;

/// What the bytes of a scalar are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Bool,
    Char,
    Signed,
    Unsigned,
    Float,
    Complex,
    Wide,
}

/// A scalar of a type tag. Its [`Display`](fmt::Display) is the name in the tables of a mismatch: `i32`, `f64`, `char`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scalar {
    class: Class,
    size: u8,
    big_endian: bool,
}

/// Native sizes, or those that are the same everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Aligned,
    Native,
    Standard,
}

/// What `@` and its like say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    mode: Mode,
    big_endian: bool,
}

impl Order {
    /// How a tag begins.
    pub const NATIVE: Order = Order { mode: Mode::Aligned, big_endian: false };

    /// `None`: no such sign.
    pub fn of(sign: u8) -> Option<Order> {
        let (mode, big_endian) = match sign {
            b'@' => (Mode::Aligned, false),
            b'^' => (Mode::Native, false),
            b'=' | b'<' => (Mode::Standard, false),
            b'>' | b'!' => (Mode::Standard, true),
            _ => return None,
        };
        Some(Order { mode, big_endian })
    }
}

impl Scalar {
    /// The scalar whose letters `text` begins with: itself, its alignment, and how many letters.
    pub(super) fn read(text: &[u8], order: Order) -> Result<(Scalar, usize, usize), String> {
        use Class::*;
        let standard = order.mode == Mode::Standard;
        let long = if standard { 4 } else { 8 };
        let (letters, rest) = match text {
            [b'Z', rest @ ..] => (2, rest),
            rest => (1, rest),
        };
        let Some(letter) = rest.first().copied() else { return Err("a type is missing here".into()) };
        let (class, size) = match letter {
            b'f' => (Float, 4),
            b'd' => (Float, 8),
            b'g' => (Float, 16),
            _ if letters == 2 => return Err("Z is followed by f, d or g: a complex number".into()),
            b'?' => (Bool, 1),
            b'c' | b's' => (Char, 1),
            b'b' => (Signed, 1),
            b'B' => (Unsigned, 1),
            b'h' => (Signed, 2),
            b'H' => (Unsigned, 2),
            b'i' => (Signed, 4),
            b'I' => (Unsigned, 4),
            b'l' => (Signed, long),
            b'L' => (Unsigned, long),
            b'q' => (Signed, 8),
            b'Q' => (Unsigned, 8),
            b'n' | b'N' if standard => return Err("n and N have no standard size; say q or Q".into()),
            b'n' => (Signed, 8),
            b'N' => (Unsigned, 8),
            b'e' => (Float, 2),
            b'w' => (Wide, 4),
            b'P' | b'&' | b'X' | b'O' | b'z' => {
                return Err("a pointer means nothing to another process; keep an index or an offset".into());
            }
            b'p' => return Err("a Pascal string has its length inside; say a number and chars, as in B15s".into()),
            b'u' => return Err("u has two meanings; say w for 4 bytes or H for 2".into()),
            b't' => return Err("bits have no address; say the integer they lie in".into()),
            other => return Err(format!("{:?} is no type of PEP 3118", char::from(other))),
        };
        let parts = if letters == 2 { 2 } else { 1 };
        let class = if letters == 2 { Complex } else { class };
        let scalar = Scalar { class, size: size * parts, big_endian: order.big_endian && size > 1 };
        let align = if order.mode == Mode::Aligned { usize::from(size) } else { 1 };
        Ok((scalar, align, letters))
    }

    /// Its bytes.
    pub fn size(self) -> usize {
        self.size.into()
    }

    /// Are both the same? A `char` is any byte.
    pub(super) fn agrees(self, other: Scalar) -> bool {
        let is_byte = |s: Scalar| s.size == 1 && matches!(s.class, Class::Char | Class::Signed | Class::Unsigned);
        self == other || (is_byte(self) && is_byte(other) && (self.class == Class::Char || other.class == Class::Char))
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u32::from(self.size) * 8;
        match self.class {
            Class::Bool => f.write_str("bool")?,
            Class::Char => f.write_str("char")?,
            Class::Wide => f.write_str("wchar")?,
            Class::Signed => write!(f, "i{bits}")?,
            Class::Unsigned => write!(f, "u{bits}")?,
            Class::Float => write!(f, "f{bits}")?,
            Class::Complex => write!(f, "c{bits}")?,
        }
        if self.big_endian { f.write_str(" big-endian") } else { Ok(()) }
    }
}
