"""Every field of the published models and every code of the catalogues is described, once and in a sentence."""

import logging
import re
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from runbundle.format.base import ContractRef, ErrorSummary, Record
from runbundle.format.contract import DataHandling, FieldRule, ToolContract
from runbundle.format.evaluation import (
    Baseline,
    BaselineRef,
    Criterion,
    Evaluator,
    EventRef,
    FlakyCase,
    Flip,
    Gate,
    PolicyRef,
    RunEvent,
    Score,
    Scorecard,
    Subject,
    Waiver,
)
from runbundle.format.events import Event, LinkRef, ScopeRef
from runbundle.format.evidence import Document, Evidence, Query, Retrieval
from runbundle.format.findings import FINDINGS, FindingSpec
from runbundle.format.rules import RULES, rule_spec
from runbundle.format.run import (
    ChildRun,
    Completeness,
    ConfigPointer,
    ConfigSnapshot,
    Counts,
    Engine,
    FileEntry,
    Git,
    ParentRun,
    ReceiptTotal,
    RedactionSummary,
    ResultSummary,
    RunIndex,
    Versions,
)
from runbundle.format.schemas import SCHEMAS, json_schema
from runbundle.format.tool_calls import CallEntry, PayloadEntry, PolicyOutcome, Redaction, ToolCalls
from runbundle.format.verify_report import Finding, VerifyReport
from runbundle.format.words import DEFAULT_ACTION
from runbundle.process.printable import on_one_line

_RECORDS: tuple[type[Record], ...] = (
    ContractRef, ErrorSummary, Baseline, BaselineRef, Criterion, Evaluator, EventRef, FlakyCase, Flip, Gate,
    PolicyRef, RunEvent, Score, Scorecard, Subject, Waiver, Event, LinkRef, ScopeRef, Document, Evidence,
    Query, Retrieval, ChildRun, Completeness, ConfigPointer, ConfigSnapshot, Counts, Engine, FileEntry, Git, ParentRun,
    ReceiptTotal, RedactionSummary, ResultSummary, RunIndex, Versions, PayloadEntry, PolicyOutcome, Redaction,
    CallEntry, ToolCalls, Finding, VerifyReport,
)  # fmt: skip
_CONTRACTS = (FieldRule, DataHandling, ToolContract)


@pytest.mark.parametrize("model", [*_RECORDS, *_CONTRACTS])
def test_every_field_is_described_in_a_sentence(model: type[BaseModel]) -> None:
    """The description is what `runbundle schema` publishes; it ends as a sentence does and gives no riddle."""
    for name, field in model.model_fields.items():
        assert field.description, f"{model.__name__}.{name}"
        assert re.match(r"[A-Z`].*\.$", field.description, re.DOTALL), field.description
        assert not field.description.startswith("What "), field.description


@pytest.mark.parametrize("model", _RECORDS)
def test_a_record_is_frozen_and_keeps_fields_of_later_versions(model: type[Record]) -> None:
    """Readers of today must not lose what writers of tomorrow add."""
    made = model.model_construct(field_of_a_later_version=1)
    assert made.model_dump()["field_of_a_later_version"] == 1
    assert model.model_config.get("extra") == "allow"
    with pytest.raises(ValidationError):
        made.field_of_a_later_version = 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("model", _CONTRACTS)
def test_a_contract_refuses_unknown_fields(model: type[BaseModel]) -> None:
    """A misspelt rule would keep what it meant to drop."""
    with pytest.raises(ValidationError, match="field_of_a_later_version"):
        model.model_validate({"name": "t", "selector": "", "field_of_a_later_version": 1})


def test_every_model_is_part_of_a_published_schema() -> None:
    """And every published schema has a name, a dialect and a title."""
    published: set[str] = set()
    for name, model in SCHEMAS.items():
        schema = json_schema(name)
        assert schema["$schema"].endswith("2020-12/schema")
        published |= {model.__name__, *schema.get("$defs", {})}
    assert published >= {model.__name__ for model in (*_RECORDS, *_CONTRACTS)}
    with pytest.raises(KeyError):
        json_schema("other")


@pytest.mark.parametrize(("code", "spec"), [*FINDINGS.items(), *RULES.items()])
def test_every_code_says_what_it_means_and_what_to_do(code: str, spec: FindingSpec) -> None:
    """A title without a stop, two sentences that end, and no riddle."""
    assert re.fullmatch(r"[a-zA-Z].*[^.]", spec.title), code
    for text in (spec.why, spec.what_to_do):
        assert re.match(r"[A-Za-z`_]", text), code
        assert text[-1] in ".)", code
    assert spec.severity in ("error", "warning", "information")
    assert not any(text.startswith(("What ", "Of ")) for text in (spec.title, spec.why, spec.what_to_do)), code


def test_a_rule_is_found_by_its_name_or_by_how_it_begins() -> None:
    """Codes in any case; what is no rule has no entry."""
    assert rule_spec("rc101") is RULES["RC101"]
    assert rule_spec("contract:tool:/a") is RULES["contract"]
    assert rule_spec("taint:forgotten") is RULES["taint:forgotten"]
    assert rule_spec("nothing") is None


def test_a_rule_without_an_action_has_that_of_its_data_class() -> None:
    """And an explicit one wins; selectors are unescaped into steps."""
    for data_class, action in DEFAULT_ACTION.items():
        rule = FieldRule(selector="/a", data_class=data_class)
        assert rule.effective_action == action
    assert FieldRule(selector="/a", data_class="personal", action="drop").effective_action == "drop"
    assert FieldRule(selector="/a~1b/*/~0").steps() == ("a/b", "*", "~")


def test_a_destructive_tool_requires_approval_unless_it_says_otherwise() -> None:
    """Any other is allowed."""
    assert ToolContract(name="t", side_effects="destructive").effective_policy == "require_approval"
    assert ToolContract(name="t").effective_policy == "allow"
    assert ToolContract(name="t", policy="deny").effective_policy == "deny"


@pytest.mark.parametrize("arguments", [("a\nb", 5), {"key": "a\nb"}, ()])
def test_a_log_record_is_one_line_and_its_numbers_stay(arguments: Any) -> None:
    """Whatever it quotes; the record is always let through."""
    message = {tuple: "%s %d", dict: "%(key)s"}[type(arguments)] if arguments else "a\nb"
    record = logging.LogRecord(
        "n", 20, "p", 1, message, (arguments,) if isinstance(arguments, dict) else arguments, None
    )
    assert on_one_line(record)
    assert "\n" not in record.getMessage()
    assert "a\\nb" in record.getMessage()
