//! The lines of a run's journals as entries, checked as `journal/lines.py` and `journal/entries.py` check them.
//!
//! Whatever is not surely what a recorder writes is refused, and with it the run: Python assembles that one.

use std::borrow::Cow;

use memchr::memchr;

use crate::json::{self, Json};

/// Why a run is left to Python.
pub type Mine<T> = Result<T, &'static str>;
pub type Fields<'a> = Vec<(Cow<'a, str>, Json<'a>)>;
/// The ids of a trace and of a span in it, which are in the order of their texts.
pub type Ids = (u128, u64);

/// How the lines of spans begin that have ended, and that have started, with room for the sum.
pub const SPAN: &[u8] = b"00000000 {\"k\":\"span\"";
pub const START: &[u8] = b"00000000 {\"k\":\"start\"";

/// Ends a line, and puts the sum of what it says before that.
pub fn summed(mut line: Vec<u8>) -> Vec<u8> {
    line.push(b'}');
    let sum = format!("{:08x}", crc32fast::hash(&line[9..]));
    line[..8].copy_from_slice(sum.as_bytes());
    line.push(b'\n');
    line
}

#[derive(Default)]
pub struct Event<'a> {
    pub name: Cow<'a, str>,
    pub time_ns: u64,
    pub attributes: Attributes<'a>,
}

#[derive(Default)]
pub struct Link<'a> {
    pub trace_id: &'a str,
    pub span_id: &'a str,
    pub attributes: Attributes<'a>,
}

/// An ended span.
#[derive(Default)]
pub struct Span<'a> {
    pub line: &'a str,
    pub trace_id: &'a str,
    pub span_id: &'a str,
    pub parent_id: &'a str,
    pub ids: Ids,
    pub start_ns: u64,
    pub end_ns: u64,
    pub name: Cow<'a, str>,
    pub status_code: Cow<'a, str>,
    pub status_message: Cow<'a, str>,
    pub remote_parent: bool,
    pub attributes: Attributes<'a>,
    pub events: Vec<Event<'a>>,
    pub links: Vec<Link<'a>>,
    /// Name, version and schema.
    pub scope: [Cow<'a, str>; 3],
    /// Whether limits of the SDK discarded anything of it.
    pub is_cut: bool,
}

/// Attributes in the order of their keys.
#[derive(Default)]
pub struct Attributes<'a> {
    pub fields: Fields<'a>,
    /// A bit for each key, which another key may have too: most keys that are looked for are not there.
    bits: u64,
}

fn bit_of(key: &str) -> u64 {
    let last = key.as_bytes().last().copied().unwrap_or_default();
    1 << ((key.len() * 5 + usize::from(last)) % 64)
}

impl<'a> Attributes<'a> {
    pub fn new(mut fields: Fields<'a>) -> Self {
        fields.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        let bits = fields.iter().fold(0, |bits, field| bits | bit_of(&field.0));
        Attributes { fields, bits }
    }

    pub fn get(&self, key: &str) -> Option<&Json<'a>> {
        if self.bits & bit_of(key) == 0 {
            return None;
        }
        let place = self.fields.binary_search_by(|field| field.0.as_ref().cmp(key));
        place.ok().map(|place| &self.fields[place].1)
    }

    /// Returns a text that is not empty; for what is no text, too, there is none: see `words::KEY_TEXT`.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Json::Text(text)) if !text.is_empty() => Some(text),
            _ => None,
        }
    }
}

/// What the journals hold.
#[derive(Default)]
pub struct Entries<'a> {
    pub spans: Vec<Span<'a>>,
    pub starts: Vec<Ids>,
    pub logs: Vec<&'a str>,
    pub resources: Vec<&'a str>,
    /// Whether the run's beginning is there.
    pub begins: bool,
    /// The tenant that the first beginning names.
    pub tenant: Option<String>,
}

/// The keys by which an entry is known as a beginning of the run.
pub struct Beginning<'k> {
    pub op: &'k str,
    pub dialect: &'k str,
    pub implicit: &'k str,
    pub tenant_id: &'k str,
    pub spans_started: &'k str,
}

impl<'a> Entries<'a> {
    pub fn read(&mut self, file: &'a [u8], keys: &Beginning<'_>) -> Mine<()> {
        let end = file.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let mut rest = &file[..end];
        while !rest.is_empty() {
            let length = memchr(b'\n', rest).ok_or("a line is cut off")?;
            self.line(&rest[..length], keys)?;
            rest = &rest[length + 1..];
        }
        Ok(())
    }

