"""What is put into a graph's state comes back as what it was, or it is said; secrets never lie there in plain."""

import collections
import dataclasses
import datetime
import decimal
import enum
import ipaddress
import logging
import math
import pathlib
import re
import subprocess
import sys
import uuid
import zoneinfo
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pydantic
import pydantic.v1
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Command, Interrupt, Send

from runbundle.errors import ConfigError, StateCorrupt
from runbundle.integrations.langgraph import RunStoreSaver
from runbundle.integrations.langgraph.secrets_at_rest import SecretBox
from runbundle.integrations.langgraph.serde import StateSerializer
from runbundle.redaction.detectors.known_secrets import KNOWN
from runbundle.runstate import EncryptedRunStore, RunState, SqliteRunStore
from tests.conftest import all_bytes

TOKEN = "merlin-of-the-lake-77"


@dataclasses.dataclass
class Cart:
    """With a field that its constructor makes."""

    items: list[int]
    total: float = dataclasses.field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.total += sum(self.items)


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    x: int
    where: "Point | None" = None


class Creds(pydantic.BaseModel):
    token: pydantic.SecretStr
    inner: Any = None
    _seen: int = pydantic.PrivateAttr(default=0)


class Open(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    name: str = pydantic.Field(default="n", alias="Name")

    @pydantic.field_validator("name")
    @classmethod
    def upper(cls, value: str) -> str:
        """Change what it is given, each time."""
        return value + "!"


class Older(pydantic.v1.BaseModel):
    token: pydantic.v1.SecretStr
    n: int = 1


class Mode(enum.Enum):
    FAST = "fast"


class Word(str, enum.Enum):  # noqa: UP042 - as most still write it
    YES = "yes"


class Right(enum.IntFlag):
    READ = 1
    WRITE = 2


class Pair(NamedTuple):
    a: int
    b: Any


class Outer:
    @dataclasses.dataclass
    class Inner:
        """Not at the top of its module."""

        x: int


def creds() -> Creds:
    """A model with all that it can have."""
    made = Creds(token=pydantic.SecretStr(TOKEN), inner=Creds(token=pydantic.SecretStr(TOKEN)))
    made._seen = 3
    return made


VALUES: dict[str, Any] = {
    "dataclass": Cart([1, 2]),
    "frozen dataclass": Point(1, Point(2)),
    "nested class": Outer.Inner(1),
    "model": creds(),
    "model with extra fields": Open(Name="x", more=[Cart([1])]),
    "older model": Older(token=pydantic.v1.SecretStr(TOKEN)),
    "secret": pydantic.SecretStr(TOKEN),
    "secret bytes": pydantic.SecretBytes(TOKEN.encode()),
    "secret of a date": pydantic.Secret[datetime.date](datetime.date(2026, 1, 2)),
    "enum": Mode.FAST,
    "enum of text": Word.YES,
    "flags": Right.READ | Right.WRITE,
    "named tuple": Pair(1, Pair(2, Mode.FAST)),
    "tuple": (1, (2, [3, (4,)])),
    "set": {1, (2, 3), Mode.FAST},
    "frozenset": frozenset({"a"}),
    "deque": collections.deque([Cart([1])]),
    "datetime": datetime.datetime(2026, 3, 29, 2, 30, tzinfo=datetime.UTC),
    "date": datetime.date(2026, 3, 29),
    "time": datetime.time(1, 2, 3, tzinfo=datetime.timezone(datetime.timedelta(hours=1))),
    "timedelta": datetime.timedelta(days=-1, microseconds=5),
    "zone": zoneinfo.ZoneInfo("UTC"),
    "uuid": uuid.UUID(int=5),
    "path": pathlib.Path("/a/b"),
    "pure path": pathlib.PurePosixPath("a/b"),
    "decimal": decimal.Decimal("0.10"),
    "complex": 1 + 2j,
    "address": ipaddress.IPv6Address("::1"),
    "network": ipaddress.IPv4Network("10.0.0.0/8"),
    "pattern": re.compile("a+", re.IGNORECASE),
    "message": HumanMessage("hi", id="1", additional_kwargs={"x": (1, 2)}),
    "answer": AIMessage("", tool_calls=[{"name": "f", "args": {"m": Mode.FAST}, "id": "1"}],
                        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}),
    "tool message": ToolMessage("x", tool_call_id="1", artifact=Cart([3])),
    "document": Document("text", metadata={"page": 1}),
    "send": Send("node", {"token": pydantic.SecretStr(TOKEN)}),
    "interrupt": Interrupt(value=Cart([1]), id="i"),
    "command": Command(update={"v": Mode.FAST}, goto="n"),
    "surrogates": "caf\udce9",
    "surrogates as a key": {"caf\udce9": ["\ud800"]},
    "keys that are no text": {Mode.FAST: 1, (1, 2): 2, 3: {uuid.UUID(int=1): 4}, Word.YES: 5},
    "great number": 2**80,
    "plain": [b"\x00", 1.5, True, None, {"a": []}],
}  # fmt: skip


