"""Joins the items of a stream as they pass, in bounded memory.

Text, bytes and the chunks of model providers are joined to what they are pieces of. Other items, and mixed streams, are
a sequence: kept as a list while it is small, then as a digest of all items, and marked as `chunked`.
"""

import io
from hashlib import sha256
from typing import Any, Literal, NamedTuple, cast

import orjson

from runbundle.format.words import CaptureWord
from runbundle.otel.agent.capture import MAX_CAPTURE_BYTES, Captured, capture
from runbundle.otel.agent.streams.answer import Answer, GrowingText
from runbundle.otel.agent.streams.chunks import read_chunk, read_message
from runbundle.redaction.captured import DIGESTED, Said, worst
from runbundle.redaction.markers import is_marker, marker

MAX_ITEMS = 1000
MAX_LIST_BYTES = 262_144

Joining = Literal["answer", "text", "items", ""]
"""How the items of a stream are joined: to a model's answer, to text, as separate items, or "": not recorded."""

_NOT_MADE = marker("unserialisable")


class Joined(NamedTuple):
    """The joined content of a stream."""

    text: str
    """JSON text, or a marker."""
    word: CaptureWord
    """The word for what became of the content."""
    sha256: str
    """Digest of the canonical text, or of the sequence of items; "" if that does not cover all of them."""
    size_bytes: int
    """Bytes of the text, or of all items together."""
    chunked: bool = False
    """Whether the same content, cut otherwise, would have another digest."""
    answer: Answer | None = None
    """The model's answer, if the content is one."""

    def said(self, word: CaptureWord) -> Said:
        """Return the content's entry in `runbundle.capture`, at best `word`."""
        word = worst((word, self.word))
        told = self.sha256 and word in DIGESTED and (word != "whole" or self.chunked)
        return Said(word, self.sha256, "", self.size_bytes, self.chunked) if told else Said(word, chunked=self.chunked)


class _Bytes:
    """Bytes that grow; beyond the limit only their digest does."""

    def __init__(self) -> None:
        self._data, self._hash, self.size = io.BytesIO(), sha256(), 0

    def add(self, piece: bytes) -> None:
        self._hash.update(piece)
        self.size += len(piece)
        if self.size <= MAX_CAPTURE_BYTES:
            self._data.write(piece)
        else:
            self._data = io.BytesIO()

    def joined(self) -> Joined:
        if self.size <= MAX_CAPTURE_BYTES:
            return _whole(capture(self._data.getvalue()))
        return Joined(marker("oversize", size=self.size), "oversize", self._hash.hexdigest(), self.size)


