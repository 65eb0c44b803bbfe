//! The values that were withheld in a run. The table of `payloads/taint.py` is the one truth: this is a copy of it, made
//! anew when the two are not of one size (nothing is ever taken out of a table), with what a search needs beside it.
//!
//! A search here may find too much, which sends a span to Python, and never too little.

use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::json::Json;
use crate::judge::{Answer, Ask, Stop};
use crate::plan::Plan;
use crate::work::Core;

const RUNS: usize = 256; // as many as Python has tables
const MIN_CHARS: usize = 8;
const MAX_CHARS: usize = 512;
const MIN_DIGITS: usize = 6;
const SMALLEST: u128 = 100_000;
const NAME_CHARS: usize = 128;
const BITS: usize = 1 << 14; // bits: with 512 texts one place in 32 is looked up

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Text,
    Number,
    Word,
}

const PARTS: [Part; 3] = [Part::Text, Part::Number, Part::Word];

pub struct Taint {
    table: Py<PyAny>,
    have: [HashSet<Box<str>>; 3],
    /// The texts in lower case, by their first eight bytes.
    starts: HashMap<[u8; 8], Vec<Box<[u8]>>>,
    /// A bit for each of these eight bytes, some sharing one: most places in a text need no look-up.
    bits: Box<[u64; BITS / 64]>,
    /// Whether a word or number is not made of plain letters and digits alone: then each text may hold it.
    is_odd: bool,
    added: Vec<(Part, Box<str>, String)>,
    forgotten_before: i64,
    pub forgotten: i64,
}

fn dict_of<'py>(py: Python<'py>, table: &Py<PyAny>, part: Part) -> Answer<Bound<'py, PyDict>> {
    let name = match part {
        Part::Text => intern!(py, "classes"),
        Part::Number => intern!(py, "numbers"),
        Part::Word => intern!(py, "words"),
    };
    table.bind(py).getattr(name)?.cast_into_exact::<PyDict>().map_err(|_| Stop::NotMine)
}

impl Taint {
    fn new(table: Py<PyAny>) -> Self {
        let have = std::array::from_fn(|_| HashSet::new());
        Taint {
            table,
            have,
            starts: HashMap::new(),
            bits: Box::new([0; BITS / 64]),
            is_odd: false,
            added: Vec::new(),
            forgotten_before: 0,
            forgotten: 0,
        }
    }

    /// Reads the table again if it has grown.
    fn follow(&mut self, py: Python<'_>) -> Answer<()> {
        for part in PARTS {
            let dict = dict_of(py, &self.table, part)?;
            if dict.len() != self.have[part as usize].len() {
                for key in dict.keys() {
                    let text: String = key.extract()?;
                    if !self.have[part as usize].contains(text.as_str()) {
                        self.insert(part, &text);
                    }
                }
            }
        }
        self.forgotten = self.table.bind(py).getattr(intern!(py, "forgotten"))?.extract()?;
        self.forgotten_before = self.forgotten;
        Ok(())
    }

    fn insert(&mut self, part: Part, text: &str) {
        self.have[part as usize].insert(text.into());
        if part != Part::Text {
            self.is_odd |= !text.chars().all(is_plain);
            return;
        }
        let lower = folded(text);
        if let Some(start) = lower.as_bytes().first_chunk::<8>() {
            let (word, bit) = bit_of(start);
            self.bits[word] |= bit;
            self.starts.entry(*start).or_default().push(lower.as_bytes().into());
        }
    }

