//! A payload redacted under a contract, as `payloads/payload.py` walks it. What would be kept and holds anything that a
//! detector or a label objects to is left to Python as a whole.

use crate::json::Json;
use crate::judge::{Answer, Ask, Stop};
use crate::notes::marker;
use crate::rules::{Action, Rule, Rules};
use crate::span::{SMALL, SMALL_DIGITS};
use crate::work::{Work, bytes_of};
use pyo3::prelude::*;
use std::borrow::Cow;

const MOST_FIELDS: usize = 32;
const LABEL_CHARS: usize = 64;

/// Returns the part of a payload that its rules let through.
pub fn redact<'a>(work: &mut Work<'_, '_>, rules: &Rules, value: Json<'a>, path: &str) -> Answer<Json<'a>> {
    let mut walk = Walk { work, rules, path: path.to_owned() };
    Ok(walk.value(value, &rules.root, None, 0)?.unwrap_or(Json::Null))
}

struct Walk<'w, 'c, 'py, 'r> {
    work: &'w mut Work<'c, 'py>,
    rules: &'r Rules,
    path: String,
}

fn made(text: impl Into<String>) -> Json<'static> {
    Json::Made(text.into())
}

/// Tells whether a key is one of some words, whatever the case of its letters.
fn is_one_of(key: &str, words: &[String]) -> bool {
    words.iter().any(|word| key.eq_ignore_ascii_case(word) || (!key.is_ascii() && key.to_lowercase() == *word))
}

