//! The rules of a contract for one payload: the trie that `payloads/selectors.py` compiled, walked as it walks it.

use foldhash::{HashMap, HashSet};
use pyo3::prelude::*;

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Action {
    Keep,
    Truncate,
    Hash,
    Mask,
    Drop,
}

impl Action {
    pub fn word(self) -> &'static str {
        match self {
            Action::Keep => "keep",
            Action::Truncate => "truncate",
            Action::Hash => "hash",
            Action::Mask => "mask",
            Action::Drop => "drop",
        }
    }
}

impl<'py> FromPyObject<'_, 'py> for Action {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let word: String = given.extract()?;
        [Action::Keep, Action::Truncate, Action::Hash, Action::Mask, Action::Drop]
            .into_iter()
            .find(|action| action.word() == word)
            .ok_or_else(|| pyo3::exceptions::PyValueError::new_err("an action that is not known here"))
    }
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Rule {
    pub action: Action,
    pub data_class: String,
    pub selector: String,
    pub note: String,
    pub max_chars: Option<usize>,
    pub keep_last: usize,
    pub keeps: bool,
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Node {
    children: HashMap<String, usize>,
    star: Option<usize>,
    deep: Option<usize>,
    loops: bool,
    rule: Option<Rule>,
    rank: (i64, i64, i64),
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Rules {
    pub tool: String,
    nodes: Vec<Node>,
    pub root: Vec<usize>,
    pub undeclared: Action,
    pub scalars: Action,
    pub known_keys: HashSet<String>,
    pub decides: bool,
    pub undeclared_note: String,
    pub masks_undeclared: bool,
}

impl Rules {
    /// Returns the state one step further down.
    pub fn advance(&self, state: &[usize], step: &str) -> Vec<usize> {
        let mut reached = Vec::new();
        for &place in state {
            let node = &self.nodes[place];
            if node.loops {
                reached.push(place);
            }
            reached.extend(node.children.get(step));
            reached.extend(node.star);
        }
        let mut found = Vec::with_capacity(reached.len());
        while let Some(place) = reached.pop() {
            if !found.contains(&place) {
                found.push(place);
                reached.extend(self.nodes[place].deep);
            }
        }
        found
    }

    /// Returns the rule that decides here.
    pub fn best(&self, state: &[usize]) -> Option<&Rule> {
        let mut best: Option<(&Rule, (i64, i64, i64))> = None;
        for &place in state {
            let node = &self.nodes[place];
            if let Some(rule) = &node.rule
                && best.is_none_or(|(_, rank)| node.rank > rank)
            {
                best = Some((rule, node.rank));
            }
        }
        best.map(|(rule, _)| rule)
    }

    /// Tells whether a rule may name a node below this one.
    pub fn leads_on(&self, state: &[usize], withheld: bool) -> bool {
        state.iter().map(|place| &self.nodes[*place]).any(|node| {
            (!node.children.is_empty() || node.star.is_some() || node.deep.is_some()) && !(withheld && node.loops)
        })
    }

    /// Tells whether a rule names the key `step` literally.
    pub fn names(&self, state: &[usize], step: &str) -> bool {
        state.iter().any(|place| self.nodes[*place].children.contains_key(step))
    }
}
