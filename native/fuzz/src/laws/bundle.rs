//! The long files of a bundle are derived again: events.jsonl and, behind a zero, tool_calls.json.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::asked::{TAIL, WORDS, Yes};
use crate::derived::State;
use crate::json::{parse, put_sorted};
use crate::kin::NONE;
use crate::oracle::{has_far_float, is_hex, is_same};

/// What came of a bundle: how far it was taken, and what was shown meanwhile.
#[derive(Debug, PartialEq)]
enum Taken {
    No,
    Events,
    /// With the numbers of spans, of shown spans, and of entries of calls; and whether the calls are what follows.
    Run(usize, u64, usize, bool),
}

pub fn check(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (events, calls) = (&data[..at], data.get(at + 1..).unwrap_or_default());
    let whole = taken(&[events], &[calls]);
    let half = events[..events.len() / 2].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let third = calls.len() / 3;
    let apart = taken(
        &[&events[..half], &events[half..]],
        &[&calls[..third], &calls[third..third + 1.min(third)], &calls[third + 1.min(third)..]],
    );
    assert_eq!(whole, apart, "how a file is cut into pieces changes nothing");
}

fn taken(events: &[&[u8]], calls: &[&[u8]]) -> Taken {
    let (yes, mut state) = (Yes::default(), State::default());
    if events.iter().any(|part| state.read(part, &WORDS, &yes).is_err()) {
        return Taken::No;
    }
    let file = events.concat();
    let Lines { number, canonical, unread } = lines(&file);
    assert_eq!(unread, 0, "each line is read");
    assert_eq!(state.number, number, "each line is counted");
    assert!(state.first_ns <= state.last.0, "time goes on");
    if state.finish(&yes).is_err() {
        return Taken::Events;
    }
    // Of what Python does not derive itself, each line has the bytes that follow: so it is canonical.
    let text = std::str::from_utf8(&file).expect("events are text");
    let (rare, logs) = (yes.rare.borrow(), *yes.logs.borrow());
    let other = rare.len() as u64 + logs + state.of_run.len() as u64;
    assert!(number - canonical <= other, "a line that is not canonical is Python's");
    let spans = state.acts.len();
    assert_eq!(*yes.spans.borrow(), spans as u64, "each span is shown, or stands for one that is");
    assert!(state.parents.iter().all(|parent| *parent == NONE || (*parent as usize) < spans), "parents are of the run");
    let traces: BTreeSet<&String> = state.trace_ids.iter().collect();
    assert_eq!(traces.len(), state.trace_ids.len(), "a trace is named once");
    let mut shown = 0;
    for part in calls {
        match state.read_calls(part, true) {
            Ok(entries) => shown += entries.len(),
            Err(_) => return Taken::Run(spans, *yes.spans.borrow(), 0, false),
        }
    }
    let ends = state.ends_calls(&[b"]", TAIL].concat());
    if ends {
        assert_eq!(shown, tools_of(text), "each call has an entry");
        if rare.is_empty() {
            let value: Value = serde_json::from_slice(&calls.concat()).expect("calls that follow are JSON");
            assert_eq!(value["calls"].as_array().expect("calls are a list").len(), shown, "each call is read");
        }
    }
    Taken::Run(spans, *yes.spans.borrow(), shown, ends)
}

/// Returns how many tools began, as the reader tells them.
fn tools_of(events: &str) -> usize {
    let is_start = |line: &&str| serde_json::from_str::<Value>(line).is_ok_and(|line| line["type"] == "span.started");
    events.lines().filter(|line| line.contains(",\"op\":\"tool\",")).filter(is_start).count()
}

/// How many lines a timeline has, how many of these are canonical, and how many the core leaves to Python.
pub struct Lines {
    pub number: u64,
    pub canonical: u64,
    pub unread: u64,
}

/// Asserts what holds of the lines of each timeline that is accepted or made.
pub fn lines(file: &[u8]) -> Lines {
    let text = std::str::from_utf8(file).expect("events are text");
    let (mut number, mut canonical, mut unread, mut last) = (0, 0, 0, (0, String::new(), 0));
    for line in text.split_inclusive('\n') {
        let line = line.strip_suffix('\n').expect("no line is cut off");
        let theirs: Value = serde_json::from_str(line).expect("a line is JSON");
        let ours = parse(line).ok();
        let is_read = ours.as_ref().map_or_else(|| has_far_float(&theirs), |ours| is_same(ours, &theirs));
        assert!(is_read, "both read the same line");
        let said = |key: &str| theirs.get(key).and_then(Value::as_str).unwrap_or_default();
        assert!(is_hex(said("trace_id"), 32) && is_hex(said("span_id"), 16), "a line has ids");
        assert!(matches!(said("parent_span_id").len(), 0 | 16), "a parent has an id");
        let time: u64 = said("time_ns").parse().expect("a time is a number");
        assert!(time <= i64::MAX as u64, "a time is in range");
        assert_eq!(said("time_ns"), time.to_string(), "a time is written as a number is");
        assert_eq!(theirs.get("seq").and_then(Value::as_u64), Some(number), "lines are numbered");
        let rank = match said("type") {
            "run.started" => 0,
            "span.started" => 1,
            "log" => 3,
            "span.ended" => 4,
            "run.ended" => 5,
            _ => 2,
        };
        let here = (time, format!("{}{}", said("trace_id"), said("span_id")), rank);
        assert!(last <= here, "lines are in order");
        (last, number) = (here, number + 1);
        let mut written = Vec::new();
        match ours {
            Some(ours) => put_sorted(&mut written, &ours),
            None => unread += 1,
        }
        canonical += u64::from(written == line.as_bytes());
    }
    Lines { number, canonical, unread }
}
