"""What frameworks emit under names of the GenAI conventions, from a dump to its bundles."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.interop.dumps import FOLDER, load
from tests.interop.replay import replay

CONTRACTS = [
    {
        "name": "lookup_order",
        "data": {
            "rules": [
                {"selector": "/order_id", "action": "keep"},
                {"selector": "/email", "data_class": "personal"},
                {"selector": "/status", "target": "output", "action": "keep"},
            ]
        },
    }
]


def _files(name: str) -> list[Any]:
    return [json.loads(path.read_text()) for path in Path().rglob(name)]


def _replayed(name: str, configured: Any) -> None:
    with configured(contracts=CONTRACTS) as handle:
        replay(load(FOLDER / f"{name}.json.gz"), handle)
        handle.flush()


@pytest.mark.parametrize(
    ("name", "runs", "tools", "models"),
    [
        ("adk", 5, 9, 9),
        ("agents_genai", 7, 11, 0),
        ("lg_genai", 7, 11, 11),
        ("logfire", 2, 4, 4),
        ("pydantic_ai", 7, 13, 14),
        ("pydantic_ai_v2", 1, 4, 4),
        ("strands", 4, 7, 8),
        ("strands_latest", 4, 7, 8),
    ],
)
def test_each_run_of_a_dump_is_a_bundle_with_its_calls(
    configured: Any, name: str, runs: int, tools: int, models: int
) -> None:
    """The contract holds for each payload, and nothing of what the application was told or said is in any file."""
    _replayed(name, configured)
    found = _files("run.json")
    assert len(found) == runs
    assert sum(run["counts"]["tool_calls"] for run in found) == tools
    assert sum(run["counts"]["model_calls"] for run in found) == models
    for file in _files("tool_calls.json"):
        for call in file["calls"]:
            if call["tool"] == "lookup_order":
                view = call["arguments"]["view"]
                assert view["order_id"] in ("A-1001", "BAD", "a")
                assert view["email"].startswith("h2:")
                result = call["result"] and call["result"]["view"]
                assert result is None or result["status"] == "shipped"
    for path in Path().rglob("*"):
        assert path.is_dir() or b"zebra" not in path.read_bytes(), path


def test_documents_of_a_retrieval_are_evidence(configured: Any) -> None:
    """Langchain's two, in their order, and the query's digest."""
    _replayed("lg_genai", configured)
    (retrieval,) = [one for file in _files("evidence.json") for one in file["retrievals"]]
    assert [document["id"] for document in retrieval["documents"]] == ["doc-1", "doc-2"]
    assert retrieval["query"]["digest"]


def test_usage_is_counted_under_one_name(configured: Any) -> None:
    """Strands repeats two counts and their sum; the agent's sums add nothing."""
    _replayed("strands", configured)
    usage = {json.dumps(run["usage"]) for run in _files("run.json")}
    assert usage == {
        json.dumps(
            {"cache_creation_input_tokens": 4, "cache_read_input_tokens": 6, "input_tokens": 22, "output_tokens": 14}
        )
    }
    assert "chat-17" in {run.get("session_id") for run in _files("run.json")}


def test_attempts_of_pydantic_ai_are_counted(configured: Any) -> None:
    """A call that is made again says which attempt it was; the last says nothing, which is the first."""
    _replayed("pydantic_ai_v5", configured)
    calls = [call for file in _files("tool_calls.json") for call in file["calls"] if call["tool"] == "weather"]
    assert [call["attempt"] for call in calls] == [1, 2, 1]


def test_calls_of_client_and_server_are_in_the_agents_run(configured: Any) -> None:
    """Under the trace that both are of, each with the tool's name."""
    _replayed("mcp_native", configured)
    (calls,) = [file["calls"] for file in _files("tool_calls.json") if file["calls"]]
    assert {call["tool"] for call in calls} == {"lookup_order", "weather", "explode"}
    assert "[REDACTED:name]" not in {call["tool"] for call in calls}


def test_logs_of_adk_lie_with_their_run(configured: Any) -> None:
    """All nine; what they say of tools is a marker under its own name, and no attribute is undeclared."""
    _replayed("adk", configured)
    lines = [line for path in Path().rglob("events.jsonl") for line in path.read_text().splitlines()]
    logs = [event for event in map(json.loads, lines) if event["type"] == "log"]
    assert len(logs) == 9
    for log in logs:
        assert log["name"] == "gen_ai.client.inference.operation.details"
        assert log["attributes"]["gen_ai.tool.definitions"].startswith("[REDACTED:content")
        assert not any(key.startswith("runbundle.redacted.") for key in log["attributes"])
