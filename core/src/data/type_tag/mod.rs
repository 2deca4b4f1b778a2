//! Type tags: what the bytes in an object are, as a PEP 3118 format (`T{i:sensor_id:f:temperature:d:time:}`).
//!
//! # Text
//!
//! | text          | meaning                                                                            |
//! |---------------|------------------------------------------------------------------------------------|
//! | `i`, `d`, `Zf`| a scalar, see `scalar.rs`; `16s` is a `char[16]`, `4i` and `(4)i` are an `int[4]`      |
//! | `(2,3)d`      | an array, in C order                                                               |
//! | `T{…}`        | a struct; its end is padded as C does, where scalars are aligned                   |
//! | `:name:`      | the name of what stands before it                                                  |
//! | `x`           | a byte of padding                                                                  |
//! | `@`           | from here on: native sizes, C's alignment; so it begins                            |
//! | `^`           | native sizes, not aligned                                                          |
//! | `=` `<` `>` `!` | standard sizes, not aligned; `>` and `!` big-endian                                |
//!
//! What stands outside of any `T{}` is laid out as Python's `struct` does: without padding at the end. numpy writes
//! the padding at the end of a nested struct *behind* it (`T{T{d:b:i:a:}:s:xxxxi:c:}`), so `x`s right behind a struct
//! are first those that its end has already.
//!
//! # Comparison
//!
//! By layout, not by text: the offset, type, count and name of each scalar, and the size of the whole. A struct
//! within a struct is the same as its fields (`pos.x`). No struct has two fields of one name. A field without a name
//! agrees with any name, as Python's `struct` knows none; a `char` agrees with any byte. Alignment is not compared: it shows in the offsets.
//!
//! # Bounds
//!
//! A tag comes from a stranger. 4096 bytes of text, [`MOST_DEPTH`] levels, [`MOST_FIELDS`] scalars or arrays of scalars,
//! [`MOST_BYTES`] bytes: beyond that it is refused. Fields stand in the order of their offsets.

mod compare;
mod scalar;
#[cfg(all(test, not(loom)))]
mod tests;

pub use compare::difference;
pub use scalar::Scalar;

use crate::error::{Error, ErrorKind, Result};
use crate::segment::directory::TAG_MAX;
use crate::segment::object::Object;
use scalar::Order;
use std::collections::BTreeSet;

/// Structs within structs.
const MOST_DEPTH: usize = 16;
/// Scalars, or arrays of them, in one layout.
const MOST_FIELDS: usize = 4096;
/// Bytes of all their names.
const MOST_NAMES: usize = 1 << 18;
/// Bytes of one value.
const MOST_BYTES: usize = 1 << 40;

/// What a type tag says: which scalars lie where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeLayout {
    fields: Vec<TypeField>,
    size: usize,
    align: usize,
}

/// A scalar, or an array of them, at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeField {
    /// Bytes before it.
    pub offset: usize,
    /// What each element is.
    pub scalar: Scalar,
    /// How many elements.
    pub count: usize,
    /// Its name, with those of the structs around it (`pos.x`); empty for none.
    pub name: String,
}

impl TypeField {
    /// The first byte behind it. No overflow: it lies within the layout's size.
    fn end(&self) -> usize {
        self.offset + self.count * self.scalar.size()
    }
}

impl TypeLayout {
    /// Reads a type tag.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) with the place and the reason.
    ///
    /// ```
    /// # fn main() -> triveni::Result<()> {
    /// let reading = triveni::TypeLayout::parse("T{i:sensor_id:f:temperature:d:time:}")?;
    /// assert_eq!((reading.size(), reading.align(), reading.fields().len()), (16, 8, 3));
    /// assert_eq!(reading.fields()[2].offset, 8);
    /// # Ok(()) }
    /// ```
    pub fn parse(tag: &str) -> Result<TypeLayout> {
        let mut parser = Parser { text: tag.as_bytes(), at: 0, order: Order::NATIVE, fields: 0, names: 0 };
        match parser.whole() {
            Ok(layout) => Ok(layout),
            Err(why) => {
                let mut shown: String = tag.chars().take(200).collect();
                if shown.len() < tag.len() {
                    shown.push('…');
                }
                let at = parser.at.min(tag.len());
                Err(Error::new(ErrorKind::Invalid, format!("type tag {shown:?}, byte {at}: {why}")))
            }
        }
    }

