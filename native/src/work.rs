//! What is at hand while one record is redacted.

use std::sync::Arc;

use memchr::memmem::Finder;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::digest::Digester;
use crate::json::{Json, MAX_DEPTH, put_sorted};
use crate::judge::{Answer, Judge, Stop, Tenant};
use crate::notes::Notes;
use crate::plan::Plan;
use crate::taint::{Mirrors, Taint};

pub struct Core {
    pub plan: Plan,
    pub judge: Judge,
    pub mirrors: Mirrors,
    pub marker: Finder<'static>,
    pub role: Finder<'static>,
    pub tool_call: Finder<'static>,
}

pub struct Work<'c, 'py> {
    pub core: &'c Core,
    pub py: Python<'py>,
    pub tenant_id: &'c str,
    pub run_id: &'c str,
    pub tenant: Arc<Tenant>,
    pub tool: String,
    pub notes: Notes,
    /// Texts that are kept if they stay: asked for together when all else is done.
    pub unjudged: Vec<Box<str>>,
    /// What the span's name may follow from: keys and values, with a NUL behind each.
    pub named: Vec<u8>,
    pub table: Bound<'py, PyAny>,
    /// A copy of the table, from when it is first needed.
    pub taint: Option<Taint>,
}

impl Work<'_, '_> {
    pub fn digester(&self) -> &Digester {
        &self.tenant.digester
    }

    pub fn open_taint(&mut self) -> Answer<()> {
        if self.taint.is_none() {
            self.taint = Some(self.core.mirrors.take(self.tenant_id, self.run_id, &self.table)?);
        }
        Ok(())
    }

    /// Counts the values that the table has forgotten since the last receipt, then refuses a view that holds one.
    pub fn scrub(&mut self, view: &Json<'_>) -> Answer<()> {
        let Some(taint) = &mut self.taint else { return Err(Stop::NotMine) };
        if taint.forgotten != 0 {
            self.notes.count_forgotten(std::mem::take(&mut taint.forgotten));
        }
        taint.search(view)
    }

    /// Refuses a text that may hold a marker: it is counted as foreign, or kept.
    pub fn unmarked(&self, text: &str) -> Answer<()> {
        if self.core.marker.find(text.as_bytes()).is_some() { Err(Stop::NotMine) } else { Ok(()) }
    }

    /// Reads an attribute's value; what may hold a marker is left to Python.
    pub fn value<'a>(&self, given: &'a Bound<'_, PyAny>) -> Answer<Json<'a>> {
        let value = json_of(given, 0, &mut Vec::new())?;
        match &value {
            Json::Text(text) => self.unmarked(text)?,
            Json::List(items) => {
                for item in items {
                    if let Json::Text(text) = item {
                        self.unmarked(text)?;
                    }
                }
            }
            _ => (),
        }
        Ok(value)
    }
}

pub fn text_of<'a>(value: &'a Bound<'_, PyAny>) -> Answer<&'a str> {
    Ok(value.cast_exact::<PyString>().map_err(|_| Stop::NotMine)?.to_str()?)
}

/// Returns the bytes of a value for a digest.
pub fn bytes_of(value: &Json<'_>) -> Vec<u8> {
    if let Json::Text(text) = value {
        return text.as_bytes().to_vec();
    }
    let mut data = Vec::with_capacity(256);
    put_sorted(&mut data, value);
    data
}

/// Reads a value of the types that JSON has. One that holds the same part twice is left to Python.
fn json_of<'a>(given: &'a Bound<'_, PyAny>, depth: usize, parts: &mut Vec<usize>) -> Answer<Json<'a>> {
    if let Ok(text) = given.cast_exact::<PyString>() {
        return Ok(Json::Text(text.to_str()?.into()));
    }
    if given.is_none() {
        return Ok(Json::Null);
    }
    if given.is_exact_instance_of::<PyInt>() {
        return Ok(Json::Int(given.extract::<i64>()?.to_string().into()));
    }
    if let Ok(flag) = given.cast_exact::<PyBool>() {
        return Ok(Json::Bool(flag.is_true()));
    }
    if let Ok(number) = given.cast_exact::<PyFloat>() {
        return if number.value().is_finite() { Ok(Json::Float(number.value())) } else { Err(Stop::NotMine) };
    }
    let place = given.as_ptr() as usize;
    if depth > MAX_DEPTH || parts.len() > 1000 || parts.contains(&place) {
        return Err(Stop::NotMine);
    }
    parts.push(place);
    let mut inner = |item: Bound<'_, PyAny>| Ok(json_of(&item, depth + 1, parts)?.owned());
    if let Ok(items) = given.cast_exact::<PyList>() {
        return Ok(Json::List(items.iter().map(inner).collect::<Answer<_>>()?));
    }
    if let Ok(items) = given.cast_exact::<PyTuple>() {
        return Ok(Json::List(items.iter().map(inner).collect::<Answer<_>>()?));
    }
    let fields = given.cast_exact::<PyDict>().map_err(|_| Stop::NotMine)?.iter();
    let fields = fields.map(|(key, item)| Ok((text_of(&key)?.to_owned().into(), inner(item)?)));
    Ok(Json::Map(fields.collect::<Answer<_>>()?))
}

/// Tells whether a value is made of the types that JSON has alone, without NaN, with keys of which no two read the same.
/// False for what is nested deeply, too.
pub fn is_plain(value: &Bound<'_, PyAny>, depth: usize) -> bool {
    if value.is_exact_instance_of::<PyString>() || value.is_none() || value.is_exact_instance_of::<PyInt>() {
        return true;
    }
    if let Ok(number) = value.cast_exact::<PyFloat>() {
        return number.value().is_finite();
    }
    if depth == 0 {
        return false;
    }
    if let Ok(fields) = value.cast_exact::<PyDict>() {
        let are_texts = fields.iter().all(|(key, _)| key.is_exact_instance_of::<PyString>());
        return (are_texts || fields.iter().all(|(key, _)| key.is_exact_instance_of::<PyInt>()))
            && fields.iter().all(|(_, item)| is_plain(&item, depth - 1));
    }
    if let Ok(items) = value.cast_exact::<PyList>() {
        return items.iter().all(|item| is_plain(&item, depth - 1));
    }
    if let Ok(items) = value.cast_exact::<PyTuple>() {
        return items.iter().all(|item| is_plain(&item, depth - 1));
    }
    value.is_exact_instance_of::<PyBool>()
}
