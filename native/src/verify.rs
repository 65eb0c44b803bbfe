//! What Python calls to have a sealed bundle derived again while it reads its files, and how it is asked meanwhile.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::call::PyCallArgs;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::derived::{Authority, Shown, State, Step, Stop};
use crate::journal::Mine;
use crate::run::Answer;
use crate::words::Words;

/// Derives one bundle. Not for use by two threads.
#[pyclass]
pub struct Verifier {
    words: Words,
    judge: Judge,
    state: State,
}

#[pymethods]
impl Verifier {
    /// `judge` is asked for what only Python knows; what it raises is raised.
    #[new]
    fn new(words: Words, judge: Py<PyAny>) -> Self {
        Verifier { words, judge: Judge(judge), state: State::default() }
    }

    /// Takes the next lines of events.jsonl; returns why the bundle is left to Python, or None.
    fn events(&mut self, py: Python<'_>, data: &[u8]) -> PyResult<Option<&'static str>> {
        self.step(py, |state, words, judge| state.read(data, words, judge)).map(Result::err)
    }

    /// Ends events.jsonl; returns what is known of the run, or why it is left to Python.
    fn finish<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.step(py, |state, _, judge| state.finish(judge))? {
            Ok(()) => Ok(self.state.totals(py)?.into_any()),
            Err(reason) => Ok(reason.into_pyobject(py)?.into_any()),
        }
    }

    /// Takes the next bytes of tool_calls.json. Returns the entries that hold an escape, or all if some are `suspect`;
    /// or why the bundle is left to Python.
    fn calls<'py>(&mut self, py: Python<'py>, data: &[u8], suspect: bool) -> PyResult<Bound<'py, PyAny>> {
        match self.step(py, |state, _, _| Ok(state.read_calls(data, suspect)?))? {
            Ok(entries) => Ok(PyList::new(py, entries.iter().map(|entry| PyBytes::new(py, entry)))?.into_any()),
            Err(reason) => Ok(reason.into_pyobject(py)?.into_any()),
        }
    }

    /// Ends tool_calls.json; returns whether it is what follows. `tail`: what stands behind the list.
    fn finish_calls(&self, tail: &[u8]) -> bool {
        self.state.ends_calls(tail)
    }
}

impl Verifier {
    fn step<T: Send>(
        &mut self, py: Python<'_>, step: impl FnOnce(&mut State, &Words, &Judge) -> Step<T, PyErr> + Send,
    ) -> PyResult<Mine<T>> {
        let (state, words, judge) = (&mut self.state, &self.words, &self.judge);
        match py.detach(|| catch_unwind(AssertUnwindSafe(|| step(state, words, judge)))) {
            Ok(Ok(made)) => Ok(Ok(made)),
            Ok(Err(Stop::NotMine(reason))) => Ok(Err(reason)),
            Ok(Err(Stop::Raised(error))) => Err(error),
            Err(_) => Ok(Err("a fault of its own")),
        }
    }
}

impl State {
    fn totals<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let totals = PyDict::new(py);
        self.sums.tell(&totals)?;
        let parents: Vec<u8> = self.parents.iter().flat_map(|parent| parent.to_ne_bytes()).collect();
        totals.set_item("tenant", &self.entries.tenant)?;
        totals.set_item("begins", self.entries.begins)?;
        totals.set_item("trace_ids", &self.trace_ids)?;
        totals.set_item("acts", PyBytes::new(py, &self.acts))?;
        totals.set_item("parents", PyBytes::new(py, &parents))?;
        totals.set_item("events", self.number)?;
        totals.set_item("refused", self.refused)?;
        totals.set_item("of_run", &self.of_run)?;
        totals.set_item("first_line_ns", self.first_ns)?;
        totals.set_item("last_line_ns", self.last.0)?;
        Ok(totals)
    }
}

/// An object of Python that is asked. What it raises is raised.
struct Judge(Py<PyAny>);

impl Judge {
    fn ask<T>(&self, what: &str, arguments: impl for<'py> PyCallArgs<'py>) -> Step<T, PyErr>
    where
        T: for<'a, 'py> FromPyObject<'a, 'py, Error = PyErr>,
    {
        Python::attach(|py| self.0.bind(py).call_method1(what, arguments)?.extract()).map_err(Stop::Raised)
    }
}

impl Authority for Judge {
    type Raised = PyErr;

    fn log(&self, line: &str, seq: u64) -> Step<(), PyErr> {
        Python::attach(|py| self.0.bind(py).call_method1("log", (line, seq)).map(drop)).map_err(Stop::Raised)
    }

    fn receipt(&self, text: &str) -> Step<Option<Answer>, PyErr> {
        self.ask("receipt", (text,))
    }

    fn withheld(&self, text: &str) -> Step<bool, PyErr> {
        self.ask("withheld", (text,))
    }

    fn span<'l>(&self, lines: impl Iterator<Item = &'l str>, shown: Shown<'_>) -> Step<Option<Vec<u8>>, PyErr> {
        let Shown { row, times, rare, began, here } = shown;
        let said = Python::attach(|py| {
            let lines = PyList::new(py, lines.map(|line| PyBytes::new(py, line.as_bytes())).collect::<Vec<_>>())?;
            self.0.bind(py).call_method1("span", (lines, row, times, rare, began, here))?.extract()
        });
        said.map_err(Stop::Raised)
    }
}
