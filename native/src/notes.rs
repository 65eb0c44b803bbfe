//! The receipt of one record, written as `redaction/receipt.py` writes it, and the markers.

use crate::json::{put_escaped, put_int};

const LIMIT: usize = 100;
const PATH_CHARS: usize = 256;
const MOST_COUNTED: i64 = i32::MAX as i64;
const SMALL: usize = 64;

#[derive(Default)]
pub struct Notes {
    json: Vec<u8>,
    count: usize,
    more: Vec<(String, i64)>,
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.[]/*:~-".contains(&byte)
}

impl Notes {
    pub fn add(&mut self, path: &str, rule: &str, action: &str) {
        if self.count >= LIMIT {
            return self.count_more(rule, action, 1, i64::MAX);
        }
        self.json.extend_from_slice(if self.count > 0 { b",[\"" } else { b"[\"" });
        self.count += 1;
        if path.len() <= PATH_CHARS && path.bytes().all(is_plain) {
            self.json.extend_from_slice(path.as_bytes());
        } else {
            let plain = path.chars().take(PATH_CHARS).map(|c| u8::try_from(c).ok().filter(|b| is_plain(*b)));
            self.json.extend(plain.map(|byte| byte.unwrap_or(b'_')));
        }
        for text in [rule, action] {
            self.json.extend_from_slice(b"\",\"");
            put_escaped(&mut self.json, text.as_bytes());
        }
        self.json.extend_from_slice(b"\"]");
    }

    fn count_more(&mut self, rule: &str, action: &str, times: i64, most: i64) {
        let key = format!("{rule}|{action}");
        match self.more.iter_mut().find(|known| known.0 == key) {
            Some(known) => known.1 = (known.1 + times).min(most),
            None => self.more.push((key, times.min(most))),
        }
    }

    pub fn count_forgotten(&mut self, times: i64) {
        self.count_more("taint:forgotten", "drop", times, MOST_COUNTED);
    }

    /// Returns the text that travels in the record.
    pub fn text(&self, key_id: &str) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.json.len() + 64);
        text.extend_from_slice(b"{\"n\":[");
        text.extend_from_slice(&self.json);
        text.push(b']');
        for (place, (key, times)) in self.more.iter().enumerate() {
            text.extend_from_slice(if place > 0 { b",\"" } else { b",\"more\":{\"" });
            put_escaped(&mut text, key.as_bytes());
            text.extend_from_slice(b"\":");
            put_int(&mut text, *times);
        }
        if !self.more.is_empty() {
            text.push(b'}');
        }
        text.extend_from_slice(b",\"by\":\"");
        text.extend_from_slice(key_id.as_bytes());
        text.extend_from_slice(b"\"}");
        text
    }
}

/// Builds a marker from its parts.
pub fn marker(data_class: &str, digest: &str, size: Option<usize>, roles: &[&str]) -> String {
    let mut text = String::with_capacity(96);
    text.push_str("[REDACTED:");
    text.push_str(data_class);
    if !digest.is_empty() {
        text.push(':');
        text.push_str(digest);
    }
    match size {
        Some(size) if size < SMALL => text.push_str(":bytes=<64"),
        Some(size) => {
            text.push_str(":bytes=");
            text.push_str(&size.to_string());
        }
        None => (),
    }
    for (place, role) in roles.iter().take(8).enumerate() {
        text.push_str(if place > 0 { "+" } else { ":roles=" });
        text.push_str(role);
    }
    text.push(']');
    text
}

/// Returns the size that a field may tell.
pub fn coarse_size(size: usize) -> usize {
    size.max(SMALL - 1)
}
