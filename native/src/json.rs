//! JSON as orjson reads and writes it, where both surely agree.

use std::borrow::{Borrow, Cow};

/// Values nested deeper are left to Python.
pub const MAX_DEPTH: usize = 60;

#[derive(Clone, Debug)]
pub enum Json<'a> {
    Null,
    Bool(bool),
    /// An integer from -2^63 to 2^64 - 1, as text.
    Int(Cow<'a, str>),
    Float(f64),
    Text(Cow<'a, str>),
    /// A marker or a digest that was made here.
    Made(String),
    List(Vec<Json<'a>>),
    Map(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl Json<'_> {
    /// Returns the value with texts of its own.
    pub fn owned(self) -> Json<'static> {
        match self {
            Json::Null => Json::Null,
            Json::Bool(flag) => Json::Bool(flag),
            Json::Int(text) => Json::Int(text.into_owned().into()),
            Json::Float(number) => Json::Float(number),
            Json::Text(text) => Json::Text(text.into_owned().into()),
            Json::Made(text) => Json::Made(text),
            Json::List(items) => Json::List(items.into_iter().map(Json::owned).collect()),
            Json::Map(fields) => {
                Json::Map(fields.into_iter().map(|(key, item)| (key.into_owned().into(), item.owned())).collect())
            }
        }
    }
}

/// Why a text has no value here.
#[derive(Debug, PartialEq)]
pub enum Odd {
    /// It is no JSON: orjson refuses it too.
    NotJson,
    /// It may be JSON, but is not handled here.
    Unsure,
}

type Found<T> = Result<T, Odd>;

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

/// Reads a text that is one JSON value.
pub fn parse(text: &str) -> Found<Json<'_>> {
    let mut reader = Reader { text, at: 0 };
    reader.blanks();
    let value = match reader.peek() {
        Some(b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => reader.value(0)?,
        _ if text.starts_with('\u{feff}') => return Err(Odd::Unsure),
        _ => return Err(Odd::NotJson),
    };
    reader.blanks();
    if reader.at == text.len() { Ok(value) } else { Err(Odd::NotJson) }
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn value(&mut self, depth: usize) -> Found<Json<'a>> {
        if depth > MAX_DEPTH {
            return Err(Odd::Unsure);
        }
        match self.peek() {
            Some(b'"') => Ok(Json::Text(self.string()?)),
            Some(b'{') => self.map(depth),
            Some(b'[') => self.list(depth),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(Odd::NotJson),
        }
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Found<Json<'a>> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(Odd::NotJson);
        }
        self.at += word.len();
        Ok(value)
    }

    fn list(&mut self, depth: usize) -> Found<Json<'a>> {
        self.at += 1;
        let mut items = Vec::new();
        self.blanks();
        if self.take(b']') {
            return Ok(Json::List(items));
        }
        loop {
            self.blanks();
            items.push(self.value(depth + 1)?);
            self.blanks();
            if self.take(b']') {
                return Ok(Json::List(items));
            }
            if !self.take(b',') {
                return Err(Odd::NotJson);
            }
        }
    }

    fn map(&mut self, depth: usize) -> Found<Json<'a>> {
        self.at += 1;
        let mut fields: Vec<(Cow<'a, str>, Json<'a>)> = Vec::new();
        self.blanks();
        if self.take(b'}') {
            return Ok(Json::Map(fields));
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return Err(Odd::NotJson);
            }
            let key = self.string()?;
            self.blanks();
            if !self.take(b':') {
                return Err(Odd::NotJson);
            }
            self.blanks();
            fields.push((key, self.value(depth + 1)?));
            self.blanks();
            if self.take(b'}') {
                break;
            }
            if !self.take(b',') {
                return Err(Odd::NotJson);
            }
        }
        // The last of two equal keys counts, at the place of the first.
        if has_twice(&fields) { Err(Odd::Unsure) } else { Ok(Json::Map(fields)) }
    }

    fn number(&mut self) -> Found<Json<'a>> {
        let start = self.at;
        self.take(b'-');
        let whole = self.at;
        let digits = self.digits();
        if digits == 0 || (digits > 1 && self.text.as_bytes()[whole] == b'0') {
            return Err(Odd::NotJson);
        }
        let mut is_float = false;
        if self.take(b'.') {
            is_float = true;
            if self.digits() == 0 {
                return Err(Odd::NotJson);
            }
        }
        if self.take(b'e') || self.take(b'E') {
            is_float = true;
            if !self.take(b'+') {
                self.take(b'-');
            }
            match self.digits() {
                0 => return Err(Odd::NotJson),
                1 | 2 => (),
                _ => return Err(Odd::Unsure), // near the ends of what a float holds
            }
        }
        let text = &self.text[start..self.at];
        if is_float {
            return match text.parse::<f64>() {
                Ok(number) if text.len() <= 64 && keeps_digits(text, number) => Ok(Json::Float(number)),
                _ => Err(Odd::Unsure),
            };
        }
        let fits = match text.parse::<i128>() {
            Ok(number) => (-(1 << 63)..1 << 64).contains(&number),
            Err(_) => false,
        };
        if fits && text != "-0" { Ok(Json::Int(text.into())) } else { Err(Odd::Unsure) }
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        self.at - start
    }

    fn string(&mut self) -> Found<Cow<'a, str>> {
        self.at += 1;
        let mut made = String::new();
        loop {
            let bytes = &self.text.as_bytes()[self.at..];
            let length = plain_bytes(bytes);
            let Some(b'"' | b'\\') = bytes.get(length) else { return Err(Odd::NotJson) };
            let piece = &self.text[self.at..self.at + length];
            self.at += length + 1;
            if bytes[length] == b'"' {
                if made.is_empty() {
                    return Ok(piece.into());
                }
                made.push_str(piece);
                return Ok(made.into());
            }
            made.reserve(piece.len() + 32);
            made.push_str(piece);
            made.push(self.escaped()?);
        }
    }

    fn escaped(&mut self) -> Found<char> {
        let Some(byte) = self.peek() else { return Err(Odd::NotJson) };
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => {
                let mut code = self.hex4()?;
                if (0xD800..0xDC00).contains(&code) {
                    if !(self.take(b'\\') && self.take(b'u')) {
                        return Err(Odd::Unsure);
                    }
                    let low = self.hex4()?;
                    if !(0xDC00..0xE000).contains(&low) {
                        return Err(Odd::Unsure);
                    }
                    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                }
                char::from_u32(code).ok_or(Odd::Unsure)?
            }
            _ => return Err(Odd::NotJson),
        })
    }

    fn hex4(&mut self) -> Found<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16)).ok_or(Odd::NotJson)?;
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }
}

