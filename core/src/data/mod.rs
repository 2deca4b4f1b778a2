//! Values in place: the type both sides agreed on, typed arrays, the latest value.

pub mod array;
pub mod cell;
pub mod type_tag;
pub mod typed;
