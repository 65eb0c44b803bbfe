"""What a bundle says became of each value."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import runbundle
from runbundle.bundle.verify import verify
from tests.conftest import all_bytes, sealed
from tests.support.bundles import again
from tests.support.odd import DATA, NOT_DATA, PARTLY

Configured = Callable[..., runbundle.Handle]

KEPT = [
    {"selector": f"/{name}", "target": side, "action": "keep"}
    for name in ("odd", "title")
    for side in ("input", "output")
]
CONTRACT = {"name": "eat", "data": {"rules": KEPT}}


@runbundle.tool
def eat(odd: Any, title: str) -> dict[str, Any]:
    """Return what it was given."""
    return {"odd": odd, "title": title}


def ends(bundle: Any) -> dict[str, Any]:
    """Return the lines of a bundle at which spans end, by operation."""
    return {event["op"]: event for event in bundle.events() if event["type"] == "span.ended"}


@pytest.mark.parametrize("name", [*DATA, *NOT_DATA, *PARTLY])
def test_one_odd_value_costs_no_other(configured: Configured, name: str) -> None:
    """Agent and tool notice nothing, what is beside it is kept, and there is a digest of data alone."""
    handle = configured(contracts=[CONTRACT])
    value = DATA[name][0] if name in DATA else (NOT_DATA | PARTLY)[name]
    with runbundle.start_run("r"):
        assert eat(value, "small")["odd"] is value
    bundle = sealed(handle)
    call = bundle.tool_calls().calls[0]
    word = "whole" if name in DATA else "unserialisable"
    for payload in (call.arguments, call.result):
        assert payload is not None
        assert payload.view["title"] == "small"
        assert payload.capture == word
        assert (payload.digest is not None) == (word == "whole")
    assert bundle.index.completeness.capture == {word: 2}
    assert set(ends(bundle)["tool"]["capture"].values()) == {word}
    assert b"tok-Zx81" not in all_bytes(Path(handle.store.root))  # type: ignore[attr-defined]
    assert verify(bundle.store, bundle.key).verdict == "verified"


def test_of_large_values_small_fields_are_kept_and_digests_are_of_the_whole(configured: Configured) -> None:
    """Images leave a marker with their size; bytes have a digest too; equal values have equal ones, others do not."""
    handle = configured(contracts=[CONTRACT])
    image, data = "data:image/png;base64," + "A" * 3_000_000, os.urandom(2_000_000)

    @runbundle.tool
    def raw(data: bytes) -> bytes:
        return data

    @runbundle.model(name="vision-1")
    def look(messages: Any) -> Any:
        return {"role": "assistant", "content": "a cat"}

    with runbundle.start_run("r"):
        for one in (image, image, image + "B"):
            eat(one, "small")
        raw(data), raw(data), raw(data[1:])
        look([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": image}}] * 4}])
    bundle = sealed(handle)
    calls = bundle.tool_calls().calls
    for first, second, third in (calls[:3], calls[3:]):
        payloads: list[Any] = [first.result, second.result, third.result]
        assert {p.capture for p in payloads} == {"oversize"}
        assert payloads[0].digest == payloads[1].digest != payloads[2].digest
        assert payloads[0].bytes > 2_000_000
    view = calls[0].result.view  # type: ignore[union-attr]
    assert view == {"odd": f"[REDACTED:oversize:bytes={len(image)}]", "title": "small"}
    asked = ends(bundle)["model"]
    assert asked["capture"] == {"gen_ai.input.messages": "oversize", "gen_ai.output.messages": "whole"}
    assert ":bytes=12000" in asked["attributes"]["gen_ai.input.messages"]
    assert ":roles=user" in asked["attributes"]["gen_ai.input.messages"]
    assert bundle.index.completeness.capture == {"oversize": 13, "whole": 1}
    assert sum(entry.bytes for entry in bundle.index.files) < 50_000
    assert verify(bundle.store, bundle.key).verdict == "verified"


def test_a_result_and_documents_say_what_became_of_them(configured: Configured, tmp_path: Path) -> None:
    """In the event, in evidence.json and in the sum; and a bundle read back says the same."""
    handle = configured(result=[])
    with runbundle.start_run("r", config={"model": object(), "k": 1}) as run:
        with runbundle.start_retriever("shelf", {"q": object()}) as found:
            found.add_evidence([{"id": "d1", "content": "text"}, {"id": "d2", "content": [object()]}])
        run.set_result({"answer": object()})
        run.set_result({"answer": 42})
    bundle = sealed(handle)
    retrieval = bundle.evidence().retrievals[0]  # type: ignore[union-attr]
    assert [(d.capture, d.digest is None) for d in retrieval.documents] == [("whole", False), ("unserialisable", True)]
    assert retrieval.query is not None
    assert (retrieval.query.capture, retrieval.query.digest) == ("unserialisable", None)
    said = ends(bundle)
    assert said["run"]["capture"] == {"runbundle.config": "unserialisable", "runbundle.result": "whole"}
    assert said["retrieval"]["capture"] == {
        "gen_ai.retrieval.query.text": "unserialisable", "runbundle.document.content": "unserialisable",
    }  # fmt: skip
    assert bundle.index.completeness.capture == {"unserialisable": 3, "whole": 2}
    assert bundle.index.result is not None
    assert bundle.index.result.digest is not None
    assert bundle.config().config == {"model": "[REDACTED:unserialisable]", "k": 1}
    for name, data in again(bundle, tmp_path).items():
        assert data == bundle.read(name), name


def test_two_live_conversations_compare(configured: Configured) -> None:
    """Ids of calls are drawn anew in each run; the digest in which they are neutral is the same."""
    handle = configured()
    found: list[Any] = []
    for call in ("call_a81", "call_z07"):
        with runbundle.start_run("r"), runbundle.start_model("m", [
            {"role": "user", "content": "weather?"},
            {"role": "assistant", "tool_calls": [{"id": call, "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": call, "content": "sunny"},
        ]):  # fmt: skip
            pass
        found.append(ends(sealed(handle))["model"]["attributes"])
    first, second = (runbundle_messages(attributes) for attributes in found)
    assert first["neutral"] == second["neutral"]
    assert [role for role, _ in first["roles"]] == ["user", "assistant", "tool"]
    assert first["roles"] != second["roles"]
    assert found[0]["gen_ai.input.messages"] != found[1]["gen_ai.input.messages"]


def runbundle_messages(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return what a span says of its input messages."""
    import orjson

    return orjson.loads(attributes["runbundle.messages"])["gen_ai.input.messages"]
