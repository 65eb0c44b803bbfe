//! An ended span, redacted and encoded as the line of a journal, as `redaction/redactor.py` and `journal/lines.py` do it.

use std::borrow::Cow;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyList, PyString};

use crate::json::{Json, Odd, parse, put_escaped, put_float, put_int, put_sorted, put_text};
use crate::judge::{Answer, Ask, Hidden, Named, Scope, Stop, Tenant};
use crate::messages::describe;
use crate::mirrors::Mirrors;
use crate::notes::{Notes, coarse_size, marker};
use crate::plan::{Handling, Key, Payload};
use crate::rules::Rules;
use crate::walk::redact;
use crate::work::{Core, Value, Work, value_of};

const FIELDS: usize = 18; // besides the tenant, which a record of nobody's run may lack
const MOST_ITEMS: usize = 64;

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

/// Returns the line of a span.
pub fn line(core: &Core, mirrors: &Mirrors, record: &Bound<'_, PyDict>, resource: i64) -> Answer<Vec<u8>> {
    let py = record.py();
    core.judge.refresh();
    let fields: Pairs<'_> = record.iter().collect();
    let field = |name: &str| record.get_item(name)?.ok_or(Stop::NotMine);
    let (tenant, run) = (record.get_item("tenant_id")?, field("run_id")?);
    if fields.len() != FIELDS + usize::from(tenant.is_some()) {
        return Err(Stop::NotMine);
    }
    let tenant_id = tenant.as_ref().map_or(Ok(""), text_of)?;
    let run_id = text_of(&run)?;
    let pairs: Pairs<'_> = dict_of(&field("attributes")?)?.iter().collect();
    let items = items_of(core, &pairs)?;
    let tool = tool_of(core, py, &items)?;
    let calls = asked_for(core, &items)?;
    let tenant = core.judge.known(
        |tables| &mut tables.tenants,
        &tenant_id.into(),
        || {
            let (key, key_id): (Vec<u8>, String) = core.judge.other(py, "tenant")?.call1((tenant_id,))?.extract()?;
            Ok(Arc::new(Tenant { digester: crate::digest::Digester::new(&key, &key_id), key_id }))
        },
    )?;
    let table = core.judge.other(py, "table")?.call1((tenant_id, run_id))?;
    let work = Work { core, py, tenant, tool, notes: Notes::default(), table, taint: None };
    let named = vec![None; core.plan.name_keys.len()];
    let mut span = Span { work, mirrors, tenant_id, run_id, named };
    let made = span.made(record, &fields, &items, resource);
    let committed = match (&made, &mut span.work.taint) {
        (Ok(_), Some(taint)) => taint.commit(py),
        _ => Ok(()),
    };
    span.close(made.is_err() || committed.is_err());
    let line = made.and_then(|line| committed.map(|()| line))?;
    if let Some(calls) = calls {
        core.judge.other(py, "remember_calls")?.call1((calls, &span.work.table))?;
    }
    Ok(line)
}

fn text_of<'a>(value: &'a Bound<'_, PyAny>) -> Answer<&'a str> {
    Ok(value.cast_exact::<PyString>().map_err(|_| Stop::NotMine)?.to_str()?)
}

fn dict_of<'a, 'py>(value: &'a Bound<'py, PyAny>) -> Answer<&'a Bound<'py, PyDict>> {
    value.cast_exact::<PyDict>().map_err(|_| Stop::NotMine)
}