    fn line(&mut self, line: &'a [u8], keys: &Beginning<'_>) -> Mine<()> {
        let (head, body) = line.split_at_checked(9).ok_or("a line is short")?;
        let head = std::str::from_utf8(head).ok().and_then(|head| head.strip_suffix(' ')).filter(|sum| is_hex(sum, 8));
        if head.and_then(|sum| u32::from_str_radix(sum, 16).ok()) != Some(crc32fast::hash(body)) {
            return Err("a line is damaged");
        }
        let body = std::str::from_utf8(body).map_err(|_| "a line is no text")?;
        let Ok(Json::Map(fields)) = json::parse(body) else { return Err("a line holds odd JSON") };
        match fields.iter().find(|field| field.0 == "k") {
            Some((_, Json::Text(kind))) => match kind.as_ref() {
                "span" => {
                    let span = span_of(body, fields)?;
                    let alone = span.parent_id.is_empty() && span.attributes.get(keys.spans_started).is_none();
                    self.notice(&span.attributes, alone, keys)?;
                    self.spans.push(span);
                }
                "start" => self.start(fields, keys)?,
                "log" => self.logs.push(body),
                "resource" if self.resources.last() != Some(&body) => self.resources.push(body),
                "resource" => (),
                _ => return Err("an entry is of no kind"),
            },
            _ => return Err("an entry is of no kind"),
        }
        Ok(())
    }

    fn start(&mut self, fields: Fields<'a>, keys: &Beginning<'_>) -> Mine<()> {
        let (mut trace_id, mut span_id, mut parent_id) = ("", "", None);
        let (mut is_run, mut is_timed, mut is_named) = (false, false, false);
        let mut attributes = None;
        for (key, value) in fields {
            match (key.as_ref(), value) {
                ("trace_id", Json::Text(Cow::Borrowed(text))) => trace_id = text,
                ("span_id", Json::Text(Cow::Borrowed(text))) => span_id = text,
                ("parent_span_id", Json::Text(Cow::Borrowed(text))) => parent_id = Some(text),
                ("start_ns", value) => is_timed = time_of(&value)? > 0,
                ("is_run", Json::Bool(flag)) => is_run = flag,
                ("label" | "lane", Json::Text(_)) | ("k", _) => (),
                ("name", Json::Text(_)) => is_named = true,
                ("attributes", Json::Map(fields)) => attributes = Some(Attributes::new(fields)),
                _ => return Err("a start has another form"),
            }
        }
        let Some(parent_id) = parent_id.filter(|_| is_timed && (attributes.is_none() || is_named)) else {
            return Err("a start has another form");
        };
        self.starts.push(ids_of(trace_id, span_id, parent_id)?);
        match attributes {
            Some(attributes) => self.notice(&attributes, is_run, keys)?,
            None => self.begins |= is_run,
        }
        Ok(())
    }

    /// Takes note of what an entry says of the run. `begins`: it is where the run begins.
    pub fn notice(&mut self, attributes: &Attributes<'_>, begins: bool, keys: &Beginning<'_>) -> Mine<()> {
        let claims = attributes.text(keys.op) == Some("run") && attributes.get(keys.dialect).is_none();
        let implicit = matches!(attributes.get(keys.implicit), Some(Json::Bool(true)));
        if begins || claims || implicit {
            self.begins = true;
            match attributes.get(keys.tenant_id) {
                None => (),
                Some(Json::Text(text)) if self.tenant.is_none() && !text.is_empty() => {
                    self.tenant = Some(text.to_string());
                }
                Some(Json::Text(_)) => (),
                Some(_) => return Err("a tenant is no text"),
            }
        }
        Ok(())
    }
}

