//! An ended span, redacted and encoded as the line of a journal, as `redaction/redactor.py` and `journal/lines.py` do it.

use std::borrow::Cow;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyList, PyString};

use crate::journal::{SPAN, summed};
use crate::json::{Json, Odd, comma, parse, put_escaped, put_int, put_key, put_pair, put_sorted, put_text};
use crate::judge::{Answer, Ask, Piece, Stop};
use crate::messages::describe;
use crate::notes::{Notes, coarse_size, marker};
use crate::plan::{Handling, Key};
use crate::rules::Rules;
use crate::walk::redact;
use crate::words::Payload;
use crate::work::{Core, Work, bytes_of, text_of};

const FIELDS: usize = 18; // besides the tenant, which a record of nobody's run may lack
pub const SMALL_DIGITS: usize = 7;
pub const SMALL: f64 = 10_000_000.0; // no smaller number is a known secret, or a person's

struct Item<'a, 'py> {
    key: &'a str,
    known: Option<&'a Key>,
    value: &'a Bound<'py, PyAny>,
}

type Pairs<'py> = Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>;

/// A view that waits until all payloads of the record were seen, and its key.
type View<'a> = (&'a str, Json<'a>);

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Span,
    Event,
    Link,
}

/// The redacted parts of a span.
struct Redacted {
    attributes: Vec<u8>,
    events: Vec<u8>,
    links: Vec<u8>,
    scope: Arc<Piece>,
    name: Arc<Piece>,
    state: Arc<Piece>,
    status: String,
}

/// Returns the line of a span.
pub fn line(core: &Core, record: &Bound<'_, PyDict>, resource: i64) -> Answer<Vec<u8>> {
    written(record, &redacted(core, record)?, resource)
}

/// Returns the name and the attributes of a span that has begun, each as JSON.
pub fn begun(core: &Core, record: &Bound<'_, PyDict>) -> Answer<(Vec<u8>, Vec<u8>)> {
    let made = redacted(core, record)?;
    Ok((made.name.json.clone(), made.attributes))
}

fn redacted(core: &Core, record: &Bound<'_, PyDict>) -> Answer<Redacted> {
    let py = record.py();
    let (tenant, run_id) = (record.get_item("tenant_id")?, field(record, "run_id")?);
    let tenant_id = tenant.as_ref().map_or(Ok(""), text_of)?;
    let run_id = text_of(&run_id)?;
    if record.len() != FIELDS + usize::from(tenant.is_some()) {
        return Err(Stop::NotMine);
    }
    let pairs = pairs_of(&field(record, "attributes")?)?;
    let items = items_of(core, &pairs)?;
    let table = core.judge.call(py, "table", (tenant_id, run_id))?;
    let mut work = Work {
        core,
        py,
        tenant_id,
        run_id,
        tenant: core.judge.tenant(py, tenant_id)?,
        tool: String::new(),
        notes: Notes::default(),
        unjudged: Vec::new(),
        named: Vec::new(),
        table,
        taint: None,
    };
    work.tool = work.tool_of(&items)?;
    let calls = work.asked_for(&items)?;
    let made = work.made(record, &items)?;
    if !work.unjudged.is_empty() && !core.judge.all_stay(py, &work.unjudged)? {
        return Err(Stop::NotMine);
    }
    if let Some(mut taint) = work.taint.take() {
        taint.commit(py)?;
        core.mirrors.put(tenant_id, run_id, taint);
    }
    if let Some(calls) = calls {
        core.judge.call(py, "remember_calls", (calls, &work.table))?;
    }
    Ok(made)
}

