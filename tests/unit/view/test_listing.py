"""The page's list and `runbundle ls`: the same filters, the same runs."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner

from runbundle.bundle.search.asked import WORDS
from runbundle.cli.listing.choosing import NAMES
from runbundle.cli.main import group
from runbundle.view.app import FILTER, viewer
from tests.support.mixed_store import CHILD, HELD, KEY, LIVE, QUARANTINED, Mixed, mixed_store, own_folders, run_id

Ask = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mixed]:
    """The store, with its live run."""
    with own_folders(tmp_path_factory), mixed_store(tmp_path_factory.mktemp("mixed") / "s") as store:
        yield store


@pytest.fixture
def ask(made: Mixed, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Ask the page's server for its list; return the status and the answer."""
    monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY", KEY)
    app = viewer(made.store)

    def asked(*, query: str = "", **filters: str) -> tuple[int, dict[str, Any]]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        said = urlencode({name.replace("_", "-"): value for name, value in filters.items()}).encode()
        scope = {
            "type": "http", "method": "GET", "path": "/api/runs", "raw_path": b"/api/runs", "root_path": "",
            "query_string": query.encode(), "headers": [(FILTER.encode(), said)], "scheme": "http",
            "http_version": "1.1", "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
        }  # fmt: skip
        asyncio.run(app(scope, receive, send))
        return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent[1:]))

    return asked


def _ls(made: Mixed, *options: str) -> list[str]:
    command = ["ls", "--format", "json", "--limit", "100", "--store", made.url, *options]
    done = CliRunner().invoke(group, command, catch_exceptions=False)
    return [row["key"] for row in json.loads(done.stdout)]


FILTERS: list[dict[str, str]] = [
    {}, {"status": "error"}, {"status": "unsealed"}, {"name": "SUPP"}, {"tool": "search_web"},
    {"tool_error": "refund"}, {"tool_error": "*"}, {"tool_error": "*", "tenant": "acme"}, {"model": "demo-large"},
    {"agent": "triage"}, {"error": "PAYMENTS did not"}, {"min_duration": "8s"}, {"since": "1d"}, {"until": "1d"},
    {"since": "2 days ago", "until": "yesterday"}, {"tenant": "acme"}, {"tenant": "nobody"}, {"parent": run_id(8)[:6]},
    {"score": "helpfulness < 0.5"}, {"user": "mallory"}, {"session": "s-2"}, {"user": "nobody"},
    {"where": "blocked > 0"}, {"where": 'duration > 2s and tool.refund.status = "error"'}, {"text": run_id(9)[:10]},
    *({"state": word} for word in ("all", "sealed", "unsealed", "live", "waiting", "crashed", "quarantined", "failed")),
]  # fmt: skip


@pytest.mark.parametrize("filters", FILTERS, ids=lambda filters: urlencode(filters) or "none")
def test_each_filter_gives_the_runs_that_ls_gives(made: Mixed, ask: Ask, filters: dict[str, str]) -> None:
    """In the same order, those of the spool included."""
    options = [word for name, value in filters.items() for word in (f"--{name.replace('_', '-')}", value)]
    status, answer = ask(**filters)
    assert status == 200
    assert [run["key"] for run in answer["runs"]] == _ls(made, *options)


def test_a_trace_gives_its_run_and_a_page_goes_on_after_another(made: Mixed, ask: Ask) -> None:
    """What is known only at run time."""
    command = ["ls", "--format", "json", "--status", "error", "--store", made.url]
    row = json.loads(CliRunner().invoke(group, command).stdout)[0]
    (trace,) = row["trace_ids"]
    assert [run["key"] for run in ask(trace=trace)[1]["runs"]] == [row["key"]] == _ls(made, "--trace", trace)
    keys = _ls(made, "--state", "sealed")
    assert [run["key"] for run in ask(state="sealed", after=keys[30])[1]["runs"]] == keys[31:]


def test_every_filter_of_ls_is_tried_and_is_one_of_the_page() -> None:
    """One table of words for both."""
    assert NAMES == WORDS
    assert {name for filters in FILTERS for name in filters} | {"trace"} == set(WORDS)


def test_a_line_says_why_its_run_failed(ask: Ask) -> None:
    """The tool, the type and the kept message; what was blocked; that it is on hold; that it was given up."""
    runs = ask()[1]["runs"]
    said = {run["key"].rpartition("/")[2]: run["said"] for run in runs}
    assert "refund: TimeoutError: payments did not answer within 8 s" in said.values()
    assert any("blocked: wire_money" in text for text in said.values())
    assert said[HELD].startswith("on hold")
    assert said[QUARANTINED] == "a credential was found in it"
    assert {run["key"]: run["state"] for run in runs}[f"acme/{LIVE}"] == "live"
    assert [run["name"] for run in runs if run["key"].endswith(CHILD)] != [""]


def test_a_raw_id_is_in_no_address_and_in_no_answer(ask: Ask) -> None:
    """It goes in a header, is digested here, and is not said again; an address with filters is refused."""
    assert ask(query="user=mallory")[0] == 400
    for filters in ({"user": "mallory"}, {"session": "s-2"}, {"user": "mallory", "since": "never"}):
        assert not any(value in json.dumps(ask(**filters)[1]) for name, value in filters.items() if name != "since")


def test_a_wrong_filter_is_said_with_what_is_near(ask: Ask) -> None:
    """As the command line says it."""
    for filters, near in (
        ({"where": "durration > 2s"}, "did you mean duration?"), ({"since": "soon"}, "as in 90m"),
        ({"tol": "refund"}, "did you mean tool?"), ({"state": "dead"}, "one of sealed"), ({"status": "x"}, "one of ok"),
        ({"score": "low"}, "--where"), ({"min_duration": "long"}, "300ms"),
    ):  # fmt: skip
        status, answer = ask(**filters)
        assert status == 400
        assert near in f"{answer['error']} {answer['hint']}", answer
    assert "did you mean refund?" in ask(tool="refnd")[1]["notes"][0]


def test_another_key_is_said_to_be_another(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A raw id that is not found may be behind a digest of a key that is not here."""
    monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY", "another-key-0123456789abcdef-here")
    answer = ask(user="mallory")[1]
    assert answer["runs"] == []
    assert "digested with a key that is not here" in answer["notes"][0]