def saver_of(store: Any, **options: Any) -> RunStoreSaver:
    """A saver."""
    return RunStoreSaver(store, **options)


def put(saver: RunStoreSaver, value: Any) -> Any:
    """Store a value in a channel and in a write."""
    checkpoint = {**empty_checkpoint(), "channel_values": {"c": value}, "channel_versions": {"c": "1"}}
    config = saver.put({"configurable": {"thread_id": "t", "checkpoint_ns": ""}}, checkpoint, {}, {"c": "1"})
    saver.put_writes(config, [("c", value)], "task")
    return config


def got(saver: RunStoreSaver) -> list[Any]:
    """What is stored."""
    found = saver.get_tuple({"configurable": {"thread_id": "t"}})
    assert found is not None
    assert found.pending_writes
    return [found.checkpoint["channel_values"]["c"], found.pending_writes[0][2]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteRunStore]:
    """A store in plain."""
    with SqliteRunStore(tmp_path / "s.sqlite") as opened:
        yield opened


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
def test_a_value_comes_back_as_what_it_was(store: SqliteRunStore, value: Any, caplog: Any) -> None:
    """Equal, and of the same type, without a word about it, and no secret in it can be read in the file."""
    put(saver_of(store), value)
    for found in got(saver_of(store)):
        assert type(found) is type(value)
        assert found == value
        assert repr(found) == repr(value)
    assert TOKEN.encode() not in all_bytes(store.path.parent)
    assert not caplog.records


def test_what_a_model_was_is_not_validated_again(store: SqliteRunStore) -> None:
    """Fields set, private attributes and what validators made stay."""
    value = creds()
    put(saver_of(store), [value, Open(Name="x", more=1)])
    model, open_ = got(saver_of(store))[0]
    assert model.inner.token.get_secret_value() == TOKEN
    assert model._seen == 3
    assert model.model_fields_set == {"token", "inner"}
    assert (open_.name, open_.model_extra) == ("x!", {"more": 1})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.binary()
        | st.decimals(allow_nan=False) | st.text(st.characters()) | st.dates() | st.timedeltas()
        | st.text(st.characters(categories=["Cs"])) | st.uuids() | st.sampled_from(Mode)
        | st.builds(pydantic.SecretStr, st.text(st.characters(), max_size=9)),
        lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.builds(Pair, st.integers(), inner)
        | st.dictionaries(st.text(st.characters()) | st.integers() | st.uuids() | st.sampled_from(Mode), inner),
        max_leaves=12,
    )
)  # fmt: skip
def test_values_within_values_come_back(value: Any) -> None:
    """Whatever is in whatever."""
    serde = StateSerializer((), SecretBox(b"a key for tests only"))
    found = serde.loads_typed(serde.dumps_typed(value))
    assert type(found) is type(value)
    assert found == value


def test_another_process_gets_the_same(store: SqliteRunStore) -> None:
    """One that has the types loaded, and was told nothing."""
    names = ["dataclass", "model", "enum", "named tuple", "older model", "secret"]
    put(saver_of(store), [VALUES[name] for name in names])
    store.close()
    code = f"""
from tests.unit.integrations.langgraph.test_values import *
with SqliteRunStore({str(store.path)!r}) as store:
    found = got(saver_of(store))[0]
assert found == [VALUES[name] for name in {names!r}], found
print(KNOWN.find("so " + TOKEN))
"""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[4]
    )
    assert ran.stdout.strip() == f"[(3, {3 + len(TOKEN)})]", ran.stderr


class Client:
    """No data."""


class Dumped:
    """Says how it is written, and is no data class."""

    def model_dump(self) -> dict[str, int]:
        """As pydantic has it."""
        return {"value": 1}


