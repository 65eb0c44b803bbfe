"""A journal is a file from outside: its lines are redacted again, and those that a recorder wrote stay as they are."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

import runbundle
from runbundle.bundle.verify import verify
from runbundle.format.contract import DataHandling, FieldRule, ToolContract
from runbundle.format.identity import RunKey
from runbundle.journal import writer as journal
from runbundle.journal.lines import parse_line, record_line, start_line
from runbundle.journal.spool import spooled_runs
from runbundle.otel.inspection.canaries import CONTRACT, RESOURCE, plant_logs, plant_spans
from runbundle.recording.recovery import recover
from runbundle.redaction.detectors.known_secrets import KNOWN
from runbundle.redaction.second_pass import redact_again
from runbundle.store import LocalStore
from tests.conftest import all_bytes
from tests.support.processes import killed

SECRET = "c0rrect-horse! <battery> staple?"
TOKEN = "AKIA" + "Q7XW2J4N5K8M3P6R"
RULES = [
    FieldRule(target="input", selector="/q", action="keep"),
    FieldRule(target="input", selector="/long", action="truncate", max_chars=8),
    FieldRule(target="input", selector="/who", action="hash", data_class="personal"),
    FieldRule(target="input", selector="/card", action="mask", data_class="financial", keep_last=4),
    FieldRule(target="output", selector="/rows/*/text", action="keep"),
    FieldRule(target="error", selector="", action="keep"),
]


def _contract() -> ToolContract:
    return ToolContract(name="lookup", version="3", side_effects="read", data=DataHandling(rules=tuple(RULES)))


def _work(handle: runbundle.Handle) -> None:
    with runbundle.start_run("support run", config={"model": "m", "password": SECRET}, user_id="u-1", tenant_id="acme",
                             session_id="+41791234567", request_id="r1") as run:  # fmt: skip
        arguments = {"q": "plain text, kept: Bern", "long": "abcdefghijklmnop", "who": "ada", "card": "4" + "1" * 15,
                     "other": SECRET, "nested": {"a": [1, {"b": TOKEN}]}}  # fmt: skip
        with runbundle.start_tool("lookup", arguments) as tool:
            tool.set_result({"rows": [{"text": "a row that is kept", "n": 1.5}], "more": SECRET})
        with pytest.raises(ValueError, match="kept"), runbundle.start_tool("lookup", {"q": 1}):
            raise ValueError("kept error text")
        with pytest.raises(ValueError, match="lost"), runbundle.start_tool("other", {"q": SECRET}):
            raise ValueError("lost error text")
        messages = [{"role": "system", "content": SECRET}, {"role": "user", "content": "hi"}]
        with runbundle.start_model("m", messages) as model:
            model.usage(input_tokens=3, output_tokens=2)
        with runbundle.start_retriever("r", SECRET):
            run.add_evidence([{"id": "d1", "title": SECRET, "score": 0.5, "content": SECRET, "uri": "https://x/y"}])
        tracer = handle.tracer_provider.get_tracer("guest", "1.0")
        with tracer.start_as_current_span("app work", attributes={"app.kind": "blue", "app.odd": SECRET}) as span:
            span.add_event("app event", {"app.kind": 3, "x": SECRET})
        plant_spans(handle.tracer_provider)
        plant_logs(handle.logger_provider)
        run.event("seen", of="x")
        run.set_result({"answer": SECRET, "kept": "yes"})
        runbundle.start_tool("left", {"q": 1}).__enter__()


def test_what_a_recorder_wrote_comes_back_as_it_is(
    configured: Callable[..., runbundle.Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever policy it had: contracts that keep, safe keys and names, user ids that are kept, fields of a result."""
    lines: list[bytes] = []
    append = journal.MappedFile.append
    monkeypatch.setattr(journal.MappedFile, "append", lambda self, data: (lines.append(data), append(self, data))[1])
    handle = configured(
        contracts=[_contract(), CONTRACT], safe_keys=["app.kind"], safe_names=["app work", "app event"], user_id="keep",
        result=[FieldRule(target="input", selector="/kept", action="keep")], resource=RESOURCE,
    )  # fmt: skip
    _work(handle)
    assert handle.flush().sealed
    KNOWN.clear()  # who recovers has seen none of it
    entries = [entry for line in lines for entry in [parse_line(line)] if entry is not None]
    assert {entry["k"] for entry in entries} == {"resource", "start", "span", "log"}
    for entry in entries:
        before = orjson.dumps(entry, option=orjson.OPT_SORT_KEYS)
        assert orjson.dumps(redact_again(entry), option=orjson.OPT_SORT_KEYS) == before
    kept = b"".join(lines)
    for text in (b"plain text, kept", b"kept error text", b"app.kind"):
        assert text in kept, text


