//! The lines of events.jsonl in canonical order, as `bundle/assembly/timeline.py` writes them.

use crate::journal::{Attributes, Ids, Mine, ids_of};
use crate::json::{put_int, put_sorted_fields, put_text};
use crate::run::{Of, Run};

/// What a line is made of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Line {
    Started(u32),
    Event(u32, u32),
    Ended(u32),
    /// One that Python made.
    Given(u32),
}

type Key = (u64, Ids, u8, u32);

const PLACE: usize = 77;
const TRAILER: usize = 9;

/// Returns the file, and the number of its lines. `given`: lines that Python made, as it sorts them.
pub fn write(run: &Run<'_>, given: &[Vec<u8>]) -> Mine<(Vec<u8>, u64)> {
    let mut lines: Vec<(Key, Line)> = Vec::with_capacity(2 * run.spans.len() + given.len());
    for (row, span) in run.spans.iter().enumerate().filter(|(row, _)| !run.facts[*row].is_odd) {
        lines.push(((span.start_ns, span.ids, 1, 0), Line::Started(row as u32)));
        for (place, event) in span.events.iter().enumerate() {
            lines.push(((event.time_ns, span.ids, 2, place as u32), Line::Event(row as u32, place as u32)));
        }
        lines.push(((span.end_ns, span.ids, 4, 0), Line::Ended(row as u32)));
    }
    for (number, line) in given.iter().enumerate() {
        lines.push((key_of(line)?, Line::Given(number as u32)));
    }
    let said = |line: Line| if let Line::Given(number) = line { given[number as usize].as_slice() } else { b"" };
    lines.sort_unstable_by(|(key, line), (other_key, other)| {
        key.cmp(other_key).then_with(|| said(*line).cmp(said(*other))).then(line.cmp(other))
    });
    let mut out = Vec::with_capacity(run.spans.iter().map(|span| span.line.len() + 512).sum());
    let mut seq = 0;
    for (_, line) in lines {
        match line {
            Line::Started(row) => put_started(&mut out, &run.of(row as usize), seq),
            Line::Event(row, place) => put_event(&mut out, &run.of(row as usize), place as usize, seq),
            Line::Ended(row) => put_ended(&mut out, &run.of(row as usize), seq),
            Line::Given(_) => put_given(&mut out, said(line), seq)?,
        }
        seq += 1;
    }
    Ok((out, seq))
}

fn key_of(line: &[u8]) -> Mine<Key> {
    let place = line.get(..PLACE).and_then(|place| std::str::from_utf8(place).ok()).ok_or("a line lacks its place")?;
    let number = |part: &str| part.parse::<u64>().map_err(|_| "a line has another place");
    let ids = ids_of(&place[20..52], &place[52..68], "")?;
    Ok((number(&place[..20])?, ids, number(&place[68..69])? as u8, number(&place[69..])? as u32))
}

fn put_given(out: &mut Vec<u8>, line: &[u8], seq: u64) -> Mine<()> {
    let body = line.get(PLACE..line.len().saturating_sub(TRAILER)).ok_or("a line is short")?;
    let split = std::str::from_utf8(&line[line.len() - TRAILER..line.len() - 1]).ok().and_then(|at| at.parse().ok());
    let (first, second) = split.and_then(|at| body.split_at_checked(at)).ok_or("a line is not in two parts")?;
    out.extend_from_slice(first.strip_suffix(b"}").ok_or("a line has another form")?);
    put_seq(out, seq);
    out.extend_from_slice(second.strip_prefix(b"{").ok_or("a line has another form")?);
    out.push(b'\n');
    Ok(())
}

fn put_seq(out: &mut Vec<u8>, seq: u64) {
    out.extend_from_slice(b",\"seq\":");
    put_int(out, seq as i64);
    out.push(b',');
}

/// Writes a field whose value is of plain characters, with a comma behind it.
fn put_plain(out: &mut Vec<u8>, name: &str, value: &str) {
    for part in ["\"", name, "\":\"", value, "\","] {
        out.extend_from_slice(part.as_bytes());
    }
}

fn put_attributes(out: &mut Vec<u8>, attributes: &Attributes<'_>) {
    out.extend_from_slice(b"\"attributes\":");
    put_sorted_fields(out, &attributes.fields);
    out.push(b',');
}

/// Writes the end of a line: what sorts behind `seq`.
fn put_rest(out: &mut Vec<u8>, of: &Of<'_>, status: &str, time_ns: u64, kind: &str) {
    put_plain(out, "span_id", of.span.span_id);
    if !status.is_empty() {
        put_plain(out, "status", status);
    }
    out.extend_from_slice(b"\"time_ns\":\"");
    put_int(out, time_ns as i64);
    out.extend_from_slice(b"\",");
    put_plain(out, "trace_id", of.span.trace_id);
    put_plain(out, "type", kind);
    out.pop();
    out.extend_from_slice(b"}\n");
}

