//! Journals are read as entries.

use serde_json::{Map, Value};

use crate::asked::WORDS;
use crate::journal::{Attributes, Entries, Mine, Span};
use crate::oracle::{is_entry, is_hex, is_same, is_same_map, parse_line};

/// The input is read as a journal, and once more with a checksum before each of its lines.
pub fn check(data: &[u8]) {
    checked(data);
    checked(&framed(data));
}

/// Returns each line of an input as a line of a journal.
pub fn framed(data: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(data.len() + 1024);
    for line in data.strip_suffix(b"\n").unwrap_or(data).split(|byte| *byte == b'\n') {
        file.extend_from_slice(format!("{:08x} ", crc32fast::hash(line)).as_bytes());
        file.extend_from_slice(line);
        file.push(b'\n');
    }
    file
}

fn read(file: &[u8]) -> Mine<Entries<'_>> {
    let mut entries = Entries::default();
    entries.read(file, &WORDS.beginning())?;
    Ok(entries)
}

fn checked(file: &[u8]) {
    let Ok(entries) = read(file) else { return };
    accepted(file, &entries);
    // What a file system left behind the last line changes nothing, and lines may be in several files.
    let padded = [file, &[0; 64]].concat();
    assert_eq!(numbers(&read(&padded).expect("zeros behind the last line are not read")), numbers(&entries));
    let half = file[..file.len() / 2].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let mut apart = Entries::default();
    for part in [&file[..half], &file[half..]] {
        apart.read(part, &WORDS.beginning()).expect("a file's lines are accepted in two files, too");
    }
    assert_eq!(numbers(&apart), numbers(&entries));
}

type Numbers = (usize, usize, usize, usize, bool, Option<String>);

fn numbers(entries: &Entries<'_>) -> Numbers {
    let Entries { spans, starts, logs, resources, begins, tenant } = entries;
    (spans.len(), starts.len(), logs.len(), resources.len(), *begins, tenant.clone())
}

/// Each line is one that Python accepts, and read as Python reads it.
fn accepted(file: &[u8], entries: &Entries<'_>) {
    let (mut spans, mut starts, mut logs) = (entries.spans.iter(), entries.starts.iter(), entries.logs.iter());
    let end = file.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    for line in file[..end].split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").expect("no line is cut off");
        let entry = parse_line(line).expect("Python accepts a line that is accepted");
        match entry["k"].as_str().expect("an entry is of a kind") {
            "span" => {
                assert!(is_entry(&entry), "Python accepts a span that is accepted");
                span(spans.next().expect("each line of a span is one"), &entry, line);
            }
            "start" => {
                assert!(is_entry(&entry), "Python accepts a start that is accepted");
                let (trace, span) = starts.next().expect("each line of a start is one");
                assert_eq!(
                    (format!("{trace:032x}"), format!("{span:016x}")),
                    (text(&entry, "trace_id"), text(&entry, "span_id"))
                );
            }
            "log" => assert_eq!(logs.next().map(|log| log.as_bytes()), Some(&line[9..]), "a log is its line"),
            "resource" => assert!(entries.resources.iter().any(|resource| resource.as_bytes() == &line[9..])),
            kind => panic!("{kind} is no kind"),
        }
    }
    assert!(spans.next().is_none() && starts.next().is_none() && logs.next().is_none(), "no entry has no line");
    assert!(entries.resources.windows(2).all(|pair| pair[0] != pair[1]), "a resource is there once in a row");
}

fn text(entry: &Map<String, Value>, key: &str) -> String {
    entry[key].as_str().expect("a text").to_string()
}

fn span(span: &Span<'_>, entry: &Map<String, Value>, line: &[u8]) {
    assert_eq!(span.line.as_bytes(), &line[9..], "a span is its line");
    for (ours, key) in [
        (span.trace_id, "trace_id"),
        (span.span_id, "span_id"),
        (span.parent_id, "parent_span_id"),
        (&span.name, "name"),
        (&span.status_message, "status_message"),
    ] {
        assert_eq!(ours, text(entry, key));
    }
    assert_eq!(span.status_code, entry["status_code"].to_string());
    assert_eq!(Value::from(span.remote_parent), entry["remote_parent"]);
    assert_eq!(
        (Value::from(span.start_ns), Value::from(span.end_ns)),
        (entry["start_ns"].clone(), entry["end_ns"].clone())
    );
    assert_eq!(format!("{:032x}{:016x}", span.ids.0, span.ids.1), format!("{}{}", span.trace_id, span.span_id));
    attributes(&span.attributes, &entry["attributes"]);
    for (ours, key) in span.scope.iter().zip(["name", "version", "schema_url"]) {
        assert_eq!(ours, entry["scope"].get(key).and_then(Value::as_str).unwrap_or_default());
    }
    let (events, links) = (entry["events"].as_array().expect("a list"), entry["links"].as_array().expect("a list"));
    assert_eq!((span.events.len(), span.links.len()), (events.len(), links.len()));
    for (ours, theirs) in span.events.iter().zip(events) {
        assert_eq!(
            (ours.name.as_ref(), Value::from(ours.time_ns)),
            (theirs["name"].as_str().expect("a text"), theirs["time_ns"].clone())
        );
        attributes(&ours.attributes, &theirs["attributes"]);
    }
    for (ours, theirs) in span.links.iter().zip(links) {
        assert!(is_hex(ours.trace_id, 32) && is_hex(ours.span_id, 16), "a link has ids");
        assert_eq!(
            (Some(ours.trace_id), Some(ours.span_id)),
            (theirs["trace_id"].as_str(), theirs["span_id"].as_str())
        );
        attributes(&ours.attributes, &theirs["attributes"]);
    }
    let dropped = |item: &Value| item.get("dropped").and_then(Value::as_i64).unwrap_or_default() > 0;
    let is_cut = entry["dropped"].as_object().is_some_and(|fields| !fields.is_empty());
    assert_eq!(span.is_cut, is_cut || events.iter().any(dropped) || links.iter().any(dropped), "a cut is known");
}

/// Attributes are in order, all there, and each is found by its key.
fn attributes(ours: &Attributes<'_>, theirs: &Value) {
    let theirs = theirs.as_object().expect("attributes are a mapping");
    assert!(is_same_map(&ours.fields, theirs), "attributes are those of the line");
    assert!(ours.fields.windows(2).all(|pair| pair[0].0 < pair[1].0), "attributes are in the order of their keys");
    for (key, value) in theirs {
        assert!(ours.get(key).is_some_and(|found| is_same(found, value)), "an attribute is found by its key");
        assert_eq!(ours.text(key), value.as_str().filter(|text| !text.is_empty()), "a text is found by its key");
    }
    assert_eq!(ours.get("app.x").is_some(), theirs.contains_key("app.x"), "what is not there is not found");
}
