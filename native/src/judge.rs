//! Judgements: Python makes each once, and it is remembered by value until something that it rests on changes.
//!
//! A table is locked only to look into it or to add to it, never while Python runs: a lock that is held there waits for
//! the interpreter, and so for a thread that waits for the lock.

use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::{HashMap, HashMapExt};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::digest::Digester;

/// Why a span has no line.
pub enum Stop {
    /// Python redacts it.
    NotMine,
    /// Python raised what nobody may hold up, as an interrupt is.
    Raised(PyErr),
}

pub type Answer<T> = Result<T, Stop>;

impl From<PyErr> for Stop {
    fn from(error: PyErr) -> Self {
        if Python::attach(|py| error.is_instance_of::<PyException>(py)) { Stop::NotMine } else { Stop::Raised(error) }
    }
}

/// Counts what changes judgements: a secret that was learned.
static GENERATION: AtomicU64 = AtomicU64::new(0);

pub fn forget() {
    GENERATION.fetch_add(1, Ordering::SeqCst);
}

/// A question with yes and no for answers.
#[derive(Clone, Copy)]
pub enum Ask {
    Name,
    Id,
    Kept,
    InKey,
    Credential,
    SafeKey,
    NameKey,
    Lane,
    // Those about a key and a value, with a NUL between them.
    Run,
    Own,
    Opaque,
    User,
    MayBeKept,
}

/// The names of the questions, in their order.
const ASKS: [&str; 13] = [
    "name",
    "id",
    "kept",
    "in_key",
    "credential",
    "safe_key",
    "name_key",
    "lane",
    "run",
    "own",
    "opaque",
    "user",
    "may_be_kept",
];
const MOST: usize = 8192;
const MOST_BYTES: usize = 256;
const MOST_LONG: usize = 256;
const MOST_LONG_BYTES: usize = 16_384;

/// A table that is emptied when it is full.
pub struct Table<K, V>(HashMap<K, V>, usize);

impl<K: Hash + Eq, V: Clone> Table<K, V> {
    fn new(most: usize) -> Self {
        Table(HashMap::new(), most)
    }

    /// Returns what there was if it was full, to be let go of when the lock is open: it may hold objects of Python.
    fn put(&mut self, key: K, value: V) -> Option<HashMap<K, V>> {
        let old = (self.0.len() >= self.1).then(|| std::mem::take(&mut self.0));
        self.0.insert(key, value);
        old
    }
}

pub struct Tenant {
    pub digester: Digester,
    pub key_id: String,
}

/// The name that a span or an event may have; an empty action says that nothing is noted.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Named {
    pub name: String,
    pub action: String,
    pub digest: String,
}

/// A configuration without its secrets, and the notes of what was done.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Configured {
    pub text: String,
    pub notes: Vec<(String, String, String)>,
}

pub struct Hidden {
    pub key: String,
    pub may_be_credential: bool,
}

/// A scope and what is written of it.
pub type Scope = (Py<PyAny>, Vec<u8>);

pub struct Tables {
    generation: u64,
    asked: Vec<Table<Box<str>, bool>>,
    pub tenants: Table<Box<str>, Arc<Tenant>>,
    pub names: Table<Box<str>, Arc<Named>>,
    pub events: Table<Box<str>, Arc<Named>>,
    pub hidden: Table<Box<str>, Arc<Hidden>>,
    pub configured: Table<Box<str>, Arc<Configured>>,
    pub long: Table<Box<str>, bool>,
    /// By identity, with the object itself so that its id cannot be used again.
    pub scopes: Table<(Box<str>, usize), Arc<Scope>>,
}

impl Tables {
    fn new() -> Self {
        Tables {
            generation: GENERATION.load(Ordering::SeqCst),
            asked: ASKS.iter().map(|_| Table::new(MOST)).collect(),
            tenants: Table::new(128),
            names: Table::new(MOST),
            events: Table::new(MOST),
            hidden: Table::new(MOST),
            configured: Table::new(64),
            long: Table::new(MOST_LONG),
            scopes: Table::new(64),
        }
    }
}

pub struct Judge {
    asks: Vec<Py<PyAny>>,
    others: Py<PyDict>,
    tables: Mutex<Tables>,
}

impl Judge {
    pub fn new(given: &Bound<'_, PyDict>) -> PyResult<Self> {
        let asks = ASKS.iter().map(|name| Ok(given.as_any().get_item(name)?.unbind())).collect::<PyResult<_>>()?;
        Ok(Judge { asks, others: given.clone().unbind(), tables: Mutex::new(Tables::new()) })
    }

    /// Forgets what rests on what was known earlier.
    pub fn refresh(&self) {
        if self.tables().generation != GENERATION.load(Ordering::SeqCst) {
            let old = std::mem::replace(&mut *self.tables(), Tables::new());
            drop(old); // after the lock: it lets go of objects of Python
        }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what a table has, or makes it and adds it. A key of "" is never added.
    pub fn known<K: Hash + Eq + Clone, V: Clone>(
        &self,
        table: fn(&mut Tables) -> &mut Table<K, V>,
        key: &K,
        make: impl FnOnce() -> Answer<V>,
    ) -> Answer<V> {
        let generation = {
            let mut tables = self.tables();
            if let Some(found) = table(&mut tables).0.get(key) {
                return Ok(found.clone());
            }
            tables.generation
        };
        let made = make()?;
        let mut tables = self.tables();
        let is_same = tables.generation == generation && GENERATION.load(Ordering::SeqCst) == generation;
        let old = is_same.then(|| table(&mut tables).put(key.clone(), made.clone()));
        drop(tables);
        drop(old);
        Ok(made)
    }

    pub fn ask(&self, py: Python<'_>, question: Ask, text: &str) -> Answer<bool> {
        let place = question as usize;
        if text.len() > MOST_BYTES {
            // Of long texts only our own repeat, as the versions of a process do.
            return match question {
                Ask::Own if text.len() <= MOST_LONG_BYTES => {
                    self.known(|tables| &mut tables.long, &text.into(), || self.answer(py, place, text))
                }
                _ => self.answer(py, place, text),
            };
        }
        let generation = {
            let tables = self.tables();
            if let Some(answer) = tables.asked[place].0.get(text) {
                return Ok(*answer);
            }
            tables.generation
        };
        let answer = self.answer(py, place, text)?;
        let mut tables = self.tables();
        if tables.generation == generation && GENERATION.load(Ordering::SeqCst) == generation {
            tables.asked[place].put(text.into(), answer);
        }
        Ok(answer)
    }

    fn answer(&self, py: Python<'_>, place: usize, text: &str) -> Answer<bool> {
        Ok(self.asks[place].bind(py).call1((text,))?.extract()?)
    }

    /// Asks about a key and a value.
    pub fn ask_pair(&self, py: Python<'_>, question: Ask, key: &str, value: &str) -> Answer<bool> {
        if key.contains('\0') {
            return Err(Stop::NotMine);
        }
        self.ask(py, question, &format!("{key}\0{value}"))
    }

    /// Returns a function that is asked for more than yes and no.
    pub fn other<'py>(&self, py: Python<'py>, name: &str) -> Answer<Bound<'py, PyAny>> {
        self.others.bind(py).get_item(name)?.ok_or(Stop::NotMine)
    }
}