def test_what_cannot_be_stored_is_refused_by_name(store: SqliteRunStore) -> None:
    """The type is in the message, wherever the value is, and nothing of the value."""
    for value in (
        Client(),
        [Client()],
        {"a": (Pair(1, Client()),)},
        Creds(token=pydantic.SecretStr("x"), inner=Client()),
    ):
        with pytest.raises(ConfigError, match=r"test_values\.Client"):
            put(saver_of(store), value)
    deep: Any = 1
    for _ in range(500):
        deep = (deep,)
    loop = Cart([])
    loop.items.append(loop)
    for value in (deep, loop):
        with pytest.raises(ConfigError, match="structure of more than 100"):
            put(saver_of(store), value)


def test_what_does_not_come_back_is_said_when_it_is_put(store: SqliteRunStore, caplog: Any) -> None:
    """Once for a type, with what to write: a type that is no data, one within a function, a relative of a built-in."""
    from runbundle.integrations.langgraph import serde as langgraph_serde

    langgraph_serde._said.clear()

    @dataclasses.dataclass
    class Local:
        x: int

    class More(dict):
        pass

    with caplog.at_level(logging.WARNING, "runbundle"):
        for _ in range(2):
            put(saver_of(store), [Dumped(), Local(1), More(a=1)])
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 3
    assert any("types=[('tests.unit.integrations.langgraph.test_values', 'Dumped')]" in text for text in said)
    assert any("Local" in text and "within a function" in text for text in said)
    assert any("More" in text and "built-in" in text for text in said)
    assert got(saver_of(store))[0] == [{"value": 1}, {"x": 1}, {"a": 1}]


def test_a_checkpoint_has_nothing_imported_or_called(store: SqliteRunStore, caplog: Any) -> None:
    """Functions, classes that are no data, modules that are not loaded: what they are named for stays plain."""
    import ormsgpack

    def pack(value: Any) -> bytes:
        return ormsgpack.packb(value, option=ormsgpack.OPT_NON_STR_KEYS)

    target = str(store.path.parent / "called")
    serde = StateSerializer()
    for code in (0, 1, 2, 3, 4, 5, 105, 107):
        for module, name in (
            ("os", "mkdir"), ("os", "system"), ("subprocess", "Popen"), ("builtins", "eval"), ("builtins", "open"),
            ("antigravity", "x"), ("this", "s"), ("pathlib", "Path.mkdir"), ("pathlib", "os.mkdir"), ("", ""),
            ("tests.unit.integrations.langgraph.test_values", "subprocess.Popen"),
        ):  # fmt: skip
            for body in (target, [target], {"path": target}, [target, {}, {}]):
                with caplog.at_level(logging.CRITICAL):
                    serde.loads_typed(("msgpack", pack(ormsgpack.Ext(code, pack([module, name, body, "mkdir"])))))
    assert not Path(target).exists()
    assert "antigravity" not in sys.modules
    assert "this" not in sys.modules


def test_types_that_are_allowed_come_back(store: SqliteRunStore) -> None:
    """By pair or by class, and as a graph allows those of its schema."""
    put(saver_of(store), Dumped2(4))
    name = (__name__, "Dumped2")
    for saver in (
        saver_of(store, types=[name]),
        saver_of(store, types=[Dumped2]),
        saver_of(store).with_allowlist({name}),
    ):
        assert got(saver)[0].value == 4
    assert got(saver_of(store))[0] == {"value": 4}


class Dumped2:
    """As above, and can be made again."""

    def __init__(self, value: int) -> None:
        self.value = value

    def model_dump(self) -> dict[str, int]:
        """As pydantic has it."""
        return {"value": self.value}


def _written_by_langgraph(name: str) -> tuple[str, bytes] | None:
    try:
        return JsonPlusSerializer().dumps_typed(VALUES[name])
    except Exception:
        return None  # it does not write such a value


@pytest.mark.parametrize(
    "name", [n for n in VALUES if n not in ("complex", "great number", "tuple") and _written_by_langgraph(n)]
)
def test_what_langgraph_wrote_is_read(name: str, caplog: Any) -> None:
    """And what this package wrote as LangGraph does: each value comes as LangGraph gives it, or as what it was."""
    value = VALUES[name]
    written = _written_by_langgraph(name)
    assert written is not None
    with caplog.at_level(logging.CRITICAL):
        expected = JsonPlusSerializer().loads_typed(written)
        found = StateSerializer().loads_typed(written)
    assert found in (expected, value)


