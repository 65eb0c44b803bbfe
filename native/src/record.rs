//! The record of a span as its SDK has it, and the line of its start, as `otel/boundary/span_records.py` and
//! `codec/coerce.py` make them: of spans of plain types alone.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple, PyType};

use crate::journal::{START, summed};
use crate::json::{put_int, put_key, put_pair};

/// The classes of the SDK that a plain span is made of: those that inherit from them are read by Python.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Classes {
    /// Of a span that has ended, and of one that its tracer has started.
    ended: Py<PyType>,
    live: Py<PyType>,
    context: Py<PyType>,
    attributes: Py<PyType>,
    list: Py<PyType>,
    kind: Py<PyType>,
    status: Py<PyType>,
    code: Py<PyType>,
}

#[pyclass(frozen)]
pub struct SpanReader {
    of: Classes,
}

/// A span that Python reads.
struct Odd;

impl From<PyErr> for Odd {
    fn from(_: PyErr) -> Self {
        Odd
    }
}

type Plain<T> = Result<T, Odd>;

#[pymethods]
impl SpanReader {
    #[new]
    fn new(classes: Classes) -> Self {
        SpanReader { of: classes }
    }

    /// Returns the line that says that a span has started, as `start_line` of `journal/lines.py` writes it; None if
    /// Python has to write it. `begun`: the name and the attributes of a run's own span, each as JSON.
    fn start_line<'py>(
        &self, span: &Bound<'py, PyAny>, lane: &Bound<'py, PyString>, label: &Bound<'py, PyString>, is_run: bool,
        begun: Option<(PyBackedBytes, PyBackedBytes)>,
    ) -> Option<Bound<'py, PyBytes>> {
        let line = self.started(span, lane, label, is_run, begun).ok()?;
        Some(PyBytes::new(span.py(), &line))
    }

    /// Returns the raw record of a span that has ended or is live, with the records of its scope and its resource; None
    /// if Python has to make it.
    fn record<'py>(
        &self, span: &Bound<'py, PyAny>, run_id: &Bound<'py, PyString>, tenant_id: &Bound<'py, PyString>,
        scope: &Bound<'py, PyAny>, resource: &Bound<'py, PyAny>,
    ) -> Option<Bound<'py, PyDict>> {
        self.read(span, run_id, tenant_id, scope, resource).ok()
    }
}

