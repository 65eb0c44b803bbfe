//! A run's journals become the two long files of its bundle, as `bundle/assembly` makes them, to the byte.
//!
//! Python is asked in the middle, once: of spans that are alike in all that counts it is shown one, with their number,
//! and it makes whatever is rare. Before and after that nobody waits for the interpreter.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::calls;
use crate::digest;
use crate::facts;
use crate::journal::{Entries, Mine};
use crate::kin::NONE;
use crate::run::{Answer, Run, Shown, Sums};
use crate::timeline;
use crate::words::Words;

/// What Python answers: of each shown span, lines of events and entries of calls that it made itself, and the end of
/// tool_calls.json; none if it makes that file.
#[derive(FromPyObject)]
struct Judged(Vec<Answer>, Vec<Vec<u8>>, Vec<Vec<u8>>, Option<Vec<u8>>);

pub struct File {
    pub bytes: Vec<u8>,
    sha256: String,
}

impl File {
    pub fn new(bytes: Vec<u8>) -> Self {
        let sha256 = digest::sha256(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        File { bytes, sha256 }
    }
}

impl Sums {
    /// Writes the sums into what is told of a run.
    pub fn tell(&self, totals: &Bound<'_, PyDict>) -> PyResult<()> {
        totals.set_item("first_ns", self.first_ns)?;
        totals.set_item("last_ns", self.last_ns)?;
        totals.set_item("good_ns", self.good_ns.map_or(-1, |start| start as i64))?;
        totals.set_item("whole", self.whole)?;
        totals.set_item("kinds", &self.kinds[..])?;
        totals.set_item("usage", &self.usage[..])
    }
}

impl Run<'_> {
    fn totals<'py>(&self, py: Python<'py>, entries: &Entries<'_>) -> PyResult<Bound<'py, PyDict>> {
        let (mut sums, mut failed) = (Sums::default(), None);
        for (span, facts) in self.spans.iter().zip(&self.facts) {
            failed = failed.or(sums.add(span, facts, self.words).err());
        }
        let mut traces: Vec<&str> = self.spans.iter().map(|span| span.trace_id).collect();
        traces.dedup();
        let totals = PyDict::new(py);
        totals.set_item("refused", failed)?;
        totals.set_item("tenant", &entries.tenant)?;
        totals.set_item("begins", entries.begins)?;
        sums.tell(&totals)?;
        totals.set_item("trace_ids", traces)?;
        totals.set_item("logs", texts(py, entries.logs.iter()))?;
        totals.set_item("resources", texts(py, entries.resources.iter()))?;
        totals.set_item("told_twice", self.told_twice)?;
        totals.set_item("shows_agents", self.shows_agents())?;
        let acts: Vec<u8> = self.facts.iter().map(|facts| facts.act).collect();
        let parents: Vec<u8> = self.parents.iter().flat_map(|parent| parent.to_ne_bytes()).collect();
        totals.set_item("acts", PyBytes::new(py, &acts))?;
        totals.set_item("parents", PyBytes::new(py, &parents))?;
        Ok(totals)
    }

    /// Shows Python a span: its line, the row, how many are like it, whether Python makes it, its agent, where its error
    /// began, and whether its parent is here.
    fn shown<'py>(&self, py: Python<'py>, shown: &Shown) -> PyResult<Bound<'py, PyAny>> {
        let row = shown.row as usize;
        let line = PyBytes::new(py, self.spans[row].line.as_bytes());
        let here = self.parents[row] != NONE;
        let fields = (line, row, shown.times, self.facts[row].is_odd, self.agent(row), self.began(row), here);
        Ok(fields.into_pyobject(py)?.into_any())
    }
}

fn texts<'py, 'a>(py: Python<'py>, texts: impl Iterator<Item = &'a &'a str>) -> Vec<Bound<'py, PyBytes>> {
    texts.map(|text| PyBytes::new(py, text.as_bytes())).collect()
}

type Made = (File, File, u64, u64, Option<facts::Said>);

/// What makes the files of runs.
#[pyclass(frozen)]
pub struct Sealer {
    words: Words,
}

#[pymethods]
impl Sealer {
    #[new]
    fn new(words: Words) -> Self {
        Sealer { words }
    }

    /// Returns events.jsonl and tool_calls.json with their digests, the number of events, and of calls that were
    /// refused, and the facts of the run if they are made here; or a text that says why the run is left to Python.
    /// `judge` is told of the run by `begin`, and asked by `add`; what it raises is raised. The list `files` is empty
    /// afterwards: then they and what is made of them take room one after the other.
    fn seal<'py>(
        &self, py: Python<'py>, files: &Bound<'py, PyList>, judge: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let held: Vec<Bound<'py, PyBytes>> = files.extract()?;
        let made = catch_unwind(AssertUnwindSafe(|| self.made(py, &held, judge)));
        drop(held);
        files.set_slice(0, files.len(), PyList::empty(py).as_any())?;
        match made.unwrap_or(Ok(Err("a fault of its own")))? {
            Ok((events, calls, number, refused, facts)) => {
                let of = |file: File| (PyBytes::new(py, &file.bytes), file.sha256);
                Ok((of(events), of(calls), number, refused, facts).into_pyobject(py)?.into_any())
            }
            Err(reason) => Ok(reason.into_pyobject(py)?.into_any()),
        }
    }
}

impl Sealer {
    fn made(&self, py: Python<'_>, files: &[Bound<'_, PyBytes>], judge: &Bound<'_, PyAny>) -> PyResult<Mine<Made>> {
        let bytes: Vec<&[u8]> = files.iter().map(|file| file.as_bytes()).collect();
        let (entries, mut run, shown) = match py.detach(|| Run::read(&bytes, &self.words)) {
            Ok(read) => read,
            Err(reason) => return Ok(Err(reason)),
        };
        judge.call_method1("begin", (run.totals(py, &entries)?,))?;
        let asked = shown.iter().map(|shown| run.shown(py, shown)).collect::<PyResult<Vec<_>>>()?;
        let Judged(answers, lines, calls, tail) = judge.call_method1("add", (asked,))?.extract()?;
        if answers.len() != shown.len() {
            return Ok(Err("an answer is missing"));
        }
        run.answers = answers;
        Ok(py.detach(|| {
            let (events, number) = timeline::write(&run, &lines)?;
            let facts = if tail.is_some() { facts::of(&run, &lines) } else { None };
            let (calls, refused) = tail.map_or(Ok((Vec::new(), 0)), |tail| calls::write(&run, &calls, &tail))?;
            drop(run);
            Ok((File::new(events), File::new(calls), number, refused, facts))
        }))
    }
}
