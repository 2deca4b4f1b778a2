//! What lies where in a segment, and the one place where a stranger's header is checked.
//!
//! | at                    | what                                                              |
//! |-----------------------|-------------------------------------------------------------------|
//! | 0                     | [`Header`]: constants, then the directory's mutex                  |
//! | 4096                  | the table of participants, 128 bytes each                         |
//! | behind it             | the directory, 128 bytes for each object there may be             |
//! | behind it             | the board: who sleeps on what, 64 bytes each                      |
//! | behind it, 4096-aligned | the arena: objects, each behind its [`ObjectHeader`](super::object::ObjectHeader) |
//!
//! Everything is counted in bytes from the segment's first one; there is no pointer in it. The constants are
//! read and checked once, before the segment is mapped, and never read again.

use super::object::InSegment;
use crate::error::{Error, ErrorKind, Result};
use crate::prim::{AtomicU32, AtomicU64};
use crate::sync::MutexLine;
use crate::sys::process;

pub const MAGIC: u64 = u64::from_le_bytes(*b"triveni\0");
pub const ENDIAN: u32 = 0x0102_0304;
/// Raised when segments of the last version cannot be used any more.
pub const MAJOR: u32 = 2;

pub const HEADER: usize = 4096;
pub const PARTICIPANT: usize = 128;
pub const ENTRY: usize = 128;
pub const NOTE: usize = 64;
/// Notes on the board for each participant there may be.
pub const NOTES_EACH: usize = 4;
/// Distance between objects: twice a cache line, as processors fetch lines in pairs.
pub const ALIGN: usize = 128;

pub const MAX_PARTICIPANTS: usize = 512;
pub const MAX_OBJECTS: usize = 65536;

/// The first page of a segment.
#[repr(C)]
pub struct Header {
    pub magic: AtomicU64,
    pub endian: AtomicU32,
    pub major: AtomicU32,
    /// A bit that this library does not know means that it must not touch the segment.
    pub features_needed: AtomicU64,
    pub total_size: AtomicU64,
    pub nonce: [AtomicU64; 2],
    pub boot: AtomicU64,
    pub pidns: AtomicU64,
    pub uid: AtomicU32,
    pub pid: AtomicU32,
    pub created_ns: AtomicU64,
    pub max_participants: AtomicU32,
    pub max_objects: AtomicU32,
    /// Bit 0: a locker about to close a circle gets an error.
    pub flags: AtomicU32,
    _zero: AtomicU32,
    _rest: [AtomicU64; 20],
    /// Guards the directory: creation, removal, attaching and detaching.
    pub directory: MutexLine,
}

// SAFETY: repr(C), made of atomics only.
unsafe impl InSegment for Header {}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Header>() <= HEADER && std::mem::offset_of!(Header, directory) == 256);

/// The checked constants of a segment: private copies that no peer can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    pub total_size: usize,
    pub max_participants: usize,
    pub max_objects: usize,
    /// A locker about to close a circle gets an error.
    pub detect_deadlocks: bool,
    pub uid: u32,
    pub created_ns: u64,
}

impl Geometry {
    /// Where the directory begins.
    pub fn directory(&self) -> usize {
        HEADER + self.max_participants * PARTICIPANT
    }

    /// Where the board begins.
    pub fn board(&self) -> usize {
        self.directory() + self.max_objects * ENTRY
    }

    /// How many notes the board has.
    pub fn notes(&self) -> usize {
        self.max_participants * NOTES_EACH
    }

    /// Where the arena begins.
    pub fn arena(&self) -> usize {
        (self.board() + self.notes() * NOTE).next_multiple_of(4096)
    }

    /// The same with another choice of [`Geometry::detect_deadlocks`].
    pub fn detecting(self, detect_deadlocks: bool) -> Geometry {
        Geometry { detect_deadlocks, ..self }
    }

