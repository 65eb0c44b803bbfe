//! What the readers are told and whom they ask, in Python's stead.

use std::cell::RefCell;
use std::convert::Infallible;
use std::sync::LazyLock;

use crate::derived::{Authority, Shown, Step};
use crate::run::Answer;
use crate::words::Words;

/// The words that the package gives to the core: tests hold the file to them.
pub static WORDS: LazyLock<Words> =
    LazyLock::new(|| serde_json::from_str(include_str!("../words.json")).expect("words.json has what the core reads"));

/// What stands behind the list of calls.
pub const TAIL: &[u8] = b",\n  \"run_id\": \"r\",\n  \"schema\": \"runbundle/tool_calls/v1\"\n}\n";

/// Returns what is said of every receipt.
pub fn answer() -> Answer {
    Answer(2, b"[]".to_vec(), b"[]".to_vec())
}

/// Answers whatever a reader asks, so that it goes on, and keeps what it is shown.
#[derive(Default)]
pub struct Yes {
    /// The lines of spans that Python has to derive.
    pub rare: RefCell<Vec<String>>,
    /// For how many spans those that were shown stand.
    pub spans: RefCell<u64>,
    pub logs: RefCell<u64>,
}

impl Authority for Yes {
    type Raised = Infallible;

    fn log(&self, _: &str, _: u64) -> Step<(), Infallible> {
        *self.logs.borrow_mut() += 1;
        Ok(())
    }

    fn receipt(&self, _: &str) -> Step<Option<Answer>, Infallible> {
        Ok(Some(answer()))
    }

    fn withheld(&self, _: &str) -> Step<bool, Infallible> {
        Ok(true)
    }

    fn span<'l>(&self, lines: impl Iterator<Item = &'l str>, shown: Shown<'_>) -> Step<Option<Vec<u8>>, Infallible> {
        *self.spans.borrow_mut() += shown.times;
        let lines: Vec<String> = lines.map(str::to_string).collect();
        assert!(lines.len() >= 2, "a span has a beginning and an end");
        let is_call = lines[0].contains(",\"op\":\"tool\",");
        if shown.rare {
            self.rare.borrow_mut().extend(lines);
        }
        Ok((shown.rare && is_call).then(|| b"{\n      \"agent\": null,\n    }".to_vec()))
    }
}
