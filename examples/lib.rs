//! The stories lie in the folders beside this file.
