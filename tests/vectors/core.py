"""The seam: what a core must have, and the cores that there are. Nothing else in this package imports from src.

A second core is a second `Core` in `CORES`; every vector is then asked of it too.
"""

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from runbundle.bundle.assembly.assemble import assemble as assembled
from runbundle.bundle.assembly.gather import GatheredRun
from runbundle.codec.coerce import log_record, span_record, text_of_scope
from runbundle.core import native
from runbundle.core.spans import SpanLines
from runbundle.format.contract import FieldRule, parse_contract
from runbundle.format.identity import RunKey
from runbundle.format.layout import RUN
from runbundle.journal.lines import parse_line, record_line
from runbundle.journal.reader import JournalReader
from runbundle.redaction.detectors import detector as detection
from runbundle.redaction.detectors.context_rules import GENERIC_RULES
from runbundle.redaction.detectors.known_secrets import KNOWN, KnownSecrets
from runbundle.redaction.detectors.matcher import Matcher
from runbundle.redaction.detectors.prefilter import KeywordFilter
from runbundle.redaction.detectors.vendor_rules import VENDOR_RULES
from runbundle.redaction.markers import Digester
from runbundle.redaction.policy import RULES_VERSION, Policy
from runbundle.redaction.redactor import Redactor
from runbundle.signals.keys import RESOURCE_KEYS, SPAN_KEYS
from runbundle.signals.own import RECEIPT

PRESENT_NS = 1_790_000_000_000_000_000
"""What the clock says, for records that have no time."""
RULES = RULES_VERSION
KEYS, KEYS_OF_RESOURCES = sorted(SPAN_KEYS), sorted(RESOURCE_KEYS)
VENDORS = tuple(dict.fromkeys(rule.id for rule in VENDOR_RULES))

Record = dict[str, Any]


class Core(NamedTuple):
    """One implementation of redaction and of assembly."""

    name: str
    begin: Callable[[Mapping[str, Any]], Any]
    """Takes a policy, as JSON says it; returns what the next three are given. Nothing is known from before."""
    know: Callable[[Any, Sequence[Any]], None]
    """Registers known secrets."""
    redact: Callable[[Any, Record], tuple[Record, str]]
    """Takes a span as its SDK has it; returns the redacted record without its receipt, and the receipt's text."""
    redact_log: Callable[[Any, Record], tuple[Record, str]]
    """The same of a log record."""
    assemble: Callable[[Mapping[str, Any], Sequence[bytes]], dict[str, bytes]]
    """Takes whose run it is and the lines of one journal; returns the files of its bundle."""


# -- the core in Python ------------------------------------------------------------------------------------------------


def _begin(policy: Mapping[str, Any]) -> Redactor:
    if len(KNOWN):  # to clear it would forget judgements, too, that are pure but for known secrets
        KNOWN.clear()
    return Redactor(_policy(json.dumps(policy)))


@cache
def _policy(text: str) -> Policy:
    policy = json.loads(text)
    return Policy(
        contracts={contract["name"]: parse_contract(contract) for contract in policy.get("contracts", ())},
        digester=Digester(bytes.fromhex(policy["root"])),
        safe_keys=frozenset(policy.get("safe_keys", ())),
        safe_names=frozenset(policy.get("safe_names", ())),
        user_id=policy.get("user_id", "hash"),
        result=tuple(FieldRule.model_validate(rule) for rule in policy.get("result", ())),
    )


def _know(_: Redactor, values: Sequence[Any]) -> None:
    KNOWN.register(*values)


def _redact(redactor: Redactor, given: Record) -> tuple[Record, str]:
    return _apart(redactor.redact_span(_recorded(given)))


def _recorded(given: Record) -> Any:
    """Return the record of declared types, as the edge makes it."""
    raw = _with_origin(given)
    raw["events"] = [dict(event) for event in given["events"]]
    raw["links"] = [_numbered(link) for link in given["links"]]
    return span_record(_numbered(raw), now_ns=_present)


def _redact_log(redactor: Redactor, given: Record) -> tuple[Record, str]:
    raw = _numbered(_with_origin(given))
    observed = raw.pop("observed_ns", None)
    return _apart(redactor.redact_log(log_record(raw, observed, now_ns=_present)))


