//! The C ABI of triveni.
