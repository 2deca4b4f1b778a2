//! Values in place: typed arrays, the latest value, and the types they have.

pub(crate) mod array;
pub(crate) mod cell;
pub(crate) mod types;