    /// Checks the wishes of a creator.
    pub fn wished(size: usize, max_participants: usize, max_objects: usize) -> Result<Geometry> {
        let invalid = |text: String| Err(Error::new(ErrorKind::Invalid, text));
        if !(1..=MAX_PARTICIPANTS).contains(&max_participants) {
            return invalid(format!("{max_participants} participants: a segment has 1 to {MAX_PARTICIPANTS}"));
        }
        if !(1..=MAX_OBJECTS).contains(&max_objects) {
            return invalid(format!("{max_objects} objects: a segment has room for 1 to {MAX_OBJECTS}"));
        }
        let uid = process::effective_uid();
        let created_ns = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(0));
        let mut geometry =
            Geometry { total_size: 0, max_participants, max_objects, detect_deadlocks: false, uid, created_ns };
        let least = geometry.arena() + 4096;
        if size < least || size > 1 << 46 {
            return invalid(format!(
                "size {size}: a segment with these tables has {least} bytes at least and 2^46 at most"
            ));
        }
        geometry.total_size = size.next_multiple_of(4096);
        Ok(geometry)
    }

    /// The first page of a fresh segment.
    pub fn header(&self) -> [u8; HEADER] {
        let me = process::myself();
        let [nonce, more_nonce] = process::nonce();
        let mut page = [0u8; HEADER];
        let mut put = |at: usize, bytes: &[u8]| {
            if let Some(place) = page.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        };
        put(0, &MAGIC.to_le_bytes());
        put(8, &ENDIAN.to_le_bytes());
        put(12, &MAJOR.to_le_bytes());
        put(24, &(self.total_size as u64).to_le_bytes());
        put(32, &nonce.to_le_bytes());
        put(40, &more_nonce.to_le_bytes());
        put(48, &process::boot_hash().to_le_bytes());
        put(56, &me.pidns.to_le_bytes());
        put(64, &me.uid.to_le_bytes());
        put(68, &me.pid.to_le_bytes());
        put(72, &self.created_ns.to_le_bytes());
        put(80, &(self.max_participants as u32).to_le_bytes());
        put(84, &(self.max_objects as u32).to_le_bytes());
        put(88, &u32::from(self.detect_deadlocks).to_le_bytes());
        page
    }

    /// Checks the first page of a file that claims to be a segment. `what` names it in messages.
    pub fn read(page: &[u8; HEADER], file_size: u64, what: &str) -> Result<Geometry> {
        let u32_at = |at: usize| u32::from_le_bytes([page[at], page[at + 1], page[at + 2], page[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        let corrupt = |text: String| {
            Err(Error::new(ErrorKind::Corrupt, format!("open {what}: {text}; unlink and create it again")))
        };
        let incompatible = |text: String| {
            Err(Error::new(
                ErrorKind::Incompatible,
                format!("open {what}: {text}; upgrade, or unlink and create it again"),
            ))
        };
        if u64_at(0) != MAGIC {
            return corrupt(format!("it begins with {:#018x}, so it is no segment, or it was overwritten", u64_at(0)));
        }
        if u32_at(8) != ENDIAN {
            return incompatible(format!("its byte order mark is {:#010x}, not {ENDIAN:#010x}", u32_at(8)));
        }
        if u32_at(12) != MAJOR {
            return incompatible(format!("it has layout {}, this library speaks {MAJOR}", u32_at(12)));
        }
        if u64_at(16) != 0 {
            return incompatible(format!("it needs features {:#x} that this library does not know", u64_at(16)));
        }
        let (max_participants, max_objects) = (u32_at(80) as usize, u32_at(84) as usize);
        if !(1..=MAX_PARTICIPANTS).contains(&max_participants) || !(1..=MAX_OBJECTS).contains(&max_objects) {
            return corrupt(format!("its tables have {max_participants} participants and {max_objects} objects"));
        }
        let size = u64_at(24);
        if size > file_size {
            return corrupt(format!("its header says {size} bytes, its file has {file_size}: it was truncated"));
        }
        let geometry = Geometry {
            total_size: usize::try_from(size).unwrap_or(0),
            max_participants,
            max_objects,
            detect_deadlocks: u32_at(88) & 1 != 0,
            uid: u32_at(64),
            created_ns: u64_at(72),
        };
        if !geometry.total_size.is_multiple_of(4096) || geometry.arena() + 4096 > geometry.total_size {
            return corrupt(format!("its tables do not fit into its {size} bytes"));
        }
        Ok(geometry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn page() -> [u8; HEADER] {
        Geometry::wished(1 << 20, 64, 256).unwrap().header()
    }

    #[test]
    fn what_is_written_is_read() {
        let wished = Geometry::wished(1 << 20, 64, 256).unwrap().detecting(true);
        assert_eq!(Geometry::read(&wished.header(), 1 << 20, "t").unwrap(), wished);
    }

    #[test]
    fn each_fault_has_its_sentence() {
        for (at, byte, kind, says) in [
            (0, 0xFFu8, ErrorKind::Corrupt, "no segment"),
            (8, 0xFF, ErrorKind::Incompatible, "byte order"),
            (12, 9, ErrorKind::Incompatible, "layout 9, this library speaks 2"),
            (16, 1, ErrorKind::Incompatible, "features 0x1"),
            (80, 0, ErrorKind::Corrupt, "0 participants"),
            (30, 1, ErrorKind::Corrupt, "truncated"),
        ] {
            let mut page = page();
            page[at] = byte;
            let error = Geometry::read(&page, 1 << 20, "segment \"t\"").unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn absurd_wishes_are_refused() {
        for (size, p, o) in
            [(0, 64, 256), (1 << 20, 0, 256), (1 << 20, 513, 256), (1 << 20, 64, 0), (usize::MAX, 64, 256)]
        {
            assert_eq!(Geometry::wished(size, p, o).unwrap_err().kind(), ErrorKind::Invalid);
        }
    }

    proptest! {
        #[test]
        fn any_header_gives_an_error_or_extents_inside_the_file(
            bytes in proptest::collection::vec((0usize..96, any::<u8>()), 0..12), size in 0u64..1 << 22,
        ) {
            let mut page = page();
            for (at, byte) in bytes {
                page[at] = byte;
            }
            if let Ok(g) = Geometry::read(&page, size, "t") {
                prop_assert!(g.arena() < g.total_size && g.total_size as u64 <= size);
            }
        }
    }
}