impl SpanReader {
    fn read<'py>(
        &self, span: &Bound<'py, PyAny>, run_id: &Bound<'py, PyString>, tenant_id: &Bound<'py, PyString>,
        scope: &Bound<'py, PyAny>, resource: &Bound<'py, PyAny>,
    ) -> Plain<Bound<'py, PyDict>> {
        let py = span.py();
        let is_live = span.get_type().is(&self.of.live);
        if !is_live && !span.get_type().is(&self.of.ended) {
            return Err(Odd);
        }
        let context = self.context_of(&span.getattr(intern!(py, "_context"))?)?;
        if !context.get_item(4)?.is_empty().unwrap_or(false) {
            return Err(Odd); // a trace state
        }
        let record = PyDict::new(py);
        record.set_item(intern!(py, "run_id"), run_id)?;
        record.set_item(intern!(py, "tenant_id"), tenant_id)?;
        record.set_item(intern!(py, "trace_id"), hex(&context.get_item(0)?, 32)?)?;
        record.set_item(intern!(py, "span_id"), hex(&context.get_item(1)?, 16)?)?;
        let parent = span.getattr(intern!(py, "_parent"))?;
        let (parent_id, is_remote) = if parent.is_none() {
            (String::new(), false)
        } else {
            let parent = self.context_of(&parent)?;
            (hex(&parent.get_item(1)?, 16)?, parent.get_item(2)?.cast_exact::<PyBool>().map_err(|_| Odd)?.is_true())
        };
        record.set_item(intern!(py, "parent_span_id"), parent_id)?;
        record.set_item(intern!(py, "remote_parent"), is_remote)?;
        record.set_item(intern!(py, "trace_state"), intern!(py, ""))?;
        record.set_item(intern!(py, "name"), ascii(span.getattr(intern!(py, "_name"))?)?)?;
        let status = span.getattr(intern!(py, "_status"))?;
        if !status.get_type().is(&self.of.status) {
            return Err(Odd);
        }
        record.set_item(intern!(py, "kind"), number_of(&span.getattr(intern!(py, "_kind"))?, &self.of.kind)?)?;
        let start = time_of(span, intern!(py, "_start_time"))?;
        record.set_item(intern!(py, "start_ns"), &start)?;
        let end = if is_live && span.getattr(intern!(py, "_end_time"))?.is_none() {
            start
        } else {
            time_of(span, intern!(py, "_end_time"))?
        };
        record.set_item(intern!(py, "end_ns"), end)?;
        let code = number_of(&status.getattr(intern!(py, "_status_code"))?, &self.of.code)?;
        record.set_item(intern!(py, "status_code"), code)?;
        let message = status.getattr(intern!(py, "_description"))?;
        let message = if message.is_none() { intern!(py, "").clone().into_any() } else { ascii(message)? };
        record.set_item(intern!(py, "status_message"), message)?;
        record.set_item(intern!(py, "attributes"), self.attributes_of(&span.getattr(intern!(py, "_attributes"))?)?)?;
        let lists = [(intern!(py, "events"), intern!(py, "_events")), (intern!(py, "links"), intern!(py, "_links"))];
        for (key, name) in lists {
            self.check_empty(&span.getattr(name)?)?;
            record.set_item(key, PyList::empty(py))?;
        }
        record.set_item(intern!(py, "scope"), scope)?;
        record.set_item(intern!(py, "resource"), resource)?;
        record.set_item(intern!(py, "dropped"), PyDict::new(py))?;
        Ok(record)
    }

    fn started(
        &self, span: &Bound<'_, PyAny>, lane: &Bound<'_, PyString>, label: &Bound<'_, PyString>, is_run: bool,
        begun: Option<(PyBackedBytes, PyBackedBytes)>,
    ) -> Plain<Vec<u8>> {
        let py = span.py();
        if !span.get_type().is(&self.of.live) {
            return Err(Odd);
        }
        let context = self.context_of(&span.getattr(intern!(py, "_context"))?)?;
        let mut line = Vec::with_capacity(512 + begun.as_ref().map_or(0, |begun| begun.1.len()));
        line.extend_from_slice(START);
        put_pair(&mut line, "trace_id", &hex(&context.get_item(0)?, 32)?);
        put_pair(&mut line, "span_id", &hex(&context.get_item(1)?, 16)?);
        let parent = span.getattr(intern!(py, "_parent"))?;
        let parent_id =
            if parent.is_none() { String::new() } else { hex(&self.context_of(&parent)?.get_item(1)?, 16)? };
        put_pair(&mut line, "parent_span_id", &parent_id);
        put_key(&mut line, "start_ns");
        put_int(&mut line, time_of(span, intern!(py, "_start_time"))?.extract()?);
        put_pair(&mut line, "lane", lane.to_str()?);
        put_pair(&mut line, "label", label.to_str()?);
        put_key(&mut line, "is_run");
        line.extend_from_slice(if is_run { b"true" } else { b"false" });
        if let Some((name, attributes)) = begun {
            put_key(&mut line, "name");
            line.extend_from_slice(&name);
            put_key(&mut line, "attributes");
            line.extend_from_slice(&attributes);
        }
        Ok(summed(line))
    }

    fn context_of<'py>(&self, context: &Bound<'py, PyAny>) -> Plain<Bound<'py, PyTuple>> {
        if !context.get_type().is(&self.of.context) {
            return Err(Odd);
        }
        Ok(context.cast::<PyTuple>().map_err(|_| Odd)?.clone())
    }

    /// Returns a copy of a span's attributes, if limits have discarded none and JSON can hold each.
    fn attributes_of<'py>(&self, given: &Bound<'py, PyAny>) -> Plain<Bound<'py, PyDict>> {
        let py = given.py();
        if !given.get_type().is(&self.of.attributes) || given.getattr(intern!(py, "dropped"))?.extract::<u64>()? != 0 {
            return Err(Odd);
        }
        let held = given.getattr(intern!(py, "_dict"))?;
        let copied = held.cast_exact::<PyDict>().map_err(|_| Odd)?.copy()?;
        for (key, value) in copied.iter() {
            let is_plain = key.is_exact_instance_of::<PyString>() && is_plain(&value);
            if !is_plain {
                return Err(Odd);
            }
        }
        Ok(copied)
    }

    fn check_empty(&self, parts: &Bound<'_, PyAny>) -> Plain<()> {
        let py = parts.py();
        let is_empty = parts.get_type().is(&self.of.list)
            && parts.getattr(intern!(py, "dropped"))?.extract::<u64>()? == 0
            && parts.getattr(intern!(py, "_dq"))?.len()? == 0;
        if is_empty { Ok(()) } else { Err(Odd) }
    }
}

fn is_plain(value: &Bound<'_, PyAny>) -> bool {
    if let Ok(text) = value.cast_exact::<PyString>() {
        return text.to_str().is_ok();
    }
    if let Ok(number) = value.cast_exact::<PyFloat>() {
        return number.value().is_finite();
    }
    if let Ok(items) = value.cast_exact::<PyTuple>() {
        return items.iter().all(|item| ascii(item).is_ok());
    }
    value.is_none()
        || value.is_exact_instance_of::<PyBool>()
        || (value.is_exact_instance_of::<PyInt>() && value.extract::<i64>().is_ok())
}

fn ascii(value: Bound<'_, PyAny>) -> Plain<Bound<'_, PyAny>> {
    let is_ascii = value.cast_exact::<PyString>().map_err(|_| Odd)?.to_str()?.is_ascii();
    if is_ascii { Ok(value) } else { Err(Odd) }
}

/// Returns a time of a span, in nanoseconds since 1970.
fn time_of<'py>(span: &Bound<'py, PyAny>, name: &Bound<'py, PyString>) -> Plain<Bound<'py, PyAny>> {
    let time = span.getattr(name)?;
    if time.is_exact_instance_of::<PyInt>() && time.extract::<i64>()? >= 0 { Ok(time) } else { Err(Odd) }
}

/// Returns an id in hex digits.
fn hex(id: &Bound<'_, PyAny>, digits: usize) -> Plain<String> {
    if !id.is_exact_instance_of::<PyInt>() {
        return Err(Odd);
    }
    let number = if digits == 16 { id.extract::<u64>()?.into() } else { id.extract::<u128>()? };
    Ok(format!("{number:0digits$x}"))
}

/// Returns the number of a member of an enumeration.
fn number_of<'py>(member: &Bound<'py, PyAny>, of: &Py<PyType>) -> Plain<Bound<'py, PyAny>> {
    if member.get_type().is(of) { Ok(member.getattr(intern!(member.py(), "_value_"))?) } else { Err(Odd) }
}
