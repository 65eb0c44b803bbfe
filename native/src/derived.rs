//! A sealed bundle is derived again while its files are read, as `bundle/checks` does it; or it is left to Python.
//!
//! Each line of events.jsonl, and each entry of tool_calls.json, has to have the bytes that follow from the events. The
//! lines of a span are held until its end is read; of spans that have ended only numbers are kept.

use std::borrow::Cow;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use foldhash::{HashMap, HashMapExt, HashSet};
use memchr::{memchr, memmem};

use crate::calls;
use crate::digest::sha256;
use crate::journal::{Attributes, Entries, Event, Ids, Link, Mine, Span, ids_of, link_of, scope_of};
use crate::json::{self, Json, put_text};
use crate::kin::{self, NONE};
use crate::run::{Answer, Facts, Of, Op, Sums, put_alike};
use crate::timeline;
use crate::words::{KEY_MARKED, Words};

/// Bytes of a line or an entry, and of the lines of all spans that are open at once; a bundle of more is Python's.
const MOST_BYTES: usize = 33_554_432;
/// Spans that are shown to Python once for all that are alike; others are shown one by one.
const MOST_GROUPS: usize = 4096;
const MOST_AGENTS: usize = 4096;
/// Bytes of the lines that are kept of such spans, of the receipts that are remembered, and of an agent's name.
const GROUPS_BYTES: usize = 8_388_608;
const RECEIPTS_BYTES: usize = 1_048_576;
const NAME_BYTES: usize = 4096;
/// Errors of different types below one span.
const MOST_ERRORS: usize = 64;
const SAME_CLOCK_NS: u64 = 1_000_000;
const OTHER_CLOCK_NS: u64 = 1_000_000_000;
/// What each entry of tool_calls.json begins with, up to the calling agent.
const HEAD: &[u8] = b"{\n      \"agent\": ";
const END: &[u8] = b"\n    }";

/// Why a step ends: the bundle is left to Python, or the authority raised an error of its own.
pub enum Stop<E> {
    NotMine(&'static str),
    Raised(E),
}

impl<E> From<&'static str> for Stop<E> {
    fn from(reason: &'static str) -> Self {
        Stop::NotMine(reason)
    }
}

pub type Step<T, E> = Result<T, Stop<E>>;

/// Who is asked for what only Python knows.
pub trait Authority {
    type Raised;

    /// Takes a record of a log, with its number.
    fn log(&self, line: &str, seq: u64) -> Step<(), Self::Raised>;
    /// Returns what a receipt says; none if it has another form.
    fn receipt(&self, text: &str) -> Step<Option<Answer>, Self::Raised>;
    /// Tells whether a text that is no marker of ours is withheld all the same.
    fn withheld(&self, text: &str) -> Step<bool, Self::Raised>;
    /// Takes a span, with the lines that it has. Returns the entry of a call that Python makes.
    fn span<'l>(&self, lines: impl Iterator<Item = &'l str>, shown: Shown<'_>) -> Step<Option<Vec<u8>>, Self::Raised>;
}

/// Of a span that is shown: its row, how many are like it, whether Python has to derive it, where its error began, and
/// whether its parent is here.
pub struct Shown<'a> {
    pub row: u32,
    pub times: u64,
    pub rare: bool,
    pub began: &'a str,
    pub here: bool,
}

impl Shown<'_> {
    fn of_group(row: u32, times: u64) -> Self {
        Shown { row, times, rare: false, began: "", here: true }
    }
}

/// A trace, by its number, and the id of a span in it.
type Key = [u32; 3];

/// A line of events.jsonl, as far as it is not derived again.
#[derive(Default)]
struct Line<'a> {
    kind: &'a str,
    trace_id: &'a str,
    span_id: &'a str,
    parent_id: &'a str,
    ids: Ids,
    time_ns: u64,
    seq: u64,
    span: Span<'a>,
    /// Whether the parent is said to be elsewhere, and whether it is missing.
    is_remote: bool,
    is_missing: bool,
    has_lane: bool,
    has_joined: bool,
}

