"""The serializer of graph states: values come back as they were put, and their secrets are registered on both ways."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

import ormsgpack
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import _DeltaSnapshot as DeltaSnapshot  # pyright: ignore[reportPrivateUsage]

from runbundle.errors import ConfigError, RunbundleError
from runbundle.integrations.langgraph.pack import Packer, Refused
from runbundle.integrations.langgraph.secrets_at_rest import SecretBox
from runbundle.integrations.langgraph.types import (
    ARRAY,
    DELTA,
    MAPPING,
    NUMBER,
    SCALAR,
    SECRET,
    SECRETS,
    TEXT,
    TUPLE,
    NotRestorable,
    is_restorable,
    plain_value_of,
    restored,
    type_names,
)
from runbundle.redaction.detectors.known_secrets import KNOWN
from runbundle.runstate.credentials import credential_values

_log = logging.getLogger("runbundle")
_MOST_SAID = 256
_said: set[tuple[str, str]] = set()


class StateSerializer(JsonPlusSerializer):
    """Writes and reads the values of a state.

    `types` are the types that may be imported for a value, as classes or as pairs of module and name. `box` encrypts
    secrets. Without one they are written in plain, for a store that encrypts everything itself.
    """

    def __init__(self, types: Iterable[Any] = (), box: SecretBox | None = None) -> None:
        super().__init__(allowed_msgpack_modules=None)
        self._types = type_names(types)
        self._box = box

    def with_msgpack_allowlist(self, extra_allowlist: Iterable[Any]) -> "StateSerializer":
        """Return a serializer that may import `extra_allowlist` too."""
        more = type_names(extra_allowlist)
        return self if more <= self._types else StateSerializer(self._types | more, self._box)

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Return the codec and the bytes of a value, and register its secrets.

        Raises `ConfigError` for a value that cannot be stored; it names the type. A type that will not come back as
        itself is logged once.
        """
        if obj is None or type(obj) in (bytes, bytearray):
            return super().dumps_typed(obj)
        packer = Packer(self._encrypted)
        try:
            data = packer.pack(obj)
        except Refused as refused:
            raise ConfigError(
                f"the state holds a {refused.kind}, which cannot be stored",
                hint="keep plain values, pydantic models, data classes, enumerations or LangChain's own types in it",
            ) from None
        KNOWN.register(*packer.secrets)
        for kind in packer.types:
            if not is_restorable(kind, self._types):
                _say_what_is_lost(kind)
        for kind in packer.converted:
            _say(
                kind, "comes back as the built-in type that it is made from", "keep what it adds in the state by itself"
            )
        return "msgpack", data

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Return the value, and register its secrets.

        Raises `ValueError` if the bytes hold no value, and `StateCorrupt` if a secret cannot be decrypted.
        """
        codec, packed = data
        if codec != "msgpack":
            return super().loads_typed(data)
        reading = _Reading(self._types, self._decrypted)
        value = reading.unpack(packed)
        KNOWN.register(*reading.secrets)
        return value

    def _encrypted(self, packed: bytes) -> bytes:
        if self._box is None:
            return b"\0" + packed
        encrypted = b"\1" + self._box.encrypt(packed)
        if not self._box.lasting:
            _say(SecretBox, "is under a key of this process only", "pass secrets_key=, or set RUNBUNDLE_REDACTION_KEY")
        return encrypted

    def _decrypted(self, encrypted: bytes) -> bytes:
        return encrypted[1:] if encrypted[:1] == b"\0" else (self._box or SecretBox()).decrypt(encrypted[1:])


class _Reading:
    """Reads one value, and collects its secrets."""

    def __init__(self, types: frozenset[tuple[str, str]], decrypt: Callable[[bytes], bytes]) -> None:
        self._types, self._decrypt = types, decrypt
        self._failed: RunbundleError | None = None
        self.secrets: list[object] = []

    def unpack(self, data: bytes) -> Any:
        try:
            value = ormsgpack.unpackb(data, ext_hook=self._hook, option=ormsgpack.OPT_NON_STR_KEYS)
            self.secrets += credential_values(value)
            return value
        except (ValueError, RecursionError):
            raise self._failed or ValueError("not a value") from None

    def _hook(self, code: int, data: bytes) -> Any:
        try:
            return self._value(code, data)
        except RunbundleError as error:
            self._failed = error  # msgpack hides what a hook raised
            raise

    def _value(self, code: int, data: bytes) -> Any:
        if code == TEXT:
            return data.decode("utf-8", "surrogatepass")
        if code == NUMBER:
            return int(data)
        if code == SECRET:
            return self._secret(*self.unpack(self._decrypt(data)))
        found = self.unpack(data)
        if code == TUPLE:
            return tuple(found)
        if code == MAPPING:
            return dict(found)
        if code == DELTA:
            return DeltaSnapshot(found)
        if code in (ARRAY, SCALAR):
            return _array(found)
        if tuple(found[:2]) in SECRETS:
            return self._secret(*found)
        try:
            return restored(code, found, self._types)
        except NotRestorable:
            _say_named(found, "is given as plain data: import its module before, or name it in types=")
            return plain_value_of(code, found)
        except Exception as error:  # noqa: BLE001 - whatever a class of the application raises
            _say_named(
                found, f"could not be made again ({type(error).__name__}): its plain value is given in its place"
            )
            return plain_value_of(code, found)

    def _secret(self, module: str, name: str, inner: Any) -> Any:
        import pydantic

        self.secrets.append(inner)
        if (module, name) not in SECRETS:
            name = "SecretBytes" if isinstance(inner, bytes) else "SecretStr" if isinstance(inner, str) else "Secret"
        if module == "pydantic.v1.types" and name != "Secret":
            from pydantic.v1 import types as older

            return getattr(older, name)(inner)
        return getattr(pydantic, name)(inner)


def _array(parts: list[Any]) -> Any:
    import numpy  # pyright: ignore[reportMissingImports] - who stored one has it

    if len(parts) == 2:
        return numpy.frombuffer(parts[1], dtype=numpy.dtype(parts[0]))[0]  # pyright: ignore
    kind, shape, order, data = parts
    return numpy.frombuffer(data, dtype=numpy.dtype(kind)).reshape(shape, order=order).copy(order=order)  # pyright: ignore


def _say_what_is_lost(kind: type) -> None:
    if "<locals>" in kind.__qualname__:
        _say(kind, "is made within a function and does not come back as itself", "make it at the top of a module")
    else:
        pair = (kind.__module__, kind.__qualname__)
        _say(kind, "does not come back as itself", f"name it: RunStoreSaver(store, types=[{pair!r}])")


def _say_named(parts: Any, what: str) -> None:
    module, name = str(parts[0]), str(parts[1])
    if (module, name) not in _said and len(_said) < _MOST_SAID:
        _said.add((module, name))
        _log.warning("run state: a %r %s", f"{module}.{name}", what)


def _say(kind: type, what: str, hint: str) -> None:
    """Log once for each type what is lost.

    Types of LangGraph and LangChain are skipped: the user cannot change them.
    """
    if not kind.__module__.startswith(("langgraph", "langchain_core")):
        _say_named((kind.__module__, kind.__qualname__), f"{what}; {hint}")