/// Writes the line of a record whose parts are redacted.
fn written(record: &Bound<'_, PyDict>, made: &Redacted, resource: i64) -> Answer<Vec<u8>> {
    let mut line = Vec::with_capacity(made.attributes.len() + made.events.len() + 1024);
    line.extend_from_slice(SPAN);
    for (key, value) in record.iter() {
        let key = text_of(&key)?;
        put_key(&mut line, key);
        match key {
            "attributes" => line.extend_from_slice(&made.attributes),
            "events" => line.extend_from_slice(&made.events),
            "links" => line.extend_from_slice(&made.links),
            "scope" => line.extend_from_slice(&made.scope.json),
            "name" => line.extend_from_slice(&made.name.json),
            "trace_state" => line.extend_from_slice(&made.state.json),
            "status_message" => put_text(&mut line, &made.status),
            "resource" => put_int(&mut line, resource),
            "run_id" | "tenant_id" | "trace_id" | "span_id" | "parent_span_id" | "remote_parent" | "kind"
            | "start_ns" | "end_ns" | "status_code" | "dropped" => put_plain(&mut line, &value)?,
            _ => return Err(Stop::NotMine),
        }
    }
    Ok(summed(line))
}

fn field<'py>(record: &Bound<'py, PyDict>, name: &str) -> Answer<Bound<'py, PyAny>> {
    record.get_item(name)?.ok_or(Stop::NotMine)
}

fn pairs_of<'py>(value: &Bound<'py, PyAny>) -> Answer<Pairs<'py>> {
    Ok(value.cast_exact::<PyDict>().map_err(|_| Stop::NotMine)?.iter().collect())
}

fn items_of<'a, 'py>(core: &'a Core, pairs: &'a Pairs<'py>) -> Answer<Vec<Item<'a, 'py>>> {
    let mut items = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        let key = text_of(key)?;
        let known = core.plan.keys.get(key);
        if known.is_some_and(|known| known.handling == Handling::Python) || key.starts_with(&core.plan.hidden) {
            return Err(Stop::NotMine);
        }
        items.push(Item { key, known, value });
    }
    Ok(items)
}

