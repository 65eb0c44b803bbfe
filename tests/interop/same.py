"""What must be equal in the bundles of one application, whoever instrumented it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbundle.format.tool_calls import PayloadEntry
from tests.interop.reading import bundles_of


def tool_calls_of(folder: Path) -> list[dict[str, Any]]:
    """Return all tool calls below a folder without ids and times, those of a run in the order of their tools.

    Two calls of one turn are made at once, so that neither is the first.
    """
    runs = [
        sorted(
            (
                {
                    "tool": call.tool,
                    "contract": call.contract.model_dump() if call.contract else None,
                    "agent": call.agent,
                    "failed": call.status == "error",
                    "error": call.error.type if call.error else None,
                    "decision": call.policy.decision,
                    "side_effects": call.side_effects,
                    "attempt": call.attempt,
                    "arguments": _payload(call.arguments),
                    "result": _payload(call.result),
                }
                for call in bundle.tool_calls().calls
            ),
            key=lambda call: call["tool"],
        )
        for bundle in bundles_of(folder / "store")
    ]
    return sorted((call for run in runs for call in run), key=lambda call: (call["agent"] or "", call["tool"]))


def _payload(entry: PayloadEntry | None) -> dict[str, Any] | None:
    if entry is None:
        return None
    return {"view": entry.view, "digest": entry.digest, "bytes": entry.bytes, "capture": entry.capture}


@dataclass
class SaidEvidence:
    """Evidence without ids of spans."""

    queries: list[Any]
    counts: list[int]
    fields: dict[str, list[Any]]
    """Values of each field of the documents, in their order."""


def evidence_of(folder: Path) -> SaidEvidence:
    """Return all evidence below a folder."""
    files = [evidence for bundle in bundles_of(folder / "store") if (evidence := bundle.evidence()) is not None]
    retrievals = [retrieval for evidence in files for retrieval in evidence.retrievals]
    documents = [document for retrieval in retrievals for document in retrieval.documents]
    return SaidEvidence(
        [retrieval.query.digest if retrieval.query else None for retrieval in retrievals],
        [len(retrieval.documents) for retrieval in retrievals],
        {
            # Without an id of its own a document is called by its rank.
            "id": [document.id if document.id != str(document.rank) else None for document in documents],
            "score": [document.score for document in documents],
            "digest": [document.digest for document in documents],
        },
    )
