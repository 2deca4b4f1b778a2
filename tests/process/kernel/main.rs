//! The kernel's mechanisms between processes: our ends with each other and with programs that know nothing of us.

mod pipe;
