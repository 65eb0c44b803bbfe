//! tool_calls.json, as `bundle/assembly/entries.py` and `bundle/listings.py` write it.

use crate::journal::{Ids, Mine, ids_of};
use crate::json::{self, Json, Odd, put_indented, put_int, put_text};
use crate::notes::coarse_size;
use crate::run::{Of, Op, Run};
use crate::words::{Payload, Words};

const KEY: usize = 68;
/// What the field of an entry, and of a mapping in it, begins with.
const FIELD: &[u8] = b"\n      \"";
const INNER: &[u8] = b"\n        \"";

enum Call<'g> {
    Of(usize),
    /// One that Python made.
    Given(&'g [u8]),
}

/// Returns the file, and how many calls were refused. `given`: entries that Python made, as it sorts them; `tail`: what
/// stands behind the list.
pub fn write(run: &Run<'_>, given: &[Vec<u8>], tail: &[u8]) -> Mine<(Vec<u8>, u64)> {
    let mut calls: Vec<((u64, Ids), Call<'_>)> = Vec::new();
    for (row, span) in run.spans.iter().enumerate() {
        if run.facts[row].op == Op::Tool && !run.facts[row].is_odd {
            calls.push(((span.start_ns, span.ids), Call::Of(row)));
        }
    }
    for entry in given {
        let (place, body) = entry.split_at_checked(KEY).ok_or("an entry is short")?;
        let place = std::str::from_utf8(place).map_err(|_| "an entry lacks its place")?;
        let time = place[..20].parse().map_err(|_| "an entry lacks its place")?;
        calls.push(((time, ids_of(&place[20..52], &place[52..], "")?), Call::Given(body)));
    }
    calls.sort_unstable_by_key(|call| call.0);
    let mut out = Vec::with_capacity(tail.len() + 1500 * calls.len() + 64);
    out.extend_from_slice(b"{\n  \"calls\": [");
    let mut refused = 0;
    for (number, (_, call)) in calls.iter().enumerate() {
        out.extend_from_slice(if number > 0 { b",\n    " } else { b"\n    " });
        match call {
            Call::Of(row) => refused += u64::from(put_call(&mut out, &Of { agent: run.agent(*row), ..run.of(*row) })?),
            Call::Given(body) => {
                for (place, line) in body.split(|byte| *byte == 1).enumerate() {
                    out.extend_from_slice(if place > 0 { b"\n    " } else { b"" });
                    out.extend_from_slice(line);
                }
            }
        }
    }
    out.extend_from_slice(if calls.is_empty() { b"]" } else { b"\n  ]" });
    out.extend_from_slice(tail);
    Ok((out, refused))
}

fn put_key(out: &mut Vec<u8>, before: &[u8], name: &str) {
    out.extend_from_slice(before);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\": ");
}

fn put_texts(out: &mut Vec<u8>, before: &[u8], fields: &[(&str, Option<&str>)]) {
    for (name, text) in fields {
        put_key(out, before, name);
        match text {
            Some(text) => put_text(out, text),
            None => out.extend_from_slice(b"null"),
        }
        out.push(b',');
    }
}

/// Writes a mapping of texts as the field `name` of an entry; one without fields is null.
fn put_mapping(out: &mut Vec<u8>, name: &str, fields: &[(&str, Option<&str>)]) {
    put_key(out, FIELD, name);
    if fields.is_empty() {
        return out.extend_from_slice(b"null,");
    }
    out.push(b'{');
    put_texts(out, INNER, fields);
    out.pop();
    out.extend_from_slice(b"\n      },");
}

fn put_number(out: &mut Vec<u8>, before: &[u8], name: &str, number: Option<i64>) {
    put_key(out, before, name);
    match number {
        Some(number) => put_int(out, number),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b',');
}

fn whole(of: &Of<'_>, key: &str) -> Option<i64> {
    match of.span.attributes.get(key) {
        Some(Json::Int(text)) => text.parse().ok().map(|number: i64| number.max(-i64::MAX)),
        _ => None,
    }
}

