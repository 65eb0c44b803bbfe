//! What searches need of a bundle and run.json has not: its calls by tool and model, as `bundle/catalog/facts.py` adds them
//! up from the files.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::{HashSet, HashSetExt};

use crate::json::Json;
use crate::run::{Op, Run};

const CHARS: usize = 256;
const MOST_GROUPS: usize = 1000;

/// Calls that came out alike: kind, name, status and type of error; number, time in all, the longest, tokens.
type Act = (&'static str, String, &'static str, &'static str, i64, i64, i64, i64, i64);
/// All acts, and the names of agents.
pub type Said = (Vec<Act>, Vec<String>);

/// Returns the facts; none if there is more to them than calls that came out well: then Python reads the files.
pub fn of(run: &Run<'_>, given: &[Vec<u8>]) -> Option<Said> {
    let score = memchr::memmem::Finder::new("\"type\":\"score\"");
    let is_score = |name: &str| run.words.event_types.get(name).is_some_and(|kind| kind == "score");
    if given.iter().any(|line| score.find(line).is_some()) {
        return None;
    }
    let mut around = HashSet::new();
    for (span, facts) in run.spans.iter().zip(&run.facts) {
        if facts.is_odd || facts.has_failed() || span.events.iter().any(|event| is_score(&event.name)) {
            return None;
        }
        if facts.op == Op::Model {
            around.insert(span.parent_id);
        }
    }
    let mut acts: BTreeMap<(&'static str, &str, &'static str), [i64; 5]> = BTreeMap::new();
    let mut agents = BTreeSet::new();
    for (span, facts) in run.spans.iter().zip(&run.facts) {
        let said = &span.attributes;
        let (kind, name, tokens) = match facts.op {
            Op::Tool => ("tool", said.text(&run.words.tool_name).unwrap_or("[REDACTED:name]"), [0, 0]),
            Op::Model if !around.contains(span.span_id) => {
                let named = [&run.words.response_model, &run.words.request_model].map(|key| model(said.get(key)));
                let name = match named {
                    [None, _] | [_, None] => return None,
                    [Some(""), Some("")] => "?",
                    [Some(""), Some(name)] | [Some(name), _] => name,
                };
                let counts = [&run.words.input_tokens, &run.words.output_tokens].map(|key| count(said.get(key)));
                ("model", name, counts)
            }
            Op::Agent => {
                let name = first_chars(&span.name);
                agents.insert(name.strip_prefix("invoke_agent ").unwrap_or(name).to_owned());
                continue;
            }
            _ => continue,
        };
        if name.is_empty() {
            continue;
        }
        let status = if facts.status == "unset" { "ok" } else { facts.status };
        let ns = i64::try_from(span.end_ns.saturating_sub(span.start_ns)).unwrap_or(i64::MAX);
        let sums = acts.entry((kind, first_chars(name), status)).or_default();
        for (sum, value) in sums.iter_mut().zip([1, ns, 0, tokens[0], tokens[1]]) {
            *sum = sum.saturating_add(value);
        }
        sums[2] = sums[2].max(ns);
    }
    if acts.len() > MOST_GROUPS {
        return None;
    }
    let acts = acts.into_iter().map(|((kind, name, status), [calls, total, longest, input, output])| {
        (kind, name.to_owned(), status, "", calls, total, longest, input, output)
    });
    Some((acts.collect(), agents.into_iter().collect()))
}

/// Returns the name of a model, "" for none; nothing for what is a name only as Python writes it.
fn model<'a>(value: Option<&'a Json<'_>>) -> Option<&'a str> {
    match value {
        Some(Json::Text(text)) => Some(text),
        Some(Json::Int(_) | Json::Float(_) | Json::Bool(_)) => None,
        _ => Some(""),
    }
}

/// Returns the count that is stated; 0 for what is none.
fn count(value: Option<&Json<'_>>) -> i64 {
    match value {
        Some(Json::Int(text)) if text.starts_with('-') => 0,
        Some(Json::Int(text)) => text.parse().unwrap_or(i64::MAX),
        Some(Json::Float(number)) if number.fract() == 0.0 => (*number as i64).max(0), // clamped, as there
        _ => 0,
    }
}

fn first_chars(text: &str) -> &str {
    text.char_indices().nth(CHARS).map_or(text, |(at, _)| &text[..at])
}