    /// Bytes of one value.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The alignment that C would give it.
    pub fn align(&self) -> usize {
        self.align
    }

    /// The scalars in it, by offset.
    pub fn fields(&self) -> &[TypeField] {
        &self.fields
    }
}

/// The tag of a struct of `size` bytes, from its members in the order of their offsets: name, offset, alignment, size and
/// tag of each. Says all padding, so that it means the same wherever it stands.
///
/// # Errors
/// [`Invalid`](ErrorKind::Invalid) for members that overlap or do not fit.
pub fn of_struct<'a>(
    size: usize,
    members: impl Iterator<Item = (&'a str, usize, usize, usize, &'a str)>,
) -> Result<String> {
    let refuse = |why: String| Err(Error::new(ErrorKind::Invalid, format!("type of a struct: {why}")));
    let (mut body, mut end, mut most, mut aligned) = (String::new(), 0usize, 1, true);
    for (name, offset, align, bytes, tag) in members {
        let Some(gap) = offset.checked_sub(end) else {
            return refuse(format!("field {name:?} at {offset} begins before the end of the one before it, {end}"));
        };
        push_padding(&mut body, gap);
        body.push_str(tag);
        if !name.is_empty() {
            body.push_str(&format!(":{name}:"));
        }
        aligned &= offset.is_multiple_of(align);
        most = most.max(align);
        end = offset.saturating_add(bytes);
    }
    let Some(rest) = size.checked_sub(end) else {
        return refuse(format!("its fields need {end} bytes, it has {size}"));
    };
    push_padding(&mut body, rest);
    if !(aligned && size.is_multiple_of(most)) {
        // Behind a shape, where numpy looks for it.
        let at = if body.starts_with('(') { body.find(')').map_or(0, |end| end + 1) } else { 0 };
        body.insert(at, '=');
    }
    Ok(format!("T{{{body}}}"))
}

fn push_padding(text: &mut String, n: usize) {
    match n {
        0 => {}
        1 => text.push('x'),
        n => text.push_str(&format!("{n}x")),
    }
}

/// The tag of an array of `count` of what `tag` describes.
pub fn of_array(count: usize, tag: &str) -> String {
    match tag.strip_prefix('(') {
        Some(inner) => format!("({count},{inner}"),
        None => format!("({count}){tag}"),
    }
}

impl Object {
    /// The type tag that the object was created with; `None` if it was created without one.
    ///
    /// # Errors
    /// `Corrupt` for garbage.
    pub fn type_tag(&self) -> Result<Option<String>> {
        self.view().type_tag().map_err(|error| self.garbage_tag(error))
    }

    /// Is what lies in this object of the type `wanted`? Who wants none (`""`), and an object without one, agree with
    /// everything.
    ///
    /// # Errors
    /// `Incompatible`, with both layouts side by side; `Invalid` if `wanted` is no type tag; `Corrupt` if the object's
    /// is none.
    pub fn expect_type(&self, wanted: &str) -> Result<()> {
        if wanted.is_empty() { Ok(()) } else { self.compare_type(wanted, false) }
    }

    /// As [`Object::expect_type`], and an object without a type tag is refused.
    ///
    /// # Errors
    /// As [`Object::expect_type`].
    pub fn require_type(&self, wanted: &str) -> Result<()> {
        self.compare_type(wanted, true)
    }

    fn compare_type(&self, wanted: &str, strict: bool) -> Result<()> {
        let mine = TypeLayout::parse(wanted)
            .map_err(|error| Error::new(error.kind(), format!("{}: {error}", self.address())))?;
        let there = match self.type_tag()? {
            Some(there) if there == wanted => return Ok(()),
            Some(there) => TypeLayout::parse(&there).map_err(|error| self.garbage_tag(error))?,
            None if strict => {
                let why = format!(
                    "{} has no type tag, you asked for {wanted:?}; open it untyped, or remove it and create it with that type",
                    self.address()
                );
                return Err(Error::new(ErrorKind::Incompatible, why));
            }
            None => return Ok(()),
        };
        match difference(&there, &mine) {
            None => Ok(()),
            Some(table) => {
                let why = format!(
                    "{} holds values of another type than you asked for; use the type it has, open it untyped, or remove it first\n{table}",
                    self.address()
                );
                Err(Error::new(ErrorKind::Incompatible, why))
            }
        }
    }