/// Writes the entry of a call, whose agent is its first field; tells whether it was refused.
pub fn put_call(out: &mut Vec<u8>, of: &Of<'_>) -> Mine<bool> {
    let (span, words, status) = (of.span, of.words, of.facts.status);
    let said = |key: &str| span.attributes.text(key);
    out.push(b'{');
    put_texts(out, FIELD, &[("agent", of.agent)]);
    put_payload(out, of, &words.arguments, &of.answer.1)?;
    let attempt = whole(of, &words.attempt).filter(|number| *number != 0).unwrap_or(1);
    put_number(out, FIELD, "attempt", Some(attempt));
    put_texts(out, FIELD, &[("call_id", Some(said(&words.call_id).unwrap_or(span.span_id)))]);
    let version = Some(said(&words.contract_version).unwrap_or_default());
    match said(&words.contract_sha256) {
        Some(sha256) => put_mapping(out, "contract", &[("sha256", Some(sha256)), ("version", version)]),
        None => put_mapping(out, "contract", &[]),
    }
    let duration = span.end_ns.saturating_sub(span.start_ns).to_string();
    put_texts(out, FIELD, &[("duration_ns", Some(&duration))]);
    let error: Vec<_> = of.error().into_iter().flatten().filter(|said| !said.1.is_empty()).collect();
    put_mapping(out, "error", &error.iter().map(|(name, text)| (*name, Some(*text))).collect::<Vec<_>>());
    put_texts(out, FIELD, &[("parent_span_id", Some(span.parent_id).filter(|id| !id.is_empty()))]);

    let mut policy =
        [("decision", Some(if status == "blocked" { "blocked" } else { "allowed" })), ("", None), ("", None)];
    for event in span.events.iter().filter(|event| event.name == words.decision) {
        let of_event = |key: &str| event.attributes.text(key);
        let decision = of_event(&words.policy_decision).filter(|text| words.decisions.iter().any(|word| word == text));
        if decision.is_some() {
            policy = [("decision", decision), ("", None), ("", None)];
        }
        for (place, name, key) in [(1, "reason", &words.policy_reason), (2, "rule", &words.policy_rule)] {
            if let Some(text) = of_event(key) {
                policy[place] = (name, Some(text));
            }
        }
    }
    let stated: Vec<_> = policy.iter().filter(|said| said.1.is_some()).copied().collect();
    put_mapping(out, "policy", &stated);
    put_payload(out, of, &words.results, &of.answer.2)?;
    let effects = said(&words.side_effects).filter(|text| words.side_effects_words.iter().any(|word| word == text));
    let tool = said(&words.tool_name).unwrap_or("[REDACTED:name]");
    put_texts(
        out,
        FIELD,
        &[
            ("side_effects", Some(effects.unwrap_or("unknown"))),
            ("span_id", Some(span.span_id)),
            ("started_at", Some(&rfc3339(span.start_ns))),
            ("status", Some(status)),
            ("tool", Some(tool)),
            ("trace_id", Some(span.trace_id)),
        ],
    );
    out.pop();
    out.extend_from_slice(b"\n    }");
    Ok(matches!(policy[0].1, Some("blocked" | "denied")))
}

fn put_payload(out: &mut Vec<u8>, of: &Of<'_>, payload: &Payload, notes: &[u8]) -> Mine<()> {
    let attributes = &of.span.attributes;
    put_key(out, FIELD, &payload.kind);
    let Some(Json::Text(text)) = attributes.get(&payload.key) else {
        out.extend_from_slice(b"null,");
        return Ok(());
    };
    let (mut digest, mut size) = (attributes.text(&payload.digest_key), whole(of, &payload.bytes_key));
    let marker = marker(text, of.words);
    if let Some((said_digest, said_size)) = marker {
        digest = digest.or(said_digest);
        size = size.or(said_size.map(|size| coarse_size(size) as i64));
    }
    out.push(b'{');
    put_number(out, INNER, "bytes", size);
    put_texts(out, INNER, &[("capture", Some("whole")), ("digest", digest)]);
    put_key(out, INNER, "redactions");
    out.extend_from_slice(notes);
    out.push(b',');
    put_key(out, INNER, "view");
    match marker {
        Some(_) if text.starts_with("[REDACTED:undeclared") => out.extend_from_slice(b"null"),
        Some(_) => put_text(out, text),
        None => match json::parse(text) {
            Ok(value) => put_indented(out, &value, 8),
            Err(Odd::NotJson) => out.extend_from_slice(b"null"),
            Err(Odd::Unsure) => return Err("a payload holds odd JSON"),
        },
    }
    out.extend_from_slice(b"\n      },");
    Ok(())
}

/// Returns digest and size of what is surely a marker, as `redaction/markers.py` reads them.
pub fn marker<'t>(text: &'t str, words: &Words) -> Option<(Option<&'t str>, Option<usize>)> {
    let mut parts = text.strip_prefix("[REDACTED:")?.strip_suffix(']')?.split(':').peekable();
    let class = parts.next()?;
    if !words.classes.iter().any(|known| known == class) {
        return None;
    }
    let mut digest = None;
    if parts.next_if_eq(&"h2").is_some() {
        let (key_id, value) = (parts.next()?, parts.next()?);
        let is_key_id = key_id.len() == 8 && key_id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_key_id || value.len() != 26 || !value.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7')) {
            return None;
        }
        let start = "[REDACTED:".len() + class.len() + 1;
        digest = text.get(start..start + 38);
    }
    let mut size = None;
    if let Some(part) = parts.next_if(|part| part.starts_with("bytes=")) {
        let told = &part["bytes=".len()..];
        let is_number = (1..=15).contains(&told.len()) && told.bytes().all(|byte| byte.is_ascii_digit());
        size = Some(if is_number { told.parse().ok()? } else { 0 });
        if !is_number && told != "<64" {
            return None;
        }
    }
    if let Some(part) = parts.next_if(|part| part.starts_with("roles=")) {
        let roles: Vec<&str> = part["roles=".len()..].split('+').collect();
        if roles.len() > 8 || !roles.iter().all(|role| words.roles.iter().any(|known| known == role)) {
            return None;
        }
    }
    if parts.next().is_some() { None } else { Some((digest, size)) }
}

fn rfc3339(time_ns: u64) -> String {
    let (seconds, nanos) = (time_ns / 1_000_000_000, time_ns % 1_000_000_000);
    // Years of 365.2425 days that begin in March: https://howardhinnant.github.io/date_algorithms.html
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let (month, day) = ((shifted + 2) % 12 + 1, of_year - (153 * shifted + 2) / 5 + 1);
    let year = year + 400 * era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
}
