"""Which values are streams, by their types: generators, and what the packages of model providers return."""

from functools import lru_cache
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Literal

Handling = Literal["", "generator", "async generator", "coroutine", "stream", "iterator"]
"""What becomes of a value that was returned: "": recorded; an iterator: handed on untouched; the others: followed."""

_OWN: dict[type, Handling] = {
    GeneratorType: "generator",
    AsyncGeneratorType: "async generator",
    CoroutineType: "coroutine",
}
_STREAMS = frozenset(
    f"{asynchronous}{what}Stream"
    for asynchronous in ("", "Async", "Beta", "BetaAsync", "AsyncBeta")
    for what in ("", "Message", "Response", "ChatCompletion")
) | {"CustomStreamWrapper"}
_MANAGERS = frozenset(f"{name}Manager" for name in _STREAMS)
"""Names of classes: what OpenAI, Anthropic and their likes return for a stream, and what a `with` makes one of."""


@lru_cache(maxsize=1024)
def handling_of(kind: type) -> Handling:
    """Return how values of a type are handled."""
    known = _OWN.get(kind)
    if known is not None:
        return known
    iterates = any(hasattr(kind, name) for name in ("__iter__", "__aiter__"))
    names = {base.__name__ for base in kind.__mro__}
    if names & _MANAGERS and (hasattr(kind, "__enter__") or hasattr(kind, "__aenter__")):
        return "stream"
    if iterates and names & _STREAMS and any(hasattr(kind, name) for name in ("close", "aclose", "response")):
        return "stream"
    lazy = hasattr(kind, "__next__") or hasattr(kind, "__anext__") or hasattr(kind, "__await__")
    return "iterator" if lazy else ""