fn put_name(out: &mut Vec<u8>, of: &Of<'_>, name: &str) {
    out.extend_from_slice(b"\"name\":");
    put_text(out, name);
    out.push(b',');
    put_plain(out, "op", of.facts.op.word());
}

/// Writes name, kind of work and parent; between them a number of redactions, if there is one.
fn put_common(out: &mut Vec<u8>, of: &Of<'_>, redactions: Option<u64>) {
    let span = of.span;
    put_name(out, of, &span.name);
    if of.parent_missing() {
        out.extend_from_slice(b"\"parent_missing\":true,");
    }
    if !span.parent_id.is_empty() {
        put_plain(out, "parent_span_id", span.parent_id);
    }
    if let Some(number) = redactions {
        out.extend_from_slice(b"\"redactions\":");
        put_int(out, number as i64);
        out.push(b',');
    }
    if !span.parent_id.is_empty() && !of.parent_here {
        out.extend_from_slice(b"\"remote_parent\":true,");
    }
}

pub fn put_started(out: &mut Vec<u8>, of: &Of<'_>, seq: u64) {
    let (span, words) = (of.span, of.words);
    out.extend_from_slice(b"{\"attributes\":{},");
    for (name, key) in [("effect", &words.effect), ("joined", &words.joined), ("lane", &words.lane)] {
        if let Some(text) = span.attributes.text(key)
            && (name != "joined" || words.joined_words.iter().any(|word| word == text))
        {
            out.extend_from_slice(format!("\"{name}\":").as_bytes());
            put_text(out, text);
            out.push(b',');
        }
    }
    if !span.links.is_empty() {
        out.extend_from_slice(b"\"links\":[");
        for link in &span.links {
            out.push(b'{');
            if !link.attributes.fields.is_empty() {
                put_attributes(out, &link.attributes);
            }
            put_plain(out, "span_id", link.span_id);
            put_plain(out, "trace_id", link.trace_id);
            out.pop();
            out.extend_from_slice(b"},");
        }
        out.pop();
        out.extend_from_slice(b"],");
    }
    put_common(out, of, None);
    out.pop();
    put_seq(out, seq);
    put_rest(out, of, "", span.start_ns, "span.started");
}

pub fn put_event(out: &mut Vec<u8>, of: &Of<'_>, place: usize, seq: u64) {
    let event = &of.span.events[place];
    out.push(b'{');
    put_attributes(out, &event.attributes);
    put_name(out, of, &event.name);
    out.pop();
    put_seq(out, seq);
    put_plain(out, "source", "span_event");
    let kind = of.words.event_types.get(event.name.as_ref()).map_or("span.event", String::as_str);
    put_rest(out, of, "", event.time_ns, kind);
}

pub fn put_ended(out: &mut Vec<u8>, of: &Of<'_>, seq: u64) {
    let span = of.span;
    out.push(b'{');
    put_attributes(out, &span.attributes);
    let mut captured: Vec<&str> = std::iter::once(&span.attributes)
        .chain(span.events.iter().map(|event| &event.attributes))
        .flat_map(|attributes| attributes.fields.iter().map(|field| field.0.as_ref()))
        .filter(|key| of.is_value(key))
        .collect();
    if !captured.is_empty() {
        captured.sort_unstable();
        captured.dedup();
        out.extend_from_slice(b"\"capture\":{");
        captured.iter().for_each(|key| put_plain(out, key, "whole"));
        out.pop();
        out.extend_from_slice(b"},");
    }
    out.extend_from_slice(b"\"duration_ns\":\"");
    put_int(out, span.end_ns.saturating_sub(span.start_ns) as i64);
    out.extend_from_slice(b"\",");
    if let Some(error) = of.error() {
        out.extend_from_slice(b"\"error\":{");
        for (name, text) in error.iter().filter(|said| !said.1.is_empty()) {
            out.extend_from_slice(format!("\"{name}\":").as_bytes());
            put_text(out, text);
            out.push(b',');
        }
        out.pop();
        out.extend_from_slice(b"},");
    }
    put_common(out, of, Some(of.answer.0));
    let [name, version, _] = &span.scope;
    if !name.is_empty() || !version.is_empty() {
        out.extend_from_slice(b"\"scope\":{");
        for (field, text) in [("name", name), ("version", version)].iter().filter(|said| !said.1.is_empty()) {
            out.extend_from_slice(format!("\"{field}\":").as_bytes());
            put_text(out, text);
            out.push(b',');
        }
        out.pop();
        out.extend_from_slice(b"},");
    }
    out.pop();
    put_seq(out, seq);
    put_rest(out, of, of.facts.status, span.end_ns, "span.ended");
}