def test_a_field_that_is_new_has_its_default(store: SqliteRunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state that was stored before the class grew comes back as the class is now."""
    put(saver_of(store), [Cart([1]), Open(Name="x")])

    @dataclasses.dataclass
    class Grown(Cart):
        more: list[int] = dataclasses.field(default_factory=list)

    class Wider(Open):
        age: int = 7

    for name, kind in (("Cart", Grown), ("Open", Wider)):
        kind.__qualname__ = kind.__name__ = name
        monkeypatch.setitem(globals(), name, kind)
    cart, open_ = got(saver_of(store))[0]
    assert (cart.items, cart.total, cart.more) == ([1], 1, [])
    assert open_.age == 7


def test_secrets_are_known_when_they_are_put_and_when_they_are_read(store: SqliteRunStore) -> None:
    """Secrets by type, and what stands under the name of a credential, in any of its shapes."""
    value = {
        "a": pydantic.SecretStr("first-secret-1"), "password": "second-secret-2",
        "n": [{"name": "api_key", "value": "third-secret-3"}],
        "h": [["X-Api-Key", "fourth-secret-4"]],
        "m": HumanMessage("x", additional_kwargs={"password": "fifth-secret-5"}),
        "metadata": (Pair(1, {"client_secret": "sixth-secret-6"}),),
    }  # fmt: skip
    words = [f"{word}-secret-{n}" for n, word in enumerate(("first", "second", "third", "fourth", "fifth", "sixth"), 1)]
    put(saver_of(store), value)
    assert all(KNOWN.find(word) for word in words)
    KNOWN.clear()
    got(saver_of(store))
    assert all(KNOWN.find(word) for word in words)


def test_metadata_holds_no_credential(store: SqliteRunStore) -> None:
    """LangGraph copies the configuration of a call into it, and it is never encrypted."""
    config: Any = {"configurable": {"thread_id": "t", "api_key": "a-key-of-somebody-5", "user": "u"}}
    saver_of(store).put(config, empty_checkpoint(), {}, {})
    found = saver_of(store).get_tuple(config)
    assert found is not None
    assert (found.metadata["user"], found.metadata["api_key"]) == ("u", "[REDACTED]")
    assert b"a-key-of-somebody-5" not in all_bytes(store.path.parent)
    assert KNOWN.find("a-key-of-somebody-5")


def test_a_number_that_json_has_not_does_not_end_a_graph(store: SqliteRunStore) -> None:
    """In metadata, which is only searched by, it is null."""
    config: Any = {"configurable": {"thread_id": "t", "score": math.nan}}
    saver_of(store).put(config, empty_checkpoint(), {}, {})
    found = saver_of(store).get_tuple(config)
    assert found is not None
    assert found.metadata["score"] is None


def test_a_secret_under_another_key_is_an_error(store: SqliteRunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do about it; and the same key opens it everywhere, whatever keys a machine has kept."""
    put(saver_of(store, secrets_key=b"a key for tests only"), pydantic.SecretStr(TOKEN))
    monkeypatch.setenv("RUNBUNDLE_KEYS", str(store.path.parent / "other"))
    assert got(saver_of(store, secrets_key=b"a key for tests only"))[0].get_secret_value() == TOKEN
    with pytest.raises(StateCorrupt, match="secrets_key="):
        got(saver_of(store))


def test_a_store_that_encrypts_holds_its_secrets_under_its_own_key(
    store: SqliteRunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So they move with it, and no other key is needed."""
    put(saver_of(EncryptedRunStore(store, b"a key for tests only")), pydantic.SecretStr(TOKEN))
    assert TOKEN.encode() not in all_bytes(store.path.parent)
    monkeypatch.setenv("RUNBUNDLE_KEYS", str(store.path.parent / "other"))
    assert got(saver_of(EncryptedRunStore(store, b"a key for tests only")))[0].get_secret_value() == TOKEN
    assert not (store.path.parent / "other").exists()


def test_equal_secrets_are_encrypted_alike(store: SqliteRunStore) -> None:
    """A state that grows is still stored as its difference."""
    serde = StateSerializer((), SecretBox(b"a key for tests only"))
    assert serde.dumps_typed(creds()) == serde.dumps_typed(creds())


def test_a_state_of_our_own_engine_keeps_no_secret_type(store: SqliteRunStore) -> None:
    """JSON would hold stars in its place: that is refused. What is under the name of a credential is known."""
    with pytest.raises(ConfigError, match="SecretStr"):
        RunState(run_id="r", data={"a": [pydantic.SecretStr(TOKEN)]}).save(store)
    RunState(run_id="r", data={"password": TOKEN}).save(store)
    assert KNOWN.find(TOKEN)
    KNOWN.clear()
    RunState.load(store, "r")
    assert KNOWN.find(TOKEN)
