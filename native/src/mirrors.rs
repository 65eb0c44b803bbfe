//! The copies of the tables of runs, at most as many as Python has tables.

use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::HashMap;
use pyo3::prelude::*;

use crate::taint::Taint;

const RUNS: usize = 256;

/// By tenant and run: when it was last put back, and the copy.
#[derive(Default)]
struct Runs {
    times: u64,
    copies: HashMap<String, (u64, Taint)>,
}

pub struct Mirrors(Mutex<Runs>);

impl Mirrors {
    pub fn new() -> Self {
        Mirrors(Mutex::default())
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the copy of a run's table out, so that nobody else has it while it is worked on; or makes one.
    pub fn take(&self, tenant_id: &str, run_id: &str, table: &Bound<'_, PyAny>) -> Taint {
        let taken = self.runs().copies.remove(&key_of(tenant_id, run_id));
        match taken {
            Some((_, taint)) if taint.is_of(table) => taint,
            _ => Taint::new(table.clone().unbind()),
        }
    }

    /// Puts a copy back; the run that was silent longest is forgotten where there are too many.
    pub fn put(&self, tenant_id: &str, run_id: &str, taint: Taint) {
        let mut runs = self.runs();
        runs.times += 1;
        let now = runs.times;
        let old = runs.copies.insert(key_of(tenant_id, run_id), (now, taint));
        let mut silent = None;
        if runs.copies.len() > RUNS {
            let longest = runs.copies.iter().min_by_key(|run| run.1.0).map(|run| run.0.clone());
            silent = longest.and_then(|key| runs.copies.remove(&key));
        }
        drop(runs);
        drop((old, silent)); // after the lock: they hold objects of Python
    }
}

fn key_of(tenant_id: &str, run_id: &str) -> String {
    format!("{tenant_id}\0{run_id}")
}
