//! The native core of runbundle: an ended span is redacted and encoded, and the journals of a run become the files of its
//! bundle, as Python does it, to the byte; or they are handed back.
//!
//! Python decides what may be kept; its judgements are asked for once and remembered. So this crate may be slow, and is
//! never more permissive.

mod calls;
mod derived;
mod digest;
mod facts;
mod journal;
mod json;
mod judge;
mod kin;
mod messages;
mod notes;
mod plan;
mod record;
mod rules;
mod run;
mod seal;
mod span;
mod taint;
mod timeline;
mod verify;
mod walk;
mod words;
mod work;

use std::panic::{AssertUnwindSafe, catch_unwind};

use memchr::memmem::Finder;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::judge::{Judge, Stop};
use crate::taint::Mirrors;

/// One policy's core. It never changes: other contracts make another.
#[pyclass(frozen, name = "Core")]
struct PyCore {
    /// In a box of its own: its searchers are aligned to 32 bytes, and Python's memory is not.
    core: Box<work::Core>,
}

#[pymethods]
impl PyCore {
    /// Takes the plan as plain data, and the functions that judge.
    #[new]
    fn new(plan: plan::Plan, judge: &Bound<'_, PyDict>) -> PyResult<Self> {
        let core = work::Core {
            plan,
            judge: Judge::new(judge)?,
            mirrors: Mirrors::default(),
            marker: Finder::new("[REDACTED:"),
            role: Finder::new("\"role\""),
            tool_call: Finder::new("\"tool_call\""),
        };
        Ok(PyCore { core: Box::new(core) })
    }

    /// Returns the line of a span whose record is in our terms, or None: then Python has to make it.
    fn span_line<'py>(&self, record: &Bound<'py, PyDict>, resource: i64) -> PyResult<Option<Bound<'py, PyBytes>>> {
        Ok(mine(|| span::line(&self.core, record, resource))?.map(|line| PyBytes::new(record.py(), &line)))
    }

    /// Returns the name and the attributes of a span that has begun, each as JSON, or None: then Python makes them.
    fn span_begun<'py>(
        &self, record: &Bound<'py, PyDict>,
    ) -> PyResult<Option<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)>> {
        let of = |json: Vec<u8>| PyBytes::new(record.py(), &json);
        Ok(mine(|| span::begun(&self.core, record))?.map(|(name, attributes)| (of(name), of(attributes))))
    }
}

/// Makes something of a record; none if that is left to Python.
fn mine<T>(make: impl FnOnce() -> judge::Answer<T>) -> PyResult<Option<T>> {
    match catch_unwind(AssertUnwindSafe(make)) {
        Ok(Ok(made)) => Ok(Some(made)),
        Ok(Err(Stop::Raised(error))) => Err(error),
        Ok(Err(Stop::NotMine)) | Err(_) => Ok(None),
    }
}

/// Forgets all judgements, in every core: something was learned on which they rest.
#[pyfunction]
fn forget_judgements() {
    judge::forget();
}

/// Tells whether a value is surely nothing but JSON's own types: then it reads as it was written.
#[pyfunction]
fn is_plain(value: &Bound<'_, PyAny>) -> bool {
    work::is_plain(value, json::MAX_DEPTH)
}

/// Returns JSON text written anew with sorted keys; True for what is no JSON, None for what is left to Python.
#[pyfunction]
fn sorted_json<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    match json::parse(text) {
        Ok(value) => {
            let mut out = Vec::new();
            json::put_sorted(&mut out, &value);
            Ok(PyBytes::new(py, &out).into_any())
        }
        Err(json::Odd::NotJson) => true.into_bound_py_any(py),
        Err(json::Odd::Unsure) => Ok(py.None().into_bound(py)),
    }
}

#[pymodule]
fn runbundle_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    std::panic::set_hook(Box::new(|_| ())); // of this crate alone: its message may hold a part of a payload
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<PyCore>()?;
    module.add_class::<seal::Sealer>()?;
    module.add_class::<record::SpanReader>()?;
    module.add_class::<verify::Verifier>()?;
    module.add_function(wrap_pyfunction!(forget_judgements, module)?)?;
    module.add_function(wrap_pyfunction!(is_plain, module)?)?;
    module.add_function(wrap_pyfunction!(sorted_json, module)?)
}
