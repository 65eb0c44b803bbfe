"""A LangGraph checkpointer over a run store (`runbundle[langgraph]`).

A thread of LangGraph is a thread of the store: a session, which one run continues after the other. Channels are slots,
so an unchanged value is stored once; values of a few bytes stay in the head. The run of a checkpoint is the `run_id` of
its metadata or of the configuration, else the current run.
"""

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from runbundle.errors import ConfigError, StateConflict, StateCorrupt
from runbundle.integrations.langgraph.secrets_at_rest import SecretBox
from runbundle.otel.agent.run_handle import current_run
from runbundle.runstate.base import RunStore
from runbundle.runstate.credentials import masked_metadata
from runbundle.runstate.encrypted import EncryptedRunStore
from runbundle.runstate.records import CheckpointKey, CheckpointRecord, Lease, Payload, StepWrite

try:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import (
        WRITES_IDX_MAP,
        ChannelVersions,
        Checkpoint,
        CheckpointMetadata,
        CheckpointTuple,
        get_checkpoint_id,
        get_serializable_checkpoint_metadata,
    )
    from langgraph.checkpoint.serde.types import _DeltaSnapshot as DeltaSnapshot  # pyright: ignore[reportPrivateUsage]

    from runbundle.integrations.langgraph import runs as graph_runs  # where state and signals meet, see its docstring
    from runbundle.integrations.langgraph.saver_async import AsyncSaver
    from runbundle.integrations.langgraph.serde import StateSerializer
except ImportError:
    raise ConfigError(
        "langgraph-checkpoint 4.3 or later is not installed", hint="pip install 'runbundle[langgraph]'"
    ) from None

ENGINE = "langgraph"
_CODECS = {"null", "bytes", "bytearray", "msgpack"}  # those that we write; the serializer would load others too
_SMALL = 64
_DELTAS = "counters_since_delta_snapshot"  # in the metadata of checkpoints that are rebuilt from their ancestors


