"""Diagnosis: what is found in an environment, and what came out of sinks."""

import logging
import urllib.request
from pathlib import Path
from typing import Any

from runbundle.otel.inspection import zero_code
from runbundle.otel.inspection.canaries import CHANNELS, canary, known_secrets
from runbundle.otel.inspection.doctor import Diagnosis, diagnose_environment, diagnose_key, diagnose_secrets
from runbundle.otel.inspection.entrances import check_entrances
from runbundle.otel.inspection.sinks import OWN_LOGS, SinkOutput, SinkReport, grpc_sink, http_sink, own_logs
from runbundle.redaction.detectors.known_secrets import KNOWN


def test_each_wrong_variable_is_a_finding(monkeypatch: Any) -> None:
    """A clean environment has none."""
    for name in ("OTEL_TRACES_EXPORTER", "OTEL_LOGS_EXPORTER", "OTEL_TRACES_SAMPLER", "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    before = {found.code for found in diagnose_environment()}
    monkeypatch.setenv("RUNBUNDLE_STOER", "x")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "runbundle,nothing-of-the-kind")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    found = diagnose_environment()
    assert all(isinstance(one, Diagnosis) and one.hint for one in found)
    assert {one.code for one in found} - before == {"RB920", "RB902", "RB903"}


def test_an_exporter_beside_ours_is_a_finding_where_nothing_can_stand_before_it(monkeypatch: Any) -> None:
    """Without opentelemetry-instrument, or with a part of ours that does not load."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "runbundle,console")
    monkeypatch.setattr(zero_code, "find_spec", lambda _: None)
    (found,) = (one for one in diagnose_environment() if one.code == "RB905")
    assert "opentelemetry-instrument is not installed" in found.message
    monkeypatch.setattr(zero_code, "find_spec", lambda _: True)
    monkeypatch.setattr(zero_code.configurator, "configurators", list)
    assert "install it again" in next(one.message for one in diagnose_environment() if one.code == "RB905")


def test_a_credential_that_cannot_be_known_is_named_and_not_shown(monkeypatch: Any) -> None:
    """Too short a value would be masked in every other word."""
    monkeypatch.setenv("MY_API_KEY", "abc")
    [found] = [one for one in diagnose_secrets() if "MY_API_KEY" in one.message]
    assert found.code == "RB414"
    assert "abc" not in found.message


def test_the_key_of_a_store_is_described_and_not_made(tmp_path: Path, monkeypatch: Any) -> None:
    """A keyring that cannot be written is a fault."""
    said, found = diagnose_key((tmp_path / "store").as_uri())
    assert said.startswith("digest key: ")
    assert found == []
    assert not list(tmp_path.rglob("*.key"))
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("RUNBUNDLE_KEYS", str(tmp_path / "file"))
    assert [one.code for one in diagnose_key((tmp_path / "store").as_uri())[1]] == ["RB907"]


def test_a_sink_tells_what_leaked_and_whether_anything_came_at_all(tmp_path: Path) -> None:
    """Of a folder a run must have been sealed in it."""
    captured = SinkOutput()
    captured.expect("silent", CHANNELS)
    captured.add("leaky", b"x" + canary("tool result").encode()) if captured.expect("leaky", CHANNELS) is None else None
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    captured.folder("bundle", CHANNELS, tmp_path)
    reports = {report.sink: report for report in captured.reports()}
    assert isinstance(reports["bundle"], SinkReport)
    assert (reports["silent"].reached, reports["leaky"].reached, reports["bundle"].reached) == (False, True, True)
    assert reports["leaky"].leaked == ("tool result",)
    assert reports["bundle"].files == ("run/run.json",)


def test_servers_and_logs_are_listened_to_within_their_block() -> None:
    """Their channels are expected before anything comes."""
    captured = SinkOutput()
    with http_sink(captured) as address, own_logs(captured), grpc_sink(captured) as other:
        request = urllib.request.Request(f"{address}/v1/traces", canary("url").encode(), method="POST")
        urllib.request.urlopen(request).close()
        logging.getLogger("runbundle").debug("said %s", canary("sql"))
        assert other.startswith("http://127.0.0.1:")
    leaked = {report.sink: report.leaked for report in captured.reports()}
    assert leaked == {"OTLP/HTTP": ("url",), OWN_LOGS: ("sql",), "OTLP/gRPC": ()}


def test_no_entrance_lets_a_canary_out() -> None:
    """Each of them is reached."""
    captured = SinkOutput()
    KNOWN.register(*known_secrets())
    with own_logs(captured):
        check_entrances(captured)
    for report in captured.reports():
        if report.sink != OWN_LOGS:
            assert (report.leaked, report.reached) == ((), True), report.sink