/// Tells whether a number that was read from a text is finite and, written again, has the digits of the text.
fn keeps_digits(text: &str, number: f64) -> bool {
    if text.len() <= 15 {
        return number.is_finite();
    }
    let digits = significant(text);
    number.is_finite() && (digits.len() <= 15 || digits == significant(&format!("{number:e}")))
}

/// Returns the digits of a number from the first to the last that is no zero.
fn significant(text: &str) -> String {
    let digits: String =
        text.chars().take_while(|sign| !matches!(sign, 'e' | 'E')).filter(char::is_ascii_digit).collect();
    digits.trim_matches('0').to_owned()
}

fn has_twice(fields: &[(Cow<'_, str>, Json<'_>)]) -> bool {
    if fields.len() <= 12 {
        return fields.iter().enumerate().any(|(place, field)| fields[..place].iter().any(|other| other.0 == field.0));
    }
    let mut keys: Vec<&str> = fields.iter().map(|field| field.0.as_ref()).collect();
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair[0] == pair[1])
}

/// Writes a value with the keys of each mapping in order of their bytes.
pub fn put_sorted(out: &mut Vec<u8>, value: &Json<'_>) {
    match value {
        Json::Null => out.extend_from_slice(b"null"),
        Json::Bool(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
        Json::Int(text) => out.extend_from_slice(text.as_bytes()),
        Json::Float(number) => put_float(out, *number),
        Json::Text(text) => put_text(out, text),
        Json::Made(text) => put_text(out, text),
        Json::List(items) => {
            out.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                put_sorted(out, item);
            }
            out.push(b']');
        }
        Json::Map(fields) => put_sorted_fields(out, &sorted(fields)),
    }
}

