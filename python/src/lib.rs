//! The Python extension of triveni.
