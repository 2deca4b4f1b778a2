//! What ``type=`` takes: `_types.py` knows.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A type from Python: its tag, and how values become bytes.
pub(crate) struct Type {
    /// `""`: none was given.
    pub(crate) tag: String,
    /// `None`: values are bytes.
    codec: Option<Py<PyAny>>,
}

impl Type {
    /// What a channel is given: `type=`, or `type_tag=` alone.
    pub(crate) fn given(py: Python<'_>, source: Option<&Bound<'_, PyAny>>, tag: Option<&str>) -> PyResult<Type> {
        match (source, tag) {
            (Some(_), Some(_)) => Err(crate::error::invalid(py, "give type or type_tag, not both: type says the tag")),
            (None, Some(tag)) => Ok(Type { tag: tag.to_string(), codec: None }),
            (source, None) => Type::of(py, source),
        }
    }

    pub(crate) fn of(py: Python<'_>, source: Option<&Bound<'_, PyAny>>) -> PyResult<Type> {
        let Some(source) = source.filter(|source| !source.is_none()) else {
            return Ok(Type { tag: String::new(), codec: None });
        };
        if let Ok(tag) = source.extract::<String>() {
            return Ok(Type { tag, codec: None });
        }
        let codec = py.import("triveni._types")?.call_method1("type_of", (source,))?;
        Ok(Type { tag: codec.getattr("tag")?.extract()?, codec: Some(codec.unbind()) })
    }

    /// Bytes of a value, where the type says it.
    pub(crate) fn size(&self, py: Python<'_>) -> PyResult<Option<usize>> {
        match &self.codec {
            Some(codec) => codec.bind(py).getattr("size")?.extract().map(Some),
            None if self.tag.is_empty() => Ok(None),
            None => crate::error::call(py, || triveni::TypeLayout::parse(&self.tag)).map(|layout| Some(layout.size())),
        }
    }

    /// A value as what has contiguous bytes.
    pub(crate) fn pack<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        match &self.codec {
            Some(codec) => codec.bind(value.py()).call_method1("pack", (value,)),
            None => Ok(value.clone()),
        }
    }

    /// Bytes as a value.
    pub(crate) fn unpack<'py>(&self, data: Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyAny>> {
        match &self.codec {
            Some(codec) => codec.bind(data.py()).call_method1("unpack", (data,)),
            None => Ok(data.into_any()),
        }
    }

    /// For pickle: what makes it anew, or the tag.
    pub(crate) fn source(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match &self.codec {
            Some(codec) => Ok(codec.clone_ref(py)),
            None => Ok(py.None()),
        }
    }
}
