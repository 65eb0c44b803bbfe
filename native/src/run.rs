//! The spans of a run, read from its journals: what each says of itself, what follows for it from the others, and which of
//! them stand for others that are alike.

use std::collections::BTreeMap;

use foldhash::{HashMap, HashMapExt};

use crate::calls;
use crate::journal::{Entries, Ids, Mine, Span};
use crate::json::{Json, put_sorted};
use crate::kin::{self, NONE};
use crate::words::{KEY_ALONE, KEY_PYTHON, KEY_TEXT, KEY_VALUE, KEY_WHOLE, Words};

#[derive(Clone, Copy, PartialEq)]
pub enum Op {
    Run,
    Agent,
    Step,
    Tool,
    Model,
    Retrieval,
    Other,
}

const OPS: [(Op, &str, u8); 7] = [
    (Op::Run, "run", Facts::BOUNDARY),
    (Op::Agent, "agent", Facts::BOUNDARY),
    (Op::Step, "step", 1),
    (Op::Tool, "tool", Facts::TOOL),
    (Op::Model, "model", Facts::MODEL),
    (Op::Retrieval, "retrieval", 2),
    (Op::Other, "other", Facts::OTHER),
];

impl Op {
    pub fn word(self) -> &'static str {
        OPS[self as usize].1
    }
}

/// What a span says of itself.
pub struct Facts {
    pub op: Op,
    /// As `acts.py` numbers kinds, with its mark for a status that says something.
    pub act: u8,
    pub status: &'static str,
    /// Whether the run begins with it; whether it says that it is the run.
    pub begins: bool,
    pub claims: bool,
    pub is_odd: bool,
    pub alone: bool,
    /// Its captured values that are whole.
    whole: u64,
}

impl Facts {
    pub const OTHER: u8 = 0;
    pub const BOUNDARY: u8 = 3;
    pub const TOOL: u8 = 4;
    pub const MODEL: u8 = 5;
    pub const EMBEDDINGS: u8 = 6;
    const SAYS: u8 = 16;

    pub fn kind(&self) -> u8 {
        self.act & 7
    }

    pub fn has_failed(&self) -> bool {
        matches!(self.status, "error" | "blocked" | "cancelled")
    }

    pub fn new(span: &Span<'_>, words: &Words) -> Mine<Facts> {
        let said = &span.attributes;
        let stated = said.text(&words.status).filter(|text| words.stated.iter().any(|word| word == text));
        let status = match (stated, span.status_code.as_ref()) {
            (Some(text), _) => ["blocked", "cancelled", "abandoned", "waiting"]
                .into_iter()
                .find(|word| *word == text)
                .ok_or("a status is not known")?,
            (None, "1") => "ok",
            (None, "2") => "error",
            _ => "unset",
        };
        let named = said.text(&words.operation);
        let word = match said.text(&words.op) {
            Some(word @ ("run" | "step")) => word,
            _ => named.and_then(|name| words.operations.get(name)).map_or("other", String::as_str),
        };
        let &(op, _, kind) = OPS.iter().find(|op| op.1 == word).ok_or("an operation is not known")?;
        let is_embeddings = op == Op::Model && named == Some(&words.embeddings);
        let kind = if is_embeddings { Facts::EMBEDDINGS } else { kind };
        let claims = op == Op::Run && said.get(&words.dialect).is_none();
        let begins = claims || matches!(said.get(&words.implicit), Some(Json::Bool(true)));
        let act = if status == "unset" { kind } else { kind | Facts::SAYS };
        let is_odd = op == Op::Retrieval || span.events.windows(2).any(|pair| pair[0].time_ns > pair[1].time_ns);
        let is_odd = is_odd || span.is_cut;
        let mut facts = Facts { op, act, status, begins, claims, is_odd, alone: false, whole: 0 };
        facts.weigh(&span.attributes.fields, words)?;
        for event in &span.events {
            facts.weigh(&event.attributes.fields, words)?;
            facts.is_odd |= event.name == words.evidence;
            facts.alone |= event.name == words.child;
        }
        facts.is_odd |= [&words.arguments.key, &words.results.key].iter().any(|key| {
            said.text(key).is_some_and(|text| text.starts_with("[REDACTED:") && calls::marker(text, words).is_none())
        });
        Ok(facts)
    }

