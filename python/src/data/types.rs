//! What ``type=`` takes: `_types.py` knows.

use crate::error::{call, invalid};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A type from Python: its tag, and how values become bytes.
pub(crate) struct Type {
    /// `""`: none was given.
    pub(crate) tag: String,
    /// `None`: values are bytes.
    codec: Option<Py<PyAny>>,
}

/// The kind and the name of an object, for sentences.
pub(crate) type Whose<'a> = (&'static str, &'a str);

impl Type {
    /// What a channel is given: `type=`, or `type_tag=` alone.
    pub(crate) fn given(
        py: Python<'_>,
        whose: Whose<'_>,
        source: Option<&Bound<'_, PyAny>>,
        tag: Option<&str>,
    ) -> PyResult<Type> {
        match (source, tag) {
            (Some(_), Some(_)) => Err(invalid(py, "give type or type_tag, not both: type says the tag")),
            (None, Some(tag)) => Type::of_text(py, whose, tag.to_string()),
            (source, None) => Type::of(py, whose, source),
        }
    }

    pub(crate) fn of(py: Python<'_>, whose: Whose<'_>, source: Option<&Bound<'_, PyAny>>) -> PyResult<Type> {
        let Some(source) = source.filter(|source| !source.is_none()) else {
            return Ok(Type { tag: String::new(), codec: None });
        };
        if let Ok(tag) = source.extract::<String>() {
            return Type::of_text(py, whose, tag);
        }
        let codec = py.import("triveni._types")?.call_method1("type_of", (source,))?;
        Ok(Type { tag: codec.getattr("tag")?.extract()?, codec: Some(codec.unbind()) })
    }

    fn of_text(py: Python<'_>, (kind, name): Whose<'_>, tag: String) -> PyResult<Type> {
        if !tag.is_empty()
            && let Err(error) = triveni::TypeLayout::parse(&tag)
        {
            let hint = match looks_like_numpys(&tag) {
                true => format!("; if this is numpy's name of a type, give numpy.dtype({tag:?})"),
                false => String::new(),
            };
            return Err(invalid(py, format!("{kind} {name:?}: {error}{hint}")));
        }
        Ok(Type { tag, codec: None })
    }

    /// Bytes of a value, where the type says it.
    pub(crate) fn size(&self, py: Python<'_>) -> PyResult<Option<usize>> {
        match &self.codec {
            Some(codec) => codec.bind(py).getattr("size")?.extract().map(Some),
            None if self.tag.is_empty() => Ok(None),
            None => call(py, || triveni::TypeLayout::parse(&self.tag)).map(|layout| Some(layout.size())),
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

/// `i4`, `<f8`, `float32`, and not `T{i:a:` or `O`.
fn looks_like_numpys(tag: &str) -> bool {
    let name = tag.trim_start_matches(['<', '>', '=', '|']);
    let letters = name.trim_end_matches(|c: char| c.is_ascii_digit());
    name.len() > 1 && !letters.is_empty() && letters.chars().all(|c| c.is_ascii_lowercase() || "SUVOM".contains(c))
}
