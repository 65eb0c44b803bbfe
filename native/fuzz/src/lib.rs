//! The readers of the native core without Python, and the laws that hold of whatever bytes they read.
//!
//! The modules are those of the wheel. Whom they ask is made up here: see `asked`. What Python would say of a line is
//! written anew in `oracle`, on the values of another reader of JSON: what the core accepts, Python has to accept.

#![forbid(unsafe_code)]

#[path = "../../src/calls.rs"]
pub mod calls;
#[path = "../../src/derived.rs"]
pub mod derived;
#[path = "../../src/digest.rs"]
pub mod digest;
#[path = "../../src/facts.rs"]
pub mod facts;
#[path = "../../src/journal.rs"]
pub mod journal;
#[path = "../../src/json.rs"]
pub mod json;
#[path = "../../src/kin.rs"]
pub mod kin;
#[path = "../../src/notes.rs"]
pub mod notes;
#[path = "../../src/run.rs"]
pub mod run;
#[path = "../../src/timeline.rs"]
pub mod timeline;
#[path = "../../src/words.rs"]
pub mod words;

pub mod asked;
pub mod oracle;
pub mod laws {
    //! What each target asserts.
    pub mod bundle;
    pub mod journal;
    pub mod json;
    pub mod seal;
}
