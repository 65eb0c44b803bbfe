"""Records the vectors anew: `python -m tests.vectors.record [--reason TEXT]`.

Without a reason nothing that would differ is written: which vectors differ is printed, and the exit code is 1. With one
the files are written, and a line about it is added to CHANGES.md.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.vectors.core import PYTHON, RULES, Core, bare_rules, credentials_in
from tests.vectors.form import (
    ASSEMBLY,
    FOLDER,
    LAWS,
    REDACTION,
    SHARED,
    SPLIT,
    VECTORS,
    Vector,
    by_id,
    differences,
    dumped,
    parsed,
    read,
    shared_text,
    shown,
    split,
)
from tests.vectors.generate import assembly, laws, redaction
from tests.vectors.generate.policies import POLICIES
from tests.vectors.replay import answered

CHANGES = "CHANGES.md"
COMMAND = 'python -m tests.vectors.record --reason "why"'
_MOST_PRINTED = 50


class Change:
    """How one vector differs from the one that is recorded."""

    def __init__(self, name: str, path: str, before: Any, after: Any) -> None:
        self.name, self.path, self.before, self.after = name, path, before, after

    def __str__(self) -> str:
        return f"{self.name} at {self.path}: recorded {shown(self.before)}, given {shown(self.after)}"


def generated() -> dict[str, list[Vector]]:
    """Return all vectors by file, without answers."""
    return {
        REDACTION: list(redaction.vectors()),
        LAWS: list(laws.vectors()),
        ASSEMBLY: list(assembly.vectors()),
    }


def line_of(vector: Vector) -> str:
    """Return the line of a vector: with no credential in one piece, and the same when it is read back."""
    if SPLIT in dumped(vector):
        raise ValueError(f"{vector['id']} has a {SPLIT} of its own")
    line = dumped(split(vector, credentials_in))
    if parsed(line) != json.loads(dumped(vector)):
        raise ValueError(f"{vector['id']} is not the same when it is read back")
    found = credentials_in(line, formats=True)
    if found:
        raise ValueError(f"{vector['id']} is stored with what looks like a credential, by the rule {found[0][2]}")
    return line + "\n"


def changes(recorded: Iterable[Vector], made: Iterable[Vector]) -> Iterator[Change]:
    """Yield how each vector differs that does: the first path at which it differs."""
    before, after = by_id(recorded), by_id(made)
    for name in dict.fromkeys([*before, *after]):
        if name not in before:
            yield Change(name, "(all of it)", "(no such vector)", "a new one")
        elif name not in after:
            yield Change(name, "(all of it)", "a vector", "(no such vector)")
        else:
            first = next(differences(before[name], after[name]), None)
            if first is not None:
                yield Change(name, *first)


def files(core: Core, policies: Mapping[str, Any] = POLICIES) -> tuple[dict[str, list[Vector]], dict[str, str]]:
    """Return all vectors with the answers of a core, and the texts of the files that hold them."""
    with bare_rules():
        vectors = {name: [answered(core, v, policies) for v in some] for name, some in generated().items()}
        texts = {name: "".join(map(line_of, some)) for name, some in vectors.items()}
    return vectors, {SHARED: shared_text(policies), **texts}


def record(folder: Path, reason: str, core: Core = PYTHON) -> int:
    """Record into a folder; return the exit code."""
    vectors, texts = files(core)
    was = {name: (folder / name).read_text("ascii") if (folder / name).exists() else "" for name in texts}
    if was == texts:
        print(f"nothing differs: {sum(map(len, vectors.values()))} vectors")
        return 0
    found = [change for name in VECTORS for change in changes(read(name, folder), vectors[name])]
    for change in found[:_MOST_PRINTED]:
        print(change)
    if len(found) > _MOST_PRINTED:
        print(f"and {len(found) - _MOST_PRINTED} more")
    for name in [name for name in texts if was[name] != texts[name]]:
        print(f"{name} differs")
    if not reason.strip():
        print(f"nothing was written; if it is meant to differ: {COMMAND}", file=sys.stderr)
        return 1
    for name, text in texts.items():
        (folder / name).write_text(text, "ascii")
    total = sum(map(len, vectors.values()))
    before = (folder / CHANGES).read_text().splitlines() if (folder / CHANGES).exists() else []
    number = sum(line[:1].isdigit() for line in before) + 1
    told = f"{number}. {' '.join(reason.split())} (rules {RULES}: {_told(found)}, of {total} now)\n"
    with (folder / CHANGES).open("a") as file:
        file.write(told)
    print(told, end="")
    return 0


def _told(found: list[Change]) -> str:
    new = sum(change.after == "a new one" for change in found)
    gone = sum(change.before == "a vector" for change in found)
    first = f", the first {found[0].name} at {found[0].path}" if len(found) > new + gone else ""
    return f"{len(found) - new - gone} differ, {new} new, {gone} gone{first}"


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> int:
    """Read the command line and record."""
    parser = argparse.ArgumentParser("python -m tests.vectors.record", description="Record the vectors anew.")
    parser.add_argument("--reason", default="", help="why vectors may differ; without it none is overwritten")
    return record(folder, parser.parse_args(arguments).reason)


if __name__ == "__main__":
    sys.exit(main())
