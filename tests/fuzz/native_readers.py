"""Journals and events, damaged byte by byte, read by the native core alone: `python -m tests.fuzz.native_readers
[MINUTES]`, by default ten.

The inputs from which it starts are the files of native/corpus; one that found a fault is put there. What a reader makes
of an input is not judged here (`native_seals` and `native_bundles` do that): it must say something, soon, have no
fault, and take no line of a journal that Python would refuse. The folders there have the inputs of `native_targets`.
"""

import random
import sys
import time
from pathlib import Path
from typing import Any
from zlib import crc32

from runbundle.bundle.assembly.natively import notes_text, words
from runbundle.core import native
from runbundle.journal.entries import is_entry
from runbundle.journal.lines import parse_line
from runbundle.redaction.receipt import Receipt, read_receipt
from tests.fuzz.native_bundles import PARTS
from tests.support.both_ways import FAULT

CORPUS = Path(__file__).parents[2] / "native" / "corpus"
_SLOW_S = 2.0


class _Yes:
    """Answers whatever a reader asks, so that it goes on."""

    def receipt(self, text: str) -> tuple[int, bytes, bytes]:
        receipt = read_receipt(text) or Receipt()
        return receipt.count(), notes_text(receipt, "arguments"), notes_text(receipt, "result")

    def withheld(self, _: str) -> bool:
        return True

    def log(self, *_: Any) -> None:
        return None

    def span(self, lines: list[bytes], _row: int, _times: int, rare: bool, *_: Any) -> bytes | None:
        return b'{\n      "agent": null,\n    }' if rare and b',"op":"tool",' in lines[0] else None

    def begin(self, _: dict[str, Any]) -> None:
        return None

    def add(self, shown: list[Any]) -> tuple[list[Any], list[bytes], list[bytes], bytes]:
        return [self.receipt("")] * len(shown), [], [], b"}"


def mutated(data: bytes, other: bytes, draw: random.Random) -> bytes:
    """Return bytes with one to four damages; some are parts of `other`."""
    for _ in range(draw.randrange(1, 5)):
        at, kind = draw.randrange(len(data) + 1), draw.randrange(6)
        if kind == 0 and at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :]
        elif kind == 1:
            data = data[:at] + draw.choice(PARTS) + data[at + draw.randrange(4) :]
        elif kind == 2:
            data = data[:at] + data[at + draw.randrange(200) :]
        elif kind == 3:
            from_, length = draw.randrange(len(other) + 1), draw.randrange(300)
            data = data[:at] + other[from_ : from_ + length] + data[at:]
        else:  # lines change places, or one is there twice
            lines = data.splitlines(keepends=True) or [b""]
            one, two = draw.randrange(len(lines)), draw.randrange(len(lines))
            lines[one] = lines[two] if kind == 4 else lines[one]
            lines.insert(one, lines.pop(two))
            data = b"".join(lines)
    return data


def read(name: str, data: bytes) -> list[Any]:
    """Let the native core read an input; return what it says. Raises `AssertionError` for a fault or if it is slow."""
    begun, module = time.monotonic(), native.module()
    if name.startswith("journal"):
        lines = [b"%08x %b\n" % (crc32(line), line) for line in data.removesuffix(b"\n").split(b"\n")]
        said: list[Any] = [module.Sealer(words()).seal([b"".join(lines)], _Yes())]
        assert isinstance(said[0], str) or all(map(_is_taken, lines)), "Python refuses a line"
    elif name.startswith("events"):
        verifier = module.Verifier(words(), _Yes())
        said = [verifier.events(data), verifier.finish(), verifier.calls(data, True), verifier.finish_calls(data)]
    else:
        verifier = module.Verifier(words(), _Yes())
        said = [verifier.events((CORPUS / "events-plain.jsonl").read_bytes()), verifier.finish()]
        said += [verifier.calls(data[:100], False), verifier.calls(data[100:], True), verifier.finish_calls(b"}")]
    assert FAULT not in said, (name, said)
    assert time.monotonic() - begun < _SLOW_S, name
    return said


def _is_taken(line: bytes) -> bool:
    """Tell whether Python takes a line of a journal. Of logs it says so where they are written, for both cores."""
    entry = parse_line(line)
    return entry is not None and (entry["k"] in ("log", "resource") or is_entry(entry))


def kept(target: str) -> dict[str, bytes]:
    """Return the inputs that are kept for a fuzz target, by their names."""
    return {path.name: path.read_bytes() for path in sorted((CORPUS / target).iterdir())}


def look(rounds: int, seed: int) -> None:
    """Let the native core read as many damaged inputs. The same seed gives the same inputs."""
    draw = random.Random(seed)
    inputs = [(path.name, path.read_bytes()) for path in sorted(CORPUS.iterdir()) if path.is_file()]
    for _ in range(rounds):
        (name, data), (_, other) = draw.choice(inputs), draw.choice(inputs)
        read(name, mutated(data, other, draw))


def main(minutes: float) -> int:
    """Look until the time is over. A seed that found something says how to look again."""
    until, seed = time.monotonic() + 60 * minutes, time.time_ns()
    while time.monotonic() < until:
        print(f"seed {seed}", flush=True)
        look(2000, seed)
        seed += 1
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 10))
