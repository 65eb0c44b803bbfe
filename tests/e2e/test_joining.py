"""Nobody from outside says whose run it is: what is proven joins, what is only claimed is a run of its own."""

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import baggage, propagate, trace
from opentelemetry import context as otel_context
from opentelemetry._logs import LogRecord

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.otel.agent import carry as threads
from tests.conftest import headers_from, sealed

Configured = Callable[..., runbundle.Handle]


@runbundle.agent
def handled(q: str) -> str:
    """Handle a request."""
    return look_up(q)


@runbundle.tool
def look_up(q: Any) -> Any:
    """Look up."""
    return q


def plain(run_id: str) -> dict[str, str]:
    """Return a claim that nothing proves."""
    return {"baggage": f"runbundle.run.id={run_id}"}


def joined(bundle: Bundle) -> list[str]:
    """Return how spans came to a run."""
    return [e["joined"] for e in bundle.events() if "joined" in e]


def forged(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with the last character of the token changed."""
    text = headers["baggage"]
    return {**headers, "baggage": text[:-1] + ("0" if text[-1] != "0" else "1")}


CLAIMS = {
    "plain": plain("victim"),
    "signed with another key": headers_from("victim", key=b"another key of sixteen"),
    "signed and changed": forged(headers_from("victim")),
}


@pytest.mark.parametrize("headers", CLAIMS.values(), ids=CLAIMS.keys())
def test_a_claim_without_proof_is_a_run_of_its_own_that_names_it(
    configured: Configured, headers: dict[str, str]
) -> None:
    """The run that is named keeps its bundle as it was, and flush() has nothing to hide."""
    handle = configured()
    with runbundle.start_run("victim", run_id="victim"):
        handled("x")
    before = sealed(handle).index
    with runbundle.continue_run(headers):
        assert runbundle.current_run().run_id == ""
        handled("written by somebody else")
    flushed = handle.flush()
    assert flushed
    (key,) = flushed.sealed
    assert Bundle.open(handle.store, key).index.claimed == "victim"
    assert joined(Bundle.open(handle.store, key)) == []
    after = Bundle.open(handle.store, "victim").index
    assert (after.revision, after.counts.spans) == (before.revision, before.counts.spans) == (1, 3)


@pytest.mark.parametrize(
    "claimed", ["../../etc/passwd", "con", "a b", "x" * 300, "\u202e", "sk-proj-0123456789abcdefghij"]
)
def test_what_is_claimed_and_is_no_run_id_is_named_by_digest(configured: Configured, claimed: str) -> None:
    """Text from outside is not kept because it stands where an id belongs."""
    handle = configured()
    context = baggage.set_baggage("runbundle.run.id", claimed, otel_context.Context())
    token = otel_context.attach(context)
    handled("x")
    otel_context.detach(token)
    said = sealed(handle).index.claimed
    assert said is not None
    assert said.startswith("h2:") == (said != claimed)
    assert said != claimed or claimed.startswith("sk-") is False


def test_what_is_proven_joins_and_says_so(configured: Configured) -> None:
    """Only the spans that came over the border say how; those beneath them follow."""
    handle = configured()
    with runbundle.start_run("r", run_id="r", tenant_id="acme"):
        headers = runbundle.carrier()
        with runbundle.continue_run(headers):
            assert runbundle.current_run().run_id == "r"
            handled("x")
    bundle = sealed(handle)
    assert bundle.index.counts.spans == 3
    assert joined(bundle) == ["signed"]


def test_older_claims_are_believed_where_that_is_asked_for(configured: Configured) -> None:
    """With `any` the plain entry joins, and says that nothing has proven it; a false token does not."""
    handle = configured(trust_baggage="any")
    with runbundle.start_run("r", run_id="r"):
        with runbundle.continue_run(plain("r")):
            handled("x")
        with runbundle.continue_run(forged(headers_from("r"))):
            handled("y")
    bundles = [Bundle.open(handle.store, key) for key in handle.flush().sealed]
    assert {b.key == "r": joined(b) for b in bundles} == {True: ["any"], False: []}


def test_nothing_is_believed_where_that_is_asked_for(configured: Configured) -> None:
    """With `never` a token is not looked at, and not named."""
    handle = configured(trust_baggage="never")
    with runbundle.start_run("r", run_id="r"):
        pass
    handle.flush()
    with runbundle.continue_run(headers_from("r")):
        handled("x")
    bundle = sealed(handle)
    assert bundle.key != "r"
    assert bundle.index.claimed is None


def test_an_unknown_trust_is_refused(configured: Configured) -> None:
    """It would otherwise be taken for one of those that are known."""
    with pytest.raises(runbundle.ConfigError, match="trust_baggage"):
        configured(trust_baggage="all")


def test_a_trace_joins_the_run_that_is_open_in_it_here(configured: Configured) -> None:
    """A service that hands on only `traceparent` calls back: its trace is that of one run, as long as it is open.

    What comes when several are open, or none, is a run of that trace, and what comes later joins that.
    """
    handle = configured()
    with runbundle.start_run("r", run_id="r"):
        own = trace.get_current_span().get_span_context()
        elsewhere = {"traceparent": f"00-{own.trace_id:032x}-{'b' * 16}-01"}
        with runbundle.continue_run(elsewhere):
            handled("x")
        with runbundle.continue_run({**elsewhere, **plain("r")}):
            handled("a claim takes that away")
        with runbundle.start_run("inner"), runbundle.continue_run(elsewhere):
            handled("whose of the two nobody knows")
    with runbundle.continue_run(elsewhere):
        handled("it has ended")
    bundles = [Bundle.open(handle.store, key) for key in handle.flush().sealed]
    assert len(bundles) == 4
    of_trace = f"{own.trace_id:032x}"
    assert {b.key: joined(b) for b in bundles if joined(b)} == {"r": ["trace"], of_trace: ["trace"]}
    assert Bundle.open(handle.store, of_trace).index.counts.spans == 4
    assert Bundle.open(handle.store, "r").index.revision == 1


def test_instrumentations_propagate_the_run(configured: Configured) -> None:
    """What injects and extracts by the global propagator joins, too; a request's claim is not handed on."""
    handle = configured()
    headers: dict[str, str] = {}
    with (
        runbundle.continue_run({"baggage": "runbundle.run.id=victim,runbundle.run=v1.x.y,user=u"}),
        runbundle.start_run("r", run_id="r"),
    ):
        propagate.inject(headers)
        assert "victim" not in headers["baggage"]
        token = otel_context.attach(propagate.extract(headers))
        handled("x")
        otel_context.detach(token)
    bundle = Bundle.open(handle.store, handle.flush().sealed[0])
    assert (bundle.key, joined(bundle)) == ("r", ["signed"])


def test_a_log_record_is_in_the_run_that_its_span_would_be_in(configured: Configured) -> None:
    """Not in one that is only claimed, and in a run of its own that has begun."""
    handle = configured()
    logger = handle.logger_provider.get_logger("x")
    with runbundle.start_run("r", run_id="r"), runbundle.continue_run(plain("r")):
        logger.emit(LogRecord(body="outside"))
        with runbundle.start_agent("a"):
            logger.emit(LogRecord(body="of its own"))
    bundles = {key == "r": Bundle.open(handle.store, key) for key in handle.flush().sealed}
    assert {own: b.index.counts.logs for own, b in bundles.items()} == {True: 0, False: 1}


# -- carriers ----------------------------------------------------------------------------------------------------------


def test_a_carrier_is_relayed(configured: Configured) -> None:
    """A process between two others hands on whose run it is, with no span of its own."""
    handle = configured()
    with runbundle.start_run("r", run_id="r"):
        with runbundle.continue_run(runbundle.carrier()):
            first, second = runbundle.carrier(), runbundle.carrier()
        for headers in (first, second):
            with runbundle.continue_run(headers):
                look_up(1)
    bundle = sealed(handle)
    assert sorted(e["effect"] for e in bundle.events() if "effect" in e) == [
        "main/remote#0/remote#0:0",
        "main/remote#0/remote#1:0",
    ]
    assert runbundle.carrier() == {}


def test_a_run_that_nobody_began_is_carried_too(configured: Configured) -> None:
    """Agent work outside any run is a run of its own, also in the process that it calls."""
    handle = configured()
    with runbundle.start_agent("a"), runbundle.continue_run(runbundle.carrier()):
        look_up(1)
    assert sealed(handle).index.counts.spans == 2


class Odd(dict[Any, Any]):
    """Only looks like headers."""

    def items(self) -> Any:
        """Fail."""
        raise RuntimeError("no")


def spelled(headers: dict[str, str]) -> list[Any]:
    """Return the same headers as others write them."""
    return [
        {key.upper(): value for key, value in headers.items()},
        {key.encode(): value.encode() for key, value in headers.items()},
        [(key.encode(), value.encode()) for key, value in headers.items()],
        {key: [value] for key, value in headers.items()},
        {**headers, "progressToken": 7, "other": None, 5: "x"},
        {**headers, "baggage": "a=1, " + headers["baggage"] + ";meta=1,b=\u00fc"},
        {**headers, "baggage": headers["baggage"].replace("=", " = ", 1) + "," + "x" * 9000},
    ]


def test_headers_are_read_in_every_spelling(configured: Configured) -> None:
    """Case, bytes, pairs, lists, other entries beside ours."""
    handle = configured()
    with runbundle.start_run("r", run_id="r"):
        for headers in spelled(runbundle.carrier()):
            with runbundle.continue_run(headers):
                look_up(1)
    bundle = sealed(handle)
    assert bundle.index.counts.tool_calls == len(spelled({"baggage": ""}))
    assert set(joined(bundle)) == {"signed"}


VALUES = st.none() | st.integers() | st.text() | st.binary() | st.lists(st.text()) | st.floats()
NAMES = st.sampled_from(["traceparent", "baggage", "tracestate", b"baggage", 5]) | st.text() | st.binary()
TEXTS = st.sampled_from(
    ["runbundle.run=v1..", "runbundle.run.id=", "runbundle.run=%ff%", "00-0-0-0", "=,=;", "a" * 10_000]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.none() | st.integers() | st.text() | VALUES | st.dictionaries(NAMES, VALUES | TEXTS) | st.just(Odd()))
def test_continuing_never_raises(configured: Configured, headers: Any) -> None:
    """Whatever the headers are; what was current is so afterwards."""
    configured()
    before = otel_context.get_current()
    with runbundle.continue_run(headers):
        look_up(1)
    assert otel_context.get_current() is before


def test_a_generator_may_be_closed_elsewhere(configured: Configured, caplog: pytest.LogCaptureFixture) -> None:
    """Left in another context than it was entered in, nothing is raised and nothing is logged."""
    import contextvars

    configured()

    def items() -> Iterator[int]:
        with runbundle.continue_run(headers_from("r")):
            yield 1
            yield 2

    generator: Any = items()
    contextvars.copy_context().run(next, generator)
    generator.close()
    assert runbundle.current_run().run_id == ""
    assert caplog.records == []


def test_a_generator_that_nobody_closes_brings_no_ended_run_back(configured: Configured) -> None:
    """Python closes it some time later, wherever the program is then: what was current before has been left since."""
    handle = configured()

    def items() -> Iterator[int]:
        with runbundle.continue_run(None):
            yield 1

    with runbundle.start_run("r", run_id="r"):
        kept: list[Any] = [items()]
        next(kept[0])
    assert runbundle.current_run().run_id == ""
    kept.clear()
    assert runbundle.current_run().run_id == ""
    with runbundle.start_run("s", run_id="s"):
        look_up(1)
    assert handle.flush().sealed == ["r", "s"]


def test_the_first_carrier_says_that_nobody_else_has_its_key(
    configured: Configured, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, and not where a key was given."""
    for options, said in (({}, 0), ({"key": None}, 1), ({"key": None}, 0)):
        caplog.clear()
        handle = configured(**options)
        with caplog.at_level(logging.INFO, "runbundle"), runbundle.start_run("r"):
            runbundle.carrier()
            runbundle.carrier()
        assert sum("RUNBUNDLE_REDACTION_KEY" in r.message for r in caplog.records) == said
        handle.shutdown()
    monkeypatch.setitem(threads._said, "key", False)
    monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY", "a given key for tests only")
    configured(key=None)
    caplog.clear()
    with runbundle.start_run("r"):
        runbundle.carrier()
    assert caplog.records == []


SERVER = """
import json, sys, runbundle
@runbundle.tool
def lookup(q): return q
with runbundle.configure(store=sys.argv[1]):
    for line in sys.stdin:
        call = json.loads(line)["params"]
        with runbundle.continue_run(call.get("_meta")):
            lookup(call["arguments"])
        print("{}", flush=True)
"""


def test_a_server_of_many_runs_keeps_them_apart(
    configured: Configured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that serves tools over pipes: each call is in the run whose `_meta` came with it."""
    monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY", "a given key for tests only")
    handle = configured(key=None)
    command = [sys.executable, "-c", SERVER, str(tmp_path / "store")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def call(meta: Any) -> None:
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write(json.dumps({"params": {"arguments": 1, "_meta": meta}}) + "\n")
            server.stdin.flush()
            assert server.stdout.readline() == "{}\n"

        for n in range(2):
            with runbundle.start_run("client", run_id=f"client-{n}"), runbundle.start_tool("lookup"):
                call({"progressToken": 7, **runbundle.carrier()})
        for meta in (None, {}, plain("client-0"), plain("../.."), {"traceparent": 5, "baggage": None}):
            call(meta)
        server.stdin.close()
    handle.flush()
    for n in range(2):
        bundle = Bundle.open(handle.store, f"client-{n}")
        assert (bundle.index.counts.tool_calls, bundle.index.revision, joined(bundle)) == (2, 1, ["signed"])
    others = [key for key in handle.store.list_dirs() if not key.startswith("client")]
    assert len(others) == 5


def test_a_process_that_was_not_given_the_key_joins_by_the_one_of_its_user(configured: Any, tmp_path: Path) -> None:
    """The same user, machine and store: a worker that nobody handed the digests' key works for the same run."""
    handle = configured(key=b"given in code, and to nobody else")
    code = (
        "import json, sys, runbundle\n"
        "with runbundle.configure(store=sys.argv[1]), runbundle.continue_run(json.loads(sys.argv[2])):\n"
        "    with runbundle.start_tool('t'): pass\n"
    )
    with runbundle.start_run("r", run_id="r"):
        said = json.dumps(runbundle.carrier())
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "store"), said], check=True, timeout=60)
    handle.flush()
    assert Bundle.open(handle.store, "r").index.counts.tool_calls == 1
