//! What a channel lends: room to be written in place, or a record to be read there.
//!
//! A grant ends once: by a call, at the end of its block, or by going away. It does not end while a view of it is
//! alive. It is *done* when room is committed or a record released, *undone* when the room is given back or the record
//! stays.

use crate::buffer::{Refused, Room, ending};
use crate::error::{to_py, whole};
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::c_int;
use std::sync::Arc;
use triveni::{Error, ErrorKind, Result};

/// Who lent it, and takes it back.
pub(crate) trait Lender {
    /// `loan` or `grant`, for sentences.
    const NOUN: &'static str;
    /// What it is of, for people: `'lab/r'`.
    fn address(&self) -> String;
    /// Ends the room and what stands behind it, done with so many bytes, or undone.
    fn end(&self, room: &Room, done: Option<usize>) -> Result<Result<(), Refused>>;
    /// The same, undone, if no view is alive; without a complaint.
    fn give_back(&self, room: &Room);
}

/// A grant, as its Python class holds it.
pub(crate) struct Grant<L: Lender> {
    lender: L,
    room: Arc<Room>,
}

impl<L: Lender> Grant<L> {
    pub(crate) fn new(lender: L, room: Arc<Room>) -> Grant<L> {
        Grant { lender, room }
    }

    /// Bytes of room, or of the record.
    pub(crate) fn size(&self) -> usize {
        self.room.size()
    }

    /// Done with the first `size` bytes; with all of them unless given.
    pub(crate) fn done(&self, py: Python<'_>, size: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let size = self.chosen(py, "commit", size)?;
        ending(py, L::NOUN, || self.lender.end(&self.room, Some(size)))
    }

    pub(crate) fn undone(&self, py: Python<'_>) -> PyResult<()> {
        ending(py, L::NOUN, || self.lender.end(&self.room, None))
    }

    /// Ends it as `end` does with its lender and its room.
    pub(crate) fn ended_by(
        &self,
        py: Python<'_>,
        end: impl FnOnce(&L, &Room) -> Result<Result<(), Refused>>,
    ) -> PyResult<()> {
        ending(py, L::NOUN, || end(&self.lender, &self.room))
    }

    /// How many bytes a caller means who gives `size` or nothing; `TooLarge` if there are fewer.
    pub(crate) fn chosen(&self, py: Python<'_>, what: &str, size: Option<&Bound<'_, PyAny>>) -> PyResult<usize> {
        let room = self.size();
        let size = size.map_or(Ok(room), |size| whole("size", size))?;
        if size > room {
            let sentence = format!("{what} of {size} bytes: this {} has {room}; {what} at most those", L::NOUN);
            return Err(to_py(py, Error::new(ErrorKind::TooLarge, sentence)));
        }
        Ok(size)
    }

    /// Undone if no view is alive, or else when the grant goes away; without a complaint.
    pub(crate) fn gone(&self) {
        self.lender.give_back(&self.room);
    }

    /// A block ends: done, or undone after an exception. It may have ended the grant already.
    pub(crate) fn exit(&self, py: Python<'_>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
        if self.room.is_ended() {
            Ok(())
        } else if exception.is_none() {
            self.done(py, None)
        } else {
            self.lender.give_back(&self.room); // a view in the traceback's frames delays this until it is gone
            Ok(())
        }
    }

    /// `__getbuffer__` of the Python object `owner`.
    ///
    /// # Safety
    /// - `view` and `flags` are what Python passed to `owner`'s `bf_getbuffer`: they are filled and obeyed.
    pub(crate) unsafe fn lend(
        &self,
        owner: &Bound<'_, PyAny>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        // SAFETY: as for this function: `view` and `flags` are passed on as they came.
        unsafe { self.room.lend(owner, view, flags, L::NOUN) }
    }

    /// `__releasebuffer__`.
    pub(crate) fn view_ended(&self) {
        self.room.give_back();
    }

    pub(crate) fn repr(&self, class: &str) -> String {
        let state = if self.room.is_ended() { "ended" } else { "open" };
        format!("<triveni.{class} of {} {} bytes, {state}>", self.lender.address(), self.size())
    }
}

impl<L: Lender> Drop for Grant<L> {
    fn drop(&mut self) {
        self.lender.give_back(&self.room);
    }
}