def test_recovered_as_if_it_had_been_sealed(tmp_path: Path) -> None:
    """Files of a bundle made by who did not write the journal are those that its writer would have made."""
    killed(
        tmp_path,
        """
        from tests.unit.redaction import test_second_pass as t
        handle.shutdown()
        handle = runbundle.configure(store='store', contracts=[t._contract()], safe_keys=['app.kind'], grace_s=60,
            user_id='keep', safe_names=['app work'])
        with runbundle.start_run('outer'):
            t._work(handle)
            os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    spool = tmp_path / "store" / ".spool"
    runs = spooled_runs(spool)
    assert RunKey("", "") not in runs
    assert runs
    own = next(spool.rglob("*.jsonl")).name.partition("-")[0]
    for name, prefix in (("direct", own), ("again", "")):
        shutil.copytree(spool, tmp_path / name / ".spool")
        for run in runs:
            done = recover(LocalStore(tmp_path / name), tmp_path / name / ".spool", run, parts=True, own=prefix)
            assert done.outcome == "recovered", done
    direct, again = ({p.relative_to(tmp_path / n): p.read_bytes() for p in sorted((tmp_path / n).rglob("*"))
                      if p.is_file() and ".json" in p.suffix} for n in ("direct", "again"))  # fmt: skip
    assert direct == again
    assert b"plain text, kept" in b"".join(again.values())


def _planted(tmp_path: Path, **changes: Any) -> bytes:
    """Return the bytes of the bundle that is recovered from a journal with one such span."""
    folder = tmp_path / "spool" / "r"
    folder.mkdir(parents=True)
    record: dict[str, Any] = {
        "run_id": "r", "tenant_id": "", "trace_id": "a" * 32, "span_id": "b" * 16, "parent_span_id": "",
        "remote_parent": False, "trace_state": "", "name": "run r", "kind": 0, "start_ns": 10**18, "end_ns": 10**18 + 5,
        "status_code": 0, "status_message": "", "attributes": {"runbundle.op": "run"}, "events": [], "links": [],
        "scope": {"name": "s", "version": "1", "schema_url": "", "attributes": {}},
        "resource": {"attributes": {}, "schema_url": ""}, "dropped": {},
    }  # fmt: skip
    at = changes.pop("start", None)
    line = start_line("a" * 32, "b" * 16, "", 10**18, **at) if at else record_line("span", {**record, **changes}, 0)  # type: ignore[typeddict-item]
    (folder / "w.jsonl").write_bytes(line)
    store = LocalStore(tmp_path / "s")
    assert recover(store, tmp_path / "spool", RunKey("", "r"), parts=True).outcome == "recovered"
    assert verify(store, "r").verdict != "failed"
    return all_bytes(tmp_path / "s")


def _with(**attributes: Any) -> dict[str, Any]:
    return {"attributes": {"runbundle.op": "run", **{key.replace("__", "."): v for key, v in attributes.items()}}}


TOOL = {"gen_ai__operation__name": "execute_tool", "gen_ai__tool__name": "t"}
STATED = {**TOOL, "runbundle__contract__sha256": "0" * 64, "runbundle__contract__version": "1"}


@pytest.mark.parametrize(
    "changes",
    [
        _with(gen_ai__prompt=SECRET), _with(gen_ai__input__messages=f'[{{"role":"user","content":"{SECRET}"}}]'),
        _with(password=SECRET), _with(app__note=SECRET), _with(**{f"my {SECRET}": 1}), _with(runbundle__result=TOKEN),
        _with(**TOOL, gen_ai__tool__call__arguments=f'{{"q":"{SECRET}"}}'),
        _with(**STATED, gen_ai__tool__call__arguments=f'{{"q":"{TOKEN}"}}'),
        _with(**STATED, gen_ai__tool__call__result=f'{{"q":["Bearer {TOKEN}abcdef"]}}'),
        _with(runbundle__config=f'{{"password":"{SECRET}"}}'), _with(runbundle__session__id=SECRET),
        _with(gen_ai__agent__name=TOKEN), _with(runbundle__lane=f"{SECRET}#1"), _with(exception__message=SECRET),
        _with(runbundle__versions=f'{{"python":"{SECRET}"}}'), _with(gen_ai__usage__input_tokens=SECRET),
        {"name": f"run {TOKEN}"}, {"status_message": SECRET, "status_code": 2}, {"trace_state": f"v={SECRET}"},
        {"events": [{"name": TOKEN, "time_ns": 10**18, "attributes": {"x": SECRET}, "dropped": 0}]},
        {"events": [{"name": "exception", "time_ns": 10**18, "attributes": {"exception.message": SECRET}}],
         "status_code": 2},
        {"links": [{"trace_id": "c" * 32, "span_id": "d" * 16, "attributes": {"x": SECRET}, "dropped": 0}]},
        {"scope": {"name": TOKEN, "version": SECRET, "schema_url": SECRET, "attributes": {"x": SECRET}}},
        {"dropped": {SECRET: 1}}, {"start": {"lane": SECRET, "label": "", "is_run": True}},
        {"start": {"lane": "", "label": f"tool:{TOKEN}", "is_run": True}},
    ],
)  # fmt: skip
def test_what_was_planted_does_not_get_into_a_bundle(tmp_path: Path, changes: dict[str, Any]) -> None:
    """In whatever field of a line it lies."""
    found = _planted(tmp_path, **changes)
    assert SECRET.encode() not in found
    assert TOKEN.encode() not in found


def test_known_secrets_are_masked_again(tmp_path: Path) -> None:
    """What this process knows to be secret does not get in by a journal either."""
    KNOWN.register("zebra-crossing-9")
    assert b"zebra-crossing-9" not in _planted(
        tmp_path,
        **_with(**STATED, gen_ai__tool__call__arguments='{"q":"zebra-crossing-9"}', app__kind="zebra-crossing-9"),
    )
