//! Everybody who takes part. Each file has the channels of a family, and says what its rows are.

mod bounded;
mod foreign;
#[cfg(feature = "iceoryx2")]
mod iceoryx;
mod kernel;
mod locks;
mod ours;
#[cfg(feature = "rivals")]
mod shared_memory;
#[cfg(feature = "rivals")]
mod threads;

use crate::rows::Rows;

/// All rows: the machine's limits first, then triveni.
pub fn all(rows: &mut Rows) {
    rows.limits();
    ours::rows(rows);
    #[cfg(feature = "iceoryx2")]
    iceoryx::rows(rows);
    #[cfg(feature = "rivals")]
    shared_memory::rows(rows);
    foreign::rows(rows);
    #[cfg(feature = "rivals")]
    threads::rows(rows);
    bounded::rows(rows);
    kernel::rows(rows);
    locks::rows(rows);
}

/// Removes what rivals leave in the file system.
pub fn clean() {
    #[cfg(feature = "iceoryx2")]
    iceoryx::clean();
}