impl<'a> Line<'a> {
    fn read(text: &'a str) -> Mine<Line<'a>> {
        let Ok(Json::Map(fields)) = json::parse(text) else { return Err("a line holds odd JSON") };
        let mut line = Line { time_ns: u64::MAX, seq: u64::MAX, ..Line::default() }; // neither is accepted
        for (key, value) in fields {
            match (key.as_ref(), value) {
                ("type", Json::Text(Cow::Borrowed(text))) => line.kind = text,
                ("trace_id", Json::Text(Cow::Borrowed(text))) => line.trace_id = text,
                ("span_id", Json::Text(Cow::Borrowed(text))) => line.span_id = text,
                ("parent_span_id", Json::Text(Cow::Borrowed(text))) => line.parent_id = text,
                ("time_ns", Json::Text(text)) => line.time_ns = time_of(&text)?,
                ("seq", Json::Int(text)) => line.seq = text.parse().map_err(|_| "a line has no number")?,
                ("name", Json::Text(text)) => line.span.name = text,
                ("attributes", Json::Map(fields)) => line.span.attributes = Attributes::new(fields),
                ("links", Json::List(items)) => line.span.links = items.into_iter().map(link).collect::<Mine<_>>()?,
                ("scope", Json::Map(fields)) => line.span.scope = scope_of(fields)?,
                ("status", Json::Text(text)) => line.span.status_code = text,
                ("error", Json::Map(fields)) => {
                    if let Some((_, Json::Text(text))) = fields.into_iter().find(|field| field.0 == "message") {
                        line.span.status_message = text;
                    }
                }
                ("remote_parent", Json::Bool(flag)) => line.is_remote = flag,
                ("parent_missing", Json::Bool(flag)) => line.is_missing = flag,
                ("dropped", _) => line.span.is_cut = true,
                ("lane", _) => line.has_lane = true,
                ("joined", _) => line.has_joined = true,
                _ => (), // it is derived again
            }
        }
        if line.time_ns > i64::MAX as u64 {
            return Err("a time is out of range");
        }
        line.ids = ids_of(line.trace_id, line.span_id, line.parent_id)?;
        Ok(line)
    }

    fn rank(&self, words: &Words) -> Mine<u8> {
        Ok(match self.kind {
            "run.started" => 0,
            "span.started" => 1,
            "log" => 3,
            "span.ended" => 4,
            "run.ended" => 5,
            kind if kind == "span.event" || words.event_types.values().any(|known| known == kind) => 2,
            _ => return Err("a line is of no kind"),
        })
    }

    /// Makes the span of which this is the start.
    fn span(self, events: Vec<Line<'a>>, ended: Line<'a>) -> Mine<Span<'a>> {
        let code = match ended.span.status_code.as_ref() {
            "interrupted" => return Err("a span is open"),
            "ok" => "1",
            "error" | "blocked" | "cancelled" => "2",
            _ => "0",
        };
        let event =
            |line: Line<'a>| Event { name: line.span.name, time_ns: line.time_ns, attributes: line.span.attributes };
        Ok(Span {
            trace_id: self.trace_id,
            span_id: self.span_id,
            parent_id: self.parent_id,
            ids: self.ids,
            start_ns: self.time_ns,
            end_ns: ended.time_ns,
            status_code: code.into(),
            remote_parent: self.is_remote && !self.is_missing,
            name: self.span.name,
            links: self.span.links,
            events: events.into_iter().map(event).collect(),
            ..ended.span
        })
    }
}

/// Reads a time as it is written, without a sign or a zero before it.
fn time_of(text: &str) -> Mine<u64> {
    let is_plain = text == "0" || text.starts_with(|first: char| matches!(first, '1'..='9'));
    if is_plain { text.parse().map_err(|_| "a time is no number") } else { Err("a time is no number") }
}