    fn weigh(&mut self, attributes: &[(std::borrow::Cow<'_, str>, Json<'_>)], words: &Words) -> Mine<()> {
        for (key, value) in attributes {
            let Some(bits) = words.bits.get(key.as_ref()) else { continue };
            if bits & KEY_TEXT != 0 && !matches!(value, Json::Text(_)) {
                return Err("a value that is read as text is none");
            }
            if bits & KEY_WHOLE != 0 && !matches!(value, Json::Int(text) if text.parse::<i64>().is_ok()) {
                return Err("a value that is read as a number is none");
            }
            self.whole += u64::from(bits & KEY_VALUE != 0);
            self.alone |= bits & KEY_ALONE != 0;
            self.is_odd |= bits & KEY_PYTHON != 0;
        }
        Ok(())
    }
}

/// The spans of a run, in the order of their ids, and what is known of each.
pub struct Run<'a> {
    pub words: &'a Words,
    pub spans: Vec<Span<'a>>,
    pub facts: Vec<Facts>,
    pub parents: Vec<u32>,
    pub agents: Vec<u32>,
    pub origins: Vec<u32>,
    /// Whether two spans may tell of one call.
    pub told_twice: bool,
    /// By row: which of the spans that are shown to Python stands for it.
    shown_as: Vec<u32>,
    pub answers: Vec<Answer>,
}

/// A span that is shown to Python, and the number of spans for which it stands.
pub struct Shown {
    pub row: u32,
    pub times: u64,
}

/// What Python says of a receipt: its count, and the notes on arguments and result as they are written.
#[cfg_attr(not(fuzzing), derive(pyo3::FromPyObject))]
pub struct Answer(pub u64, pub Vec<u8>, pub Vec<u8>);

/// What the spans of a run add up to.
#[derive(Default)]
pub struct Sums {
    pub usage: [BTreeMap<String, i128>; 3],
    pub kinds: [u64; 8],
    /// Start of the last work that ended in no error.
    pub good_ns: Option<u64>,
    pub whole: u64,
    pub first_ns: Option<u64>,
    pub last_ns: u64,
}

impl Sums {
    pub fn add(&mut self, span: &Span<'_>, facts: &Facts, words: &Words) -> Mine<()> {
        self.kinds[usize::from(facts.kind())] += 1;
        self.first_ns = Some(self.first_ns.map_or(span.start_ns, |first| first.min(span.start_ns)));
        self.last_ns = self.last_ns.max(span.end_ns);
        let is_work = matches!(facts.op, Op::Agent | Op::Model | Op::Tool | Op::Retrieval);
        if is_work && matches!(facts.status, "ok" | "unset") {
            self.good_ns = self.good_ns.max(Some(span.start_ns));
        }
        self.whole += if facts.is_odd { 0 } else { facts.whole };
        kin::add_usage(span, facts.op, words, &mut self.usage)
    }
}

/// Writes what spans within a run share that are alike: see `ALIKE` in `bundle/assembly/tally.py`.
pub fn put_alike(key: &mut Vec<u8>, span: &Span<'_>, facts: &Facts, words: &Words) {
    key.extend_from_slice(facts.op.word().as_bytes());
    key.extend_from_slice(facts.status.as_bytes());
    for name in &words.alike {
        key.push(0);
        if let Some(value) = span.attributes.get(name) {
            put_sorted(key, value);
        }
    }
    if facts.op == Op::Other {
        for (name, _) in &span.attributes.fields {
            key.push(1);
            key.extend_from_slice(name.as_bytes());
        }
    }
    for text in &span.scope {
        key.push(2);
        key.extend_from_slice(text.as_bytes());
    }
}

/// A span, and what follows for it from the spans around it.
pub struct Of<'a> {
    pub words: &'a Words,
    pub span: &'a Span<'a>,
    pub facts: &'a Facts,
    pub parent_here: bool,
    /// The agent for which it works; only the entries of calls say it.
    pub agent: Option<&'a str>,
    /// The id of the span in which its error began; none if in itself.
    pub began: &'a str,
    pub answer: &'a Answer,
}

impl Of<'_> {
    /// Tells whether a key holds a value of the agent's.
    pub fn is_value(&self, key: &str) -> bool {
        self.words.bits.get(key).is_some_and(|bits| bits & KEY_VALUE != 0)
    }

    /// Returns the error with which the span ended, if it did: names and texts, of which one that is empty is not said.
    pub fn error(&self) -> Option<[(&'static str, &str); 3]> {
        if !self.facts.has_failed() {
            return None;
        }
        let (span, words) = (self.span, self.words);
        let last = span.events.iter().rev().find(|event| event.name == words.exception);
        let of_last = |key: &str| last.and_then(|event| event.attributes.text(key));
        let kind = span.attributes.text(&words.error_type).or_else(|| of_last(&words.exception_type));
        let message = of_last(&words.exception_message).unwrap_or(&span.status_message);
        Some([("message", message), ("span_id", self.began), ("type", kind.unwrap_or("error"))])
    }

    /// Tells whether its parent was in the same process but is not in the run.
    pub fn parent_missing(&self) -> bool {
        let here = self.parent_here || self.span.remote_parent || self.facts.begins;
        !self.span.parent_id.is_empty() && !here
    }
}

