//! What lies where in an unbounded mailbox, behind its control block. All of it up to the frames is committed from the
//! beginning: 16 bytes for each message of the ceiling, and some for each page.

use super::super::queue::Head;
use super::Hints;

/// A frame has at most so many bytes, unless one message has more.
const MOST_BYTES: usize = 1 << 18;
/// Places on a page, at most.
const MOST_PLACES: usize = 64;
/// So many bytes of spare frames stay committed.
const KEPT: usize = 1 << 20;
/// Frames beyond one for each page, at most: for those who take one at the same time for the same page, of whom one is
/// late.
const SPARE: usize = 8;
/// What can be committed and given back: a page of the system.
pub(in super::super) const SYSTEM_PAGE: usize = 4096;

/// Offsets from the beginning of the object, numbers and sizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Paging {
    /// Bytes of one place in a frame: a multiple of 64.
    pub stride: usize,
    /// Places on a page, a power of two.
    pub each: u32,
    /// Pages, and so words in the map.
    pub pages: usize,
    /// Frames, and so words for them.
    pub frames: usize,
    /// Bytes of a frame: a multiple of the system's page.
    pub frame: usize,
    /// Spare frames that stay committed.
    pub keep: u32,
    /// Where the hints lie, the map, the words of the frames, the heads of the places.
    pub hints: usize,
    pub map: usize,
    pub words: usize,
    pub heads: usize,
    /// The frames begin at the first page of the system from here on.
    pub memory: usize,
    /// Bytes in all.
    pub size: usize,
}

impl Paging {
    /// For a ceiling of 1 to 2^20; `None`: no memory has that size, or messages have none.
    pub fn of(behind: usize, ceiling: u32, message_size: usize) -> Option<Paging> {
        let stride = message_size.checked_next_multiple_of(64).filter(|stride| *stride > 0)?;
        // At least four pages, unless there are fewer messages.
        let fit = (MOST_BYTES / stride).min(MOST_PLACES).min(ceiling as usize / 4).max(1);
        let each = 1 << fit.ilog2();
        let frame = stride.checked_mul(each)?.checked_next_multiple_of(SYSTEM_PAGE)?;
        let pages = (ceiling as usize).div_ceil(each);
        let frames = (pages + SPARE.min(pages)).min(1 << 20);
        let map = behind.checked_add(size_of::<Hints>())?;
        let words = map.checked_add(pages.checked_mul(8)?)?;
        let heads = words.checked_add(frames * 8)?.checked_next_multiple_of(64)?;
        let memory = heads.checked_add((ceiling as usize).checked_mul(size_of::<Head>())?)?;
        let size = frames.checked_mul(frame)?.checked_add(memory)?.checked_add(SYSTEM_PAGE)?;
        let keep = (KEPT / frame).clamp(1, MOST_PLACES) as u32;
        let each = each as u32;
        Some(Paging { stride, each, pages, frames, frame, keep, hints: behind, map, words, heads, memory, size })
    }
}
