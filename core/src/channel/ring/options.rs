//! How a ring is made: its size, what its records are, how surely it wakes.

use super::{Ring, place};
use crate::error::Result;
use crate::segment::directory::{Plan, Want};
use crate::segment::{ObjectKind, Segment, other_geometry};

/// What a new ring is like, and what one that is there must be like.
///
/// ```
/// # fn main() -> triveni::Result<()> {
/// use triveni::RingOptions;
/// let segment = triveni::Segment::anonymous(1 << 20)?;
/// segment.ring_with("log", RingOptions::sized(65536).exact_wake(true))?;
/// segment.ring_with("points", RingOptions::packed(16, 1000).type_tag("T{d:x:d:y:}"))?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingOptions<'a> {
    pub(super) size: Option<usize>,
    /// 0: records of any size.
    pub(super) record_size: usize,
    pub(super) capacity: Option<usize>,
    pub(super) exact_wake: bool,
    pub(super) type_tag: &'a str,
}

impl<'a> RingOptions<'a> {
    /// Records of any size in a ring of the default size: [`Ring::DEFAULT_SIZE`], or an eighth of the segment if that is
    /// less.
    pub fn new() -> RingOptions<'a> {
        RingOptions::default()
    }

    /// Records of any size, in `size` bytes, rounded up to a power of two of at least 256.
    pub fn sized(size: usize) -> RingOptions<'a> {
        RingOptions { size: Some(size), ..RingOptions::default() }
    }

    /// `capacity` records, rounded up to a power of two, of `record_size` bytes each.
    pub fn packed(record_size: usize, capacity: usize) -> RingOptions<'a> {
        RingOptions { record_size, capacity: Some(capacity), ..RingOptions::default() }
    }

    /// As many records of `record_size` bytes each as fit into the default size, at least two.
    pub fn packed_by_default(record_size: usize) -> RingOptions<'a> {
        RingOptions { record_size, ..RingOptions::default() }
    }

    /// Publish with a full barrier, so that who is about to sleep is never overlooked. Without it that may happen
    /// within some microseconds, and costs a sleeper the rest of a slice, 16 ms at most; with it, one record at a time
    /// costs about twice as much. It counts for a new ring; one that is there must be exact, too, if you ask for it.
    pub fn exact_wake(self, exact_wake: bool) -> RingOptions<'a> {
        RingOptions { exact_wake, ..self }
    }

    /// The type of the records, as a PEP 3118 format. It is stored with a new ring and compared with one that is there.
    pub fn type_tag(self, type_tag: &'a str) -> RingOptions<'a> {
        RingOptions { type_tag, ..self }
    }

    fn is_packed(&self) -> bool {
        // A capacity says that records are packed, so that a record size of 0 is an error and not another kind.
        self.record_size > 0 || self.capacity.is_some()
    }

    /// Geometry words and bytes behind the object's header.
    fn geometry(&self, name: &str, segment_size: usize) -> Result<([u64; 5], usize)> {
        let default = Ring::DEFAULT_SIZE.min(segment_size / 8);
        if self.is_packed() {
            let capacity = self.capacity.unwrap_or_else(|| (default / self.record_size.max(1)).max(2));
            place::packed_geometry(name, self.record_size, capacity, self.exact_wake)
        } else {
            // The default must not be rounded up to more than an eighth.
            let size = self.size.unwrap_or_else(|| (default / 2 + 1).next_power_of_two());
            place::geometry(name, size, self.exact_wake)
        }
    }
}

impl Segment {
    /// Finds or creates a ring of `size` bytes, rounded up to a power of two of at least 256.
    ///
    /// # Errors
    /// `Invalid` for a bad name or size; `Incompatible` if there is one of another size or of packed records, or another
    /// kind of object; `NoSpace`.
    pub fn ring(&self, name: &str, size: usize) -> Result<Ring> {
        self.ring_with(name, RingOptions::sized(size))
    }

    /// Finds or creates a ring of `capacity` records, rounded up to a power of two, of `record_size` bytes each. They lie
    /// back to back: a batch is one piece of memory, see [`Producer::write_packed`](crate::Producer::write_packed).
    ///
    /// # Errors
    /// As [`Segment::ring`].
    pub fn ring_of(&self, name: &str, record_size: usize, capacity: usize) -> Result<Ring> {
        self.ring_with(name, RingOptions::packed(record_size, capacity))
    }

    /// Finds or creates a ring. One that is there must be as the options say, as far as they do.
    ///
    /// # Errors
    /// As [`Segment::ring`]; `Invalid` for a bad type tag; `Incompatible` for another one.
    pub fn ring_with(&self, name: &str, options: RingOptions<'_>) -> Result<Ring> {
        let ring = self.new_ring(name, options, Want::Either)?;
        // What a new one would have been rounded to.
        let (geometry, _) = options.geometry(name, self.size())?;
        let [cells, _, record_size, ..] = geometry;
        let sized = options.size.is_some() || options.capacity.is_some();
        let agrees = record_size == ring.record_size().unwrap_or(0) as u64
            && (!sized || cells == ring.cells())
            && (!options.exact_wake || ring.is_exact_wake());
        if agrees {
            return Ok(ring);
        }
        let said = |size: u64, record_size: u64, exact: bool| {
            let exact = if exact { ", exact wake" } else { "" };
            match record_size {
                0 => format!("{size} bytes for records of any size{exact}"),
                record_size => format!("room for {} records of {record_size} bytes{exact}", size / record_size),
            }
        };
        let there = said(ring.size() as u64, ring.record_size().unwrap_or(0) as u64, ring.is_exact_wake());
        let wished = said(cells * if record_size == 0 { 64 } else { record_size }, record_size, options.exact_wake);
        Err(other_geometry("ring", name, format_args!("{there}"), format_args!("{wished}")))
    }

    /// Creates a ring of `size` bytes, as [`Segment::ring`] does.
    ///
    /// # Errors
    /// As [`Segment::ring`]; `Exists`.
    pub fn create_ring(&self, name: &str, size: usize) -> Result<Ring> {
        self.create_ring_with(name, RingOptions::sized(size))
    }

    /// Creates a ring of packed records, as [`Segment::ring_of`] does.
    ///
    /// # Errors
    /// As [`Segment::ring`]; `Exists`.
    pub fn create_ring_of(&self, name: &str, record_size: usize, capacity: usize) -> Result<Ring> {
        self.create_ring_with(name, RingOptions::packed(record_size, capacity))
    }

    /// Creates a ring.
    ///
    /// # Errors
    /// As [`Segment::ring_with`]; `Exists`.
    pub fn create_ring_with(&self, name: &str, options: RingOptions<'_>) -> Result<Ring> {
        self.new_ring(name, options, Want::Create)
    }

    fn new_ring(&self, name: &str, options: RingOptions<'_>, want: Want) -> Result<Ring> {
        let (geometry, size) = options.geometry(name, self.size())?;
        let plan = Plan { geometry, size, initialise: &|_| {}, tag: options.type_tag };
        Ring::attach(self.object(ObjectKind::Ring, name, want, Some(plan))?)
    }

    /// Opens a ring of whatever size and records.
    ///
    /// # Errors
    /// `NotFound`; `Incompatible`.
    pub fn open_ring(&self, name: &str) -> Result<Ring> {
        Ring::attach(self.object(ObjectKind::Ring, name, Want::Open, None)?)
    }
}
