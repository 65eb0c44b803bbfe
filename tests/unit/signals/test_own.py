"""The vocabulary is said once: each name of ours and of the conventions is a constant, and every constant is used."""

import ast
import re
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

import runbundle
from runbundle.signals import own, semconv
from runbundle.signals.keys import RESOURCE_KEYS, SPAN_KEYS

SRC = Path(runbundle.__file__).parent
KEY = re.compile(r"(?:runbundle|gen_ai)(?:\.[a-z0-9_]+)+")
EXEMPT = {
    "otel/inspection/canaries.py": "sets what instrumentations set, which have none of our constants",
}
NO_KEYS = {
    ("otel/boundary/limits.py", "gen_ai.operation"),  # what some keys begin with
    ("store/locations.py", "runbundle.sqlite"),  # a file
}
BY_WORD = {  # attributes that are found by a word: the dictionary is what modules use
    **dict.fromkeys(own.POLICY.values(), "POLICY"),
    **dict.fromkeys(own.PAYLOAD_DIGEST.values(), "PAYLOAD_DIGEST"),
    **dict.fromkeys(own.PAYLOAD_BYTES.values(), "PAYLOAD_BYTES"),
}

TREES = {
    path.relative_to(SRC).as_posix(): ast.parse(path.read_text())
    for path in sorted(SRC.rglob("*.py"))
    if path.relative_to(SRC).parts[0] != "signals"
}
"""All modules outside of signals/."""
TABLES = [ast.parse(path.read_text()) for path in sorted(SRC.glob("signals/dialects/*.py"))]


def constants(module: ModuleType) -> dict[str, str]:
    """Return the names of a module's constants that are texts, each with its text."""
    return {name: text for name, text in vars(module).items() if name.isupper() and isinstance(text, str)}


def literals(tree: ast.Module) -> set[str]:
    """Return the attribute keys that a module writes out, in docstrings apart; also parts of ones, in f-strings."""
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in said:
            if isinstance(node.value, bytes):
                found |= set(re.findall(r'"([^"\s]+)"', node.value.decode("latin-1")))
            elif isinstance(node.value, str):
                found.add(node.value.rstrip("."))
    return {text for text in found if KEY.fullmatch(text) and not is_module(text)}


def is_module(text: str) -> bool:
    """Tell whether a text is the path of a module of ours."""
    path = SRC.joinpath(*text.split(".")[1:])
    return text.startswith("runbundle.") and (path.is_dir() or path.with_suffix(".py").is_file())


def test_no_attribute_key_is_a_literal_outside_of_signals() -> None:
    """Neither one of ours nor one of the GenAI conventions."""
    found = {(name, key) for name, tree in TREES.items() for key in literals(tree)}
    assert {(name, key) for name, key in found - NO_KEYS if name not in EXEMPT} == set()
    assert found >= NO_KEYS
    assert {name for name, _ in found} >= EXEMPT.keys()


def test_each_of_our_attributes_has_a_constant_and_a_kind() -> None:
    """What is neither is the name of an event, of an entry of baggage or of our scope, or what keys begin with."""
    events = own.EVENTS - {own.DECISION}  # whose attribute for the outcome has the same name
    keys = set(constants(own).values()) - events - {own.RUN_TOKEN, own.HIDDEN, own.EARLIER_SCORE, own.SCOPE}
    assert keys == {key for key in SPAN_KEYS if key.startswith("runbundle.")}
    assert not any(key.startswith("runbundle.") for key in RESOURCE_KEYS)


def test_each_constant_of_the_conventions_is_a_key_with_a_kind() -> None:
    """But for names of events, and what keys begin with."""
    others = {semconv.EXCEPTION, semconv.EVALUATION_RESULT, semconv.USAGE}
    assert set(constants(semconv).values()) - others <= SPAN_KEYS.keys() | RESOURCE_KEYS.keys()


@pytest.mark.parametrize("module", [own, semconv])
def test_a_name_has_one_constant(module: ModuleType) -> None:
    """One that is an event's and an attribute's has two."""
    said = [text for name, text in constants(module).items() if name != "DECISION"]
    assert len(said) == len(set(said))


@pytest.mark.parametrize("module", [own, semconv])
def test_every_constant_is_used(module: ModuleType) -> None:
    """Outside of signals/, or in the table of a dialect; but for those that are reserved."""
    used = {
        node.attr
        for tree in (*TREES.values(), *TABLES)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and f"runbundle.signals.{node.value.id}" == module.__name__
    }
    unused = {text for name, text in constants(module).items() if not used & {name, BY_WORD.get(text, name)}}
    assert unused == (own.RESERVED if module is own else set())


def test_every_name_of_ours_has_a_sentence() -> None:
    """It stands under the constant."""
    lines = Path(own.__file__).read_text().splitlines()
    said = {line.partition(" = ")[0] for line, below in pairwise(lines) if below.startswith('"""')}
    assert said >= constants(own).keys()
