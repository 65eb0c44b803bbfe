//! The policy as plain data, as `core/native.py` gives it.

use foldhash::HashMap;
use pyo3::prelude::*;

use crate::rules::Rules;

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Handling {
    Name,
    Id,
    /// The id of a run or a tenant: judged with its key.
    Run,
    Number,
    Content,
    Messages,
    Arguments,
    Result,
    Outcome,
    Config,
    Own,
    /// The place of an effect: its lane is judged without its number.
    Effect,
    Flag,
    Error,
    Stack,
    User,
    FreeId,
    Python,
}

impl<'py> FromPyObject<'_, 'py> for Handling {
    type Error = PyErr;

    /// A word that is not known here is left to Python.
    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let word: String = given.extract()?;
        Ok(match word.as_str() {
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
            "own" => Handling::Own,
            "effect" => Handling::Effect,
            "flag" => Handling::Flag,
            "error" => Handling::Error,
            "stack" => Handling::Stack,
            "user" => Handling::User,
            "free_id" => Handling::FreeId,
            _ => Handling::Python,
        })
    }
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Key {
    pub handling: Handling,
    /// The most characters of a name under it.
    pub chars: usize,
    /// Its place among the keys that a span's name may follow from.
    pub in_name: Option<usize>,
}

/// A payload: how it is called, and the keys that it has.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Payload {
    pub kind: String,
    pub key: String,
    pub digest_key: String,
    pub bytes_key: String,
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Plan {
    pub keys: HashMap<String, Key>,
    pub inputs: HashMap<String, Rules>,
    pub outputs: HashMap<String, Rules>,
    pub errors: HashMap<String, Rules>,
    pub result: Rules,
    /// By tool: the attributes that name its contract.
    pub stamps: HashMap<String, Vec<(String, String)>>,
    pub user_id: String,
    pub has_safe_keys: bool,
    pub arguments: Payload,
    pub results: Payload,
    /// Keys that the redactor reads or writes itself.
    pub tool_name: String,
    pub output_messages: String,
    pub dialect: String,
    pub messages: String,
    pub name_digest: String,
    pub receipt: String,
    pub hidden: String,
    pub name_keys: Vec<String>,
    pub blanks: usize,
    /// The texts of which no part is a value that tells anything.
    pub own_words: Vec<String>,
    pub label_names: Vec<String>,
    pub label_values: Vec<String>,
    pub id_keys: Vec<String>,
    pub payload_keys: Vec<String>,
    pub roles: Vec<String>,
    pub role_types: HashMap<String, String>,
    pub max_payload_bytes: usize,
    pub max_opened_bytes: usize,
    pub max_described: usize,
    pub long_number: i64,
    pub table_values: usize,
    pub table_opened: usize,
}
