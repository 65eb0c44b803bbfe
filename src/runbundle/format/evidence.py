"""Model of evidence.json."""

from typing import Literal

from pydantic import Field

from runbundle.format.base import Count, Finite, Record, Whole
from runbundle.format.words import CaptureWord


class Query(Record):
    """The query of a retrieval."""

    digest: str | None = None
    """Keyed digest of the query."""
    bytes: Count | None = None
    """Size of the query in bytes."""
    view: str | None = None
    """The text of the query, if the policy keeps it."""
    capture: CaptureWord = "whole"
    """How completely the query was captured before redaction."""


class Document(Record):
    """One retrieved document."""

    id: str
    """Id of the document, as the retriever gave it."""
    rank: Whole
    """Rank of the document; 1 is the best."""
    uri: str | None = None
    """Address of the document, redacted."""
    title: str | None = None
    """Title of the document, redacted."""
    score: Finite | None = None
    """Score that the retriever gave the document."""
    digest: str | None = None
    """Keyed digest of the content, if the retriever gave the content."""
    bytes: Count | None = None
    """Size of the content in bytes."""
    capture: CaptureWord = "whole"
    """How completely the content was captured before redaction. Compare digests only if this is `whole` or
    `oversize`."""
    cited_by: list[str] = Field(default_factory=list[str])
    """Ids of spans that cite the document; always empty so far."""


class Retrieval(Record):
    """One retrieval and the documents that it returned."""

    trace_id: str
    """Id of the trace of the retrieval's span."""
    span_id: str
    """Id of the retrieval's span."""
    retriever: str
    """Name of the retriever; `unknown` if the span does not say."""
    query: Query | None = None
    """The query, if the span says it."""
    documents: list[Document]
    """The documents that came back, as far as the span says."""


class Evidence(Record):
    """evidence.json: all retrievals of a run. The file exists only if something was retrieved."""

    schema_: Literal["runbundle/evidence/v1"] = Field(default="runbundle/evidence/v1", alias="schema")
    """Name and version of the format."""
    run_id: str
    """Id of the run."""
    retrievals: list[Retrieval]
    """The retrievals, in the order in which they started."""
