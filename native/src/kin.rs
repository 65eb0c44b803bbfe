//! What follows for a span from the spans around it: its parent, its agent, where its error began, whether its call is
//! told by another span, too. As `gather.py`, `origins.py` and `acts.py` in `bundle/assembly` find it.

use std::collections::BTreeMap;

use foldhash::{HashSet, HashSetExt};

use crate::journal::{Ids, Mine, Span};
use crate::json::Json;
use crate::run::{Facts, Op};
use crate::words::Words;

/// The row of nothing.
pub const NONE: u32 = u32::MAX;
/// Spans between two of one call, as `acts.py` has it.
const MOST_BETWEEN: usize = 32;
/// Numbers of tokens that one span may say.
const MOST_COUNTS: usize = 64;
const LARGEST: i64 = i64::MAX;

/// Finds the parent of each span; the spans are in the order of their ids. No span may be its own ancestor.
pub fn parents(spans: &[Span<'_>]) -> Mine<Vec<u32>> {
    let ids: Vec<Ids> = spans.iter().map(|span| span.ids).collect();
    let parents: Vec<u32> = spans.iter().map(|span| parent(&ids, span)).collect();
    check_circles(&parents)?;
    Ok(parents)
}

/// Refuses spans of which one is its own ancestor.
pub fn check_circles(parents: &[u32]) -> Mine<()> {
    let mut passed = vec![NONE; parents.len()]; // by the walk from which row
    for row in 0..parents.len() {
        let mut at = row;
        while passed[at] == NONE {
            passed[at] = row as u32;
            match parents[at] {
                NONE => break,
                above if passed[above as usize] == row as u32 => return Err("a span is its own ancestor"),
                above => at = above as usize,
            }
        }
    }
    Ok(())
}

fn parent(ids: &[Ids], span: &Span<'_>) -> u32 {
    let Ok(parent_id) = u64::from_str_radix(span.parent_id, 16) else { return NONE };
    ids.binary_search(&(span.ids.0, parent_id)).map_or(NONE, |row| row as u32)
}

/// Finds for each span the row of the nearest that names an agent: itself, or one above it.
pub fn agents(spans: &[Span<'_>], parents: &[u32], words: &Words) -> Mine<Vec<u32>> {
    let mut agents = vec![NONE; spans.len()];
    for (row, span) in spans.iter().enumerate() {
        if let Some(value) = span.attributes.get(&words.agent_name) {
            let Json::Text(text) = value else { return Err("an agent's name is no text") };
            if !text.is_empty() {
                agents[row] = row as u32;
            }
        }
    }
    inherit(&mut agents, parents);
    Ok(agents)
}

/// Gives each row that has nothing of its own what the nearest above it has.
pub fn inherit(own: &mut [u32], parents: &[u32]) {
    let mut known: Vec<bool> = own.iter().map(|own| *own != NONE).collect();
    let mut way = Vec::new();
    for row in 0..own.len() {
        let mut at = row as u32;
        while at != NONE && !known[at as usize] {
            way.push(at as usize);
            at = parents[at as usize];
        }
        let found = if at == NONE { NONE } else { own[at as usize] };
        for passed in way.drain(..) {
            (own[passed], known[passed]) = (found, true);
        }
    }
}

/// Finds for each span the row of the one in which its error began; its own if in no other, or if it has none.
pub fn origins(spans: &[Span<'_>], parents: &[u32], facts: &[Facts], words: &Words) -> Mine<Vec<u32>> {
    let mut errors: Vec<Option<(u32, u32)>> = vec![None; spans.len()]; // type and place, as sums
    for (row, span) in spans.iter().enumerate().filter(|(row, _)| facts[*row].has_failed()) {
        errors[row] = Some(error_of(span, words)?);
    }
    let mut below = vec![NONE; spans.len()];
    for (row, span) in spans.iter().enumerate() {
        let above = parents[row] as usize;
        let Some((kind, site)) = errors[row] else { continue };
        let Some(Some((outer_kind, outer_site))) = errors.get(above).copied() else { continue };
        let same_site = site == 0 || outer_site == 0 || site == outer_site;
        if kind == outer_kind && span.end_ns <= spans[above].end_ns && same_site {
            let known = below[above];
            if known == NONE || span.end_ns >= spans[known as usize].end_ns {
                below[above] = row as u32;
            }
        }
    }
    let mut origins: Vec<u32> = (0..spans.len() as u32).collect();
    for (row, origin) in origins.iter_mut().enumerate() {
        let mut inner = row as u32;
        while below[inner as usize] != NONE {
            inner = below[inner as usize];
        }
        let mut at = row as u32;
        while at != inner {
            at = std::mem::replace(&mut below[at as usize], inner); // so that no way is gone twice
        }
        *origin = inner;
    }
    Ok(origins)
}

/// Returns sums of the type of a span's error and of the place where it was raised; 0 for what is not said.
pub fn error_of(span: &Span<'_>, words: &Words) -> Mine<(u32, u32)> {
    let last = span.events.iter().rev().find(|event| event.name == words.exception);
    let of_last = |key: &str| match last.and_then(|event| event.attributes.get(key)) {
        None => Ok(""),
        Some(Json::Text(text)) => Ok(text.as_ref()),
        Some(_) => Err("what an exception says is no text"),
    };
    let mut kind = of_last(&words.exception_type)?;
    if kind.is_empty() {
        kind = match span.attributes.get(&words.error_type) {
            None => "",
            Some(Json::Text(text)) => text,
            Some(_) => return Err("the type of an error is no text"),
        };
    }
    let kind = kind.split('[').next().unwrap_or_default().rsplit('.').next().unwrap_or_default();
    let stack = of_last(&words.exception_stacktrace)?;
    let site = if stack.starts_with("[REDACTED") { "" } else { stack.rsplit('\n').next().unwrap_or_default() };
    let sum = |text: &str| if text.is_empty() { 0 } else { crc32fast::hash(text.as_bytes()) };
    Ok((sum(kind), sum(site)))
}

/// Tells whether two spans may tell of one call: then Python finds out.
pub fn may_be_told_twice(spans: &[Span<'_>], parents: &[u32], facts: &[Facts], words: &Words) -> bool {
    let mut ids = HashSet::new();
    let tool = |row: usize| spans[row].attributes.text(&words.tool_name);
    (0..spans.len()).any(|row| {
        is_within_another(row, parents, |row| facts[row].kind(), tool)
            || call_id(&spans[row], &facts[row], words).is_some_and(|id| !ids.insert(id))
            || says_tokens_of_others(&spans[row], &facts[row], words)
    })
}

/// Tells whether a call stands within another that may be the same. `tool` gives the name of a tool.
pub fn is_within_another<T: PartialEq>(
    row: usize, parents: &[u32], kind: impl Fn(usize) -> u8, tool: impl Fn(usize) -> Option<T>,
) -> bool {
    let own = kind(row);
    if !matches!(own, Facts::TOOL | Facts::MODEL | Facts::EMBEDDINGS) {
        return false;
    }
    let mut at = row;
    for _ in 0..MOST_BETWEEN {
        at = match parents[at] {
            NONE => return false,
            above => above as usize,
        };
        let above = kind(at);
        if above == own {
            return own != Facts::TOOL || tool(row).is_some_and(|name| tool(at) == Some(name));
        }
        if matches!(above, Facts::BOUNDARY | Facts::TOOL) || (own == Facts::TOOL && above != Facts::OTHER) {
            return false;
        }
    }
    false
}

/// Returns what two spans share that tell of one call, if a span says it.
pub fn call_id<'s>(span: &'s Span<'_>, facts: &Facts, words: &Words) -> Option<(u8, &'s str, &'s str, &'s str)> {
    let said = &span.attributes;
    match facts.kind() {
        Facts::TOOL => {
            Some((Facts::TOOL, span.trace_id, said.text(&words.mcp_request_id)?, said.text(&words.tool_name)?))
        }
        kind @ (Facts::MODEL | Facts::EMBEDDINGS) => Some((kind, "", said.text(&words.response_id)?, "")),
        _ => None,
    }
}

/// Tells whether a span says numbers of tokens that may be those of calls within it.
pub fn says_tokens_of_others(span: &Span<'_>, facts: &Facts, words: &Words) -> bool {
    matches!(facts.op, Op::Tool | Op::Retrieval | Op::Other) && says_usage(span, words)
}

/// Tells whether a span says numbers of tokens.
pub fn says_usage(span: &Span<'_>, words: &Words) -> bool {
    let from = span.attributes.fields.partition_point(|field| field.0.as_ref() < words.usage.as_str());
    span.attributes.fields.get(from).is_some_and(|field| field.0.starts_with(&words.usage))
}

/// Adds the numbers of tokens that a span says, each once: to those of calls, of steps and runs, or of agents.
pub fn add_usage(span: &Span<'_>, op: Op, words: &Words, usage: &mut [BTreeMap<String, i128>; 3]) -> Mine<()> {
    let from = span.attributes.fields.partition_point(|field| field.0.as_ref() < words.usage.as_str());
    let said = span.attributes.fields[from..].iter().take_while(|field| field.0.starts_with(&words.usage));
    let mut found: Vec<(String, bool, i64)> = Vec::new();
    for (key, value) in said {
        let number = match value {
            Json::Int(text) => text.parse().unwrap_or(if text.starts_with('-') { -1 } else { LARGEST }),
            Json::Float(_) => return Err("a number of tokens is a fraction"),
            _ => continue,
        };
        if number < 0 {
            continue;
        }
        let kind = key[words.usage.len()..].replace('.', "_");
        let (kind, second) = words.same_count.get(&kind).map_or((kind, false), |first| (first.clone(), true));
        if found.iter().any(|other| other.0 == kind && other.1 == second) {
            return Err("a number of tokens is said twice");
        }
        found.push((kind, second, number));
        if found.len() > MOST_COUNTS {
            return Err("a span says many numbers of tokens");
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    let into = match op {
        Op::Model => &mut usage[0],
        Op::Run | Op::Step => &mut usage[1],
        Op::Agent => &mut usage[2],
        _ => &mut usage[0],
    };
    let has_part = found.iter().any(|one| one.0 == "input_tokens" || one.0 == "output_tokens");
    for (kind, second, number) in &found {
        let is_known = *second && found.iter().any(|other| other.0 == *kind && !other.1);
        if !(is_known || has_part && kind == "total_tokens") {
            match into.get_mut(kind) {
                Some(sum) => *sum += i128::from(*number),
                None => drop(into.insert(kind.clone(), i128::from(*number))),
            }
        }
    }
    Ok(())
}
