//! A text is read as JSON and written in canonical form.

use serde_json::Value;

use crate::json::{Json, Odd, parse, put_indented, put_sorted, put_text};
use crate::oracle::{has_far_float, is_same};

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    written_text(text);
    let theirs = serde_json::from_str::<Value>(text);
    match parse(text) {
        Ok(value) => accepted(&value, &theirs.expect("what is accepted is JSON")),
        Err(Odd::NotJson) => assert!(theirs.is_err(), "what is refused as no JSON is none"),
        Err(Odd::Unsure) => (),
    }
}

/// What is accepted is the value that it is to another reader, and what is written of it is read as the same value.
fn accepted(value: &Json<'_>, theirs: &Value) {
    assert!(is_same(value, theirs), "both read the same value");
    let written = sorted(value);
    assert_eq!(written, sorted(&value.clone().owned()), "a value with texts of its own is written alike");
    assert!(read_again(&written, theirs), "what is written is the same value");
    if let Ok(again) = parse(text_of(&written)) {
        assert_eq!(sorted(&again), written, "writing is idempotent");
    }
    let mut indented = Vec::new();
    put_indented(&mut indented, value, 0);
    assert!(read_again(&indented, theirs), "what is written on lines of their own is the same value");
    if let Ok(again) = parse(text_of(&indented)) {
        assert_eq!(sorted(&again), written, "both ways of writing agree");
    }
    if !has_float(theirs) {
        assert_eq!(written, serde_json::to_vec(theirs).expect("a value is written"), "both write the same text");
    }
}

fn written_text(text: &str) {
    let mut written = Vec::new();
    put_text(&mut written, text);
    assert_eq!(written, serde_json::to_vec(text).expect("a text is written"), "both write the same text");
    let mut read = Vec::new();
    let value = parse(text_of(&written)).expect("a text that is written is accepted");
    assert!(matches!(&value, Json::Text(read) if read == text), "a text is read as it was written");
    put_sorted(&mut read, &value);
    assert_eq!(read, written, "writing is idempotent");
}

fn read_again(written: &[u8], theirs: &Value) -> bool {
    let by_us = match parse(text_of(written)) {
        Ok(value) => is_same(&value, theirs),
        Err(Odd::Unsure) => has_far_float(theirs),
        Err(Odd::NotJson) => false,
    };
    by_us && serde_json::from_slice::<Value>(written).is_ok_and(|value| value == *theirs)
}

fn sorted(value: &Json<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    put_sorted(&mut out, value);
    out
}

fn text_of(written: &[u8]) -> &str {
    std::str::from_utf8(written).expect("what is written is text")
}

fn has_float(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_float),
        Value::Object(fields) => fields.values().any(has_float),
        _ => false,
    }
}