fn list_of<'a, 'py>(value: &'a Bound<'py, PyAny>) -> Answer<&'a Bound<'py, PyList>> {
    value.cast_exact::<PyList>().map_err(|_| Stop::NotMine)
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

fn find<'a, 'py>(items: &'a [Item<'a, 'py>], key: &str) -> Option<&'a Bound<'py, PyAny>> {
    items.iter().find(|item| item.key == key).map(|item| item.value)
}

fn tool_of(core: &Core, py: Python<'_>, items: &[Item<'_, '_>]) -> Answer<String> {
    if let Some(item) = items.iter().find(|item| item.key == core.plan.tool_name)
        && let (Ok(name), Some(key)) = (item.value.cast_exact::<PyString>(), item.known)
        && is_name(core, py, name.to_str()?, key.chars)?
    {
        return Ok(name.to_str()?.to_owned());
    }
    Ok(String::new())
}

/// Returns the messages in which a model may have asked for calls, to be remembered when the line is made; a bare
/// argument, which gets its name from such a call, is left to Python.
fn asked_for<'a, 'py>(core: &Core, items: &'a [Item<'a, 'py>]) -> Answer<Option<&'a Bound<'py, PyAny>>> {
    if find(items, &core.plan.dialect).is_none() {
        return Ok(None);
    }
    if let Some(arguments) = find(items, &core.plan.arguments.key) {
        match value_of(core, arguments)? {
            Value::None | Value::Parts(_) => (),
            Value::Text(text) if matches!(parse(text), Ok(Json::Map(_) | Json::List(_))) => (),
            _ => return Err(Stop::NotMine),
        }
    }
    let Some(messages) = find(items, &core.plan.output_messages) else { return Ok(None) };
    let Ok(text) = messages.cast_exact::<PyString>() else { return Ok(None) };
    Ok(core.tool_call.find(text.to_str()?.as_bytes()).map(|_| messages))
}

fn chars_at_most(text: &str, most: usize) -> bool {
    text.len() <= most || (text.len() <= 4 * most && text.chars().count() <= most)
}

fn is_name(core: &Core, py: Python<'_>, text: &str, most: usize) -> Answer<bool> {
    let is_short = chars_at_most(text, most) && text.bytes().filter(|byte| *byte == b' ').count() <= core.plan.blanks;
    Ok(is_short && core.judge.ask(py, Ask::Name, text)?)
}

/// Writes the key of a field.
fn put_key(out: &mut Vec<u8>, key: &str) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    put_text(out, key);
    out.push(b':');
}

struct Span<'c, 'py> {
    work: Work<'c, 'py>,
    mirrors: &'c Mirrors,
    tenant_id: &'c str,
    run_id: &'c str,
    /// What the span's name may follow from, in the order of the plan.
    named: Vec<Option<String>>,
}

