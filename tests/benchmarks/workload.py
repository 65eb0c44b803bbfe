"""One agent's work, the same for everything that is compared: runs of 31 spans, with payloads as real traces have them.

A run is one root with ten steps; a step is one call of a model, with a prompt of 2 KB and an answer of 0.5 KB, and two
calls of a tool, with arguments and results of 1.3 KB together. The words are made up, the same in every process.
"""

import random
import string
from typing import Any

STEPS = 10
TOOLS = 2
KINDS = 64
"""How many different payloads there are of each kind to begin with."""
MANY = 2048
"""How many there are where runs are compared: 2,000 calls of a tool are 2,000 different ones, and keep 18,000 texts. So
nothing is read from a cache by its value alone; few texts of an agent come again."""

_random = random.Random(31)
_WORDS = ["".join(_random.choices(string.ascii_lowercase, k=_random.randint(2, 10))) for _ in range(4000)]


def place(number: int, step: int, call: int = 0) -> int:
    """Return which payloads a step of a run has, and a call of a tool in it: others in each run."""
    return ((number * STEPS + step) * TOOLS + call) % len(PROMPTS)


def spans_of(steps: int) -> int:
    """Return how many spans a run of so many steps has."""
    return 1 + steps * (1 + TOOLS)


def _words(size: int) -> str:
    chosen: list[str] = []
    length = 0
    while length < size:
        chosen.append(_random.choice(_WORDS))
        length += len(chosen[-1]) + 1
    return " ".join(chosen)


def _message(role: str, size: int) -> list[dict[str, Any]]:
    return [{"role": role, "parts": [{"type": "text", "content": _words(size)}]}]


PROMPTS: list[list[dict[str, Any]]] = []
ANSWERS: list[list[dict[str, Any]]] = []
ARGUMENTS: list[dict[str, Any]] = []
RESULTS: list[dict[str, Any]] = []


def fill(kinds: int) -> None:
    """Have so many different payloads of each kind: the same in every process."""
    for number in range(len(PROMPTS), kinds):
        PROMPTS.append(_message("user", 2000))
        ANSWERS.append(_message("assistant", 500))
        filters = {"lang": "en", "tags": _words(60).split()}
        email = f"u{number}@example.com"
        ARGUMENTS.append({"query": _words(120), "limit": number, "filters": filters, "user_email": email})
        rows = [{"id": row, "title": _words(60), "score": row / 7} for row in range(8)]
        RESULTS.append({"rows": rows, "next": None, "took_ms": number})


fill(KINDS)
INPUT_TOKENS, OUTPUT_TOKENS = 500, 120

_KEPT = (("/query", "input"), ("/limit", "input"), ("/rows/*/title", "output"), ("/rows/*/id", "output"))
CONTRACTS: list[dict[str, Any]] = [
    {
        "name": "search",
        "data": {
            "rules": [{"selector": selector, "target": target, "action": "keep"} for selector, target in _KEPT],
        },
    }
]
"""Keeps two fields of the arguments and two of each row of the result."""