fn link(item: Json<'_>) -> Mine<Link<'_>> {
    let Json::Map(mut fields) = item else { return Err("a link has another form") };
    if fields.iter().all(|field| field.0 != "attributes") {
        fields.push(("attributes".into(), Json::Map(Vec::new())));
    }
    link_of(Json::Map(fields), &mut false)
}

/// A span that began and has not ended.
struct Open {
    row: u32,
    /// Its line, and those of its events, with their numbers.
    lines: Vec<(u64, String)>,
    /// Of spans below it that failed: the sums of type and place, and the span in which the error began.
    failed: Vec<(u32, u32, String)>,
    call: Option<usize>,
}

/// An entry of tool_calls.json.
struct Call {
    row: u32,
    tool: u64,
    /// The digest of what stands behind its agent.
    sha256: [u8; 32],
}

/// Spans that are alike in all that the totals read: the first of them, and how many there are.
struct Group {
    times: u64,
    order: (u64, Ids),
    row: u32,
    lines: Vec<String>,
}

/// What is known of one bundle.
#[derive(Default)]
pub struct State {
    rest: Vec<u8>,
    pub number: u64,
    pub last: (u64, Ids, u8),
    pub first_ns: u64,
    traces: HashMap<u128, u32>,
    pub trace_ids: Vec<String>,
    rows: HashMap<Key, u32>,
    pub parents: Vec<u32>,
    /// Spans whose parents began behind them; and parents that must not be there.
    later: Vec<(u32, Key)>,
    elsewhere: Vec<Key>,
    /// Of spans that did not begin yet: when one below them would be too early.
    awaited: HashMap<Key, u64>,
    pub acts: Vec<u8>,
    agents: Vec<u32>,
    agent_names: Vec<String>,
    agent_numbers: HashMap<String, u32>,
    calls: Vec<Call>,
    call_ids: HashSet<u64>,
    hasher: RandomState,
    open: HashMap<Key, Open>,
    open_bytes: usize,
    /// Failed spans that ended at the time of the last line.
    just_failed: Vec<Key>,
    receipts: HashMap<String, Arc<Answer>>,
    receipts_bytes: usize,
    groups: HashMap<Vec<u8>, Group>,
    groups_bytes: usize,
    pub sums: Sums,
    pub entries: Entries<'static>,
    pub of_run: Vec<(u64, String)>,
    pub refused: u64,
    out: Vec<u8>,
    /// How many entries of tool_calls.json were read, and whether one that is not complete yet is to be shown.
    entry: usize,
    is_suspect: bool,
}

impl State {
    /// Takes the next lines of events.jsonl.
    pub fn read<A: Authority>(&mut self, data: &[u8], words: &Words, judge: &A) -> Step<(), A::Raised> {
        let mut left = std::str::from_utf8(data).map_err(|_| "a line is no text")?;
        while let Some((line, rest)) = left.split_once('\n') {
            self.line(line, words, judge)?;
            left = rest;
        }
        if left.is_empty() { Ok(()) } else { Err("a line is cut off".into()) }
    }

    fn line<A: Authority>(&mut self, text: &str, words: &Words, judge: &A) -> Step<(), A::Raised> {
        let line = Line::read(text)?;
        let here = (line.time_ns, line.ids, line.rank(words)?);
        if line.seq != self.number || here < self.last {
            return Err("the lines are in another order".into());
        }
        if self.number == 0 {
            self.first_ns = line.time_ns;
        }
        if line.time_ns != self.last.0 {
            self.just_failed.clear();
        }
        (self.last, self.number) = (here, self.number + 1);
        if line.kind == "log" {
            return judge.log(text, line.seq);
        }
        check_marked(&line.span.attributes, words, judge)?;
        match line.kind {
            "span.started" => Ok(self.started(&line, text)?),
            "span.ended" => self.ended(line, text, words, judge),
            "run.started" | "run.ended" if self.of_run.len() < 2 => {
                self.of_run.push((line.seq, text.to_string()));
                Ok(())
            }
            "run.started" | "run.ended" => Err("the run begins or ends twice".into()),
            _ => {
                let key = self.key(line.ids)?;
                let open = self.open.get_mut(&key).ok_or("an event lies outside its span")?;
                open.lines.push((line.seq, text.to_string()));
                Ok(self.hold(text.len())?)
            }
        }
    }

    fn hold(&mut self, bytes: usize) -> Mine<()> {
        self.open_bytes += bytes;
        if self.open_bytes > MOST_BYTES { Err("many spans are open") } else { Ok(()) }
    }

    fn key(&mut self, (trace, span): Ids) -> Mine<Key> {
        let next = u32::try_from(self.traces.len()).map_err(|_| "there are many traces")?;
        let trace = *self.traces.entry(trace).or_insert(next);
        Ok([trace, (span >> 32) as u32, span as u32])
    }

    /// Returns a parent that has to be in the bundle.
    fn parent(&mut self, line: &Line<'_>) -> Mine<Option<Key>> {
        if line.parent_id.is_empty() || line.is_remote {
            return Ok(None);
        }
        let parent = u64::from_str_radix(line.parent_id, 16).map_err(|_| "an id has another form")?;
        self.key((line.ids.0, parent)).map(Some)
    }

    fn awaits(&mut self, parent: Option<Key>, deadline_ns: u64) {
        if let Some(parent) = parent.filter(|parent| !self.rows.contains_key(parent)) {
            let known = self.awaited.entry(parent).or_insert(deadline_ns);
            *known = deadline_ns.min(*known);
        }
    }

    fn started(&mut self, line: &Line<'_>, text: &str) -> Mine<()> {
        if line.ids.0 == 0 || line.ids.1 == 0 {
            return Err("an id is zero");
        }
        let row = u32::try_from(self.parents.len()).map_err(|_| "there are many spans")?;
        let (traces, key, parent) = (self.traces.len(), self.key(line.ids)?, self.parent(line)?);
        if self.traces.len() > traces {
            self.trace_ids.push(line.trace_id.to_string());
        }
        let above = parent.and_then(|parent| self.rows.get(&parent).copied()).unwrap_or(NONE);
        if self.rows.insert(key, row).is_some() {
            return Err("a span has two beginnings");
        }
        if self.awaited.remove(&key).is_some_and(|deadline_ns| line.time_ns > deadline_ns) {
            return Err("a span begins before its parent");
        }
        let same_clock = line.has_lane && !line.has_joined;
        let deadline_ns = line.time_ns.saturating_add(if same_clock { SAME_CLOCK_NS } else { OTHER_CLOCK_NS });
        self.awaits(parent, deadline_ns);
        match parent {
            Some(parent) if above == NONE => self.later.push((row, parent)),
            None if !line.parent_id.is_empty() => {
                let parent = u64::from_str_radix(line.parent_id, 16).map_err(|_| "an id has another form")?;
                let parent = self.key((line.ids.0, parent))?;
                self.elsewhere.push(parent);
            }
            _ => (),
        }
        self.parents.push(above);
        self.acts.push(0);
        self.agents.push(NONE);
        let is_tool = text.contains(",\"op\":\"tool\",");
        let call = is_tool.then_some(self.calls.len());
        if is_tool {
            self.calls.push(Call { row, tool: 0, sha256: [0; 32] });
        }
        let lines = vec![(line.seq, text.to_string())];
        self.open.insert(key, Open { row, lines, failed: Vec::new(), call });
        self.open_bytes += text.len();
        if self.open_bytes > MOST_BYTES { Err("many spans are open") } else { Ok(()) }
    }

    fn ended<A: Authority>(&mut self, line: Line<'_>, text: &str, words: &Words, judge: &A) -> Step<(), A::Raised> {
        let (key, seq) = (self.key(line.ids)?, line.seq);
        let mut open = self.open.remove(&key).ok_or("a span ends before it begins")?;
        self.open_bytes = self.open_bytes.saturating_sub(open.lines.iter().map(|line| line.1.len()).sum());
        open.lines.push((seq, text.to_string()));
        let row = open.row as usize;
        let said = &line.span.attributes;
        let parent = self.parent(&line)?;
        if said.get(&words.lane).is_some() && said.get(&words.spans_started).is_none() {
            self.awaits(parent, line.time_ns);
        }
        let Some(Json::Text(receipt)) = said.get(&words.receipt) else { return Err("a span has no receipt".into()) };
        if said.get(&words.coerced).is_some() {
            return Err("a value was of another type".into());
        }
        let answer = self.receipt(receipt, judge)?;

        let mut parts = open.lines[..open.lines.len() - 1].iter().map(|line| Line::read(&line.1));
        let started = parts.next().ok_or("a span has no beginning")??;
        let events = parts.collect::<Mine<Vec<_>>>()?;
        let parent_here = !started.parent_id.is_empty() && !started.is_remote;
        let span = started.span(events, line)?;
        let facts = Facts::new(&span, words)?;
        let alone = span.parent_id.is_empty() && span.attributes.get(&words.spans_started).is_none();
        self.entries.notice(&span.attributes, alone, &words.beginning())?;
        if span.attributes.text(&words.tenant_id).is_some_and(|tenant| self.entries.tenant.as_deref() != Some(tenant)) {
            return Err("a span names another tenant".into());
        }
        let began = self.origin(&span, &facts, &open, key, parent, words)?;
        self.acts[row] = facts.act;
        self.agents[row] = self.agent(&span, words)?;
        self.sums.add(&span, &facts, words)?;
        let twice = kin::call_id(&span, &facts, words).map(|id| self.hasher.hash_one(id));
        if twice.is_some_and(|id| !self.call_ids.insert(id)) || kin::says_tokens_of_others(&span, &facts, words) {
            return Err("a call may be told twice".into());
        }
        let of = Of { words, span: &span, facts: &facts, parent_here, agent: None, began: &began, answer: &answer };
        if !facts.is_odd {
            self.compare(&of, &open)?;
        }
        let is_shown = facts.is_odd || facts.alone || facts.claims || !parent_here || facts.op == Op::Agent;
        let entry = if is_shown {
            let shown = Shown { row: open.row, times: 1, rare: facts.is_odd, began: &began, here: parent_here };
            judge.span(open.lines.iter().map(|line| line.1.as_str()), shown)?
        } else {
            self.group(&of, &open, judge)?;
            None
        };
        match (open.call.and_then(|call| self.calls.get_mut(call)), facts.op) {
            (Some(call), Op::Tool) => {
                let name = span.attributes.text(&words.tool_name);
                call.tool = name.map_or(0, |name| self.hasher.hash_one(name) | 1);
                self.out.clear();
                if facts.is_odd {
                    self.out.extend_from_slice(&entry.ok_or("a call has no entry")?);
                } else {
                    self.refused += u64::from(calls::put_call(&mut self.out, &of)?);
                }
                let rest = self.out.strip_prefix(HEAD).and_then(|rest| rest.strip_prefix(b"null"));
                call.sha256 = sha256(rest.ok_or("an entry has another form")?);
                Ok(())
            }
            (None, op) if op != Op::Tool && entry.is_none() => Ok(()),
            _ => Err("a span is of another kind at its end".into()),
        }
    }

    /// Finds where the error of a span began, and tells the span above it; none if in itself.
    fn origin(
        &mut self, span: &Span<'_>, facts: &Facts, open: &Open, key: Key, parent: Option<Key>, words: &Words,
    ) -> Mine<String> {
        if !facts.has_failed() {
            return Ok(String::new());
        }
        let (kind, site) = kin::error_of(span, words)?;
        let is_same = |other: &&(u32, u32, String)| other.0 == kind && (other.1 == 0 || site == 0 || other.1 == site);
        let began = open.failed.iter().rev().find(is_same).map(|other| other.2.clone()).unwrap_or_default();
        if let Some(parent) = parent {
            let origin = if began.is_empty() { span.span_id.to_string() } else { began.clone() };
            match self.open.get_mut(&parent) {
                Some(above) => {
                    above.failed.retain(|other| (other.0, other.1) != (kind, site));
                    above.failed.push((kind, site, origin));
                    if above.failed.len() > MOST_ERRORS {
                        return Err("many errors lie below a span");
                    }
                }
                None if !self.rows.contains_key(&parent) || self.just_failed.contains(&parent) => {
                    return Err("an error ends at the end of the span above it");
                }
                None => (),
            }
        }
        self.just_failed.push(key);
        if self.just_failed.len() > MOST_ERRORS { Err("many errors end at once") } else { Ok(began) }
    }

    fn agent(&mut self, span: &Span<'_>, words: &Words) -> Mine<u32> {
        let Some(value) = span.attributes.get(&words.agent_name) else { return Ok(NONE) };
        let Json::Text(name) = value else { return Err("an agent's name is no text") };
        if name.is_empty() {
            return Ok(NONE);
        }
        if let Some(number) = self.agent_numbers.get(name.as_ref()) {
            return Ok(*number);
        }
        let number = self.agent_names.len() as u32;
        self.agent_names.push(name.to_string());
        self.agent_numbers.insert(name.to_string(), number);
        if self.agent_names.len() > MOST_AGENTS || name.len() > NAME_BYTES {
            Err("there are many agents, or long names of them")
        } else {
            Ok(number)
        }
    }

    fn receipt<A: Authority>(&mut self, text: &str, judge: &A) -> Step<Arc<Answer>, A::Raised> {
        if let Some(answer) = self.receipts.get(text) {
            return Ok(answer.clone());
        }
        let answer = Arc::new(judge.receipt(text)?.ok_or("a receipt has another form")?);
        self.receipts_bytes += text.len();
        if self.receipts_bytes > RECEIPTS_BYTES {
            self.receipts.clear();
            self.receipts_bytes = text.len();
        }
        self.receipts.insert(text.to_string(), answer.clone());
        Ok(answer)
    }

    /// Refuses a span whose lines are not those that follow from it.
    fn compare(&mut self, of: &Of<'_>, open: &Open) -> Mine<()> {
        let last = open.lines.len().saturating_sub(1);
        for (place, (seq, text)) in open.lines.iter().enumerate() {
            self.out.clear();
            match place {
                0 => timeline::put_started(&mut self.out, of, *seq),
                place if place == last => timeline::put_ended(&mut self.out, of, *seq),
                place => timeline::put_event(&mut self.out, of, place - 1, *seq),
            }
            if self.out.strip_suffix(b"\n") != Some(text.as_bytes()) {
                return Err("a line is not what follows");
            }
        }
        Ok(())
    }

    fn group<A: Authority>(&mut self, of: &Of<'_>, open: &Open, judge: &A) -> Step<(), A::Raised> {
        let (mut key, order) = (Vec::new(), (of.span.start_ns, of.span.ids));
        put_alike(&mut key, of.span, of.facts, of.words);
        let lines = || open.lines.iter().map(|line| line.1.as_str());
        let bytes = key.len() + lines().map(str::len).sum::<usize>();
        let has_room = self.groups.len() < MOST_GROUPS && self.groups_bytes + bytes <= GROUPS_BYTES;
        if let Some(group) = self.groups.get_mut(&key) {
            group.times += 1;
            if order < group.order {
                self.groups_bytes += bytes;
                if self.groups_bytes > 2 * GROUPS_BYTES {
                    return Err("spans that stand for others are long".into());
                }
                self.groups_bytes -= group.lines.iter().map(String::len).sum::<usize>().min(self.groups_bytes);
                (group.order, group.row, group.lines) = (order, open.row, lines().map(str::to_string).collect());
            }
        } else if has_room {
            self.groups_bytes += bytes;
            let lines = lines().map(str::to_string).collect();
            self.groups.insert(key, Group { times: 1, order, row: open.row, lines });
        } else {
            judge.span(lines(), Shown::of_group(open.row, 1))?;
        }
        Ok(())
    }

    /// Ends events.jsonl.
    pub fn finish<A: Authority>(&mut self, judge: &A) -> Step<(), A::Raised> {
        if !self.open.is_empty() || !self.awaited.is_empty() || self.parents.is_empty() {
            return Err("a span is open, or does not begin".into());
        }
        for (row, parent) in self.later.drain(..) {
            self.parents[row as usize] = *self.rows.get(&parent).ok_or("a parent is not here")?;
        }
        if self.elsewhere.iter().any(|parent| self.rows.contains_key(parent)) {
            return Err("a parent is here".into());
        }
        self.rows = HashMap::new();
        kin::check_circles(&self.parents)?;
        let (acts, calls) = (&self.acts, &self.calls);
        let tool = |row: usize| {
            let place = calls.binary_search_by_key(&(row as u32), |call| call.row);
            place.ok().map(|place| calls[place].tool).filter(|tool| *tool != 0)
        };
        if (0..acts.len()).any(|row| kin::is_within_another(row, &self.parents, |row| acts[row] & 7, tool)) {
            return Err("a call may be told twice".into());
        }
        kin::inherit(&mut self.agents, &self.parents);
        for group in self.groups.values() {
            judge.span(group.lines.iter().map(String::as_str), Shown::of_group(group.row, group.times))?;
        }
        self.groups = HashMap::new();
        Ok(())
    }

    /// Takes the next bytes of tool_calls.json; returns the entries that hold an escape, or all if some are `suspect`.
    pub fn read_calls(&mut self, data: &[u8], suspect: bool) -> Mine<Vec<Vec<u8>>> {
        self.rest.extend_from_slice(data);
        self.is_suspect |= suspect;
        let (rest, mut at, mut shown) = (std::mem::take(&mut self.rest), 0, Vec::new());
        while let Some(call) = self.calls.get(self.entry) {
            let before: &[u8] = if self.entry == 0 { b"{\n  \"calls\": [\n    " } else { b",\n    " };
            let left = &rest[at..];
            let Some(end) = memmem::find(left, END) else { break };
            let entry = left[..end + END.len()].strip_prefix(before).ok_or("the calls have another form")?;
            let agent = self.agents.get(call.row as usize).and_then(|agent| self.agent_names.get(*agent as usize));
            self.out.clear();
            self.out.extend_from_slice(HEAD);
            match agent {
                Some(name) => put_text(&mut self.out, name),
                None => self.out.extend_from_slice(b"null"),
            }
            let behind = entry.strip_prefix(self.out.as_slice()).ok_or("a call has another agent")?;
            if sha256(behind) != call.sha256 {
                return Err("a call is not what follows");
            }
            if self.is_suspect || memchr(b'\\', entry).is_some() {
                shown.push(entry.to_vec());
            }
            at += end + END.len();
            self.entry += 1;
        }
        self.rest = rest[at..].to_vec();
        self.is_suspect = suspect && !self.rest.is_empty();
        if self.rest.len() > MOST_BYTES { Err("an entry is long") } else { Ok(shown) }
    }

    /// Ends tool_calls.json; tells whether it is what follows. `tail`: what stands behind the list.
    pub fn ends_calls(&self, tail: &[u8]) -> bool {
        let end: &[u8] = if self.calls.is_empty() { b"{\n  \"calls\": [" } else { b"\n  " };
        self.entry == self.calls.len() && self.rest.strip_prefix(end).is_some_and(|rest| rest == tail)
    }
}

/// Refuses what is neither marker nor digest where nothing else may stand.
fn check_marked<A: Authority>(attributes: &Attributes<'_>, words: &Words, judge: &A) -> Step<(), A::Raised> {
    for (key, value) in &attributes.fields {
        if words.bits.get(key.as_ref()).is_some_and(|bits| bits & KEY_MARKED != 0) {
            let Json::Text(text) = value else { return Err("a value is neither marker nor digest".into()) };
            if !text.is_empty() && calls::marker(text, words).is_none() && !judge.withheld(text)? {
                return Err("a value is neither marker nor digest".into());
            }
        }
    }
    Ok(())
}