fn sorted<'v, 'a>(fields: &'v [(Cow<'a, str>, Json<'a>)]) -> Vec<&'v (Cow<'a, str>, Json<'a>)> {
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    sorted
}

/// Writes a mapping whose fields are in order.
pub fn put_sorted_fields<'a>(out: &mut Vec<u8>, fields: &[impl Borrow<(Cow<'a, str>, Json<'a>)>]) {
    out.push(b'{');
    for (place, field) in fields.iter().enumerate() {
        let (key, item) = field.borrow();
        if place > 0 {
            out.push(b',');
        }
        put_text(out, key);
        out.push(b':');
        put_sorted(out, item);
    }
    out.push(b'}');
}

/// Writes a value as `put_sorted` does, on lines of their own; it stands on one that begins with so many blanks.
pub fn put_indented(out: &mut Vec<u8>, value: &Json<'_>, blanks: usize) {
    let (fields, items, ends) = match value {
        Json::Map(fields) if !fields.is_empty() => (sorted(fields), &[][..], b"{}"),
        Json::List(items) if !items.is_empty() => (Vec::new(), items.as_slice(), b"[]"),
        _ => return put_sorted(out, value),
    };
    let next = |out: &mut Vec<u8>, blanks: usize| {
        out.push(b'\n');
        out.resize(out.len() + blanks, b' ');
    };
    out.push(ends[0]);
    for (key, item) in fields.into_iter().map(|field| (Some(&field.0), &field.1)).chain(items.iter().map(|i| (None, i)))
    {
        next(out, blanks + 2);
        if let Some(key) = key {
            put_text(out, key);
            out.extend_from_slice(b": ");
        }
        put_indented(out, item, blanks + 2);
        out.push(b',');
    }
    out.pop();
    next(out, blanks);
    out.push(ends[1]);
}

pub fn put_float(out: &mut Vec<u8>, number: f64) {
    out.extend_from_slice(zmij::Buffer::new().format_finite(number).as_bytes());
}

pub fn put_int(out: &mut Vec<u8>, number: i64) {
    let mut digits = [0; 20];
    let (mut at, mut rest) = (digits.len(), number.unsigned_abs());
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

pub fn put_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    put_escaped(out, text.as_bytes());
    out.push(b'"');
}

/// Writes a comma, unless an object or a list begins here.
pub fn comma(out: &mut Vec<u8>) {
    if !matches!(out.last(), Some(b'{' | b'[')) {
        out.push(b',');
    }
}

/// Writes the key of a field.
pub fn put_key(out: &mut Vec<u8>, key: &str) {
    comma(out);
    put_text(out, key);
    out.push(b':');
}

/// Writes a field that is a text.
pub fn put_pair(out: &mut Vec<u8>, key: &str, text: &str) {
    put_key(out, key);
    put_text(out, text);
}

const ONES: u64 = 0x0101_0101_0101_0101;

/// Returns how many bytes stand before the first that has to be escaped in JSON; all, if none has.
fn plain_bytes(text: &[u8]) -> usize {
    let odd = |byte: u8| u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\');
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let plain = match rest.first_chunk::<8>() {
            Some(word) => plain_of_word(u64::from_le_bytes(*word)),
            None => plain_of_word(rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))).min(rest.len()),
        };
        at += plain;
        if plain < 8 {
            return at;
        }
        // The compiler makes vector instructions of a chunk that is looked at as a whole.
        while let Some(chunk) = text[at..].first_chunk::<32>()
            && chunk.iter().fold(0, |found, byte| found | odd(*byte)) == 0
        {
            at += 32;
        }
    }
}

/// Returns how many of eight bytes, the lowest first, stand before the first that has to be escaped.
fn plain_of_word(word: u64) -> usize {
    let zero = |x: u64| x.wrapping_sub(ONES) & !x;
    let low = word.wrapping_sub(ONES * 0x20) & !word;
    // Of what these find, what follows the first may be wrong: a borrow goes upwards.
    ((low | zero(word ^ (ONES * 0x22)) | zero(word ^ (ONES * 0x5C))) & (ONES * 0x80)).trailing_zeros() as usize / 8
}

/// Writes text as it stands between the quotes.
pub fn put_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    loop {
        let plain = plain_bytes(rest);
        out.extend_from_slice(&rest[..plain]);
        let Some(byte) = rest.get(plain) else { return };
        put_escape(out, *byte);
        rest = &rest[plain + 1..];
    }
}

fn put_escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\t' => b't',
        b'\r' => b'r',
        8 => b'b',
        12 => b'f',
        _ => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}