    #[cold]
    fn garbage_tag(&self, error: Error) -> Error {
        Error::new(ErrorKind::Corrupt, format!("{}: {error}; remove it and create it anew", self.address()))
    }
}

/// One pass over the text. Whatever it meets, it goes forward, so it ends.
struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    order: Order,
    /// Fields and bytes of names made so far.
    fields: usize,
    names: usize,
}

/// What one item of the text describes.
struct Item {
    layout: TypeLayout,
    /// Bytes of padding at the end of each element that the text did not say.
    tail: usize,
}

type Parsed<T> = Result<T, String>;

impl<'a> Parser<'a> {
    fn whole(&mut self) -> Parsed<TypeLayout> {
        if self.text.len() > TAG_MAX {
            return Err(format!("it has {} bytes, the most is {TAG_MAX}", self.text.len()));
        }
        if let Some(bad) = self.text.iter().position(|b| !(b.is_ascii_graphic() || *b == b' ')) {
            self.at = bad;
            return Err("a type tag is printable ASCII".into());
        }
        let layout = self.items(0)?;
        match self.peek() {
            None if layout.size == 0 => Err("it describes no bytes".into()),
            None => Ok(layout),
            Some(_) => Err("there is no struct to be ended by this brace".into()),
        }
    }

    /// Items up to the end of the text or to the brace that ends the struct.
    fn items(&mut self, depth: usize) -> Parsed<TypeLayout> {
        let mut layout = TypeLayout { fields: Vec::new(), size: 0, align: 1 };
        // Padding that the last item has, and the text may say again.
        let mut said_again = 0;
        let mut names = BTreeSet::new();
        loop {
            self.skip_orders();
            if matches!(self.peek(), None | Some(b'}')) {
                return Ok(layout);
            }
            let shape = self.shape()?;
            self.skip_orders();
            let repeat = self.number()?;
            self.skip_orders();
            let count = match shape.unwrap_or(1).checked_mul(repeat.unwrap_or(1)) {
                Some(count) if count <= MOST_BYTES => count,
                _ => return Err(format!("no value has more than {MOST_BYTES} bytes")),
            };
            if self.peek() == Some(b'x') {
                let run = self.padding(count);
                self.another_name(&mut names)?; // as numpy gives it to bytes without a type
                // Those that numpy writes behind a struct are part of it already.
                let more = if run >= said_again { run - said_again } else { run };
                layout.size = enlarged(layout.size, more)?;
                said_again = 0;
                continue;
            }
            let item = self.item(depth)?;
            let name = self.another_name(&mut names)?;
            layout.size = enlarged(layout.size, layout.size.next_multiple_of(item.layout.align) - layout.size)?;
            layout.align = layout.align.max(item.layout.align);
            let at = layout.size;
            let bytes = item.layout.size.checked_mul(count).filter(|n| *n <= MOST_BYTES);
            layout.size = enlarged(at, bytes.unwrap_or(MOST_BYTES + 1))?;
            self.place(&mut layout, at, count, item.layout, name)?;
            said_again = item.tail * count;
        }
    }

    /// Adds `count` of `item`, from byte `at` on.
    fn place(&mut self, to: &mut TypeLayout, at: usize, count: usize, item: TypeLayout, name: &str) -> Parsed<()> {
        if let [one] = &item.fields[..]
            && one.name.is_empty()
            && one.count * one.scalar.size() == item.size
        {
            if count > 0 {
                self.count(1, name.len())?;
                let scalar = one.scalar;
                to.fields.push(TypeField { offset: at, scalar, count: one.count * count, name: name.into() });
            }
            return Ok(());
        }
        for i in 0..if item.fields.is_empty() { 0 } else { count } {
            for field in &item.fields {
                let index = if count > 1 { format!("[{i}]") } else { String::new() };
                let name = match (name, field.name.as_str()) {
                    ("", inner) => inner.to_string(),
                    (outer, "") => format!("{outer}{index}"),
                    (outer, inner) => format!("{outer}{index}.{inner}"),
                };
                self.count(1, name.len())?;
                to.fields.push(TypeField { offset: at + i * item.size + field.offset, name, ..*field });
            }
        }
        Ok(())
    }

