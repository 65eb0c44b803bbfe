//! The roles of a model call's messages, and the digests by which two runs are compared, as `redaction/messages.py`.

use foldhash::{HashMap, HashMapExt};

use crate::json::{Json, MAX_DEPTH, put_int, put_sorted, put_text};
use crate::judge::{Answer, Stop};
use crate::plan::Plan;
use crate::work::Work;

const MAX_MESSAGES: usize = 64;

pub struct Described<'p> {
    /// The entry of one attribute, as JSON.
    pub entry: Vec<u8>,
    pub roles: Vec<&'p str>,
}

/// Describes the messages of a model call.
pub fn describe<'p>(work: &Work<'_, '_>, plan: &'p Plan, value: Json<'_>) -> Answer<Described<'p>> {
    let messages = messages_of(plan, value);
    let mut buffer = Vec::new();
    let mut digest = |message: &Json<'_>| {
        buffer.clear();
        put_sorted(&mut buffer, message);
        work.digester().text("message", &buffer)
    };
    let single: Vec<String> = messages.iter().map(&mut digest).collect();
    let ids =
        if messages.iter().any(|message| may_name(plan, message)) { ids_of(plan, &messages)? } else { HashMap::new() };
    let renamed: Vec<String> = if ids.is_empty() {
        Vec::new()
    } else {
        let mut made = Vec::with_capacity(messages.len());
        for message in &messages {
            made.push(digest(&neutral(message, &ids)?));
        }
        made
    };
    let neutral = if ids.is_empty() { &single } else { &renamed };
    let whole = match &neutral[..] {
        [one] => one.clone(),
        several => work.digester().text("messages", several.join("\n").as_bytes()),
    };
    let mut entry = Vec::with_capacity(64 + 64 * single.len());
    entry.push(b'{');
    if single.len() > MAX_MESSAGES {
        entry.extend_from_slice(b"\"more\":");
        put_int(&mut entry, (single.len() - MAX_MESSAGES) as i64);
        entry.push(b',');
    }
    entry.extend_from_slice(b"\"neutral\":");
    put_text(&mut entry, &whole);
    entry.extend_from_slice(b",\"roles\":[");
    let mut roles: Vec<&str> = Vec::new();
    for (place, (message, digest)) in messages.iter().zip(&single).take(MAX_MESSAGES).enumerate() {
        let role = role_of(plan, message);
        if !role.is_empty() && roles.last() != Some(&role) {
            roles.push(role);
        }
        entry.extend_from_slice(if place > 0 { b",[" } else { b"[" });
        put_text(&mut entry, role);
        entry.push(b',');
        put_text(&mut entry, digest);
        entry.push(b']');
    }
    entry.extend_from_slice(b"]}");
    roles.truncate(8);
    Ok(Described { entry, roles })
}

/// Returns the messages in what a model was given: a list of them, one, or arguments of which one is such a list.
fn messages_of<'a>(plan: &Plan, value: Json<'a>) -> Vec<Json<'a>> {
    let fields = match value {
        Json::List(messages) => return messages,
        Json::Map(fields) if fields.iter().all(|field| field.0 != "role") => fields,
        single => return vec![single],
    };
    let (mut lists, rest): (Vec<_>, Vec<_>) = fields.into_iter().partition(|field| match &field.1 {
        Json::List(items) => items.iter().any(|item| !role_of(plan, item).is_empty()),
        _ => false,
    });
    if lists.is_empty() {
        return vec![Json::Map(rest)];
    }
    lists.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let of_field = |(_, item)| if let Json::List(messages) = item { messages } else { Vec::new() };
    let mut messages: Vec<_> = lists.into_iter().flat_map(of_field).collect();
    if !rest.is_empty() {
        messages.push(Json::Map(rest)); // no message, and part of what was asked
    }
    messages
}

fn role_of<'p>(plan: &'p Plan, message: &Json<'_>) -> &'p str {
    let Json::Map(fields) = message else { return "" };
    let text_of = |key: &str| match fields.iter().find(|field| field.0 == key) {
        Some((_, Json::Text(text))) => Some(text.as_ref()),
        _ => None,
    };
    if let Some(role) = text_of("role")
        && let Some(known) = plan.roles.iter().find(|known| *known == role)
    {
        return known;
    }
    text_of("type").and_then(|kind| plan.role_types.get(kind)).map_or("", String::as_str)
}

fn is_id(plan: &Plan, key: &str) -> bool {
    plan.id_keys.iter().any(|known| known == key)
}

fn may_name(plan: &Plan, message: &Json<'_>) -> bool {
    match message {
        Json::List(_) => true,
        Json::Map(fields) => {
            fields.iter().any(|(key, item)| matches!(item, Json::Map(_) | Json::List(_)) || is_id(plan, key))
        }
        _ => false,
    }
}

/// Returns the ids in the messages, each with its number in order of first appearance.
fn ids_of(plan: &Plan, messages: &[Json<'_>]) -> Answer<HashMap<String, usize>> {
    let mut found = HashMap::new();
    let mut pending: Vec<(&Json<'_>, usize)> = messages.iter().rev().map(|message| (message, 0)).collect();
    while let Some((item, depth)) = pending.pop() {
        if depth > MAX_DEPTH {
            return Err(Stop::NotMine);
        }
        match item {
            Json::Map(fields) => {
                let is_call = fields.iter().any(|(key, _)| key == "name" || is_id(plan, key));
                let mut sorted: Vec<(&str, &Json<'_>)> =
                    fields.iter().map(|(key, item)| (key.as_ref(), item)).collect();
                sorted.sort_unstable_by_key(|field| field.0);
                for (key, item) in &sorted {
                    if let Json::Text(text) = item
                        && is_id(plan, key)
                    {
                        let next = found.len() + 1;
                        found.entry(text.to_string()).or_insert(next);
                    }
                }
                let is_payload = |key: &str| is_call && plan.payload_keys.iter().any(|known| known == key);
                pending
                    .extend(sorted.iter().rev().filter(|field| !is_payload(field.0)).map(|field| (field.1, depth + 1)));
            }
            Json::List(items) => pending.extend(items.iter().rev().map(|item| (item, depth + 1))),
            _ => (),
        }
    }
    Ok(found)
}

fn neutral<'a>(value: &Json<'a>, ids: &HashMap<String, usize>) -> Answer<Json<'a>> {
    Ok(match value {
        Json::Text(text) => match ids.get(text.as_ref()) {
            Some(number) => Json::Text(format!("\0{number}").into()),
            None => value.clone(),
        },
        Json::List(items) => Json::List(items.iter().map(|item| neutral(item, ids)).collect::<Answer<_>>()?),
        Json::Map(fields) => {
            let mut made = Vec::with_capacity(fields.len());
            for (key, item) in fields {
                if ids.contains_key(key.as_ref()) {
                    return Err(Stop::NotMine);
                }
                made.push((key.clone(), neutral(item, ids)?));
            }
            Json::Map(made)
        }
        other => other.clone(),
    })
}