    /// Writes what was added into the table of Python, unless that has grown in the meantime.
    pub fn commit(&mut self, py: Python<'_>) -> Answer<()> {
        let dicts = PARTS.map(|part| dict_of(py, &self.table, part));
        let [Ok(texts), Ok(numbers), Ok(words)] = dicts else { return Err(Stop::NotMine) };
        let dicts = [texts, numbers, words];
        let new = |part: Part| self.added.iter().filter(|added| added.0 == part).count();
        let table = self.table.bind(py);
        let forgotten: i64 = table.getattr(intern!(py, "forgotten"))?.extract()?;
        if PARTS.iter().any(|part| dicts[*part as usize].len() + new(*part) != self.have[*part as usize].len())
            || forgotten != self.forgotten_before
        {
            return Err(Stop::NotMine);
        }
        for (part, text, data_class) in self.added.drain(..) {
            dicts[part as usize].set_item(&*text, data_class)?;
        }
        if self.forgotten != self.forgotten_before {
            table.setattr(intern!(py, "forgotten"), self.forgotten)?;
        }
        Ok(())
    }

    fn len(&self) -> usize {
        self.have.iter().map(HashSet::len).sum()
    }

    fn add(&mut self, plan: &Plan, part: Part, text: &str, data_class: &str) {
        if self.have[part as usize].contains(text) {
            return;
        }
        if self.len() >= plan.table_values {
            self.forgotten += 1;
            return;
        }
        self.insert(part, text);
        self.added.push((part, text.into(), data_class.into()));
    }

    // -- what is remembered -----------------------------------------------------------------------------------------

    /// Adds the parts of a value that was withheld under `key`.
    pub fn remember(
        &mut self, core: &Core, py: Python<'_>, value: &Json<'_>, data_class: &str, key: &str,
    ) -> Answer<()> {
        let plan = &core.plan;
        if !key.is_empty() && core.judge.ask(py, Ask::NameKey, key)? {
            self.remember_name(plan, value, data_class)?;
        }
        let personal = matches!(data_class, "personal" | "special");
        let mut pending = vec![value];
        let mut seen: HashSet<&str> = HashSet::new();
        let mut opened = 0;
        while seen.len() < plan.table_values && opened < plan.table_opened {
            let Some(item) = pending.pop() else { break };
            match item {
                Json::Text(text) => {
                    if text.len() < MIN_DIGITS || text.len() > 4 * MAX_CHARS {
                        continue;
                    }
                    let chars = text.chars().count();
                    if !(MIN_DIGITS..=MAX_CHARS).contains(&chars) || !seen.insert(text) {
                        continue;
                    }
                    self.remember_text(plan, text, chars, data_class, personal)?;
                }
                Json::Int(text) => {
                    let digits = text.trim_start_matches('-');
                    if digits.parse::<u128>().is_ok_and(|number| number >= SMALLEST) {
                        self.add_number(plan, digits, data_class);
                    }
                }
                // Python writes a float otherwise than JSON does.
                Json::Float(number) if number.abs() >= 100_000.0 => return Err(Stop::NotMine),
                Json::List(items) => {
                    opened += 1;
                    pending.extend(items);
                }
                Json::Map(fields) => {
                    opened += 1;
                    pending.extend(fields.iter().map(|field| &field.1));
                    for (name, inner) in fields {
                        if core.judge.ask(py, Ask::NameKey, name)? {
                            self.remember_name(plan, inner, data_class)?;
                        }
                    }
                }
                _ => (),
            }
        }
        self.forgotten += pending.len() as i64;
        Ok(())
    }

    fn remember_text(&mut self, plan: &Plan, text: &str, chars: usize, data_class: &str, personal: bool) -> Answer<()> {
        let has_odd = !text.is_ascii() && text.chars().any(|c| !c.is_ascii() && !is_plain(c));
        if has_odd && (personal || text.chars().all(char::is_alphanumeric)) {
            return Err(Stop::NotMine); // what Python calls a letter or a digit decides
        }
        if text.contains("[REDACTED:") || text.starts_with("h1:") || text.starts_with("h2:") {
            return Err(Stop::NotMine);
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            self.add_number(plan, text, data_class);
        } else if personal && is_full_name(text) {
            self.remember_words(plan, text, data_class)?;
        }
        let is_word = chars < 16 && text.chars().all(|c| is_plain(c) && !c.is_ascii_digit());
        let is_telling = has_kinds(text, 4) && !is_word && !plan.own_words.iter().any(|words| words.contains(text));
        if chars >= MIN_CHARS && is_telling {
            self.add(plan, Part::Text, text, data_class);
        }
        Ok(())
    }

