"""`runbundle export` and `runbundle view`: files that come back, and refusals."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.cli.main import group
from tests.conftest import sealed

Configure = Callable[..., runbundle.Handle]


def _call(*words: str) -> Result:
    return CliRunner().invoke(group, list(words))


@pytest.fixture
def bundle(configured: Configure) -> Bundle:
    """A sealed run of a tenant, in the store that commands read by default."""
    handle = configured(store=".runbundle")
    with runbundle.start_run("r", run_id="run-1", tenant_id="acme"), runbundle.start_step("s"):
        pass
    return sealed(handle)


def test_a_zip_is_verified_and_pulled_back_byte_for_byte(bundle: Bundle) -> None:
    """Its tenant included; verify and show take it in the place of a run."""
    assert _call("export", "run-1", "--to", "zip", "-o", "r.zip").exit_code == 0
    assert _call("verify", "r.zip").exit_code == 0
    assert "run-1" in _call("show", "r.zip").output
    assert _call("pull", "@last", "r.zip", "--store", "other").exit_code == 0
    pulled = {path.name: path.read_bytes() for path in Path("other/acme/run-1").iterdir()}
    assert pulled == {path.name: path.read_bytes() for path in Path(".runbundle/acme/run-1").iterdir()}
    assert _call("verify", "run-1", "--store", "other").exit_code == 0


def test_no_file_is_written_over_unless_that_is_asked_for(bundle: Bundle) -> None:
    """And nothing is left of one that could not be written."""
    Path("run.html").write_text("mine")
    refused = _call("export", "run-1", "--to", "html", "-o", "run.html")
    assert refused.exit_code == 2
    assert "is there already" in refused.output
    assert Path("run.html").read_text() == "mine"
    done = _call("export", "run-1", "--to", "html", "-o", "run.html", "--force", "--format", "json")
    assert done.exit_code == 0
    assert json.loads(done.output) == {
        "file": "run.html", "bytes": Path("run.html").stat().st_size, "spans_left_out": 0
    }  # fmt: skip
    assert Path("run.html").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in Path().iterdir()) == [".runbundle", "run.html"]


@pytest.mark.parametrize("kind", ["html", "zip"])
def test_a_bundle_that_was_changed_is_not_exported(bundle: Bundle, kind: str) -> None:
    """The file would look like a whole one: exit code 4, and no file."""
    events = bundle.store.get(f"{bundle.key}/events.jsonl")
    bundle.store.put(f"{bundle.key}/events.jsonl", events.replace(b"step s", b"step t"), overwrite=True)
    refused = _call("export", "run-1", "--to", kind, "-o", "out")
    assert refused.exit_code == 4, refused.output
    assert not Path("out").exists()
    assert _call("export", "none", "--to", kind).exit_code == 2


def test_details_of_plain_spans_are_left_out_of_a_page_that_would_be_too_large(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many is said, by the command and in the page; the timeline still has all spans."""
    from io import BytesIO

    from runbundle.view import one_file

    monkeypatch.setattr(one_file, "_PIECE_BYTES", 1)  # a line a piece
    out, small = BytesIO(), BytesIO()
    assert one_file.write_page(bundle, out, most_bytes=50_000_000).left_out == 0
    written = one_file.write_page(bundle, small, most_bytes=1)
    assert written.left_out == 2
    assert b"the details of 2 of 2 spans were left out" in small.getvalue()
    assert b"were left out. All" not in out.getvalue()
    assert written.bytes == len(small.getvalue())


def test_without_the_extra_view_says_what_to_install(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare install has no server; exporting needs none."""
    for name in list(sys.modules):
        if name.startswith(("starlette", "uvicorn", "runbundle.view")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.setitem(sys.modules, "starlette", None)
    refused = _call("view", "run-1", "--no-open")
    assert refused.exit_code == 2
    assert "needs the extra `view`" in refused.output
    assert _call("export", "run-1", "--to", "html", "-o", "r.html").exit_code == 0


def test_a_server_that_nobody_asks_ends_by_itself(bundle: Bundle) -> None:
    """With `--idle`; the link that lets a browser in is printed, with its token in the fragment."""
    done = _call("view", "run-1", "--no-open", "--idle", "1s")
    assert done.exit_code == 0, done.output
    link = done.output.splitlines()[1]
    assert link.startswith("http://127.0.0.1:")
    assert "/#token=" in link
    assert link.endswith("&/run/acme%2Frun-1")
    assert _call("view", "none", "--no-open").exit_code == 2
    assert _call("view", "--no-open", "--idle", "soon").exit_code == 2