impl<'c, 'py> Span<'c, 'py> {
    fn made<'a>(
        &mut self,
        record: &Bound<'py, PyDict>,
        fields: &Pairs<'py>,
        items: &'a [Item<'a, 'py>],
        resource: i64,
    ) -> Answer<Vec<u8>>
    where
        'c: 'a,
    {
        let core = self.work.core;
        let field = |name: &str| record.get_item(name)?.ok_or(Stop::NotMine);
        let mut views: Vec<View<'a>> = Vec::new();
        let mut attributes = vec![b'{'];
        self.attributes(&mut attributes, items, "attributes", Place::Span, &mut views)?;
        let name = self.name(text_of(&field("name")?)?)?;
        if !name.digest.is_empty() {
            put_key(&mut attributes, &core.plan.name_digest);
            put_text(&mut attributes, &name.digest);
        }
        let mut events = vec![b'['];
        for (place, event) in list_of(&field("events")?)?.iter().enumerate() {
            events.extend_from_slice(if place > 0 { b",{" } else { b"{" });
            self.event(&mut events, dict_of(&event)?, place)?;
        }
        events.push(b']');
        let mut links = vec![b'['];
        for (place, link) in list_of(&field("links")?)?.iter().enumerate() {
            links.extend_from_slice(if place > 0 { b",{" } else { b"{" });
            self.link(&mut links, dict_of(&link)?, place)?;
        }
        links.push(b']');
        let message = field("status_message")?;
        let message = text_of(&message)?;
        core.unmarked(message)?;
        let status = self.error(&Value::Text(message), "status")?;
        let scope = self.scope(&field("scope")?)?;
        for (key, view) in views {
            self.work.scrub(&view)?;
            put_key(&mut attributes, key);
            match &view {
                Json::Made(text) if text.starts_with("[REDACTED:") => put_text(&mut attributes, text),
                _ => {
                    let mut text = Vec::new();
                    put_sorted(&mut text, &view);
                    put_quoted(&mut attributes, &text);
                }
            }
        }
        let state = field("trace_state")?;
        let state = text_of(&state)?;
        let kept_state = self.trace_state(state)?;
        if kept_state != state {
            self.work.notes.add("trace_state", "undeclared", "drop");
        }
        put_key(&mut attributes, &core.plan.receipt);
        put_quoted(&mut attributes, &self.work.notes.text(&self.work.tenant.key_id));
        attributes.push(b'}');

        let mut body = Vec::with_capacity(attributes.len() + events.len() + 1024);
        body.extend_from_slice(b"{\"k\":\"span\"");
        for (key, value) in fields {
            let key = text_of(key)?;
            put_key(&mut body, key);
            match key {
                "attributes" => body.extend_from_slice(&attributes),
                "events" => body.extend_from_slice(&events),
                "links" => body.extend_from_slice(&links),
                "scope" => body.extend_from_slice(&scope.1),
                "name" => put_text(&mut body, &name.name),
                "trace_state" => put_text(&mut body, &kept_state),
                "status_message" => put_text(&mut body, &status),
                "resource" => put_int(&mut body, resource),
                "run_id" | "tenant_id" | "trace_id" | "span_id" | "parent_span_id" => {
                    put_text(&mut body, text_of(value)?);
                }
                "remote_parent" => {
                    let flag = value.cast_exact::<PyBool>().map_err(|_| Stop::NotMine)?;
                    body.extend_from_slice(if flag.is_true() { b"true" } else { b"false" });
                }
                "kind" | "start_ns" | "end_ns" | "status_code" => put_number(&mut body, value)?,
                "dropped" => {
                    body.push(b'{');
                    for (key, count) in dict_of(value)?.iter() {
                        put_key(&mut body, text_of(&key)?);
                        put_number(&mut body, &count)?;
                    }
                    body.push(b'}');
                }
                _ => return Err(Stop::NotMine),
            }
        }
        body.push(b'}');
        let mut line = format!("{:08x} ", crc32fast::hash(&body)).into_bytes();
        line.reserve(body.len() + 1);
        line.extend_from_slice(&body);
        line.push(b'\n');
        Ok(line)
    }

    // -- the taint of the run -----------------------------------------------------------------------------------------

    fn open_taint(&mut self) -> Answer<()> {
        if self.work.taint.is_none() {
            let mut taint = self.mirrors.take(self.tenant_id, self.run_id, &self.work.table);
            taint.follow(self.work.py)?;
            self.work.taint = Some(taint);
        }
        Ok(())
    }

    fn close(&mut self, undo: bool) {
        if let Some(mut taint) = self.work.taint.take() {
            if undo {
                taint.undo();
            }
            if !self.run_id.is_empty() {
                self.mirrors.put(self.tenant_id, self.run_id, taint);
            }
        }
    }

    // -- names, events, links, scope ----------------------------------------------------------------------------------

    fn name(&mut self, name: &str) -> Answer<Arc<Named>> {
        let (work, mut key) = (&mut self.work, format!("{}\0{name}", self.tenant_id));
        for (place, value) in self.named.iter().enumerate() {
            if let Some(value) = value {
                key.push_str(&format!("\0{place}\0{value}"));
            }
        }
        let named = work.core.judge.known(
            |tables| &mut tables.names,
            &key.into(),
            || {
                let said = PyDict::new(work.py);
                for (key, value) in work.core.plan.name_keys.iter().zip(&self.named) {
                    if let Some(value) = value {
                        said.set_item(key, value)?;
                    }
                }
                let asked = work.core.judge.other(work.py, "span_name")?;
                Ok(Arc::new(asked.call1((self.tenant_id, name, said))?.extract()?))
            },
        )?;
        if !named.action.is_empty() {
            work.notes.add("name", "undeclared", &named.action);
        }
        Ok(named)
    }

    fn event(&mut self, out: &mut Vec<u8>, event: &Bound<'py, PyDict>, place: usize) -> Answer<()> {
        let field = |name: &str| event.get_item(name)?.ok_or(Stop::NotMine);
        let (name, path) = (field("name")?, format!("events[{place}]"));
        let name = text_of(&name)?;
        let (work, key) = (&mut self.work, format!("{}\0{name}", self.tenant_id));
        let named = work.core.judge.known(
            |tables| &mut tables.events,
            &key.into(),
            || {
                let asked = work.core.judge.other(work.py, "event_name")?;
                Ok(Arc::new(asked.call1((self.tenant_id, name))?.extract::<Named>()?))
            },
        )?;
        if !named.action.is_empty() {
            work.notes.add(&format!("{path}.name"), "undeclared", &named.action);
        }
        put_key(out, "name");
        put_text(out, &named.name);
        put_key(out, "time_ns");
        put_number(out, &field("time_ns")?)?;
        put_key(out, "attributes");
        self.part(out, &field("attributes")?, &path, Place::Event)?;
        put_key(out, "dropped");
        put_number(out, &field("dropped")?)?;
        out.push(b'}');
        Ok(())
    }

    fn link(&mut self, out: &mut Vec<u8>, link: &Bound<'py, PyDict>, place: usize) -> Answer<()> {
        let mut known = 0;
        for (key, value) in link.iter() {
            let key = text_of(&key)?;
            put_key(out, key);
            match key {
                "trace_id" | "span_id" => put_text(out, text_of(&value)?),
                "trace_state" => put_text(out, &self.trace_state(text_of(&value)?)?),
                "attributes" => self.part(out, &value, &format!("links[{place}]"), Place::Link)?,
                "dropped" => put_number(out, &value)?,
                _ => return Err(Stop::NotMine),
            }
            known += usize::from(key == "attributes" || key == "trace_state");
        }
        out.push(b'}');
        if known == 2 { Ok(()) } else { Err(Stop::NotMine) }
    }

    /// Writes the attributes of an event or a link.
    fn part(&mut self, out: &mut Vec<u8>, given: &Bound<'py, PyAny>, path: &str, place: Place) -> Answer<()> {
        let pairs: Pairs<'_> = dict_of(given)?.iter().collect();
        let items = items_of(self.work.core, &pairs)?;
        let mut attributes = vec![b'{'];
        self.attributes(&mut attributes, &items, &format!("{path}.attributes"), place, &mut Vec::new())?;
        out.extend_from_slice(&attributes);
        out.push(b'}');
        Ok(())
    }

    fn trace_state<'a>(&self, state: &'a str) -> Answer<Cow<'a, str>> {
        if state.is_empty() {
            return Ok(state.into());
        }
        let asked = self.work.core.judge.other(self.work.py, "trace_state")?;
        Ok(asked.call1((state,))?.extract::<String>()?.into())
    }

    fn scope(&self, scope: &Bound<'py, PyAny>) -> Answer<Arc<Scope>> {
        let (judge, key) = (&self.work.core.judge, (self.tenant_id.into(), scope.as_ptr() as usize));
        judge.known(
            |tables| &mut tables.scopes,
            &key,
            || {
                let asked = judge.other(self.work.py, "scope")?;
                Ok(Arc::new((scope.clone().unbind(), asked.call1((self.tenant_id, scope))?.extract()?)))
            },
        )
    }

    // -- attributes ---------------------------------------------------------------------------------------------------

    fn attributes<'a>(
        &mut self,
        out: &mut Vec<u8>,
        items: &'a [Item<'a, 'py>],
        path: &str,
        place: Place,
        views: &mut Vec<View<'a>>,
    ) -> Answer<()>
    where
        'c: 'a,
    {
        let core = self.work.core;
        let mut about: Vec<(&str, Vec<u8>)> = Vec::new();
        let mut payloads: Vec<&str> = Vec::new();
        for item in items {
            let (key, value) = (item.key, value_of(core, item.value)?);
            let Some(known) = item.known else {
                self.undeclared(out, key, &value, item.value, path)?;
                continue;
            };
            let mut payload = |payload: &'a Payload| -> Answer<&'a Payload> {
                let is_first = place == Place::Span && !payloads.contains(&payload.kind.as_str());
                payloads.push(&payload.kind);
                if is_first { Ok(payload) } else { Err(Stop::NotMine) }
            };
            match known.handling {
                Handling::Name | Handling::Id | Handling::Run => {
                    let is_kept = self.is_allowed(known, key, &value, item.value)?;
                    let text = match (&value, is_kept) {
                        (Value::Text(text), true) => Cow::Borrowed(*text),
                        (_, true) => {
                            put_key(out, key);
                            put_value(out, &value);
                            continue;
                        }
                        _ => self.content(key, &value, path, &[]).into(),
                    };
                    put_key(out, key);
                    put_text(out, &text);
                    if let (Some(known), Place::Span) = (known.in_name, place) {
                        self.named[known] = Some(text.into_owned());
                    }
                }
                Handling::Number if !matches!(value, Value::Text(_) | Value::None | Value::Parts(_)) => {
                    self.unknown_number(&value, item.value)?;
                    put_key(out, key);
                    put_value(out, &value);
                }
                Handling::Flag if is_flag(&value) => {
                    put_key(out, key);
                    put_value(out, &value);
                }
                Handling::Number | Handling::Flag | Handling::Content => {
                    let marker = self.content(key, &value, path, &[]);
                    put_key(out, key);
                    put_text(out, &marker);
                }
                Handling::Messages => {
                    put_key(out, key);
                    if let Some(entry) = self.messages(out, key, &value, path)? {
                        about.push((key, entry));
                    }
                }
                Handling::Arguments => {
                    let rules = core.plan.inputs.get(&self.work.tool);
                    self.payload(out, payload(&core.plan.arguments)?, rules, value, views)?;
                }
                Handling::Result => {
                    let rules = core.plan.outputs.get(&self.work.tool);
                    self.payload(out, payload(&core.plan.results)?, rules, value, views)?;
                }
                Handling::Outcome if place == Place::Span => {
                    self.open_taint()?;
                    let (_, value) = opened(value)?;
                    views.push((key, redact(&mut self.work, &core.plan.result, value, "result")?));
                }
                Handling::Config => self.configuration(out, key, &value)?,
                Handling::Own | Handling::Effect => self.own(out, known, key, &value, path)?,
                Handling::Error => {
                    let text = self.error(&value, &format!("{path}.{key}"))?;
                    put_key(out, key);
                    put_text(out, &text);
                }
                Handling::Stack => self.stack(out, key, &value, path)?,
                Handling::User => {
                    let keeps = core.plan.user_id == "keep";
                    let action = if core.plan.user_id == "drop" { "drop" } else { "hash" };
                    self.person(out, key, &value, path, keeps.then_some(Ask::User), ("user", "user_id", action))?;
                }
                Handling::FreeId => {
                    self.person(out, key, &value, path, Some(Ask::Opaque), (key, "free_id", "hash"))?;
                }
                Handling::Outcome | Handling::Python => return Err(Stop::NotMine),
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
            put_key(out, &core.plan.messages);
            put_quoted(out, &text);
        }
        let tool = if place == Place::Link { "" } else { &self.work.tool };
        for (key, value) in core.plan.stamps.get(tool).into_iter().flatten() {
            if find(items, key).is_some() {
                return Err(Stop::NotMine); // what the contract says stands where the span said it
            }
            put_key(out, key);
            put_text(out, value);
        }
        Ok(())
    }

    /// Notes a value of content, and returns the marker in its place.
    fn content(&mut self, key: &str, value: &Value<'_>, path: &str, roles: &[&str]) -> String {
        self.work.notes.add(&format!("{path}.{key}"), "content", "digest");
        value.bytes(|data| marker("content", &self.work.digester().text("content", data), Some(data.len()), roles))
    }

    fn is_allowed(&self, known: &Key, key: &str, value: &Value<'_>, given: &Bound<'py, PyAny>) -> Answer<bool> {
        let core = self.work.core;
        match value {
            Value::Text(text) => self.is_text_allowed(known, key, text),
            Value::Int(_) | Value::Float(_) => {
                if known.handling == Handling::Name && is_long(core, value) {
                    return Err(Stop::NotMine); // may be a telephone number
                }
                self.unknown_number(value, given)?;
                Ok(true)
            }
            Value::Bool(_) => Ok(true),
            Value::None | Value::Parts(Json::Map(_)) => Ok(false),
            Value::Parts(Json::List(items)) => {
                if items.len() > MOST_ITEMS {
                    return Ok(false);
                }
                for item in items {
                    let is_kept = match item {
                        Json::Text(text) => self.is_text_allowed(known, key, text)?,
                        Json::Bool(_) => true,
                        Json::Int(text) => {
                            if text.len() > 7 {
                                return Err(Stop::NotMine);
                            }
                            true
                        }
                        Json::Float(number) => {
                            if number.abs() >= core.plan.long_number as f64 {
                                return Err(Stop::NotMine);
                            }
                            true
                        }
                        _ => false,
                    };
                    if !is_kept {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Value::Parts(_) => Err(Stop::NotMine),
        }
    }

    fn is_text_allowed(&self, known: &Key, key: &str, text: &str) -> Answer<bool> {
        let (core, py) = (self.work.core, self.work.py);
        match known.handling {
            Handling::Name => is_name(core, py, text, known.chars),
            Handling::Run => core.judge.ask_pair(py, Ask::Run, key, text),
            _ => Ok(chars_at_most(text, known.chars) && core.judge.ask(py, Ask::Id, text)?),
        }
    }

    fn unknown_number(&self, value: &Value<'_>, given: &Bound<'py, PyAny>) -> Answer<()> {
        if is_long(self.work.core, value) { self.work.core.unknown_number(self.work.py, given) } else { Ok(()) }
    }

    fn undeclared(
        &mut self,
        out: &mut Vec<u8>,
        key: &str,
        value: &Value<'_>,
        given: &Bound<'py, PyAny>,
        path: &str,
    ) -> Answer<()> {
        let (core, py) = (self.work.core, self.work.py);
        if core.plan.has_safe_keys && core.judge.ask(py, Ask::SafeKey, key)? {
            let is_kept = match value {
                Value::Text(text) => core.judge.ask_pair(py, Ask::MayBeKept, key, text)?,
                _ => return Err(Stop::NotMine),
            };
            if is_kept {
                put_key(out, key);
                put_value(out, value);
                return Ok(());
            }
        }
        let known = format!("{}\0{key}", self.tenant_id);
        let hidden = core.judge.known(
            |tables| &mut tables.hidden,
            &known.into(),
            || {
                let digest = self.work.digester().text("key", key.as_bytes());
                let may_be_credential = core.judge.ask(py, Ask::Credential, key)?;
                Ok(Arc::new(Hidden { key: format!("{}{}", core.plan.hidden, &digest[12..24]), may_be_credential }))
            },
        )?;
        let place = format!("{path}.{}", hidden.key);
        let is_credential = hidden.may_be_credential
            && core.judge.other(py, "is_credential")?.call1((key, given))?.extract::<bool>()?;
        let text = if is_credential {
            self.work.notes.add(&place, "undeclared", "mask");
            marker("credential", "", None, &[])
        } else {
            self.work.notes.add(&place, "undeclared", "digest");
            value.bytes(|data| {
                marker("undeclared", &self.work.digester().text("attribute", data), Some(data.len()), &[])
            })
        };
        put_key(out, &hidden.key);
        put_text(out, &text);
        Ok(())
    }

    /// Writes the marker of messages; returns what describes each of them.
    fn messages(&mut self, out: &mut Vec<u8>, key: &str, value: &Value<'_>, path: &str) -> Answer<Option<Vec<u8>>> {
        let core = self.work.core;
        let made = match value {
            Value::Text(_) => String::new(),
            other => other.bytes(|data| String::from_utf8_lossy(data).into_owned()),
        };
        let text = if let Value::Text(text) = value { *text } else { &made };
        if text.len() > core.plan.max_described {
            return Err(Stop::NotMine);
        }
        let described = match parse(text) {
            Ok(value) => Some(describe(&self.work, &core.plan, value)?),
            Err(Odd::NotJson) => None,
            Err(Odd::Unsure) => return Err(Stop::NotMine),
        };
        let roles = described.as_ref().map_or(&[][..], |described| &described.roles);
        if roles.is_empty() && core.role.find(text.as_bytes()).is_some() {
            return Err(Stop::NotMine);
        }
        put_text(out, &self.content(key, value, path, roles));
        Ok(described.map(|described| described.entry))
    }

    fn payload<'a>(
        &mut self,
        out: &mut Vec<u8>,
        payload: &'a Payload,
        rules: Option<&Rules>,
        value: Value<'a>,
        views: &mut Vec<View<'a>>,
    ) -> Answer<()> {
        let plan = &self.work.core.plan;
        if matches!(value, Value::Text(text) if text.len() > plan.max_opened_bytes) {
            return Err(Stop::NotMine);
        }
        let (data, value) = opened(value)?;
        let domain = format!("tool|{}|{}", self.work.tool, payload.kind);
        let digest = self.work.digester().text(&domain, &data);
        let size = coarse_size(data.len());
        put_key(out, &payload.digest_key);
        put_text(out, &digest);
        put_key(out, &payload.bytes_key);
        put_int(out, size as i64);
        let Some(rules) = rules else {
            self.work.notes.add(&payload.kind, "no-contract", "digest");
            put_key(out, &payload.key);
            put_text(out, &marker("undeclared", &digest, Some(size), &[]));
            return Ok(());
        };
        if data.len() > plan.max_payload_bytes {
            return Err(Stop::NotMine);
        }
        self.open_taint()?;
        views.push((&payload.key, redact(&mut self.work, rules, value, &payload.kind)?));
        Ok(())
    }

    fn configuration(&mut self, out: &mut Vec<u8>, key: &str, value: &Value<'_>) -> Answer<()> {
        let (judge, py) = (&self.work.core.judge, self.work.py);
        let Value::Text(text) = value else { return Err(Stop::NotMine) };
        let made = judge.known(
            |tables| &mut tables.configured,
            &(*text).into(),
            || Ok(Arc::new(judge.other(py, "configuration")?.call1((text,))?.extract()?)),
        )?;
        for (path, rule, action) in &made.notes {
            self.work.notes.add(path, rule, action);
        }
        put_key(out, key);
        put_text(out, &made.text);
        Ok(())
    }

    fn own(&mut self, out: &mut Vec<u8>, known: &Key, key: &str, value: &Value<'_>, path: &str) -> Answer<()> {
        let (judge, py) = (&self.work.core.judge, self.work.py);
        let Value::Text(text) = value else { return Err(Stop::NotMine) };
        let is_kept = match text.rsplit_once(':') {
            Some((lane, number)) if known.handling == Handling::Effect => {
                let is_number = (1..=9).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
                is_number && judge.ask(py, Ask::Lane, lane)?
            }
            None if known.handling == Handling::Effect => return Err(Stop::NotMine),
            _ => judge.ask_pair(py, Ask::Own, key, text)?,
        };
        if is_kept {
            put_key(out, key);
            put_text(out, text);
        } else {
            self.work.notes.add(&format!("{path}.{key}"), "malformed", "drop");
        }
        Ok(())
    }

    fn error(&mut self, value: &Value<'_>, path: &str) -> Answer<String> {
        if matches!(value, Value::Text("")) {
            return Ok(String::new());
        }
        let core = self.work.core;
        if let (Value::Text(text), Some(rules)) = (value, core.plan.errors.get(&self.work.tool))
            && rules.decides
        {
            self.open_taint()?;
            let kept = redact(&mut self.work, rules, Json::Text((*text).into()), path)?;
            self.work.scrub(&kept)?;
            return Ok(match kept {
                Json::Text(text) => text.into_owned(),
                Json::Made(text) => text,
                _ => marker("error", "", None, &[]),
            });
        }
        self.work.notes.add(path, "error", "digest");
        Ok(value.bytes(|data| marker("error", &self.work.digester().text("error", data), Some(data.len()), &[])))
    }

    fn stack(&mut self, out: &mut Vec<u8>, key: &str, value: &Value<'_>, path: &str) -> Answer<()> {
        let Value::Text(text) = value else { return Err(Stop::NotMine) };
        let asked = self.work.core.judge.other(self.work.py, "stack")?;
        let reduced: String = asked.call1((text,))?.extract()?;
        if reduced != *text {
            self.work.notes.add(&format!("{path}.{key}"), "stacktrace", "shorten");
        }
        put_key(out, key);
        if reduced.is_empty() {
            put_text(out, &marker("error", "", None, &[]));
        } else {
            put_text(out, &reduced);
        }
        Ok(())
    }

    /// Writes an id that may name a person, or its digest; `noted` is the digest's domain, the rule and the action.
    fn person(
        &mut self,
        out: &mut Vec<u8>,
        key: &str,
        value: &Value<'_>,
        path: &str,
        keeps: Option<Ask>,
        noted: (&str, &str, &str),
    ) -> Answer<()> {
        let (domain, rule, action) = noted;
        let Value::Text(text) = value else { return Err(Stop::NotMine) };
        if text.starts_with("h1:") || text.starts_with("h2:") {
            return Err(Stop::NotMine); // may be a digest
        }
        let mut kept = keeps.is_some();
        if let Some(question) = keeps {
            kept = self.work.core.judge.ask_pair(self.work.py, question, key, text)?;
        }
        if kept {
            put_key(out, key);
            put_text(out, text);
            return Ok(());
        }
        self.work.notes.add(&format!("{path}.{key}"), rule, action);
        if action != "drop" {
            put_key(out, key);
            put_text(out, &self.work.digester().text(domain, text.as_bytes()));
        }
        Ok(())
    }
}

/// Returns a payload's value, of JSON text what it says, and its bytes for a digest.
fn opened(value: Value<'_>) -> Answer<(Vec<u8>, Json<'_>)> {
    let json = match value {
        Value::Text(text) => match parse(text) {
            Ok(value) => value,
            Err(Odd::NotJson) => return Ok((text.as_bytes().to_vec(), Json::Text(text.into()))),
            Err(Odd::Unsure) => return Err(Stop::NotMine),
        },
        Value::Int(number) => Json::Int(number.to_string().into()),
        Value::Float(number) => Json::Float(number),
        Value::Bool(flag) => Json::Bool(flag),
        Value::None => Json::Null,
        Value::Parts(parts) => parts,
    };
    let mut data = Vec::new();
    match &json {
        Json::Text(text) => data.extend_from_slice(text.as_bytes()),
        other => put_sorted(&mut data, other),
    }
    Ok((data, json))
}

fn is_long(core: &Core, value: &Value<'_>) -> bool {
    match value {
        Value::Int(number) => number.unsigned_abs() >= core.plan.long_number.unsigned_abs(),
        Value::Float(number) => number.abs() >= core.plan.long_number as f64,
        _ => false,
    }
}

fn is_flag(value: &Value<'_>) -> bool {
    matches!(value, Value::Bool(_) | Value::Text("True" | "False" | "true" | "false"))
}

fn put_number(out: &mut Vec<u8>, value: &Bound<'_, PyAny>) -> Answer<()> {
    if !value.is_exact_instance_of::<PyInt>() {
        return Err(Stop::NotMine);
    }
    put_int(out, value.extract()?);
    Ok(())
}

/// Writes JSON as a text.
fn put_quoted(out: &mut Vec<u8>, json: &[u8]) {
    out.push(b'"');
    put_escaped(out, json);
    out.push(b'"');
}

fn put_value(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Text(text) => put_text(out, text),
        Value::Int(number) => put_int(out, *number),
        Value::Float(number) => put_float(out, *number),
        Value::Bool(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
        Value::None => out.extend_from_slice(b"null"),
        Value::Parts(parts) => put_sorted(out, parts),
    }
}
