//! What Python accepts, written anew: `journal/lines.py` and `journal/entries.py`, over values of serde_json.

use serde_json::{Map, Value};

use crate::json::Json;

/// Returns the object on a line of a journal, as `parse_line` does; none for a line that Python refuses.
pub fn parse_line(line: &[u8]) -> Option<Map<String, Value>> {
    let sum = u32::from_str_radix(std::str::from_utf8(line.get(..8)?).ok()?, 16).ok()?;
    let body = line.get(9..)?;
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else { return None };
    (sum == crc32fast::hash(body) && fields.contains_key("k")).then_some(fields)
}

/// Tells whether an entry has the form that a recorder writes, as `is_entry` does.
pub fn is_entry(entry: &Map<String, Value>) -> bool {
    checked(entry).unwrap_or(false)
}

// None is what Python raises, for a field that is missing or of another type.
fn checked(entry: &Map<String, Value>) -> Option<bool> {
    let kind = entry.get("k")?.as_str()?;
    let (trace_id, span_id) = (entry.get("trace_id")?.as_str()?, entry.get("span_id")?.as_str()?);
    if !is_hex(trace_id, 32) || !is_hex(span_id, 16) {
        return Some(false);
    }
    if kind == "log" {
        let severity = entry.get("severity")?;
        let is_word = severity.is_null() || severity.is_i64();
        return Some(
            is_time(entry.get("time_ns")?) && is_named(entry, "event_name")? && is_word && entry.contains_key("body"),
        );
    }
    let parent_id = entry.get("parent_span_id")?.as_str()?;
    if !(parent_id.is_empty() || is_hex(parent_id, 16)) || !is_time(entry.get("start_ns")?) {
        return Some(false);
    }
    if kind == "start" {
        let is_text = |key: &str| entry.get(key).is_none_or(Value::is_string);
        return Some(
            is_text("label")
                && is_text("lane")
                && (!entry.contains_key("attributes") || is_named(entry, "name")?)
                && entry.get("scope").is_none_or(is_scope),
        );
    }
    Some(kind == "span" && is_time(entry.get("end_ns")?) && is_named(entry, "name")? && is_span(entry)?)
}

fn is_span(entry: &Map<String, Value>) -> Option<bool> {
    let code = entry.get("status_code")?;
    Some(
        (code.is_i64() || code.is_u64())
            && entry.get("status_message")?.is_string()
            && entry.get("remote_parent")?.is_boolean()
            && is_scope(entry.get("scope")?)
            && entry.get("dropped")?.as_object()?.values().all(is_time)
            && entry.get("events")?.as_array()?.iter().all(|event| is_event(event).unwrap_or(false))
            && entry.get("links")?.as_array()?.iter().all(|link| is_link(link).unwrap_or(false)),
    )
}

fn is_scope(scope: &Value) -> bool {
    let is_text = |key: &str| scope.get(key).is_none_or(Value::is_string);
    scope.is_object() && is_text("name") && is_text("version") && is_text("schema_url")
}

fn is_event(event: &Value) -> Option<bool> {
    let event = event.as_object()?;
    Some(is_time(event.get("time_ns")?) && is_named(event, "name")? && event.get("dropped").is_none_or(is_time))
}

fn is_link(link: &Value) -> Option<bool> {
    let ids = is_hex(link.get("trace_id")?.as_str()?, 32) && is_hex(link.get("span_id")?.as_str()?, 16);
    Some(ids && link.get("attributes")?.is_object() && link.get("dropped").is_none_or(is_time))
}

fn is_named(entry: &Map<String, Value>, name: &str) -> Option<bool> {
    Some(entry.get(name)?.is_string() && entry.get("attributes")?.is_object())
}

/// Tells whether a value is an integer of nanoseconds from 1970 to 2262.
pub fn is_time(value: &Value) -> bool {
    value.as_i64().is_some_and(|time| time >= 0)
}

/// Tells whether a text is that many hex digits, as an id is written.
pub fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.chars().all(|char| "0123456789abcdef".contains(char))
}

/// Tells whether both readers read one value. A float is the same bit by bit; an integer digit by digit.
pub fn is_same(ours: &Json<'_>, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Json::Null, Value::Null) => true,
        (Json::Bool(one), Value::Bool(other)) => one == other,
        (Json::Int(text), Value::Number(number)) => !number.is_f64() && *text == number.to_string(),
        (Json::Float(one), Value::Number(number)) => {
            number.is_f64() && number.as_f64().is_some_and(|other| one.to_bits() == other.to_bits())
        }
        (Json::Text(one), Value::String(other)) => one == other,
        (Json::List(items), Value::Array(others)) => {
            items.len() == others.len() && items.iter().zip(others).all(|(one, other)| is_same(one, other))
        }
        (Json::Map(fields), Value::Object(others)) => is_same_map(fields, others),
        _ => false,
    }
}

/// Tells whether a value holds a float whose exponent is written with three digits, which the core leaves to Python. It may
/// have been read with two: 19e99 is 1.9e100.
pub fn has_far_float(value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            number.is_f64()
                && number.as_f64().is_some_and(|float| float != 0.0 && !(1e-99..1e100).contains(&float.abs()))
        }
        Value::Array(items) => items.iter().any(has_far_float),
        Value::Object(fields) => fields.values().any(has_far_float),
        _ => false,
    }
}

/// Tells whether fields, of which no two have one key, are those of a mapping.
pub fn is_same_map<'a>(fields: &[(std::borrow::Cow<'a, str>, Json<'a>)], others: &Map<String, Value>) -> bool {
    fields.len() == others.len()
        && fields.iter().all(|(key, one)| others.get(key.as_ref()).is_some_and(|other| is_same(one, other)))
}
