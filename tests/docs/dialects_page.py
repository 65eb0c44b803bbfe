"""Writes the tables of docs/dialects.md from the tables of the dialects: python -m tests.docs.dialects_page.

What stands above and below them is written by hand.
"""

import importlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from runbundle.signals import own, semconv
from runbundle.signals.dialects.canonical import DIALECTS
from runbundle.signals.dialects.forms.table import Dialect
from runbundle.signals.keys import SPAN_KEYS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "dialects.md"
FOLDER = ROOT / "src" / "runbundle" / "signals" / "dialects"
_BEGIN = "<!-- made by python -m tests.docs.dialects_page -->\n"
_END = "<!-- end of what is made -->\n"
_SAYS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("the kind of work", (semconv.OPERATION, own.OP)),
    ("which tool, agent, model, step, retriever", (semconv.TOOL_NAME, semconv.AGENT_NAME, semconv.REQUEST_MODEL,
                                                   semconv.RESPONSE_MODEL, own.NAME, own.RETRIEVER_NAME)),
    ("which provider", (semconv.PROVIDER,)),
    ("which call", (semconv.CALL_ID, semconv.RESPONSE_ID, semconv.MCP_REQUEST_ID)),
    ("what a tool was given and gave", (semconv.ARGUMENTS, semconv.RESULT)),
    ("what a model was given and gave", (semconv.INPUT_MESSAGES, semconv.OUTPUT_MESSAGES, semconv.SYSTEM_INSTRUCTIONS,
                                         semconv.TOOL_DEFINITIONS, semconv.FINISH_REASONS)),
    ("tokens", (semconv.INPUT_TOKENS, semconv.OUTPUT_TOKENS, semconv.CACHE_READ_TOKENS, semconv.CACHE_CREATION_TOKENS,
                semconv.REASONING_TOKENS)),
    ("what was searched, where and with which result", (semconv.QUERY_TEXT, semconv.DATA_SOURCE, own.DOCUMENT_ID,
                                                        own.DOCUMENT_RANK, own.DOCUMENT_SCORE, own.DOCUMENT_CONTENT)),
    ("for whom, and in which conversation", (own.USER_ID, own.SESSION_ID, semconv.CONVERSATION_ID)),
    ("which attempt, which error", (own.ATTEMPT, semconv.ERROR_TYPE)),
    ("what came of the run", (own.RESULT, semconv.FINAL_RESULT, semconv.ALL_MESSAGES)),
    ("which table read it", (own.DIALECT,)),
)  # fmt: skip
_KINDS = """\
The word behind an attribute is how redaction takes it. A `name`, an `id` or a `number` is kept if it looks like one;
`content` and `messages` become keyed digests; `arguments` and `result` go by the tool's contract; `user` goes by the
policy; a `free_id` is kept if it looks like an id, else digested."""
_SHOWN = 8


def modules() -> dict[int, str]:
    """Return the module of each dialect, by the id of its table."""
    found: dict[int, str] = {}
    for path in sorted(FOLDER.glob("*.py")):
        if path.stem not in ("__init__", "canonical"):
            module = importlib.import_module(f"runbundle.signals.dialects.{path.stem}")
            named = (value for name, value in vars(module).items() if name == path.stem.upper())
            found |= {id(value): path.stem for value in named if isinstance(value, Dialect)}
    return found


def _codes(keys: Iterable[str]) -> str:
    return ", ".join(f"`{key}`" for key in keys)


def _signs(dialect: Dialect) -> str:
    signs = sorted(dialect.signs, key=lambda sign: (sign != semconv.OPERATION, sign))
    more = len(signs) - _SHOWN
    return _codes(signs[:_SHOWN]) + (f", and {more} more" if more > 0 else "")


def _rows(dialect: Dialect) -> Iterator[str]:
    works: dict[tuple[str, str], list[str]] = {}
    for work, rows in {"all": dialect.rows, **dialect.rows_of}.items():
        for row in rows:
            sources = [source for source in row.sources if source != row.target]
            said = _codes(sources) + (" (these stay as well)" if row.keep else "")
            if sources:
                works.setdefault((row.target, said), []).append(work)
    return (f"| `{target}` | {said} | {', '.join(of)} |" for (target, said), of in works.items())


def made() -> str:
    """Return what stands between the two marks."""
    of_table = modules()
    lines = ["## Our terms", "", _KINDS, "", "| what is said | attributes, and how redaction takes each |", "|---|---|"]
    for says, keys in _SAYS:
        kinds = [f"`{key}` ({SPAN_KEYS[key]})" for key in keys]
        lines.append(f"| {says} | {', '.join(kinds)} |")
    lines += ["", "## Signs", "", "In the order in which tables are read.", ""]
    lines += ["| table | a span that has one of these is read by it | `runbundle.dialect` |", "|---|---|---|"]
    for dialect in DIALECTS:
        table = of_table[id(dialect)]
        name = f"`{dialect.name}`" if dialect.name else ""
        lines.append(f"| [{table}](../src/runbundle/signals/dialects/{table}.py) | {_signs(dialect)} | {name} |")
    lines += ["", "## Rows", ""]
    lines += [
        "Each row is an attribute of ours and the dialect's attributes that say it, the most believable first. The last"
    ]
    lines += ["column has the table's word for the kind of work."]
    for dialect in DIALECTS:
        rows = list(_rows(dialect))
        if rows:
            lines += ["", f"### {of_table[id(dialect)]}", "", "| becomes | is read from | on spans |", "|---|---|---|"]
            lines += rows
    return "\n".join(lines) + "\n"


def page() -> str:
    """Return the page."""
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    return f"{before}{_BEGIN}\n{made()}\n{_END}{rest.partition(_END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page())
