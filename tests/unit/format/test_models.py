"""What the models accept, what their schemas say, and that the two agree."""

import json
import subprocess
import sys
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from runbundle.format.canonical import sha256_hex, to_json_bytes
from runbundle.format.events import Event
from runbundle.format.findings import FINDINGS
from runbundle.format.run import RunIndex
from runbundle.format.schemas import SCHEMAS, json_schema
from tests.support.handmade import events, files, index


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_every_schema_is_one_and_every_field_is_described(name: str) -> None:
    """JSON Schema 2020-12, with the docstring of each field."""
    schema = json_schema(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    for part in (schema, *schema.get("$defs", {}).values()):
        for field, said in part.get("properties", {}).items():
            assert said.get("description"), f"{name}: {field}"


def test_published_schemas_accept_a_bundle_made_by_hand() -> None:
    """So that somebody without this library can check a bundle, too."""
    content = files()
    jsonschema.validate(index(content), json_schema("run"))
    for path, name in (
        ("config.snapshot.json", "config"),
        ("tool_calls.json", "tool_calls"),
        ("evidence.json", "evidence"),
    ):
        jsonschema.validate(json.loads(content[path]), json_schema(name))
    for event in events():
        jsonschema.validate(event, json_schema("event"))


def test_fields_of_later_versions_survive_a_round_trip() -> None:
    """Unknown fields are kept when read and written again."""
    run = index(files()) | {"later": {"a": [1]}}
    assert RunIndex.model_validate(run).model_dump(mode="json", by_alias=True)["later"] == {"a": [1]}


@pytest.mark.parametrize("run_id", ["", ".x", "a/b", "../x", "a" * 129, "a b", "a\n", "é"])
def test_an_id_that_could_be_a_path_is_refused(run_id: str) -> None:
    """As `run_id` of run.json."""
    with pytest.raises(ValidationError):
        RunIndex.model_validate(index(files()) | {"run_id": run_id})


@pytest.mark.parametrize(
    ("field", "value"),
    [("time_ns", "²"), ("time_ns", "1\n"), ("time_ns", "-1"), ("trace_id", "A" * 32), ("span_id", "0" * 15),
     ("type", "other"), ("op", "other-op")],
)  # fmt: skip
def test_an_event_has_ids_times_and_types_of_the_format(field: str, value: Any) -> None:
    """Anything else is refused."""
    with pytest.raises(ValidationError):
        Event.model_validate(events()[2] | {field: value})


def test_models_cannot_be_changed() -> None:
    """A record that was read stays what was read."""
    with pytest.raises(ValidationError):
        Event.model_validate(events()[0]).seq = 5


def test_bytes_depend_on_content_alone() -> None:
    """Sorted keys, one newline at the end, the same in any order of insertion."""
    assert to_json_bytes({"b": 1, "a": "ü"}) == to_json_bytes({"a": "ü", "b": 1}) == '{"a":"ü","b":1}\n'.encode()
    assert sha256_hex(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_the_catalogue_is_in_order_and_starts_fast() -> None:
    """Codes sort within their hundred's dimension, say what to do, and need no pydantic."""
    hundreds = {"1": "structure", "2": "integrity", "3": "completeness", "4": "redaction", "5": "references",
                "9": "pipeline"}  # fmt: skip
    assert list(FINDINGS) == sorted(FINDINGS)
    for code, spec in FINDINGS.items():
        assert (spec.dimension, spec.severity in ("error", "warning")) == (hundreds[code[2]], True)
        assert spec.title
        assert spec.why
        assert spec.what_to_do
    code = "import sys, runbundle.format.findings; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
