"""Who only records does not wait for what others need."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

import runbundle

_OF_PROGRAMS = """
ahocorasick_rs ahocorasick_rs.ahocorasick_rs hyperscan hyperscan._hs_ext hyperscan._version orjson orjson.orjson re2
re2._re2 runbundle_native runbundle_native.runbundle_native
opentelemetry._logs opentelemetry._logs._internal opentelemetry._logs.severity opentelemetry.baggage
opentelemetry.sdk._logs opentelemetry.sdk._logs._internal opentelemetry.sdk._logs._internal._exceptions
opentelemetry.sdk._logs._internal._logger_metrics opentelemetry.semconv.attributes.code_attributes
opentelemetry.util.re
_re2 opentelemetry.semconv._incubating.attributes.code_attributes
"""
"""Other people's, beside what the SDK's tracing loads by itself. What is not always installed may be missing: the last
two are of the lowest versions that are allowed."""
_OURS = {
    "": "codec contracts core errors format journal keyring otel process recording redaction settings signals store"
        " vault",
    "codec": "coerce",
    "contracts": "approval declared files",
    "core": "native spans",
    "format": "identity layout words",
    "journal": "apart entries lines locks mapped reader segment spool writer",
    "keyring": "given_key kept_keys",
    "otel": "active agent attach belonging boundary composition configure digest_key forwarding handle ids notices"
            " option_types providers switch",
    "otel.agent": "admission at_source attribute_values capture current declaring decorators failures json_kinds"
                  " json_walk run_context run_handle scopes starts streams",
    "otel.agent.streams": "answer anthropic_chunks chunks fields kinds openai_chunks own_deltas parts proxy returned"
                          " steps stream",
    "otel.belonging": "claims joining lanes live_spans member membership open_runs originals outside_runs run_names"
                      " span_identity spawning undecided",
    "otel.boundary": "guests limits log_processor neighbours span_processor span_records versions",
    "process": "complaints disk forks mutex regex",
    "recording": "due losses port probe recorder results sealer sealing sweep waiting writing",
    "recording.sealing": "publisher",
    "recording.writing": "open_runs segments spool_limit syncing",
    "redaction": "attributes beyond_json captured contents detectors markers messages origins others_telemetry payloads"
                 " permitted plan policy receipt redactor second_pass traces_and_roles views",
    "redaction.detectors": "cache context_rules credential_words detector environment kingfisher known_secrets"
                           " known_values matcher patterns prefilter rewritten_text rule value_ends vendor_rules",
    "redaction.payloads": "bare_arguments configuration opened_text payload selectors shrink taint",
    "redaction.permitted": "globs kept_text labelled names safe_text values",
    "signals": "dialects keys kinds names operations own reading records semconv",
    "signals.dialects": "adk anthropic canonical forms genai langsmith litellm logfire mcp openinference"
                        " openinference_spans openinference_work openllmetry strands vectorstores",
    "signals.dialects.forms": "cuts documents envelopes flattened message_events table",
    "store": "base local locations memory placing regular url",
    "vault": "content debug_mode files",
}  # fmt: skip
"""Our modules that a first run may load, by room. One more costs every start half a millisecond: it is added here only
where a run cannot do without it."""
_OF_SEALS = {
    "": "bundle",
    "bundle": "assembly catalog entry_lines facts reader seal search",
    "bundle.assembly": "about acts assemble entries gather natively origins parts plain_run reread sorting tally"
                       " timeline",
    "bundle.catalog": "cache_file database facts index keys noting rows",
    "bundle.search": "fields filters moments where",
    "format": "canonical",
    "recording": "masking publish tripwire",
}  # fmt: skip
"""Those that its seal may load too."""
_SLOW = {"asyncio", "fractions", "gzip", "pydantic", "pydantic_core", "sqlite3"}
"""Modules of the standard library and others that once were loaded at the start, and must not be. What reads mail and
zip files is loaded with `importlib.metadata`, which says the versions of a run."""
_PROGRAM = """
import json, sys
import opentelemetry.sdk.trace, opentelemetry.sdk.trace.export
loaded = [set(sys.modules)]
import runbundle
with runbundle.configure(store=sys.argv[1], key=b"a key of sixteen bytes or more") as handle:
    @runbundle.tool
    def search(query: str) -> str:
        return query
    with runbundle.start_run("work"):
        search("cats")
        loaded.append(set(sys.modules))  # within the run: at its end a thread begins to load what seals it
    assert handle.flush(280)  # where rules are not cached yet
    loaded.append(set(sys.modules))
