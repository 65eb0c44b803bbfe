//! The words of the package that the core needs to make a bundle or to check one, as plain data. No module that uses them
//! needs an interpreter: the fuzz targets are built of those modules alone, and read the words from JSON.

use foldhash::HashMap;

use crate::journal::Beginning;

/// Bits of a key: its value is a text or the run is Python's; it is a whole number; it is a value of the agent's, which
/// was captured whole; the span is shown to Python by itself; the span is made by Python.
pub const KEY_TEXT: u8 = 1;
pub const KEY_WHOLE: u8 = 2;
pub const KEY_VALUE: u8 = 4;
pub const KEY_ALONE: u8 = 8;
pub const KEY_PYTHON: u8 = 16;
/// Its value is withheld whatever the policy: a sealed bundle has a marker there.
pub const KEY_MARKED: u8 = 32;

/// A payload: how it is called, and the keys that it has.
#[cfg_attr(not(fuzzing), derive(pyo3::FromPyObject), pyo3(from_item_all))]
#[cfg_attr(fuzzing, derive(serde::Deserialize))]
pub struct Payload {
    pub kind: String,
    pub key: String,
    pub digest_key: String,
    pub bytes_key: String,
}

#[cfg_attr(not(fuzzing), derive(pyo3::FromPyObject), pyo3(from_item_all))]
#[cfg_attr(fuzzing, derive(serde::Deserialize))]
pub struct Words {
    pub bits: HashMap<String, u8>,
    /// Keys by whose values spans are told apart for the totals.
    pub alike: Vec<String>,
    pub operations: HashMap<String, String>,
    pub same_count: HashMap<String, String>,
    pub event_types: HashMap<String, String>,
    pub stated: Vec<String>,
    pub joined_words: Vec<String>,
    pub side_effects_words: Vec<String>,
    pub decisions: Vec<String>,
    pub classes: Vec<String>,
    pub roles: Vec<String>,
    pub operation: String,
    pub embeddings: String,
    pub usage: String,
    pub tool_name: String,
    pub request_model: String,
    pub response_model: String,
    pub input_tokens: String,
    pub output_tokens: String,
    pub agent_name: String,
    pub call_id: String,
    pub response_id: String,
    pub mcp_request_id: String,
    pub error_type: String,
    pub exception: String,
    pub exception_type: String,
    pub exception_message: String,
    pub exception_stacktrace: String,
    pub op: String,
    pub dialect: String,
    pub implicit: String,
    pub tenant_id: String,
    pub spans_started: String,
    pub status: String,
    pub lane: String,
    pub effect: String,
    pub joined: String,
    pub contract_version: String,
    pub contract_sha256: String,
    pub side_effects: String,
    pub attempt: String,
    pub evidence: String,
    pub child: String,
    pub decision: String,
    pub policy_decision: String,
    pub policy_rule: String,
    pub policy_reason: String,
    pub receipt: String,
    pub coerced: String,
    pub arguments: Payload,
    pub results: Payload,
}

impl Words {
    pub fn beginning(&self) -> Beginning<'_> {
        Beginning {
            op: &self.op,
            dialect: &self.dialect,
            implicit: &self.implicit,
            tenant_id: &self.tenant_id,
            spans_started: &self.spans_started,
        }
    }
}
