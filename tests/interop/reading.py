"""Read what a store says of the runs of an application, and look for canaries in everything that lies there."""

import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.cli.commands.verify import exit_code
from runbundle.format.tool_calls import CallEntry
from runbundle.keyring.given_key import stretched
from runbundle.redaction.markers import Digester
from runbundle.signals import own
from runbundle.store import ArtifactStore
from runbundle.store.local import LocalStore
from tests.interop.apps.shared import CANARIES, ORDER_ID

KEY = b"the digest key of tests alone, no secret"
"""Digests keys and values in all runs, so that what is equal in two runs has equal digests."""


@dataclass
class Reading:
    """What the bundles of one store say, together."""

    bundles: int = 0
    spans: int = 0
    tools: int = 0
    models: int = 0
    documents: int = 0
    agents: Counter[str] = field(default_factory=Counter[str])
    usage: Counter[str] = field(default_factory=Counter[str])
    lookups: int = 0
    """How many calls of `lookup_order` are as its contract says."""
    wrong: list[str] = field(default_factory=list[str])
    """Views of `lookup_order` that are not."""
    masked: Counter[str] = field(default_factory=Counter[str])
    """Names of spans that were masked, wholly or in part."""
    attributes: int = 0
    undeclared: Counter[str] = field(default_factory=Counter[str])
    """Attributes that no table declares, by key."""
    statuses: Counter[str] = field(default_factory=Counter[str])
    verified: Counter[int] = field(default_factory=Counter[int])
    """Exit codes of `verify`."""
    findings: Counter[str] = field(default_factory=Counter[str])
    leaks: Counter[str] = field(default_factory=Counter[str])
    """Canaries, with the files that hold them."""
    journals: int = 0
    """How often a journal was searched for them before its run was sealed."""
    sessions: int = 0
    users: int = 0
    results: int = 0
    logs: int = 0
    exported: bool = False
    """Whether the bundles are of an exporter alone, which cannot say that nothing is missing."""

    @property
    def share_undeclared(self) -> float:
        """Part of the attributes that no table declares."""
        return self.undeclared.total() / max(1, self.attributes)

    @property
    def tokens(self) -> tuple[int, int]:
        """Input and output tokens."""
        return self.usage["input_tokens"], self.usage["output_tokens"]


def bundles_of(store: Path) -> list[Bundle]:
    """Open all bundles of a store, in the order of their runs' starts."""
    opened = LocalStore(store)
    keys = sorted(
        str(path.parent.relative_to(store)) for path in store.rglob("run.json") if "revisions" not in path.parts
    )
    return sorted((Bundle.open(opened, key) for key in keys), key=lambda bundle: str(bundle.index.started_at))


def read(folder: Path, keys: Iterable[str] = ()) -> Reading:
    """Read the store below a folder, and search every file below the folder for canaries.

    Of undeclared attributes those among `keys` are told by name.
    """
    reading = Reading()
    names = hidden_names(keys)
    store: ArtifactStore = LocalStore(folder / "store")
    for bundle in bundles_of(folder / "store") if (folder / "store").exists() else ():
        _add(reading, bundle, names)
        report = verify(store, bundle.key)
        reading.verified[exit_code(report)] += 1
        reading.findings.update(finding.code for finding in report.findings)
    reading.leaks = leaks(folder)
    return reading


def leaks(folder: Path) -> Counter[str]:
    """Return which canaries are in which files of runbundle's below a folder: journals, bundles, indexes, names.

    Left out are a raw dump and what the framework itself prints.
    """
    found: Counter[str] = Counter()
    for file in files_below(folder):
        if file.name.startswith(("dump.json", "output.txt")):
            continue
        text = os.fsencode(file.parent.name + file.name)
        with contextlib.suppress(FileNotFoundError):  # a journal that was sealed meanwhile
            text += file.read_bytes()
        found.update(f"{name} in {file.name}" for name, canary in CANARIES.items() if canary.encode() in text)
    return found


def files_below(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder; folders may go while they are walked."""
    return (Path(place) / name for place, _, names in os.walk(folder) for name in names)


def _add(reading: Reading, bundle: Bundle, names: dict[str, str]) -> None:
    index = bundle.index
    reading.bundles += 1
    reading.spans += index.counts.spans
    reading.tools += index.counts.tool_calls
    reading.models += index.counts.model_calls
    reading.logs += index.counts.logs
    reading.statuses[index.status] += 1
    reading.usage.update({key: int(value) for key, value in (index.usage or {}).items()})
    reading.sessions += index.session_id is not None
    reading.users += index.user_id is not None
    reading.results += index.result is not None
    for call in bundle.tool_calls().calls:
        if call.tool == "lookup_order" and not is_wrong(call):
            reading.lookups += 1
        elif call.tool == "lookup_order":
            reading.wrong.append(_views(call))
    evidence = bundle.evidence()
    reading.documents += sum(len(one.documents) for one in evidence.retrievals) if evidence else 0
    for event in bundle.events():
        if event["type"] == "span.ended":
            _add_span(reading, event, names)


def _add_span(reading: Reading, event: dict[str, Any], names: dict[str, str]) -> None:
    attributes = event["attributes"]
    if "[REDACTED" in event["name"]:
        reading.masked[event["name"].split(":")[0]] += 1
    if event["op"] == "agent":
        reading.agents[str(attributes.get("gen_ai.agent.name", ""))] += 1
    keys = [key for key in attributes if key != "runbundle.redaction"]
    reading.attributes += len(keys)
    reading.undeclared.update(names.get(key, key) for key in keys if key.startswith(own.HIDDEN))


def is_wrong(call: CallEntry) -> bool:
    """Tell whether a call of `lookup_order` shows something else than its contract says."""
    if call.contract is None or call.arguments is None or not isinstance(call.arguments.view, dict):
        return True
    arguments: dict[str, Any] = call.arguments.view
    if set(arguments) != {"order_id", "email"} or not _withheld(arguments["email"]):
        return True
    if call.status == "error" or arguments["order_id"] != ORDER_ID:
        return arguments["order_id"] != "WRONG"
    result: Any = call.result.view if call.result is not None else None
    if not isinstance(result, dict) or len(result) != 3 or result.get("status") != "shipped":
        return True
    return not all(_withheld(value) for key, value in result.items() if key != "status")


def _withheld(value: object) -> bool:
    return isinstance(value, str) and value.startswith(("[REDACTED", "h2:"))


def hidden_names(keys: Iterable[str]) -> dict[str, str]:
    """Return attribute keys by the names under which they are hidden if no table declares them."""
    digester = Digester(stretched(KEY))
    return {own.HIDDEN + digester("key", key.encode())[12:24]: key for key in keys}


def _views(call: CallEntry) -> str:
    views = [part.view if part else None for part in (call.arguments, call.result)]
    return json.dumps([call.status, call.contract is not None, *views])[:300]
