"""evidence.json."""

from typing import Literal

from pydantic import Field

from runbundle.format.base import CaptureWord, Count, Finite, Record, Whole


class Query(Record):
    """What was asked."""

    digest: str | None = None
    """Keyed digest."""
    bytes: Count | None = None
    """Size."""
    view: str | None = None
    """The text, if policy lets it through."""
    capture: CaptureWord = "whole"
    """What became of it before redaction."""


class Document(Record):
    """One retrieved document."""

    id: str
    """The retriever's id of it."""
    rank: Whole
    """1 is the first."""
    uri: str | None = None
    """Where it is, as redaction left it."""
    title: str | None = None
    """Its title, as redaction left it."""
    score: Finite | None = None
    """The retriever's score."""
    digest: str | None = None
    """Keyed digest of the content, if the content was given."""
    bytes: Count | None = None
    """Size of the content."""
    capture: CaptureWord = "whole"
    """What became of the content before redaction. Digests compare only where this is `whole` or `oversize`."""
    cited_by: list[str] = Field(default_factory=list[str])
    """Spans that cite it. Nothing says that yet, so there are none."""


class Retrieval(Record):
    """One retrieval."""

    trace_id: str
    """Trace of its span."""
    span_id: str
    """Its span."""
    retriever: str
    """Who retrieved."""
    query: Query | None = None
    """What was asked."""
    documents: list[Document]
    """What came back, as far as it was said."""


class Evidence(Record):
    """All retrievals of a run; the file exists only if there were any."""

    schema_: Literal["runbundle/evidence/v1"] = Field(default="runbundle/evidence/v1", alias="schema")
    """Format and version."""
    run_id: str
    """The run."""
    retrievals: list[Retrieval]
    """In the order in which they started."""
