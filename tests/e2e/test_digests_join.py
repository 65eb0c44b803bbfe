"""Digests of one store join by default: over processes, with nothing set; not over tenants nor over stores."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.otel.belonging.claims import RunScope
from runbundle.otel.exporters import BundleSpanExporter, RedactingSpanExporter
from runbundle.store import LocalStore
from tests.conftest import all_bytes, sealed

Configured = Callable[..., runbundle.Handle]
AGENT = """
import runbundle
with runbundle.configure(store={store!r}) as handle:
    with runbundle.start_run("r", user_id="ada@example.org"), runbundle.start_tool("t", {{"pin": "4821"}}):
        pass
    print(handle.flush().sealed[0])
"""


def in_a_process(store: Path, **environment: str) -> Bundle:
    """Record one run in a process of its own."""
    done = subprocess.run([sys.executable, "-c", AGENT.format(store=str(store))], text=True, capture_output=True,
                          env={**os.environ, **environment}, check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return Bundle.open(LocalStore(store), done.stdout.strip())


def digests(bundle: Bundle) -> list[str | None]:
    """Return what joins in the run of `AGENT`."""
    (call,) = bundle.tool_calls().calls
    return [bundle.index.redaction.key_id, bundle.index.user_id, call.arguments.digest]


def test_two_processes_of_one_store_join_with_nothing_set(tmp_path: Path) -> None:
    """The key lies beside neither bundles nor spool, in no form."""
    first, second = (in_a_process(tmp_path / "store") for _ in range(2))
    assert digests(first) == digests(second)
    assert verify(first.store, first.key).findings == []
    keyring = Path(os.environ["RUNBUNDLE_KEYS"])
    written = all_bytes(tmp_path / "store")
    assert not [k for k in keyring.iterdir() if k.read_bytes() in written or k.read_bytes().hex().encode() in written]


def test_two_stores_and_two_users_do_not_join(tmp_path: Path) -> None:
    """A key is of one store and one user; one that is given to both joins them."""
    one, other = in_a_process(tmp_path / "a"), in_a_process(tmp_path / "b")
    user = in_a_process(tmp_path / "a", RUNBUNDLE_KEYS=str(tmp_path / "keys"))
    assert len({*digests(one), *digests(other), *digests(user)}) == 9
    shared = {"RUNBUNDLE_REDACTION_KEY": "one key for all of us"}
    joined = in_a_process(tmp_path / "b", **shared)
    assert digests(in_a_process(tmp_path / "a", **shared)) == digests(joined) != digests(other)


@pytest.mark.skipif("tenant_id" not in RunScope.__dataclass_fields__, reason="records do not say their tenant yet")
def test_equal_values_of_two_tenants_do_not_join(configured: Configured) -> None:
    """Neither payloads nor user ids; `key_id` says so."""
    handle = configured()
    found: list[list[str | None]] = []
    for tenant in ("acme", "bolt", "acme"):
        with (
            runbundle.start_run("r", tenant_id=tenant, user_id="ada@example.org"),
            runbundle.start_tool("t", {"pin": "4821"}),
        ):
            pass
        found.append(digests(sealed(handle)))
    assert found[0] == found[2]
    assert not set(found[0]) & set(found[1])


def test_a_redactor_in_front_of_an_exporter_joins_with_the_store_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every way in takes the same key."""
    monkeypatch.setenv("RUNBUNDLE_STORE", str(tmp_path / "store"))
    with runbundle.configure() as handle:
        ids = {handle.boundary.redactor.key_id()}
    bundles = BundleSpanExporter()
    for redactor in (RedactingSpanExporter(bundles)._redactor, bundles._sink.redactor):
        ids.add(redactor.key_id())
    bundles.shutdown()
    assert len(ids) == 1


def test_configure_refuses_a_weak_key_and_quotes_it_nowhere(
    configured: Configured, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is recorded under a key that can be guessed."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY", "hunter2")
    with pytest.raises(runbundle.ConfigError, match="fewer than 16 bytes") as caught:
        configured(key=None)
    assert "hunter2" not in f"{caught.value} {caplog.text}"
    assert configured(key=b"k" * 32).boundary.redactor.policy.key_origin == "explicit"


def test_the_checks_of_this_machine_leave_no_key_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`redact check` records into a folder that is gone afterwards, and `doctor` only looks."""
    monkeypatch.setenv("RUNBUNDLE_KEYS", str(tmp_path / "keys"))
    for command in (["redact", "check"], ["doctor", "--format", "json"]):
        done = subprocess.run([sys.executable, "-m", "runbundle", *command], capture_output=True, check=True)
    assert str(tmp_path / "keys") in json.loads(done.stdout)["digest_key"]
    assert not (tmp_path / "keys").exists()


def test_doctor_finds_that_no_key_can_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its runs could not be compared with any other process's."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("RUNBUNDLE_KEYS", str(tmp_path / "file" / "keys"))
    done = subprocess.run([sys.executable, "-m", "runbundle", "doctor"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "RB907  digest key: each process draws its own" in done.stdout


def test_spans_of_a_provider_that_was_there_have_the_tenants_key_id_in_run_json(configured: Configured) -> None:
    """Whoever built the provider; `key_id` is that of the digests in the bundle."""
    handle = configured(tracer_provider=TracerProvider(shutdown_on_exit=False))
    with runbundle.start_run("r", user_id="u"):
        pass
    index = sealed(handle).index
    assert index.user_id is not None
    assert index.user_id.split(":")[1] == index.redaction.key_id