    fn remember_name(&mut self, plan: &Plan, value: &Json<'_>, data_class: &str) -> Answer<()> {
        let items = if let Json::List(items) = value { items } else { std::slice::from_ref(value) };
        items.iter().take(plan.table_values).try_for_each(|item| match item {
            Json::Text(text) => self.remember_words(plan, text, data_class),
            _ => Ok(()),
        })
    }

    fn remember_words(&mut self, plan: &Plan, text: &str, data_class: &str) -> Answer<()> {
        if text.len() > 4 * NAME_CHARS || text.chars().count() > NAME_CHARS || text.bytes().any(|b| b.is_ascii_digit())
        {
            return Ok(());
        }
        if text.chars().any(|c| !c.is_ascii() && !is_plain(c)) {
            return Err(Stop::NotMine);
        }
        for word in text.split(|c| !is_plain(c)).filter(|word| word.chars().count() >= 4) {
            self.add(plan, Part::Word, &word.to_lowercase(), data_class);
        }
        Ok(())
    }

    fn add_number(&mut self, plan: &Plan, digits: &str, data_class: &str) {
        if has_kinds(digits, 3) {
            self.add(plan, Part::Number, digits, data_class);
        }
    }

    // -- what is searched for ---------------------------------------------------------------------------------------

    /// Refuses a view in which a value of the table may stand.
    pub fn search(&self, view: &Json<'_>) -> Answer<()> {
        if self.len() == 0 {
            return Ok(());
        }
        match view {
            Json::Text(text) => self.search_text(text, false),
            Json::Made(text) => self.search_text(text, true),
            Json::Int(text) if self.have[Part::Number as usize].contains(text.trim_start_matches('-')) => {
                Err(Stop::NotMine)
            }
            Json::Float(number) if number.abs() >= 100_000.0 && !self.have[Part::Number as usize].is_empty() => {
                Err(Stop::NotMine)
            }
            Json::List(items) => items.iter().try_for_each(|item| self.search(item)),
            Json::Map(fields) => fields.iter().try_for_each(|(key, item)| {
                self.search_text(key, key.starts_with("[REDACTED:"))?;
                self.search(item)
            }),
            _ => Ok(()),
        }
    }

    fn search_text(&self, text: &str, is_made: bool) -> Answer<()> {
        let lower = folded(text);
        if !self.starts.is_empty() {
            for (at, window) in lower.as_bytes().windows(8).enumerate() {
                if let Some(start) = window.first_chunk::<8>()
                    && let (word, bit) = bit_of(start)
                    && self.bits[word] & bit != 0
                    && let Some(texts) = self.starts.get(start)
                    && texts.iter().any(|known| lower.as_bytes()[at..].starts_with(known))
                {
                    return Err(Stop::NotMine);
                }
            }
        }
        let [_, numbers, words] = &self.have;
        if is_made || (numbers.is_empty() && words.is_empty()) {
            return Ok(());
        }
        if self.is_odd || text.chars().any(|c| !is_plain(c) && !is_gap(c)) {
            return Err(Stop::NotMine);
        }
        let mut parts = lower.split(|c| !is_plain(c));
        if parts.any(|part| words.contains(part) || numbers.contains(part)) { Err(Stop::NotMine) } else { Ok(()) }
    }
}

/// Returns the word that has the bit of eight bytes, and the bit.
fn bit_of(start: &[u8; 8]) -> (usize, u64) {
    let place = u64::from_le_bytes(*start).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - BITS.ilog2());
    (place as usize / 64, 1 << (place % 64))
}