class Joiner:
    """Takes the items of one stream. Never raises."""

    def __init__(self, joining: Joining) -> None:
        self._joining: Joining = joining
        self._part: GrowingText | _Bytes | Answer | None = None
        """The text, bytes or answer that the last items are pieces of."""
        self._hash = sha256()
        self._list: list[str] | None = []
        self._size = 0
        self._word: CaptureWord = "whole"
        self.count = 0
        """Parts that are complete."""

    def add(self, item: Any) -> None:
        """Take the next item. Never raises; an item that cannot be read becomes a marker."""
        if not self._joining:
            return
        try:
            self._add(item)
        except Exception:  # noqa: BLE001 - hostile attributes, whatever: the agent must not notice
            self._close(Joined(_NOT_MADE, "unserialisable", "", 0))

    def _add(self, item: Any) -> None:
        part = self._part
        if self._joining != "items":
            if isinstance(item, str):
                if not item and part is not None:
                    return
                if not isinstance(part, GrowingText):
                    part = self._begin(GrowingText())
                part.add(item)
                if part.chars > MAX_CAPTURE_BYTES and not part.oversize:
                    part.digest_only()
                return
            if isinstance(item, bytes | bytearray | memoryview):
                (part if isinstance(part, _Bytes) else self._begin(_Bytes())).add(bytes(cast("Any", item)))
                return
            answer = part if isinstance(part, Answer) else Answer()
            if read_chunk(answer, item, own_deltas=self._joining == "answer"):
                if answer is not part:
                    self._begin(answer)
                return
        self._end()
        self._close(_whole(capture(item)))

    def read_whole(self, message: Any) -> bool:
        """Take a whole answer in place of its chunks; return False if the message is none."""
        answer = Answer()
        try:
            found = self._joining in ("answer", "text") and read_message(answer, message)
        except Exception:  # noqa: BLE001 - as above
            found = False
        if found:
            self._part = answer
        return found

    def joined(self) -> Joined:
        """Return the joined content. Items added afterwards have no effect. Never raises."""
        try:
            answer = self._part if isinstance(self._part, Answer) else None
            if self._part is not None and not self.count:
                return _joined(self._part)._replace(answer=answer, chunked=answer is not None and answer.chunked)
            self._end()
        except Exception:  # noqa: BLE001 - as above
            return Joined(_NOT_MADE, "unserialisable", "", 0)
        chunked = self.count > 0
        if self._list is not None:
            text, word = f"[{','.join(self._list)}]", self._word
            data = text.encode()
            # What the text does not hold stands in the digest of the sequence.
            digest, size = (sha256(data).hexdigest(), len(data)) if word == "whole" else ("", self._size)
        else:
            text, word, digest, size = (
                marker("oversize", size=self._size),
                worst((self._word, "oversize")),
                "",
                self._size,
            )
        if not digest and word in DIGESTED:
            digest = self._hash.hexdigest()
        return Joined(text, word, digest, size, chunked, answer)

    def _begin(self, part: Any) -> Any:
        self._end()
        self._part = part
        return part

    def _end(self) -> None:
        """Close the part that the last items were pieces of."""
        part, self._part = self._part, None
        if part is None or (isinstance(part, Answer) and not part.said):
            return  # usage alone is no part
        self._close(_joined(part))

    def _close(self, made: Joined) -> None:
        self._word = worst((self._word, made.word))
        text = marker("oversize", size=made.size_bytes) if made.word == "oversize" else made.text
        # A part that is digested already stands in the sequence by that.
        data = (text if made.word == "whole" else f"{text}{made.sha256}").encode("utf-8", "surrogatepass")
        self._hash.update(b"%d:" % len(data))
        self._hash.update(data)
        self.count += 1
        self._size += len(data)
        if self._list is None:
            return
        if self.count > MAX_ITEMS or self._size > MAX_LIST_BYTES:
            self._list = None
        else:
            self._list.append(_quoted(text))


def with_returned(made: Joined, returned: Any) -> Joined:
    """Return a generator's joined items together with the value that it returned."""
    last = _whole(capture(returned))
    text = f'{{"yielded":{_quoted(made.text)},"returned":{_quoted(last.text)}}}'
    # A digest stands for what the text does not hold.
    word = worst((made.word, last.word))
    data = text if word == "whole" else f"{text}{made.sha256}{last.sha256}"
    digest = sha256(data.encode()).hexdigest() if made.sha256 and last.sha256 else ""
    return made._replace(text=text, word=word, sha256=digest, size_bytes=made.size_bytes + last.size_bytes)


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode() if is_marker(text) else text


def _joined(part: GrowingText | _Bytes | Answer) -> Joined:
    if isinstance(part, _Bytes):
        return part.joined()
    seen = capture(part.value())
    if isinstance(part, Answer) and part.cut:
        return _whole(seen)._replace(word="cut", sha256="")
    if not part.oversize:
        return _whole(seen)
    data = seen.text.encode()
    roles = ("assistant",) if isinstance(part, Answer) else ()
    return Joined(marker("oversize", size=part.chars, roles=roles), "oversize", sha256(data).hexdigest(), part.chars)


def _whole(seen: Captured) -> Joined:
    """Return what became of one value: its digest is of all of it, or there is none."""
    if seen.size is not None:
        return Joined(seen.text, seen.word, seen.sha256, seen.size)
    data = seen.text.encode("utf-8", "surrogatepass")
    return Joined(seen.text, seen.word, sha256(data).hexdigest() if seen.word == "whole" else "", len(data))
