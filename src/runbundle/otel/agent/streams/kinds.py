"""Tells streams from other values by their types: generators, and the stream objects of model providers."""

from functools import lru_cache
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Literal

Handling = Literal["", "generator", "async generator", "coroutine", "stream", "iterator"]
"""How a returned value is handled. "": recorded; iterator: handed on untouched; all others: followed to their end."""

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
"""Names of classes: streams of OpenAI, Anthropic and the like, and the objects that a `with` makes a stream of."""


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