print(json.dumps([sorted(after - before) for before, after in zip(loaded, loaded[1:])]))
"""


def _named(rooms: dict[str, str]) -> set[str]:
    return {
        ".".join(filter(None, ("runbundle", room, name))) for room, names in rooms.items() for name in names.split()
    }


@pytest.fixture(scope="module", params=["1", "0"], ids=["native", "python"])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[set[str], set[str]]:
    """What a first run loads, and what its seal loads then. The first of two programs fills the cache of rules."""
    folder = tmp_path_factory.mktemp("start")
    source = str(Path(runbundle.__file__).parents[1])
    base = tmp_path_factory.getbasetemp()  # with the cache of other tests
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RUNBUNDLE_", "OTEL_"))}
    environment |= {"RUNBUNDLE_CACHE": str(base / "cache"), "RUNBUNDLE_KEYS": str(base / "keyring")}
    environment |= {"PYTHONPATH": source, "RUNBUNDLE_NATIVE": request.param}
    for place in "ab":
        command = [sys.executable, "-c", _PROGRAM, str(folder / place)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)
        assert done.returncode == 0, done.stderr
    ready, sealed = json.loads(done.stdout)
    return set(ready), set(sealed)


def _belongs(name: str) -> bool:
    return name.partition(".")[0] not in sys.stdlib_module_names and name != "runbundle"


def test_a_first_run_loads_no_module_but_those_that_are_named(loaded: tuple[set[str], set[str]]) -> None:
    """Of ours and of other people's: who brings one back says so here."""
    assert {name for name in loaded[0] if _belongs(name)} - _named(_OURS) - set(_OF_PROGRAMS.split()) == set()


def test_a_first_run_loads_nothing_of_the_standard_library_that_is_slow_to_load(
    loaded: tuple[set[str], set[str]],
) -> None:
    """Pydantic alone takes longer to load than the SDK."""
    assert loaded[0] & _SLOW == set()


def test_a_seal_loads_no_models(loaded: tuple[set[str], set[str]]) -> None:
    """And none of our modules but those that are named; what the two threads load may change places."""
    ours = {name for name in loaded[1] if name.startswith("runbundle.")}
    assert ours - _named(_OURS) - _named(_OF_SEALS) == set()
    assert {name for name in loaded[1] if name.partition(".")[0] in ("pydantic", "pydantic_core")} == set()


def test_the_lists_name_modules_that_are_there() -> None:
    """One that is gone is taken from them."""
    folder = Path(runbundle.__file__).parent
    named = _named(_OURS) | _named(_OF_SEALS)
    places = [folder.joinpath(*name.split(".")[1:]) for name in named]
    assert [str(at) for at in places if not at.with_suffix(".py").exists() and not (at / "__init__.py").exists()] == []


def test_the_types_of_what_people_call_can_be_asked_for() -> None:
    """Those that are not loaded yet are, by who asks."""
    given = get_type_hints(runbundle.configure)
    assert "ToolContract" in str(given["contracts"])
    assert "FieldRule" in str(given["result"])
    assert given["return"] is runbundle.Handle
    assert get_type_hints(runbundle.ToolCall)["contract"] is runbundle.ToolContract
    assert "ToolContract" in str(get_type_hints(runbundle.tool)["contract"])
