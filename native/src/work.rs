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
use crate::taint::Taint;

pub struct Core {
    pub plan: Plan,
    pub judge: Judge,
    pub marker: Finder<'static>,
    pub role: Finder<'static>,
    pub tool_call: Finder<'static>,
}

impl Core {
    /// Refuses a text that may hold a marker: it is counted as foreign, or kept.
    pub fn unmarked(&self, text: &str) -> Answer<()> {
        if self.marker.find(text.as_bytes()).is_some() { Err(Stop::NotMine) } else { Ok(()) }
    }

    /// Refuses a number that is a known secret.
    pub fn unknown_number(&self, py: Python<'_>, number: &Bound<'_, PyAny>) -> Answer<()> {
        let is_known: bool = self.judge.other(py, "known_number")?.call1((number,))?.extract()?;
        if is_known { Err(Stop::NotMine) } else { Ok(()) }
    }
}

pub struct Work<'c, 'py> {
    pub core: &'c Core,
    pub py: Python<'py>,
    pub tenant: Arc<Tenant>,
    pub tool: String,
    pub notes: Notes,
    pub table: Bound<'py, PyAny>,
    /// A copy of the table, from when it is first needed.
    pub taint: Option<Taint>,
}

impl Work<'_, '_> {
    pub fn digester(&self) -> &Digester {
        &self.tenant.digester
    }

    /// Counts the values that the table has forgotten since the last receipt, then refuses a view that holds one.
    pub fn scrub(&mut self, view: &Json<'_>) -> Answer<()> {
        let Some(taint) = &mut self.taint else { return Err(Stop::NotMine) };
        if taint.forgotten != 0 {
            self.notes.count_forgotten(taint.forgotten);
            taint.forgotten = 0;
        }
        taint.search(view)
    }
}

/// A value of an attribute.
pub enum Value<'a> {
    Text(&'a str),
    Int(i64),
    Float(f64),
    Bool(bool),
    None,
    /// A list, a tuple or a mapping, and whether it is a mapping.
    Parts(Json<'static>),
}

impl Value<'_> {
    /// Returns the bytes of a value for a digest.
    pub fn bytes<T>(&self, with: impl FnOnce(&[u8]) -> T) -> T {
        let mut made = Vec::new();
        match self {
            Value::Text(text) => return with(text.as_bytes()),
            Value::Int(number) => put_sorted(&mut made, &Json::Int(number.to_string().into())),
            Value::Float(number) => put_sorted(&mut made, &Json::Float(*number)),
            Value::Bool(flag) => put_sorted(&mut made, &Json::Bool(*flag)),
            Value::None => put_sorted(&mut made, &Json::Null),
            Value::Parts(parts) => put_sorted(&mut made, parts),
        }
        with(&made)
    }
}

/// Reads an attribute's value; other types than those that JSON has are left to Python.
pub fn value_of<'a>(core: &Core, given: &'a Bound<'_, PyAny>) -> Answer<Value<'a>> {
    if let Ok(text) = given.cast_exact::<PyString>() {
        let text = text.to_str()?;
        core.unmarked(text)?;
        return Ok(Value::Text(text));
    }
    if given.is_none() {
        return Ok(Value::None);
    }
    if let Ok(flag) = given.cast_exact::<PyBool>() {
        return Ok(Value::Bool(flag.is_true()));
    }
    if given.is_exact_instance_of::<PyInt>() {
        return Ok(Value::Int(given.extract()?));
    }
    if let Ok(number) = given.cast_exact::<PyFloat>() {
        let number = number.value();
        return if number.is_finite() { Ok(Value::Float(number)) } else { Err(Stop::NotMine) };
    }
    let parts = json_of(given, 0, &mut Vec::new())?;
    if let Json::List(items) = &parts {
        for item in items {
            if let Json::Text(text) = item {
                core.unmarked(text)?;
            }
        }
    }
    Ok(Value::Parts(parts))
}

/// Copies a value; one that holds the same part twice is left to Python.
fn json_of(given: &Bound<'_, PyAny>, depth: usize, parts: &mut Vec<usize>) -> Answer<Json<'static>> {
    if depth > MAX_DEPTH || parts.len() > 1000 {
        return Err(Stop::NotMine);
    }
    if let Ok(text) = given.cast_exact::<PyString>() {
        return Ok(Json::Text(text.to_str()?.to_owned().into()));
    }
    if given.is_none() {
        return Ok(Json::Null);
    }
    if let Ok(flag) = given.cast_exact::<PyBool>() {
        return Ok(Json::Bool(flag.is_true()));
    }
    if given.is_exact_instance_of::<PyInt>() {
        let number: i64 = given.extract()?;
        return Ok(Json::Int(number.to_string().into()));
    }
    if let Ok(number) = given.cast_exact::<PyFloat>() {
        let number = number.value();
        return if number.is_finite() { Ok(Json::Float(number)) } else { Err(Stop::NotMine) };
    }
    let place = given.as_ptr() as usize;
    if parts.contains(&place) {
        return Err(Stop::NotMine);
    }
    parts.push(place);
    if let Ok(items) = given.cast_exact::<PyList>() {
        return Ok(Json::List(items.iter().map(|item| json_of(&item, depth + 1, parts)).collect::<Answer<_>>()?));
    }
    if let Ok(items) = given.cast_exact::<PyTuple>() {
        return Ok(Json::List(items.iter().map(|item| json_of(&item, depth + 1, parts)).collect::<Answer<_>>()?));
    }
    let Ok(fields) = given.cast_exact::<PyDict>() else { return Err(Stop::NotMine) };
    let mut found = Vec::with_capacity(fields.len());
    for (key, item) in fields.iter() {
        let Ok(key) = key.cast_exact::<PyString>() else { return Err(Stop::NotMine) };
        found.push((key.to_str()?.to_owned().into(), json_of(&item, depth + 1, parts)?));
    }
    Ok(Json::Map(found))
}