impl<'a> Run<'a> {
    /// Reads journals; returns what they hold, the run, and the spans of it that are shown to Python.
    pub fn read(files: &[&'a [u8]], words: &'a Words) -> Mine<(Entries<'a>, Run<'a>, Vec<Shown>)> {
        let keys = words.beginning();
        let mut entries = Entries::default();
        for file in files {
            entries.read(file, &keys)?;
        }
        let mut spans = std::mem::take(&mut entries.spans);
        spans.sort_unstable_by_key(|span| span.ids);
        if spans.windows(2).any(|pair| pair[0].ids == pair[1].ids) {
            return Err("a span has two ends");
        }
        let is_open = |ids: &Ids| spans.binary_search_by(|span| span.ids.cmp(ids)).is_err();
        if spans.is_empty() || entries.starts.iter().any(is_open) {
            return Err("a span is open");
        }
        let facts = spans.iter().map(|span| Facts::new(span, words)).collect::<Mine<Vec<_>>>()?;
        let parents = kin::parents(&spans)?;
        let told_twice = kin::may_be_told_twice(&spans, &parents, &facts, words);
        let agents = kin::agents(&spans, &parents, words)?;
        let origins = kin::origins(&spans, &parents, &facts, words)?;
        let (shown_as, answers) = Default::default();
        let mut run = Run { words, spans, facts, parents, agents, origins, told_twice, shown_as, answers };
        let shown = run.show();
        Ok((entries, run, shown))
    }

    pub fn agent(&self, row: usize) -> Option<&str> {
        self.spans.get(self.agents[row] as usize).and_then(|span| span.attributes.text(&self.words.agent_name))
    }

    /// Returns a span and what follows for it from the others, but for its agent. Python was asked before.
    pub fn of(&self, row: usize) -> Of<'_> {
        Of {
            words: self.words,
            span: &self.spans[row],
            facts: &self.facts[row],
            parent_here: self.parents[row] != NONE,
            agent: None,
            began: self.began(row),
            answer: &self.answers[self.shown_as[row] as usize],
        }
    }

    /// Returns the id of the span in which the error of a span began; none if it began in that span.
    pub fn began(&self, row: usize) -> &str {
        let origin = self.origins[row] as usize;
        if origin == row { "" } else { self.spans[origin].span_id }
    }

    /// Whether agents are shown, too: no span says that it is the run, or not that it was begun as one.
    pub fn shows_agents(&self) -> bool {
        !self.spans.iter().zip(&self.facts).any(|(span, facts)| {
            facts.claims && !matches!(span.attributes.get(&self.words.implicit), Some(Json::Bool(true)))
        })
    }

    /// Groups the spans: of each group the first in canonical order is shown.
    fn show(&mut self) -> Vec<Shown> {
        let mut shown: Vec<Shown> = Vec::new();
        let mut groups: HashMap<Vec<u8>, u32> = HashMap::new();
        let mut key = Vec::new();
        let shows_agents = self.shows_agents();
        let order = |span: &Span<'_>| (span.start_ns, span.ids);
        for row in 0..self.spans.len() {
            let (span, facts) = (&self.spans[row], &self.facts[row]);
            let is_root = facts.claims || self.parents[row] == NONE;
            let is_call = matches!(facts.kind(), Facts::TOOL | Facts::MODEL | Facts::EMBEDDINGS);
            let tells = self.told_twice && (is_call || kin::says_usage(span, self.words));
            if facts.is_odd || facts.alone || is_root || tells || (shows_agents && facts.op == Op::Agent) {
                self.shown_as.push(shown.len() as u32);
                shown.push(Shown { row: row as u32, times: 1 });
                continue;
            }
            key.clear();
            put_alike(&mut key, span, facts, self.words);
            if let Some(&place) = groups.get(&key) {
                let group = &mut shown[place as usize];
                group.times += 1;
                if order(span) < order(&self.spans[group.row as usize]) {
                    group.row = row as u32;
                }
                self.shown_as.push(place);
            } else {
                groups.insert(key.clone(), shown.len() as u32);
                self.shown_as.push(shown.len() as u32);
                shown.push(Shown { row: row as u32, times: 1 });
            }
        }
        shown
    }
}
