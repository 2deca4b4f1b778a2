//! Is there a value that this handle has not loaded yet? For whoever waits for several things at once.

use super::RawCell;
use crate::segment::object::Object;
use crate::wait::EventCount;
use std::sync::Arc;
// Process-private.
use std::sync::atomic::{AtomicU64 as Private, Ordering::Relaxed};

impl RawCell {
    /// The handle.
    pub(crate) fn object(&self) -> &Object {
        &self.object
    }

    /// Where those sleep who wait for a newer value.
    pub(crate) fn changed(&self) -> &EventCount {
        &self.memory.control().changed
    }

    /// A handle that counts as loaded what this one has loaded.
    pub(crate) fn companion(&self) -> RawCell {
        RawCell { seen: Arc::clone(&self.seen), ..self.clone() }
    }

    /// Is there a newer value than the last that was loaded through this handle?
    pub(crate) fn has_newer(&self) -> bool {
        // Relaxed: whoever has loaded in this thread knows it; another thread's load counts when it is seen.
        self.version() > self.seen.load(Relaxed)
    }

    /// Notes what was loaded.
    #[inline]
    pub(super) fn has_seen(&self, version: u64) {
        self.seen.store(version, Relaxed); // Relaxed, as above.
    }

    /// Nothing was loaded through this handle yet.
    pub(super) fn nothing_seen() -> Arc<Private> {
        Arc::new(Private::new(0))
    }
}
