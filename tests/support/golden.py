"""The golden bundle: as a store, as files, and as the pattern of bundles with other keys."""

import json
from pathlib import Path
from typing import Any

import orjson

from runbundle.bundle.assembly.assemble import Assembled
from runbundle.bundle.assembly.parts import NewFile
from runbundle.bundle.seal import seal
from runbundle.format.canonical import sha256_hex
from runbundle.format.identity import RunKey
from runbundle.store import ArtifactStore, LocalStore

KEY = "golden-v1"
V1 = LocalStore(Path(__file__).parents[1] / "golden" / "v1")
INDEX = V1.get(f"{KEY}/run.json")
NAMES = ("config.snapshot.json", "events.jsonl", "evidence.json", "tool_calls.json")
FILES = {name: V1.get(f"{KEY}/{name}") for name in NAMES}
RUN = json.loads(INDEX)
CALLS = FILES["tool_calls.json"]
EVENTS = FILES["events.jsonl"]


def run_json(key: str, number: int = 0, **changes: Any) -> bytes:
    """Return a run.json for a run that started so many seconds into a day."""
    tenant, _, run_id = key.rpartition("/")
    said = {**RUN, "run_id": run_id, "started_at": f"2026-11-25T{number // 3600:02}:{number // 60 % 60:02}:"
            f"{number % 60:02}.000000000Z", **({"tenant_id": tenant} if tenant else {}), **changes}  # fmt: skip
    return json.dumps(said).encode()


def add(store: ArtifactStore, key: str, number: int = 0, **changes: Any) -> bytes:
    """Put a bundle into a store without telling the index; return its run.json."""
    data = run_json(key, number, **changes)
    store.put_all({f"{key}/tool_calls.json": CALLS, f"{key}/events.jsonl": EVENTS, f"{key}/run.json": data})
    return data


def seal_golden(store: ArtifactStore) -> None:
    """Seal the golden bundle, as a recorder does."""
    said = orjson.loads(INDEX)
    parts = [NewFile(name, data, len(data), sha256_hex(data)) for name, data in FILES.items()]
    assert seal(store, Assembled(RunKey("", KEY), parts, said.pop("completeness"), {}, said)).run_json == INDEX