def _present() -> int:
    return PRESENT_NS


def _numbered(record: Record) -> Record:
    """Return a record with its ids as numbers, as an SDK has them; ids of other types stay what they are."""
    names = [name for name in ("trace_id", "span_id", "parent_span_id") if isinstance(record.get(name), str)]
    return {**record, **{name: int(record[name], 16) for name in names if record[name]}}


def _with_origin(record: Record) -> Record:
    attributes = dict(record["attributes"])  # the edge writes into them
    scope: Record = {name: text_of_scope(record["scope"][name]) for name in ("name", "version", "schema_url")}
    return {**record, "attributes": attributes, "scope": {**scope, "attributes": record["scope"]["attributes"]}}


def _apart(record: Any) -> tuple[Record, str]:
    attributes = dict(record["attributes"])
    receipt = attributes.pop(RECEIPT)
    return {**record, "attributes": attributes}, receipt


def _assemble(run: Mapping[str, Any], lines: Sequence[bytes]) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder, "journal.jsonl")
        journal.write_bytes(b"".join(lines))
        key = RunKey(run.get("tenant_id", ""), run["run_id"])
        with contextlib.closing(GatheredRun(key, Path(folder))) as gathered:
            reader = JournalReader([journal], own="" if run.get("redact_again") else None)
            gathered.add(reader)
            versions = frozenset(reader.sdk_versions)
            made = assembled(gathered, torn=reader.torn, sdk_versions=versions, grace_s=run.get("grace_s"))
            with contextlib.closing(made):
                return {**{part.name: b"".join(part.pieces()) for part in made.files}, RUN: made.index()}


PYTHON = Core("python", _begin, _know, _redact, _redact_log, _assemble)


# -- the native core, which leaves to the one in Python what it does not take ------------------------------------------


class _Both(NamedTuple):
    """Two redactors of one policy: one asked in Python, the other through the native core."""

    python: Redactor
    lines: SpanLines


def _begin_both(policy: Mapping[str, Any]) -> _Both:
    python = _begin(policy)
    return _Both(python, SpanLines(Redactor(python.policy)))


def _know_both(_: _Both, values: Sequence[Any]) -> None:
    KNOWN.register(*values)


def _redact_both(both: _Both, given: Record) -> tuple[Record, str]:
    """Return what Python says if the line has the same bytes, else what the line says."""
    record, receipt = _redact(both.python, given)
    line = both.lines.line(_recorded(given), 7)
    whole: Any = {**record, "attributes": {**record["attributes"], RECEIPT: receipt}}
    if line == record_line("span", whole, 7):
        return record, receipt
    said = parse_line(line) or {}
    return _apart({**{name: said.get(name) for name in record}, "resource": record["resource"]})


NATIVE = Core(
    "native",
    _begin_both,
    _know_both,
    _redact_both,
    lambda both, given: _redact_log(both.python, given),
    _assemble,
)
"""As far as it goes: log records and assembly are Python's."""
CORES = (PYTHON, NATIVE) if native.module() is not None else (PYTHON,)


# -- the rules that every installation has -----------------------------------------------------------------------------


@contextlib.contextmanager
def bare_rules() -> Iterator[None]:
    """Let the detectors go by the built-in rules alone, whichever extras are installed; forget judgements of others."""
    every, formats = _detector((*VENDOR_RULES, *GENERIC_RULES), KNOWN), _detector(VENDOR_RULES, KNOWN)
    with mock.patch.multiple(detection, _all_rules=lambda: every, _formats=lambda: formats):
        KNOWN.clear()
        yield
    KNOWN.clear()


@lru_cache(maxsize=65_536)
def credentials_in(text: str, *, formats: bool = False) -> list[tuple[int, int, str]]:
    """Return where a text looks like a credential, and by which rule; with `formats` by those of vendors alone.

    Whatever secrets are known at the time.
    """
    detector = _detector(VENDOR_RULES if formats else (*VENDOR_RULES, *GENERIC_RULES))
    return [tuple(found) for found in detector.find(text)]


@cache
def _detector(rules: tuple[Any, ...], known: KnownSecrets | None = None) -> detection.Detector:
    return detection.Detector(Matcher(rules, KeywordFilter(rules)), KnownSecrets() if known is None else known)