    fn count(&mut self, fields: usize, names: usize) -> Parsed<()> {
        self.fields += fields;
        self.names += names;
        // A nested struct's fields are counted at each level: at most `MOST_DEPTH` times.
        if self.fields > MOST_FIELDS * 2 || self.names > MOST_NAMES {
            return Err(format!(
                "more than {MOST_FIELDS} fields; use arrays of scalars, or a type without the details"
            ));
        }
        Ok(())
    }

    /// A scalar or a struct.
    fn item(&mut self, depth: usize) -> Parsed<Item> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if rest.starts_with(b"T{") {
            if depth == MOST_DEPTH {
                return Err(format!("structs lie in each other more than {MOST_DEPTH} deep"));
            }
            self.at += 2;
            let mut layout = self.items(depth + 1)?;
            if self.peek() != Some(b'}') {
                return Err("the brace that ends the struct is missing".into());
            }
            self.at += 1;
            let tail = layout.size.next_multiple_of(layout.align) - layout.size;
            layout.size += tail;
            return Ok(Item { layout, tail });
        }
        let (scalar, align, len) = Scalar::read(rest, self.order)?;
        self.at += len;
        let fields = vec![TypeField { offset: 0, scalar, count: 1, name: String::new() }];
        Ok(Item { layout: TypeLayout { fields, size: scalar.size(), align }, tail: 0 })
    }

    fn peek(&mut self) -> Option<u8> {
        while self.text.get(self.at) == Some(&b' ') {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn skip_orders(&mut self) {
        while let Some(order) = self.peek().and_then(Order::of) {
            self.order = order;
            self.at += 1;
        }
    }

    fn number(&mut self) -> Parsed<Option<usize>> {
        let mut number = None;
        while let Some(digit) = self.peek().filter(u8::is_ascii_digit) {
            let more = number.unwrap_or(0usize).checked_mul(10).and_then(|n| n.checked_add(usize::from(digit - b'0')));
            number = Some(more.filter(|n| *n <= MOST_BYTES).ok_or("the number is too large")?);
            self.at += 1;
        }
        Ok(number)
    }

    /// `(2,3)`: how many elements that are.
    fn shape(&mut self) -> Parsed<Option<usize>> {
        if self.peek() != Some(b'(') {
            return Ok(None);
        }
        self.at += 1;
        let mut count = 1usize;
        loop {
            let n = self.number()?.ok_or("a shape is numbers with commas between them, as in (2,3)")?;
            count = count.checked_mul(n).filter(|n| *n <= MOST_BYTES).ok_or("the array is too large")?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b')') => break,
                _ => return Err("a shape is numbers with commas between them, as in (2,3)".into()),
            }
        }
        self.at += 1;
        Ok(Some(count))
    }

    /// The bytes that the `x`s from here on say; the first stands for `first` of them.
    fn padding(&mut self, first: usize) -> usize {
        self.at += 1;
        let mut run = first;
        while self.peek() == Some(b'x') {
            self.at += 1;
            run += 1;
        }
        run
    }

    /// As `name`, in a struct that has no field of that name yet.
    fn another_name(&mut self, before: &mut BTreeSet<&'a str>) -> Parsed<&'a str> {
        match self.name()? {
            "" => Ok(""),
            name if before.insert(name) => Ok(name),
            name => Err(format!("a struct has no two fields named {name:?}")),
        }
    }

    /// `:name:`, or nothing.
    fn name(&mut self) -> Parsed<&'a str> {
        if self.peek() != Some(b':') {
            return Ok("");
        }
        let rest = &self.text[self.at + 1..];
        let Some(len) = rest.iter().position(|b| *b == b':') else {
            return Err("the colon behind the name is missing".into());
        };
        self.at += len + 2;
        std::str::from_utf8(&rest[..len]).map_err(|_| "a name is printable ASCII".into())
    }
}

fn enlarged(size: usize, by: usize) -> Parsed<usize> {
    let size = size.checked_add(by).filter(|n| *n <= MOST_BYTES);
    size.ok_or_else(|| format!("no value has more than {MOST_BYTES} bytes"))
}
