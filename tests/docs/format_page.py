"""Writes docs/format-v1.md from the tables in the code: python -m tests.docs.format_page."""

from pathlib import Path

from runbundle.bundle.checks.derived import DERIVED, GUARDED
from runbundle.format.layout import BESIDE, BUNDLE

PAGE = Path(__file__).parents[2] / "docs" / "format-v1.md"

_SEALS = {
    "commit": "its presence is the seal; it carries its own digest",
    "listed": "run.json has its digest",
    "chained": "the run.json that superseded it has its digest",
    "outside": "no",
}


def page() -> str:
    """Return the page."""
    said = "yes", "no"
    bundle = [
        f"| `{file.path}` | {file.what} | {file.writer} | {_SEALS[file.seal]} | "
        f"{'yes, one that is there stays' if file.merged else said[not file.copied]} | {said[not file.searched]} |"
        for file in BUNDLE
    ]
    beside = [f"| `{p.name}` | {p.what} | {p.writer} | {f'`{p.moved_by}`' if p.moved_by else ''} |" for p in BESIDE]
    guarded = [
        f"| {name} | `{path}` | {field.why} | {field.also} |"
        for name, fields in GUARDED.items()
        for path, field in fields.items()
    ]
    derived = [f"- {name}: {', '.join(f'`{path}`' for path in sorted(fields))}" for name, fields in DERIVED.items()]
    return "\n".join([
        "# The bundle, v1: what lies where, and what holds it",
        "",
        "Made from `format.layout` and `bundle.checks.derived` by `python -m tests.docs.format_page`.",
        "",
        "## Files of a bundle",
        "",
        "Below `<store>/<run_id>/`, or `<store>/<tenant>/<run_id>/`. All of it stays while `hold.json` is there, and is"
        " removed with the bundle. Anything else, dot files and odd folders too, is a finding of `verify` (RB203), and"
        " is not copied. A file under `revisions/<n>/` is listed by the run.json of revision `<n>` or a later one.",
        "",
        "| file | holds | written by | sealed | copied | searched for credentials |",
        "|---|---|---|---|---|---|",
        *bundle,
        "",
        "## Beside the bundles of a store",
        "",
        "Never copied, verified, searched, listed, or removed with a bundle.",
        "",
        "| name | holds | written by | elsewhere by |",
        "|---|---|---|---|",
        *beside,
        "",
        "The index of a local store lies in the cache folder of whoever reads it: `RUNBUNDLE_CACHE`, else"
        " `$XDG_CACHE_HOME/runbundle`, else `~/.cache/runbundle`.",
        "",
        "## What `verify` derives, and what it takes as it stands",
        "",
        "run.json, tool_calls.json, evidence.json and config.snapshot.json follow from events.jsonl by the rules whose"
        " version run.json names (`rules`). `verify` assembles them again and compares. Of the fields below the events"
        " say nothing, or not enough: `self_sha256`, the digest of run.json's canonical bytes without it, is all that"
        " holds them. It tells damage, and no edit after which somebody made it again. A bundle rewritten as a whole"
        " is told only by a digest kept elsewhere, or a signature. One without `rules` and `self_sha256` is taken"
        " for one that was sealed before they existed, and the report says so.",
        "",
        "| file | guarded field | why | asked all the same |",
        "|---|---|---|---|",
        *guarded,
        "",
        "Derived, every one of them:",
        "",
        *derived,
        "",
    ])  # fmt: skip


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
