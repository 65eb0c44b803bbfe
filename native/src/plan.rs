//! The policy as plain data, as `core/native.py` gives it.

use foldhash::HashMap;
use pyo3::prelude::*;

use crate::rules::Rules;
use crate::words::Payload;

#[derive(Clone, Copy, PartialEq)]
pub enum Handling {
    Name,
    Id,
    /// What names a run or a tenant.
    Run,
    Number,
    Content,
    Messages,
    Arguments,
    Result,
    Outcome,
    Config,
    Effect,
    Error,
    /// Python is asked for the attribute.
    Asked,
    /// Python makes the whole line.
    Python,
}

impl<'py> FromPyObject<'_, 'py> for Handling {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Ok(match given.extract::<String>()?.as_str() {
            "name" => Handling::Name,
            "id" => Handling::Id,
            "run" => Handling::Run,
            "number" => Handling::Number,
            "content" => Handling::Content,
            "messages" => Handling::Messages,
            "arguments" => Handling::Arguments,
            "result" => Handling::Result,
            "outcome" => Handling::Outcome,
            "config" => Handling::Config,
            "effect" => Handling::Effect,
            "error" => Handling::Error,
            "asked" => Handling::Asked,
            _ => Handling::Python,
        })
    }
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Key {
    pub handling: Handling,
    /// The most characters of a name or an id under it.
    pub chars: usize,
    /// Whether a span's name may follow from it.
    pub in_name: bool,
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Plan {
    pub keys: HashMap<String, Key>,
    pub inputs: HashMap<String, Rules>,
    pub outputs: HashMap<String, Rules>,
    pub errors: HashMap<String, Rules>,
    pub outcome: Rules,
    /// By tool: the attributes that name its contract.
    pub stamps: HashMap<String, Vec<(String, String)>>,
    pub has_safe_keys: bool,
    pub arguments: Payload,
    pub results: Payload,
    /// Keys that the redactor reads or writes itself.
    pub tool_name: String,
    pub output_messages: String,
    pub dialect: String,
    pub messages: String,
    pub receipt: String,
    pub hidden: String,
    pub blanks: usize,
    /// Texts of which no part is a value that tells anything.
    pub own_words: Vec<String>,
    pub label_names: Vec<String>,
    pub label_values: Vec<String>,
    pub id_keys: Vec<String>,
    pub payload_keys: Vec<String>,
    pub roles: Vec<String>,
    pub role_types: HashMap<String, String>,
    pub max_payload_bytes: usize,
    pub max_described: usize,
    pub table_values: usize,
    pub table_opened: usize,
}