/// Tells whether a text has at least so many different characters.
fn has_kinds(text: &str, least: usize) -> bool {
    let mut kinds = Vec::with_capacity(least);
    text.chars().any(|c| {
        if !kinds.contains(&c) {
            kinds.push(c);
        }
        kinds.len() >= least
    })
}

fn folded(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            text.to_ascii_lowercase().into()
        } else {
            text.into()
        };
    }
    // The lower case of a sigma depends on what is beside it.
    text.to_lowercase().replace('ς', "σ").into()
}

/// Tells whether Python and this crate surely agree that a character is a letter or digit, and on its lower case.
fn is_plain(c: char) -> bool {
    match c {
        _ if c.is_ascii() => c.is_ascii_alphanumeric(),
        '×' | '÷' | 'İ' | 'ı' => false,
        _ => ('À'..='ž').contains(&c),
    }
}

/// Tells whether a character is surely no letter and no digit for either.
fn is_gap(c: char) -> bool {
    match c {
        _ if c.is_ascii() => !c.is_ascii_alphanumeric(),
        'ª' | '²' | '³' | 'µ' | '¹' | 'º' | '¼' | '½' | '¾' => false,
        _ => matches!(c, '\u{A0}'..='\u{BF}' | '\u{2010}'..='\u{2027}' | '€'),
    }
}

/// Tells whether a text is two to four capitalised words. All its characters are plain, or ASCII.
fn is_full_name(text: &str) -> bool {
    let is_letter = |c: char| is_plain(c) && !c.is_ascii_digit();
    let mut rest = text;
    for place in 0..5 {
        if place > 0 {
            let trimmed = rest.trim_start_matches([' ', '\'', '-']);
            if rest.is_empty() || trimmed.len() == rest.len() {
                break;
            }
            rest = trimmed;
        }
        if place == 4 || !rest.starts_with(|c: char| c.is_ascii_uppercase()) {
            return false;
        }
        let first = rest[1..].trim_start_matches(|c| is_letter(c) && !(place == 0 && c.is_ascii_uppercase()));
        if place == 0 && first.len() + 1 == rest.len() {
            return false;
        }
        rest = if place > 0 { first.strip_prefix('.').unwrap_or(first) } else { first };
        if place > 0 && rest.is_empty() {
            return true;
        }
    }
    false
}

/// By tenant and run: when it was last put back, and the copy of its table.
#[derive(Default)]
struct Runs {
    times: u64,
    copies: HashMap<(String, String), (u64, Taint)>,
}

/// The copies of the tables of runs. One is taken out while a span is worked on, so that nobody else has it; one that is
/// not put back is made anew.
#[derive(Default)]
pub struct Mirrors(Mutex<Runs>);

impl Mirrors {
    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn take(&self, tenant_id: &str, run_id: &str, table: &Bound<'_, PyAny>) -> Answer<Taint> {
        let taken = self.runs().copies.remove(&(tenant_id.to_owned(), run_id.to_owned()));
        let known = taken.map(|(_, taint)| taint).filter(|taint| taint.table.bind(table.py()).is(table));
        let mut taint = known.unwrap_or_else(|| Taint::new(table.clone().unbind()));
        taint.follow(table.py())?;
        Ok(taint)
    }

    /// Puts a copy back; the run that was silent longest is forgotten where there are too many.
    pub fn put(&self, tenant_id: &str, run_id: &str, taint: Taint) {
        if run_id.is_empty() {
            return; // each of its spans has a table of its own
        }
        let mut runs = self.runs();
        runs.times += 1;
        let now = runs.times;
        let mut old = runs.copies.insert((tenant_id.to_owned(), run_id.to_owned()), (now, taint));
        if runs.copies.len() > RUNS {
            let silent = runs.copies.iter().min_by_key(|run| run.1.0).map(|run| run.0.clone());
            old = silent.and_then(|key| runs.copies.remove(&key));
        }
        drop(runs);
        drop(old); // after the lock: it holds an object of Python
    }
}