pub fn is_hex(text: &str, chars: usize) -> bool {
    text.len() == chars && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

pub fn ids_of(trace_id: &str, span_id: &str, parent_id: &str) -> Mine<Ids> {
    if !is_hex(trace_id, 32) || !is_hex(span_id, 16) || !(parent_id.is_empty() || is_hex(parent_id, 16)) {
        return Err("an id has another form");
    }
    match (u128::from_str_radix(trace_id, 16), u64::from_str_radix(span_id, 16)) {
        (Ok(trace), Ok(span)) => Ok((trace, span)),
        _ => Err("an id has another form"),
    }
}

fn time_of(value: &Json<'_>) -> Mine<u64> {
    let Json::Int(text) = value else { return Err("a time is no number") };
    text.parse().ok().filter(|time| *time <= i64::MAX as u64).ok_or("a time is out of range")
}

fn span_of<'a>(line: &'a str, fields: Fields<'a>) -> Mine<Span<'a>> {
    let mut span = Span { line, ..Span::default() };
    let mut had = 0;
    for (key, value) in fields {
        match (key.as_ref(), value) {
            ("trace_id", Json::Text(Cow::Borrowed(text))) => span.trace_id = text,
            ("span_id", Json::Text(Cow::Borrowed(text))) => span.span_id = text,
            ("parent_span_id", Json::Text(Cow::Borrowed(text))) => span.parent_id = text,
            ("start_ns", value) => span.start_ns = time_of(&value)?,
            ("end_ns", value) => span.end_ns = time_of(&value)?,
            ("name", Json::Text(text)) => span.name = text,
            ("status_code", Json::Int(text)) => span.status_code = text,
            ("status_message", Json::Text(text)) => span.status_message = text,
            ("remote_parent", Json::Bool(flag)) => span.remote_parent = flag,
            ("attributes", Json::Map(fields)) => span.attributes = Attributes::new(fields),
            ("scope", Json::Map(fields)) => span.scope = scope_of(fields)?,
            ("events", Json::List(items)) => {
                span.events = items.into_iter().map(|item| event_of(item, &mut span.is_cut)).collect::<Mine<_>>()?;
            }
            ("links", Json::List(items)) => {
                span.links = items.into_iter().map(|item| link_of(item, &mut span.is_cut)).collect::<Mine<_>>()?;
            }
            ("dropped", Json::Map(fields)) => {
                span.is_cut |= !fields.is_empty();
                fields.iter().try_for_each(|field| time_of(&field.1).map(|_| ()))?;
            }
            ("k" | "run_id" | "tenant_id" | "trace_state" | "kind" | "resource", _) => continue,
            _ => return Err("a span has another form"),
        }
        had += 1;
    }
    if had != 14 {
        return Err("a span lacks a field");
    }
    span.ids = ids_of(span.trace_id, span.span_id, span.parent_id)?;
    if span.ids.1 == 0 {
        return Err("an id is zero"); // Python finds it as the parent of spans that have none
    }
    Ok(span)
}

pub fn scope_of(fields: Fields<'_>) -> Mine<[Cow<'_, str>; 3]> {
    let mut scope = <[Cow<'_, str>; 3]>::default();
    for (key, value) in fields {
        if let Some(place) = ["name", "version", "schema_url"].iter().position(|name| *name == key) {
            let Json::Text(text) = value else { return Err("a scope has another form") };
            scope[place] = text;
        }
    }
    Ok(scope)
}

fn event_of<'a>(item: Json<'a>, is_cut: &mut bool) -> Mine<Event<'a>> {
    let Json::Map(fields) = item else { return Err("an event has another form") };
    let (mut event, mut had) = (Event::default(), 0);
    for (key, value) in fields {
        match (key.as_ref(), value) {
            ("name", Json::Text(text)) => event.name = text,
            ("time_ns", value) => event.time_ns = time_of(&value)?,
            ("attributes", Json::Map(fields)) => event.attributes = Attributes::new(fields),
            ("dropped", value) => {
                *is_cut |= time_of(&value)? > 0;
                continue;
            }
            _ => return Err("an event has another form"),
        }
        had += 1;
    }
    if had == 3 { Ok(event) } else { Err("an event lacks a field") }
}

pub fn link_of<'a>(item: Json<'a>, is_cut: &mut bool) -> Mine<Link<'a>> {
    let Json::Map(fields) = item else { return Err("a link has another form") };
    let (mut link, mut had) = (Link::default(), 0);
    for (key, value) in fields {
        match (key.as_ref(), value) {
            ("trace_id", Json::Text(Cow::Borrowed(text))) => link.trace_id = text,
            ("span_id", Json::Text(Cow::Borrowed(text))) => link.span_id = text,
            ("attributes", Json::Map(fields)) => link.attributes = Attributes::new(fields),
            ("dropped", value) => {
                *is_cut |= time_of(&value)? > 0;
                continue;
            }
            ("trace_state", Json::Text(_)) => continue,
            _ => return Err("a link has another form"),
        }
        had += 1;
    }
    if had != 3 || !is_hex(link.trace_id, 32) || !is_hex(link.span_id, 16) {
        return Err("a link has another form");
    }
    Ok(link)
}