impl<'r> Walk<'_, '_, '_, 'r> {
    fn value<'a>(
        &mut self, value: Json<'a>, state: &[usize], inherited: Option<&'r Rule>, depth: usize,
    ) -> Answer<Option<Json<'a>>> {
        let rules = self.rules;
        let rule = rules.best(state).or(inherited);
        if rules.leads_on(state, rule.is_some_and(|rule| !rule.keeps)) {
            match value {
                Json::Map(fields) => return self.map(fields, state, rule, depth).map(Some),
                Json::List(items) => return self.list(items, state, rule, depth).map(Some),
                Json::Text(text) if text.starts_with(['{', '[']) => return Err(Stop::NotMine),
                _ => (),
            }
        }
        let is_scalar = matches!(value, Json::Null | Json::Bool(_) | Json::Int(_) | Json::Float(_));
        let action = match rule {
            Some(rule) => rule.action,
            None if is_scalar => rules.scalars,
            None => rules.undeclared,
        };
        self.apply(value, rule, action)
    }

    fn list<'a>(
        &mut self, items: Vec<Json<'a>>, state: &[usize], rule: Option<&'r Rule>, depth: usize,
    ) -> Answer<Json<'a>> {
        let labels = self.labels_of_list(&items);
        let mut kept = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let step = index.to_string();
            let below = self.rules.advance(state, &step);
            if self.rules.best(&below).or(rule).is_some_and(|rule| rule.keeps) {
                self.unlabelled(&labels)?;
            }
            let length = self.enter(&step);
            let item = self.value(item, &below, rule, depth + 1)?;
            self.path.truncate(length);
            kept.push(
                item.unwrap_or_else(|| made(marker(rule.map_or("undeclared", |rule| &rule.data_class), "", None, &[]))),
            );
        }
        Ok(Json::List(kept))
    }

    fn map<'a>(
        &mut self, fields: Vec<(Cow<'a, str>, Json<'a>)>, state: &[usize], rule: Option<&'r Rule>, depth: usize,
    ) -> Answer<Json<'a>> {
        let rules = self.rules;
        let kept_below = rule.is_some_and(|rule| rule.keeps);
        let labels = self.labels_of_map(&fields);
        let mut hidden = 0;
        let mut kept = Vec::with_capacity(fields.len());
        for (key, item) in fields {
            self.work.unmarked(&key)?;
            let mut name = key.clone();
            if !(rules.names(state, &key) || rules.known_keys.contains(key.as_ref())) {
                if kept_below {
                    self.refused_if(Ask::InKey, &key)?;
                } else {
                    hidden += 1;
                    let path = format!("{}/*", self.path);
                    self.work.notes.add(&path, &rules.undeclared_note, "mask");
                    name = format!("[REDACTED:key:{hidden}]").into();
                    if rule.is_none() && rules.masks_undeclared && rules.advance(state, &name).is_empty() {
                        self.remember(&item, "undeclared", &key)?;
                        kept.push((name, made("[REDACTED:undeclared]")));
                        continue;
                    }
                }
            }
            let below = rules.advance(state, &name);
            if rules.best(&below).or(rule).is_some_and(|rule| rule.keeps) {
                self.refused_if(Ask::Credential, &key)?;
                if self.is_value(&key) {
                    self.unlabelled(&labels)?;
                }
            }
            let length = self.enter(&name);
            let item = self.value(item, &below, rule, depth + 1)?;
            self.path.truncate(length);
            if let Some(item) = item {
                kept.push((name, item));
            }
        }
        Ok(Json::Map(kept))
    }

    /// Goes one step down; returns the length that the path had.
    fn enter(&mut self, step: &str) -> usize {
        let length = self.path.len();
        self.path.push('/');
        self.path.extend(step.chars().take(64).map(|c| {
            let is_plain = c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '[' | ']' | ':' | '.' | '~');
            if is_plain { c } else { '_' }
        }));
        length
    }

    fn refused_if(&self, question: Ask, text: &str) -> Answer<()> {
        if self.work.core.judge.ask(self.work.py, question, text)? { Err(Stop::NotMine) } else { Ok(()) }
    }

    fn remember(&mut self, value: &Json<'_>, data_class: &str, key: &str) -> Answer<()> {
        let (core, py) = (self.work.core, self.work.py);
        match &mut self.work.taint {
            Some(taint) => taint.remember(core, py, value, data_class, key),
            None => Err(Stop::NotMine),
        }
    }

    fn apply<'a>(&mut self, value: Json<'a>, rule: Option<&'r Rule>, action: Action) -> Answer<Option<Json<'a>>> {
        if let Json::Text(text) = &value {
            self.work.unmarked(text)?;
            if text.starts_with("h1:") || text.starts_with("h2:") {
                return Err(Stop::NotMine); // may be a digest
            }
        }
        let note = rule.map_or(self.rules.undeclared_note.as_str(), |rule| &rule.note);
        let data_class = rule.map_or("undeclared", |rule| &rule.data_class);
        if matches!(action, Action::Keep | Action::Truncate) {
            let limit = rule.filter(|_| action == Action::Truncate).and_then(|rule| rule.max_chars);
            return self.keep(value, note, limit).map(Some);
        }
        self.work.notes.add(&self.path, note, action.word());
        let key = self.path.rsplit('/').next().unwrap_or("").to_owned();
        self.remember(&value, data_class, &key)?;
        match action {
            Action::Drop => return Ok(None),
            Action::Hash => {
                let selector = rule.map_or("*", |rule| &rule.selector);
                let domain = format!("tool|{}|{selector}|{data_class}", self.rules.tool);
                return Ok(Some(made(self.work.digester().text(&domain, &bytes_of(&value)))));
            }
            _ => (),
        }
        if let (Json::Text(text), Some(rule)) = (&value, rule)
            && rule.keep_last > 0
            && text.chars().count() >= 4 * rule.keep_last
        {
            let mut last: Vec<char> = text.chars().rev().take(rule.keep_last).collect();
            if !last.iter().all(char::is_ascii) {
                return Err(Stop::NotMine);
            }
            last.reverse();
            let tail: String = last.into_iter().map(|c| if c.is_ascii_alphanumeric() { c } else { '*' }).collect();
            return Ok(Some(made(format!("[REDACTED:{data_class}:last={tail}]"))));
        }
        Ok(Some(made(marker(data_class, "", None, &[]))))
    }

    // -- what is kept -----------------------------------------------------------------------------------------------

    fn keep<'a>(&mut self, value: Json<'a>, note: &str, limit: Option<usize>) -> Answer<Json<'a>> {
        Ok(match value {
            Json::Text(text) => Json::Text(self.keep_text(text, note, limit)?),
            Json::Int(text) if text.len() > SMALL_DIGITS => {
                let Ok(number) = text.parse::<i128>().map_err(|_| Stop::NotMine)?.into_pyobject(self.work.py);
                if self.work.core.judge.call(self.work.py, "known_number", (number,))?.extract()? {
                    return Err(Stop::NotMine);
                }
                Json::Int(text)
            }
            Json::Float(number) if number.abs() >= SMALL => return Err(Stop::NotMine),
            Json::List(items) => {
                let labels = self.labels_of_list(&items);
                self.unlabelled(&labels)?;
                let mut kept = Vec::with_capacity(items.len());
                for (index, item) in items.into_iter().enumerate() {
                    let length = self.enter(&index.to_string());
                    kept.push(self.keep(item, note, limit)?);
                    self.path.truncate(length);
                }
                Json::List(kept)
            }
            Json::Map(fields) => {
                if fields.iter().any(|field| self.is_value(&field.0)) {
                    let labels = self.labels_of_map(&fields);
                    self.unlabelled(&labels)?;
                }
                let mut kept = Vec::with_capacity(fields.len());
                for (key, item) in fields {
                    self.work.unmarked(&key)?;
                    self.refused_if(Ask::Credential, &key)?;
                    if !self.rules.known_keys.contains(key.as_ref()) {
                        self.refused_if(Ask::InKey, &key)?;
                    }
                    let length = self.enter(&key);
                    kept.push((key, self.keep(item, note, limit)?));
                    self.path.truncate(length);
                }
                Json::Map(kept)
            }
            other => other,
        })
    }

    fn keep_text<'a>(&mut self, text: Cow<'a, str>, note: &str, limit: Option<usize>) -> Answer<Cow<'a, str>> {
        self.work.unmarked(&text)?;
        // What may be JSON in text is opened, and searched for labels.
        let inner = text.trim_start_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c));
        match self.work.core.judge.stays(&text) {
            _ if inner.starts_with(['{', '[', '"']) => return Err(Stop::NotMine),
            Some(true) => (),
            Some(false) => return Err(Stop::NotMine),
            None => self.work.unjudged.push(text.as_ref().into()),
        }
        let Some(limit) = limit else { return Ok(text) };
        let chars = if text.len() <= limit { 0 } else { text.chars().count() };
        if chars <= limit {
            return Ok(text);
        }
        if text.contains("…[+") {
            return Err(Stop::NotMine); // it may have been cut already
        }
        self.work.notes.add(&self.path, note, "truncate");
        let cut: String = text.chars().take(limit).collect();
        Ok(format!("{cut}…[+{}]", chars - limit).into())
    }

    // -- labels: names beside values, by which these are credentials --------------------------------------------------

    fn is_value(&self, key: &str) -> bool {
        key.len() <= 16 && is_one_of(key, &self.work.core.plan.label_values)
    }

    /// Returns the texts of an object that may call the value beside them a credential.
    fn labels_of_map(&self, fields: &[(Cow<'_, str>, Json<'_>)]) -> Vec<String> {
        if fields.len() > MOST_FIELDS || !fields.iter().any(|field| self.is_value(&field.0)) {
            return Vec::new();
        }
        let names = &self.work.core.plan.label_names;
        let mut found = Vec::new();
        for (key, item) in fields {
            if let Json::Text(text) = item
                && text.len() <= 4 * LABEL_CHARS
                && is_one_of(key, names)
            {
                found.push(text.to_string());
            }
        }
        found
    }

    /// Returns the texts of a list that may call the item behind them a credential.
    fn labels_of_list(&self, items: &[Json<'_>]) -> Vec<String> {
        if items.len() < 2 {
            return Vec::new();
        }
        let is_name = |text: &str| {
            let name = text.strip_prefix('-').unwrap_or(text);
            let name = name.strip_prefix('-').unwrap_or(name);
            name.len() <= LABEL_CHARS
                && name.starts_with(|c: char| c.is_ascii_alphabetic())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte))
        };
        let texts = items.iter().filter_map(|item| match item {
            Json::Text(text) if is_name(text) => Some(text.to_string()),
            _ => None,
        });
        texts.collect()
    }

    fn unlabelled(&self, labels: &[String]) -> Answer<()> {
        labels.iter().try_for_each(|label| self.refused_if(Ask::Credential, label))
    }
}
