//! Judgements: Python makes each once, and it is remembered by value until something that it rests on changes.
//!
//! A table is locked only to look into it or to add to it, never while Python runs: a lock that is held there waits for
//! the interpreter, and so for a thread that waits for the lock.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::HashMap;
use pyo3::call::PyCallArgs;
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
    GENERATION.fetch_add(1, SeqCst);
}

/// A question about a text with yes and no for answers.
#[derive(Clone, Copy)]
pub enum Ask {
    Name,
    Id,
    InKey,
    Credential,
    NameKey,
    Run,
}

/// The names of the questions, in their order; the last is about several texts at once.
const ASKS: [&str; 7] = ["name", "id", "in_key", "credential", "name_key", "names_run", "stay"];
const STAY: usize = 6;
const MOST: usize = 8192;
const MOST_CHARS: usize = 256;
const MOST_PIECE: usize = 8192;
const MOST_BYTES: usize = 8 << 20;

/// A part of a line that Python made.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Piece {
    pub json: Vec<u8>,
    /// What goes with it: for a name the attribute with its digest, for a hidden key whether it may be a credential's.
    pub more: Vec<u8>,
    /// Place, rule and action of each note.
    pub notes: Vec<(String, String, String)>,
    /// An object whose identity is part of the question, held so that its id cannot be used again.
    _held: Py<PyAny>,
}

pub struct Tenant {
    pub digester: Digester,
    pub key_id: String,
}

#[derive(Default)]
struct Tables {
    generation: u64,
    asked: [HashMap<Box<str>, bool>; ASKS.len()],
    pieces: HashMap<Vec<u8>, Arc<Piece>>,
    bytes: usize,
    tenants: HashMap<Box<str>, Arc<Tenant>>,
}

pub struct Judge {
    asks: Vec<Py<PyAny>>,
    others: Py<PyDict>,
    tables: Mutex<Tables>,
}

impl Judge {
    pub fn new(given: &Bound<'_, PyDict>) -> PyResult<Self> {
        let asks = ASKS.iter().map(|name| Ok(given.as_any().get_item(name)?.unbind())).collect::<PyResult<_>>()?;
        Ok(Judge { asks, others: given.clone().unbind(), tables: Mutex::default() })
    }

    /// Returns the tables, which are as new where something was learned; what they held is let go of by the caller
    /// without the lock.
    fn tables(&self) -> (MutexGuard<'_, Tables>, Option<Tables>) {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = GENERATION.load(SeqCst);
        let is_old = tables.generation != generation;
        let old = is_old.then(|| std::mem::replace(&mut *tables, Tables { generation, ..Tables::default() }));
        (tables, old)
    }

    fn look<T>(&self, into: impl FnOnce(&Tables) -> Option<T>) -> (u64, Option<T>) {
        let (tables, old) = self.tables();
        let found = (tables.generation, into(&tables));
        drop(tables);
        drop(old);
        found
    }

    /// Adds an answer, unless something was learned since it was asked for.
    fn keep<T>(&self, generation: u64, add: impl FnOnce(&mut Tables) -> T) {
        let (mut tables, old) = self.tables();
        let replaced = (tables.generation == generation).then(|| add(&mut tables));
        drop(tables);
        drop((old, replaced));
    }

    pub fn ask(&self, py: Python<'_>, question: Ask, text: &str) -> Answer<bool> {
        let place = question as usize;
        let (generation, known) = self.look(|tables| tables.asked[place].get(text).copied());
        if let Some(answer) = known {
            return Ok(answer);
        }
        let answer = self.asks[place].bind(py).call1((text,))?.extract()?;
        self.remember(generation, place, text, answer);
        Ok(answer)
    }

    /// Returns the answer to whether a text stays if it is kept, if it was asked for before.
    pub fn stays(&self, text: &str) -> Option<bool> {
        self.look(|tables| tables.asked[STAY].get(text).copied()).1
    }

    /// Asks for several texts at once whether all stay: most texts are met once, and one question costs what ten do.
    pub fn all_stay(&self, py: Python<'_>, texts: &[Box<str>]) -> Answer<bool> {
        let (generation, _) = self.look(|_| None::<()>);
        let answers: Vec<bool> =
            self.asks[STAY].bind(py).call1((texts.iter().map(|text| &**text).collect::<Vec<_>>(),))?.extract()?;
        if answers.len() != texts.len() {
            return Err(Stop::NotMine);
        }
        for (text, answer) in texts.iter().zip(&answers) {
            self.remember(generation, STAY, text, *answer);
        }
        Ok(answers.iter().all(|answer| *answer))
    }

    fn remember(&self, generation: u64, place: usize, text: &str, answer: bool) {
        if text.len() <= MOST_CHARS {
            self.keep(generation, |tables| {
                let full = tables.asked[place].len() >= MOST;
                let old = full.then(|| std::mem::take(&mut tables.asked[place]));
                tables.asked[place].insert(text.into(), answer);
                old
            });
        }
    }

    /// Returns the answer of the function `name` to a question that `key` stands for.
    pub fn piece<'py>(
        &self, py: Python<'py>, name: &str, key: &[&[u8]], arguments: impl PyCallArgs<'py>,
    ) -> Answer<Arc<Piece>> {
        let key = [&[name.as_bytes()], key].concat().join(&b'\0');
        let (generation, known) = self.look(|tables| tables.pieces.get(&key).cloned());
        if let Some(piece) = known {
            return Ok(piece);
        }
        let piece: Arc<Piece> = Arc::new(self.call(py, name, arguments)?.extract()?);
        let bytes = 2 * key.len() + piece.json.len() + 256;
        if bytes <= MOST_PIECE {
            self.keep(generation, |tables| {
                let full = tables.bytes + bytes > MOST_BYTES;
                let old = full.then(|| (std::mem::take(&mut tables.bytes), std::mem::take(&mut tables.pieces)));
                tables.bytes += bytes;
                (old, tables.pieces.insert(key, piece.clone()))
            });
        }
        Ok(piece)
    }

    pub fn tenant(&self, py: Python<'_>, tenant_id: &str) -> Answer<Arc<Tenant>> {
        let (generation, known) = self.look(|tables| tables.tenants.get(tenant_id).cloned());
        if let Some(tenant) = known {
            return Ok(tenant);
        }
        let (key, key_id): (Vec<u8>, String) = self.call(py, "tenant", (tenant_id,))?.extract()?;
        let tenant = Arc::new(Tenant { digester: Digester::new(&key, &key_id), key_id });
        self.keep(generation, |tables| {
            let old = (tables.tenants.len() >= 128).then(|| std::mem::take(&mut tables.tenants));
            (old, tables.tenants.insert(tenant_id.into(), tenant.clone()))
        });
        Ok(tenant)
    }

    /// Calls a function whose answers are not remembered.
    pub fn call<'py>(&self, py: Python<'py>, name: &str, arguments: impl PyCallArgs<'py>) -> Answer<Bound<'py, PyAny>> {
        Ok(self.others.bind(py).as_any().get_item(name)?.call1(arguments)?)
    }
}