class RunStoreSaver(AsyncSaver):
    """A LangGraph checkpointer over any run store.

    Values come back as they were put: plain values, LangChain's messages, secrets, and the application's pydantic
    models, data classes, enumerations and named tuples, as long as the application has loaded these classes. `types`
    names further types that may come back, and that a checkpoint may import; a checkpoint can cause no other import or
    call. `put` logs each type that will not come back as itself, and raises `ConfigError` for a value that cannot be
    stored. Both name the type, never the value.

    Secrets (`SecretStr` and the like), and values under names of credentials, are registered with the redactor when
    they are put and when they are read. In a store that does not encrypt, secrets are encrypted under `secrets_key`,
    else under the redaction key of the environment, else under a key kept for this user; if runs move between machines,
    give a key.

    With `fence`, writing raises `StateConflict` once that lease is no longer the latest of its run.

    Threads with a `DeltaChannel` are rebuilt from all of their checkpoints. For them `prune`, and a `delete_for_runs`
    that would remove an ancestor, raise `StateRefused` (a `NotImplementedError`) and change nothing. `copy_thread`
    copies such threads whole.

        saver = RunStoreSaver(from_url("state.sqlite"))
        graph = builder.compile(checkpointer=saver)
    """

    def __init__(
        self,
        store: RunStore,
        *,
        types: Sequence[tuple[str, str] | type] = (),
        fence: Lease | None = None,
        secrets_key: bytes | None = None,
    ) -> None:
        box = None if isinstance(store, EncryptedRunStore) else SecretBox(secrets_key)
        super().__init__(serde=StateSerializer(types, box))
        self.store = store
        self.fence = fence

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint, and those of its channels that `new_versions` names. Returns its configuration."""
        key = _key_of(config)._replace(checkpoint_id=checkpoint["id"])
        versions, small, slots = checkpoint["channel_versions"], dict[str, Any](), dict[str, str]()
        for name, value in checkpoint["channel_values"].items():
            if name in versions and not _is_small(value):
                slots[name] = str(versions[name])
            else:
                small[name] = value
        stored = _searchable(masked_metadata(get_serializable_checkpoint_metadata(config, metadata)))
        run_id = stored.get("run_id") or config.get("run_id") or current_run().run_id or None
        if run_id is not None:
            stored["run_id"] = str(run_id)
        record = CheckpointRecord(
            key=key,
            parent_id=get_checkpoint_id(config) or None,
            engine=ENGINE,
            run_id=stored.get("run_id"),
            head=self._dumped({**checkpoint, "channel_values": small}),
            slots=slots,
            metadata=stored,
            chained=_DELTAS in stored
            or any(isinstance(value, DeltaSnapshot) for value in checkpoint["channel_values"].values()),
        )
        values = checkpoint["channel_values"]
        try:
            self.store.put_checkpoint(
                record, {name: self._dumped(values[name]) for name in slots if name in new_versions}, fence=self.fence
            )
        except StateConflict:  # a slot was pruned from under a run that still has it; or the fence, which says so again
            self.store.put_checkpoint(record, {name: self._dumped(values[name]) for name in slots}, fence=self.fence)
        return _config_of(key)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store the writes of a task.

        Errors, interrupts and other special writes replace those stored before; ordinary writes do not.
        """
        key = _key_of(config)
        kept = [
            StepWrite(task_id, WRITES_IDX_MAP.get(channel, idx), channel, self._dumped(value), task_path)
            for idx, (channel, value) in enumerate(writes)
        ]
        # Ordinary writes first: if the process dies in between, the graph asks again, and does not take an answer whose
        # update is missing.
        for special in (False, True):
            some = [write for write in kept if (write.channel in WRITES_IDX_MAP) is special]
            if some:
                self.store.append_writes(key, some, replace=special, fence=self.fence)

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return a checkpoint, the latest of its namespace without an id; None if there is none."""
        found = self._read(config)
        self._begin_run(config, found)
        return found

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return a checkpoint. It is read in a thread, and its run begins in the caller's context."""
        found = await asyncio.to_thread(self._read, config)
        self._begin_run(config, found)
        return found

    def _read(self, config: RunnableConfig) -> CheckpointTuple | None:
        key = _key_of(config)
        record = self.store.get_checkpoint(key.thread_id, key.ns, get_checkpoint_id(config) or None)
        return None if record is None else self._tuple_of(record)

    @staticmethod
    def _begin_run(config: RunnableConfig, found: CheckpointTuple | None) -> None:
        """Begin, in the caller's context, the run that continues from a checkpoint."""
        key = _key_of(config)
        if found is None:
            graph_runs.checkpoint_loaded(key.thread_id, key.ns, "", "")
        else:
            graph_runs.checkpoint_loaded(
                key.thread_id, key.ns, found.checkpoint["id"], str(found.metadata.get("run_id") or "")
            )

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Yield checkpoints, the latest first.

        Without a namespace in `config` all namespaces are listed, and without a thread all threads. `filter` gives
        values that the metadata must have.
        """
        for key in self._found(config, filter, before, limit):
            found = self.get_tuple(_config_of(key))
            if found is not None:
                yield found

    def delete_thread(self, thread_id: str) -> None:
        """Delete the checkpoints and writes of a thread."""
        self.store.delete_threads([str(thread_id)])

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete runs, and the checkpoints that they made."""
        self.store.delete_runs([str(run_id) for run_id in run_ids])

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a whole thread. Raises `StateConflict` if the target thread exists."""
        self.store.copy_thread(str(source_thread_id), str(target_thread_id))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Remove all but the latest checkpoint of each namespace (`keep_latest`), or all checkpoints (`delete`).

        Raises `ConfigError` for another strategy, or if `thread_ids` is a string.
        """
        if isinstance(thread_ids, str) or strategy not in ("keep_latest", "delete"):
            raise ConfigError(
                "invalid arguments of prune",
                hint="give a list of threads, and `keep_latest` or `delete` as the strategy",
            )
        names = [str(thread_id) for thread_id in thread_ids]
        if strategy == "delete":
            self.store.delete_threads(names)
        else:
            self.store.prune(names)

    def get_next_version(self, current: str | None, channel: None) -> str:  # noqa: ARG002 - the interface's
        """Return a version greater than `current`, and a different one on each call.

        Forks of a thread share its slots, so two of them must never choose the same version.
        """
        number = 0 if current is None else int(str(current).split(".")[0])
        return f"{number + 1:020}.{secrets.token_hex(8)}"

    def _found(
        self,
        config: RunnableConfig | None,
        filter: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> Sequence[CheckpointKey]:
        asked = (config or {}).get("configurable", {})
        only = asked.get("checkpoint_id")
        keys = self.store.find_checkpoints(
            thread_id=None if asked.get("thread_id") is None else str(asked["thread_id"]),
            ns=asked.get("checkpoint_ns"),
            where=filter,
            before=get_checkpoint_id(before) if before else None,
            limit=None if only else limit,
        )
        return [key for key in keys if key.checkpoint_id == only][:limit] if only else keys

    def _tuple_of(self, record: CheckpointRecord) -> CheckpointTuple:
        checkpoint: Any = self._loaded(record.head)
        if not _is_checkpoint(checkpoint):
            raise StateCorrupt("the head of a checkpoint is damaged")
        for name, payload in record.slot_payloads.items():
            checkpoint["channel_values"][name] = self._loaded(payload)
        metadata: Any = dict(record.metadata)
        return CheckpointTuple(
            config=_config_of(record.key),
            checkpoint=checkpoint,
            metadata=metadata,
            parent_config=None
            if record.parent_id is None
            else _config_of(record.key._replace(checkpoint_id=record.parent_id)),
            pending_writes=[(write.task_id, write.channel, self._loaded(write.payload)) for write in record.writes],
        )

    def _dumped(self, value: Any) -> Payload:
        return Payload(*self.serde.dumps_typed(value))

    def _loaded(self, payload: Payload) -> Any:
        if payload.codec not in _CODECS:
            raise StateCorrupt("a checkpoint has a codec that this saver does not write")
        try:
            return self.serde.loads_typed((payload.codec, payload.data))
        except ValueError:
            raise StateCorrupt("a part of a checkpoint does not parse") from None


def _key_of(config: RunnableConfig) -> CheckpointKey:
    asked: dict[str, Any] = config.get("configurable", {})
    if asked.get("thread_id") is None:
        raise ConfigError("no thread is named", hint='pass config={"configurable": {"thread_id": ...}}')
    return CheckpointKey(
        str(asked["thread_id"]), str(asked.get("checkpoint_ns") or ""), str(asked.get("checkpoint_id") or "")
    )


def _config_of(key: CheckpointKey) -> RunnableConfig:
    return {
        "configurable": {
            "thread_id": key.thread_id, "checkpoint_ns": key.ns, "checkpoint_id": key.checkpoint_id
        }
    }  # fmt: skip


def _searchable(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata with null for NaN and infinite numbers, which stores refuse: a graph need not fail for them."""
    try:
        return orjson.loads(orjson.dumps(metadata))
    except TypeError:
        return metadata  # the store says what is wrong with it


def _is_checkpoint(value: Any) -> bool:
    return isinstance(value, dict) and "channel_values" in value


def _is_small(value: Any) -> bool:
    return value is None or type(value) in (bool, int, float) or (type(value) is str and len(value) <= _SMALL)
