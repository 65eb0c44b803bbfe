//! A journal becomes the files of a bundle, and these are checked as a bundle is that somebody hands in.

use serde_json::Value;

use crate::asked::{TAIL, WORDS, Yes, answer};
use crate::calls;
use crate::derived::{State, Stop};
use crate::facts;
use crate::journal::{Entries, Ids};
use crate::kin::NONE;
use crate::laws::bundle;
use crate::laws::journal::framed;
use crate::run::{Op, Run, Shown, Sums};
use crate::timeline;

/// What must never be said of a bundle that was made here: each says that its bytes have another form.
const FORBIDDEN: [&str; 14] = [
    "a call has another agent",
    "a call is not what follows",
    "a line has no number",
    "a line holds odd JSON",
    "a line is cut off",
    "a line is no text",
    "a line is not what follows",
    "a line is of no kind",
    "a link has another form",
    "a time is no number",
    "an entry has another form",
    "an id has another form",
    "the calls have another form",
    "the lines are in another order",
];

/// Each line of the input is read with a checksum before it.
pub fn check(data: &[u8]) {
    let journal = framed(data);
    let Some(made) = Made::of(&journal) else { return };
    let other = Made::of(&backwards(&journal)).expect("lines in another order are accepted");
    assert_eq!(made.events, other.events, "a timeline does not depend on the order of lines");
    assert_eq!(made.calls, other.calls, "calls do not depend on the order of lines");
    if !made.is_odd {
        round(&made);
    }
}

fn backwards(journal: &[u8]) -> Vec<u8> {
    let lines: Vec<&[u8]> = journal.split_inclusive(|byte| *byte == b'\n').collect();
    lines.into_iter().rev().collect::<Vec<_>>().concat()
}

/// The files that are made of a journal, and what is known of its spans.
struct Made {
    events: Vec<u8>,
    /// None if a payload is left to Python.
    calls: Option<Vec<u8>>,
    /// None if the numbers of tokens are left to Python.
    sums: Option<Sums>,
    is_odd: bool,
    /// Whether it has a line that the core leaves to Python.
    is_unread: bool,
    /// Whether an error ends when the span above it does, or an event lies behind the end of its span. The reader of
    /// bundles, which holds no span that has ended, may then have read the end without it.
    is_late: bool,
}

impl Made {
    fn of(journal: &[u8]) -> Option<Made> {
        let (entries, mut run, shown) = Run::read(&[journal], &WORDS).ok()?;
        related(&run, &shown, &entries);
        run.answers = shown.iter().map(|_| answer()).collect();
        let (events, number) = timeline::write(&run, &[]).expect("a timeline is written, whatever spans say");
        let made = run.facts.iter().zip(&run.spans).filter(|(facts, _)| !facts.is_odd);
        let lines: usize = made.map(|(_, span)| 2 + span.events.len()).sum();
        assert_eq!(lines as u64, number, "each span begins and ends");
        let is_unread = bundle::lines(&events).unread > 0;
        let calls = calls::write(&run, &[], TAIL).ok();
        if let Some((calls, refused)) = &calls {
            let tools = run.facts.iter().filter(|facts| facts.op == Op::Tool && !facts.is_odd).count();
            assert_eq!(entries_of(calls), tools, "each call has an entry");
            assert!(*refused as usize <= tools);
        }
        if let Some((acts, _)) = facts::of(&run, &[]) {
            assert!(acts.iter().map(|act| act.4).sum::<i64>() <= run.spans.len() as i64, "no call is counted twice");
        }
        let (mut sums, is_odd) = (Sums::default(), run.facts.iter().any(|facts| facts.is_odd));
        let added = run.spans.iter().zip(&run.facts).try_for_each(|(span, facts)| sums.add(span, facts, &WORDS));
        let is_late = |row: usize| {
            let (span, above) = (&run.spans[row], run.spans.get(run.parents[row] as usize));
            let is_tied = run.facts[row].has_failed() && above.is_some_and(|above| above.end_ns == span.end_ns);
            is_tied || span.events.iter().any(|event| event.time_ns > span.end_ns)
        };
        let is_late = (0..run.spans.len()).any(is_late);
        let sums = added.is_ok().then_some(sums);
        Some(Made { events, calls: calls.map(|calls| calls.0), sums, is_odd, is_unread, is_late })
    }
}

/// What follows for spans from those around them names spans of the run, and each is shown, or stands for one that is.
fn related(run: &Run<'_>, shown: &[Shown], entries: &Entries<'_>) {
    let rows = run.spans.len();
    assert!(run.spans.windows(2).all(|pair| pair[0].ids < pair[1].ids), "spans are in the order of their ids");
    assert_eq!(shown.iter().map(|shown| shown.times).sum::<u64>(), rows as u64, "each span is shown");
    for row in 0..rows {
        let (parent, agent, origin) = (run.parents[row], run.agents[row], run.origins[row] as usize);
        let named = (parent != NONE).then(|| run.spans[parent as usize].ids);
        let said = u64::from_str_radix(run.spans[row].parent_id, 16).ok().map(|id| (run.spans[row].ids.0, id));
        let is_here = |ids: &Ids| run.spans.binary_search_by(|span| span.ids.cmp(ids)).is_ok();
        assert_eq!(named, said.filter(is_here), "a parent is the one that is named, if it is here");
        assert!(agent == NONE || run.spans[agent as usize].attributes.text(&WORDS.agent_name).is_some());
        assert!(
            origin == row || (run.facts[row].has_failed() && run.facts[origin].has_failed()),
            "an error has its origin"
        );
        assert_eq!(run.began(row).is_empty(), origin == row);
    }
    assert!(entries.starts.iter().all(|start| run.spans.binary_search_by(|span| span.ids.cmp(start)).is_ok()));
}

fn entries_of(calls: &[u8]) -> usize {
    let value: Value = serde_json::from_slice(calls).expect("calls are JSON");
    value["calls"].as_array().expect("calls are a list").len()
}

/// What was made is taken by the reader of bundles, or left to Python for what it says and not for its form.
fn round(made: &Made) {
    let (yes, mut state) = (Yes::default(), State::default());
    let read = state.read(&made.events, &WORDS, &yes).and_then(|()| state.finish(&yes));
    let calls = match read {
        Ok(()) => made.calls.as_ref(),
        Err(Stop::NotMine(reason)) => {
            let is_excused = match reason {
                "a line holds odd JSON" => made.is_unread,
                "a line is not what follows" => made.is_late,
                _ => false,
            };
            assert!(is_excused || !FORBIDDEN.contains(&reason), "{reason}");
            return;
        }
    };
    if let Some(sums) = &made.sums {
        let of = |sums: &Sums| (sums.usage.clone(), sums.kinds, sums.good_ns, sums.whole, sums.first_ns, sums.last_ns);
        assert_eq!(of(&state.sums), of(sums), "a bundle adds up to what its journal does");
    }
    if let Some(calls) = calls {
        let shown = state.read_calls(calls, true).expect("the calls that were made are those that follow");
        assert_eq!(shown.len(), entries_of(calls));
        assert!(state.ends_calls(&[b"]", TAIL].concat()), "the calls end where they end");
    }
}