fn find<'a, 'py>(items: &'a [Item<'a, 'py>], key: &str) -> Option<&'a Item<'a, 'py>> {
    items.iter().find(|item| item.key == key)
}

fn chars_at_most(text: &str, most: usize) -> bool {
    text.len() <= most || (text.len() <= 4 * most && text.chars().count() <= most)
}

/// Writes JSON as a text.
fn put_quoted(out: &mut Vec<u8>, key: &str, json: &[u8]) {
    put_key(out, key);
    out.push(b'"');
    put_escaped(out, json);
    out.push(b'"');
}

/// Writes a field that no policy decides about: an id, a number, a flag, or counts.
fn put_plain(out: &mut Vec<u8>, value: &Bound<'_, PyAny>) -> Answer<()> {
    if let Ok(text) = value.cast_exact::<PyString>() {
        put_text(out, text.to_str()?);
    } else if value.is_exact_instance_of::<PyInt>() {
        put_int(out, value.extract()?);
    } else if let Ok(flag) = value.cast_exact::<PyBool>() {
        out.extend_from_slice(if flag.is_true() { b"true" } else { b"false" });
    } else {
        out.push(b'{');
        for (key, count) in pairs_of(value)? {
            put_key(out, text_of(&key)?);
            put_int(out, count.extract()?);
        }
        out.push(b'}');
    }
    Ok(())
}

impl<'c> Work<'c, '_> {
    fn is_name(&self, text: &str, most: usize) -> Answer<bool> {
        let is_short = chars_at_most(text, most) && text.matches(' ').count() <= self.core.plan.blanks;
        Ok(is_short && self.core.judge.ask(self.py, Ask::Name, text)?)
    }

    fn tool_of(&self, items: &[Item<'_, '_>]) -> Answer<String> {
        let Some(item) = find(items, &self.core.plan.tool_name) else { return Ok(String::new()) };
        let (Json::Text(name), Some(known)) = (self.value(item.value)?, item.known) else { return Ok(String::new()) };
        Ok(if self.is_name(&name, known.chars)? { name.into_owned() } else { String::new() })
    }

    /// Returns the messages in which a model may have asked for calls, to be remembered when the line is made; a bare
    /// argument, which gets its name from such a call, is left to Python.
    fn asked_for<'a, 'py>(&self, items: &'a [Item<'a, 'py>]) -> Answer<Option<&'a Bound<'py, PyAny>>> {
        if find(items, &self.core.plan.dialect).is_none() {
            return Ok(None);
        }
        if let Some(item) = find(items, &self.core.plan.arguments.key) {
            match self.value(item.value)? {
                Json::Null | Json::List(_) | Json::Map(_) => (),
                Json::Text(text) if matches!(parse(&text), Ok(Json::Map(_) | Json::List(_))) => (),
                _ => return Err(Stop::NotMine),
            }
        }
        let Some(item) = find(items, &self.core.plan.output_messages) else { return Ok(None) };
        let Json::Text(text) = self.value(item.value)? else { return Ok(None) };
        Ok(self.core.tool_call.find(text.as_bytes()).map(|_| item.value))
    }

    fn made<'a>(&mut self, record: &Bound<'_, PyDict>, items: &'a [Item<'a, '_>]) -> Answer<Redacted>
    where
        'c: 'a,
    {
        let mut views: Vec<View<'a>> = Vec::new();
        let mut attributes = Vec::with_capacity(2048);
        attributes.push(b'{');
        self.attributes(&mut attributes, items, "attributes", Place::Span, &mut views)?;
        let name = field(record, "name")?;
        let named = std::mem::take(&mut self.named);
        let key: [&[u8]; 3] = [self.tenant_id.as_bytes(), text_of(&name)?.as_bytes(), &named];
        let name = self.core.judge.piece(self.py, "span_name", &key, (self.tenant_id, &name, &named[..]))?;
        self.noted(&name, "name", "name")?;
        if !name.more.is_empty() {
            comma(&mut attributes);
            attributes.extend_from_slice(&name.more);
        }
        let events = self.parts(&field(record, "events")?, "events", Place::Event)?;
        let links = self.parts(&field(record, "links")?, "links", Place::Link)?;
        let message = field(record, "status_message")?;
        let message = self.value(&message)?;
        let status =
            if matches!(message, Json::Text(_)) { self.error(message, "status")? } else { return Err(Stop::NotMine) };
        let scope = field(record, "scope")?;
        let key: [&[u8]; 2] = [self.tenant_id.as_bytes(), &(scope.as_ptr() as usize).to_ne_bytes()];
        let scope = self.core.judge.piece(self.py, "scope", &key, (self.tenant_id, &scope))?;
        for (key, view) in views {
            self.scrub(&view)?;
            match &view {
                Json::Made(text) if text.starts_with("[REDACTED:") => put_pair(&mut attributes, key, text),
                _ => {
                    let mut json = Vec::new();
                    put_sorted(&mut json, &view);
                    put_quoted(&mut attributes, key, &json);
                }
            }
        }
        let state = self.trace_state(&field(record, "trace_state")?)?;
        self.noted(&state, "trace_state", "trace_state")?;
        put_quoted(&mut attributes, &self.core.plan.receipt, &self.notes.text(&self.tenant.key_id));
        attributes.push(b'}');
        Ok(Redacted { attributes, events, links, scope, name, state, status })
    }

    /// Notes what Python noted of a piece that stands at another place: `from` is where it was there, `to` where it is.
    fn noted(&mut self, piece: &Piece, from: &str, to: &str) -> Answer<()> {
        for (path, rule, action) in &piece.notes {
            match path.strip_prefix(from) {
                Some(rest) => self.notes.add(&format!("{to}{rest}"), rule, action),
                None if to == from => self.notes.add(path, rule, action),
                None => return Err(Stop::NotMine),
            }
        }
        Ok(())
    }

    fn trace_state(&self, state: &Bound<'_, PyAny>) -> Answer<Arc<Piece>> {
        self.core.judge.piece(self.py, "trace_state", &[text_of(state)?.as_bytes()], (state,))
    }

    /// Returns the events or the links of a record.
    fn parts(&mut self, given: &Bound<'_, PyAny>, word: &str, place: Place) -> Answer<Vec<u8>> {
        let mut out = vec![b'['];
        for (number, part) in given.cast_exact::<PyList>().map_err(|_| Stop::NotMine)?.iter().enumerate() {
            comma(&mut out);
            out.push(b'{');
            let path = format!("{word}[{number}]");
            let fields = pairs_of(&part)?;
            // An event's fields have one order when it is redacted; a link's keep theirs.
            let order = ["name", "time_ns", "attributes", "dropped"];
            let mut keys = fields.iter().map(|(key, _)| text_of(key)).collect::<Answer<Vec<_>>>()?;
            let is_whole = keys.contains(&"trace_state") && keys.contains(&"attributes");
            if if place == Place::Event { keys != order } else { !is_whole } {
                return Err(Stop::NotMine);
            }
            for (key, (_, value)) in keys.drain(..).zip(&fields) {
                put_key(&mut out, key);
                match key {
                    "name" if place == Place::Event => {
                        let question: [&[u8]; 2] = [self.tenant_id.as_bytes(), text_of(value)?.as_bytes()];
                        let name = self.core.judge.piece(self.py, "event_name", &question, (self.tenant_id, value))?;
                        self.noted(&name, "name", &format!("{path}.name"))?;
                        out.extend_from_slice(&name.json);
                    }
                    "trace_state" => out.extend_from_slice(&self.trace_state(value)?.json),
                    "attributes" => {
                        let pairs = pairs_of(value)?;
                        let items = items_of(self.core, &pairs)?;
                        out.push(b'{');
                        self.attributes(&mut out, &items, &format!("{path}.attributes"), place, &mut Vec::new())?;
                        out.push(b'}');
                    }
                    "time_ns" | "dropped" | "trace_id" | "span_id" => put_plain(&mut out, value)?,
                    _ => return Err(Stop::NotMine),
                }
            }
            out.push(b'}');
        }
        out.push(b']');
        Ok(out)
    }

    // -- attributes ---------------------------------------------------------------------------------------------------

    fn attributes<'a>(
        &mut self, out: &mut Vec<u8>, items: &'a [Item<'a, '_>], path: &str, place: Place, views: &mut Vec<View<'a>>,
    ) -> Answer<()>
    where
        'c: 'a,
    {
        let plan = &self.core.plan;
        let mut about: Vec<(&str, Vec<u8>)> = Vec::new();
        let mut payloads: Vec<&str> = Vec::new();
        for item in items {
            let (key, value) = (item.key, self.value(item.value)?);
            let Some(known) = item.known else {
                self.undeclared(out, item, value, path)?;
                continue;
            };
            let of_spans =
                [Handling::Arguments, Handling::Result, Handling::Outcome, Handling::Config].contains(&known.handling);
            if of_spans && place != Place::Span {
                return Err(Stop::NotMine);
            }
            match (known.handling, value) {
                (Handling::Name | Handling::Id, Json::Text(text)) => {
                    let is_kept = match known.handling {
                        Handling::Name => self.is_name(&text, known.chars)?,
                        _ => chars_at_most(&text, known.chars) && self.core.judge.ask(self.py, Ask::Id, &text)?,
                    };
                    let text = if is_kept { text } else { self.content(key, &Json::Text(text), path, &[]).into() };
                    put_pair(out, key, &text);
                    if known.in_name && place == Place::Span {
                        for part in [key.as_bytes(), text.as_bytes()] {
                            self.named.extend_from_slice(part);
                            self.named.push(0);
                        }
                    }
                }
                (Handling::Run, Json::Text(text)) if self.core.judge.ask(self.py, Ask::Run, &text)? => {
                    put_pair(out, key, &text);
                }
                (Handling::Name | Handling::Id | Handling::Number, value) if !known.in_name && is_small(&value) => {
                    put_key(out, key);
                    put_sorted(out, &value);
                }
                (Handling::Content, value) => {
                    let marker = self.content(key, &value, path, &[]);
                    put_pair(out, key, &marker);
                }
                (Handling::Messages, value) => {
                    if let Some(entry) = self.messages(out, key, value, path)? {
                        about.push((key, entry));
                    }
                }
                (Handling::Arguments | Handling::Result, value) => {
                    let is_result = known.handling == Handling::Result;
                    let payload = if is_result { &plan.results } else { &plan.arguments };
                    let rules = if is_result { &plan.outputs } else { &plan.inputs };
                    if payloads.contains(&payload.key.as_str()) {
                        return Err(Stop::NotMine);
                    }
                    payloads.push(&payload.key);
                    self.payload(out, payload, rules.get(&self.tool), value, views)?;
                }
                (Handling::Outcome, value) => {
                    self.open_taint()?;
                    views.push((key, redact(self, &plan.outcome, opened(value)?, "result")?));
                }
                (Handling::Effect, Json::Text(text)) => {
                    let Some((lane, number)) = text.rsplit_once(':') else { return Err(Stop::NotMine) };
                    let is_number =
                        number.len() <= 9 && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
                    // The lane alone is judged: with its number each would be judged anew.
                    let asked = self.asked(key, &PyString::new(self.py, &format!("{lane}:0")))?;
                    if !is_number || !asked.notes.is_empty() {
                        return Err(Stop::NotMine);
                    }
                    put_pair(out, key, &text);
                }
                (Handling::Error, value) if place != Place::Link => {
                    let text = self.error(value, &format!("{path}.{key}"))?;
                    put_pair(out, key, &text);
                }
                (handling, _) if known.in_name || handling == Handling::Error => return Err(Stop::NotMine),
                _ => {
                    let asked = self.asked(key, item.value)?;
                    self.put_asked(out, &asked, path)?;
                }
            }
        }
        if !about.is_empty() {
            about.sort_unstable_by_key(|entry| entry.0);
            let mut text = vec![b'{'];
            for (key, entry) in about {
                put_key(&mut text, key);
                text.extend_from_slice(&entry);
            }
            text.push(b'}');
            put_quoted(out, &plan.messages, &text);
        }
        let tool = if place == Place::Link { "" } else { &self.tool };
        for (key, value) in plan.stamps.get(tool).into_iter().flatten() {
            if find(items, key).is_some() {
                return Err(Stop::NotMine); // what the contract says stands where the span said it
            }
            put_pair(out, key, value);
        }
        Ok(())
    }

    /// Asks Python for an attribute that depends on nothing but itself.
    fn asked(&self, key: &str, value: &Bound<'_, PyAny>) -> Answer<Arc<Piece>> {
        let mut said = Vec::new();
        put_sorted(&mut said, &self.value(value)?);
        let question: [&[u8]; 3] = [self.tenant_id.as_bytes(), key.as_bytes(), &said];
        self.core.judge.piece(self.py, "attribute", &question, (self.tenant_id, key, value))
    }

    fn put_asked(&mut self, out: &mut Vec<u8>, piece: &Piece, path: &str) -> Answer<()> {
        self.noted(piece, "attributes", path)?;
        if !piece.json.is_empty() {
            comma(out);
            out.extend_from_slice(&piece.json);
        }
        Ok(())
    }

    /// Notes a value of content, and returns the marker in its place.
    fn content(&mut self, key: &str, value: &Json<'_>, path: &str, roles: &[&str]) -> String {
        self.notes.add(&format!("{path}.{key}"), "content", "digest");
        self.marked("content", "content", value, roles)
    }

    fn marked(&self, data_class: &str, domain: &str, value: &Json<'_>, roles: &[&str]) -> String {
        let made;
        let data = match value {
            Json::Text(text) => text.as_bytes(),
            other => {
                made = bytes_of(other);
                &made
            }
        };
        marker(data_class, &self.digester().text(domain, data), Some(data.len()), roles)
    }

    fn undeclared(&mut self, out: &mut Vec<u8>, item: &Item<'_, '_>, value: Json<'_>, path: &str) -> Answer<()> {
        let question: [&[u8]; 2] = [self.tenant_id.as_bytes(), item.key.as_bytes()];
        let hidden = self.core.judge.piece(self.py, "hidden_key", &question, (self.tenant_id, item.key))?;
        if self.core.plan.has_safe_keys || !hidden.more.is_empty() {
            let asked = self.asked(item.key, item.value)?;
            return self.put_asked(out, &asked, path);
        }
        let key = str::from_utf8(&hidden.json).map_err(|_| Stop::NotMine)?;
        self.notes.add(&format!("{path}.{key}"), "undeclared", "digest");
        put_pair(out, key, &self.marked("undeclared", "attribute", &value, &[]));
        Ok(())
    }

    /// Writes the marker of messages; returns what describes each of them.
    fn messages(&mut self, out: &mut Vec<u8>, key: &str, value: Json<'_>, path: &str) -> Answer<Option<Vec<u8>>> {
        let text = match &value {
            Json::Text(text) => Cow::Borrowed(text.as_ref()),
            other => String::from_utf8(bytes_of(other)).map_err(|_| Stop::NotMine)?.into(),
        };
        if text.len() > self.core.plan.max_described {
            return Err(Stop::NotMine);
        }
        let described = match parse(&text) {
            Ok(messages) => Some(describe(self, &self.core.plan, messages)?),
            Err(Odd::NotJson) => None,
            Err(Odd::Unsure) => return Err(Stop::NotMine),
        };
        let roles = described.as_ref().map_or(&[][..], |described| &described.roles);
        if roles.is_empty() && self.core.role.find(text.as_bytes()).is_some() {
            return Err(Stop::NotMine);
        }
        let marker = self.content(key, &value, path, roles);
        put_pair(out, key, &marker);
        Ok(described.map(|described| described.entry))
    }

    fn payload<'a>(
        &mut self, out: &mut Vec<u8>, payload: &'a Payload, rules: Option<&Rules>, value: Json<'a>,
        views: &mut Vec<View<'a>>,
    ) -> Answer<()> {
        let most = self.core.plan.max_payload_bytes;
        if matches!(&value, Json::Text(text) if text.len() > most) {
            return Err(Stop::NotMine);
        }
        let value = opened(value)?;
        let data = bytes_of(&value);
        if data.len() > most {
            return Err(Stop::NotMine);
        }
        let domain = format!("tool|{}|{}", self.tool, payload.kind);
        let (digest, size) = (self.digester().text(&domain, &data), coarse_size(data.len()));
        put_pair(out, &payload.digest_key, &digest);
        put_key(out, &payload.bytes_key);
        put_int(out, size as i64);
        let Some(rules) = rules else {
            self.notes.add(&payload.kind, "no-contract", "digest");
            put_pair(out, &payload.key, &marker("undeclared", &digest, Some(size), &[]));
            return Ok(());
        };
        self.open_taint()?;
        views.push((&payload.key, redact(self, rules, value, &payload.kind)?));
        Ok(())
    }

    fn error(&mut self, value: Json<'_>, path: &str) -> Answer<String> {
        match &value {
            Json::Text(text) if text.is_empty() => return Ok(String::new()),
            Json::Text(_) => (),
            _ => return Err(Stop::NotMine),
        }
        let plan = &self.core.plan;
        let Some(rules) = plan.errors.get(&self.tool).filter(|rules| rules.decides) else {
            self.notes.add(path, "error", "digest");
            return Ok(self.marked("error", "error", &value, &[]));
        };
        self.open_taint()?;
        let kept = redact(self, rules, value, path)?;
        self.scrub(&kept)?;
        Ok(match kept {
            Json::Text(text) => text.into_owned(),
            Json::Made(text) => text,
            _ => marker("error", "", None, &[]),
        })
    }
}

/// Returns the value of a payload: of JSON text what it says.
fn opened(value: Json<'_>) -> Answer<Json<'_>> {
    match value {
        Json::Text(Cow::Borrowed(text)) => match parse(text) {
            Ok(value) => Ok(value),
            Err(Odd::NotJson) => Ok(Json::Text(text.into())),
            Err(Odd::Unsure) => Err(Stop::NotMine),
        },
        other => Ok(other),
    }
}

/// Tells whether a value is a number or flag that needs no judgement.
fn is_small(value: &Json<'_>) -> bool {
    match value {
        Json::Bool(_) => true,
        Json::Int(text) => text.len() <= SMALL_DIGITS,
        Json::Float(number) => number.abs() < SMALL,
        _ => false,
    }
}
