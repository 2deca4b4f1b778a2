//! What a service is made with, and how one is found, made and opened in a segment.

use super::memory::{MOST_BYTES, Shape};
use super::{MOST_CALLS, Service};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::directory::{Plan, Want};
use crate::segment::{ObjectKind, Segment, other_geometry};

/// How a service is made.
///
/// # Examples
/// ```
/// # let segment = triveni::Segment::anonymous(1 << 20)?;
/// let options = triveni::ServiceOptions::new(64, 16).calls(8).type_tag("T{d:request:d:response:}");
/// let service = segment.service_with("convert", options)?;
/// # Ok::<(), triveni::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct ServiceOptions<'a> {
    pub(super) calls: usize,
    pub(super) request_size: usize,
    pub(super) response_size: usize,
    pub(super) idempotent: bool,
    pub(super) type_tag: &'a str,
}

impl<'a> ServiceOptions<'a> {
    /// Requests and answers of at most so many bytes, 16 calls at once, each served at most once, no type tag.
    pub fn new(request_size: usize, response_size: usize) -> ServiceOptions<'a> {
        ServiceOptions { calls: 16, request_size, response_size, idempotent: false, type_tag: "" }
    }

    /// The most calls at once, 1 to 1024: made, being served, or answered and not yet read. One more waits.
    pub fn calls(self, calls: usize) -> ServiceOptions<'a> {
        ServiceOptions { calls, ..self }
    }

    /// May a request be served again whose server died over it? Then the next server takes it, and the client hears of
    /// the death only if three servers died with its request.
    pub fn idempotent(self, idempotent: bool) -> ServiceOptions<'a> {
        ServiceOptions { idempotent, ..self }
    }

    /// What requests and answers are, as one struct of two members: `T{d:request:2d:response:}`.
    pub fn type_tag(self, type_tag: &'a str) -> ServiceOptions<'a> {
        ServiceOptions { type_tag, ..self }
    }

    fn shape(&self, name: &str) -> Result<Shape> {
        let refuse = |why: String| Err(Error::new(ErrorKind::Invalid, format!("service {name:?}: {why}")));
        let calls = match u32::try_from(self.calls) {
            Ok(calls @ 1..=MOST_CALLS) => calls,
            _ => return refuse(format!("{} calls at once: 1 to {MOST_CALLS} are possible", self.calls)),
        };
        for (what, size) in [("requests", self.request_size), ("answers", self.response_size)] {
            if size > MOST_BYTES {
                return refuse(format!("{what} of {size} bytes: 0 to {MOST_BYTES} are possible"));
            }
        }
        let ServiceOptions { request_size, response_size, idempotent, .. } = *self;
        Ok(Shape { calls, request_size, response_size, idempotent })
    }
}

impl Segment {
    /// Finds or creates a service with requests and answers of at most so many bytes; a new one has 16 calls at once.
    ///
    /// # Errors
    /// As [`Segment::service_with`].
    pub fn service(&self, name: &str, request_size: usize, response_size: usize) -> Result<Service> {
        self.service_with(name, ServiceOptions::new(request_size, response_size))
    }

    /// Finds or creates a service.
    ///
    /// # Errors
    /// `Invalid` for a bad name or an option out of range; `Incompatible` if there is one that was made otherwise, or
    /// another kind of object; `NoSpace` if the segment or its directory is full.
    pub fn service_with(&self, name: &str, options: ServiceOptions<'_>) -> Result<Service> {
        let service = self.new_service(name, options, Want::Either)?;
        let (there, wished) = (service.shape(), options.shape(name)?);
        if there != wished {
            return Err(other_geometry(
                "service",
                name,
                format_args!("{}", said(there)),
                format_args!("{}", said(wished)),
            ));
        }
        Ok(service)
    }

    /// Creates a service, as [`Segment::service`] does.
    ///
    /// # Errors
    /// As [`Segment::service_with`]; `Exists`.
    pub fn create_service(&self, name: &str, request_size: usize, response_size: usize) -> Result<Service> {
        self.create_service_with(name, ServiceOptions::new(request_size, response_size))
    }

    /// Creates a service.
    ///
    /// # Errors
    /// As [`Segment::service_with`]; `Exists`.
    pub fn create_service_with(&self, name: &str, options: ServiceOptions<'_>) -> Result<Service> {
        self.new_service(name, options, Want::Create)
    }

    fn new_service(&self, name: &str, options: ServiceOptions<'_>, want: Want) -> Result<Service> {
        let (geometry, size) = options.shape(name)?.extent();
        // Zeros are a service that nobody has called.
        let plan = Plan { geometry, size, initialise: &|_| {}, tag: options.type_tag };
        super::attach(self.object(ObjectKind::Service, name, want, Some(plan))?)
    }

    /// Opens a service, however it was made.
    ///
    /// # Errors
    /// `NotFound`; `Incompatible`.
    pub fn open_service(&self, name: &str) -> Result<Service> {
        super::attach(self.object(ObjectKind::Service, name, Want::Open, None)?)
    }
}

fn said(shape: Shape) -> String {
    let Shape { calls, request_size, response_size, idempotent } = shape;
    let once = if idempotent { "idempotent" } else { "not idempotent" };
    format!("{calls} calls at once, requests of {request_size} and answers of {response_size} bytes, {once}")
}
