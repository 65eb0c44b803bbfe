"""Writes docs/format-v1.md from the tables in the code: python -m tests.docs.format_page."""

from pathlib import Path

from runbundle.bundle.checks.derived import DERIVED, GUARDED
from runbundle.format.layout import BESIDE, BUNDLE

PAGE = Path(__file__).parents[2] / "docs" / "format-v1.md"

_SEALS = {
    "commit": "its presence is the seal; it contains its own digest",
    "listed": "run.json has its digest",
    "chained": "the run.json that superseded it has its digest",
    "outside": "no",
}


def page() -> str:
    """Return the page."""
    said = "yes", "no"
    bundle = [
        f"| `{file.path}` | {file.what} | {file.writer} | {_SEALS[file.seal]} | "
        f"{'yes, if not there' if file.merged else said[not file.copied]} | {said[not file.searched]} |"
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
        "# The bundle format, version 1: files, and how each is protected",
        "",
        "Made from `format.layout` and `bundle.checks.derived` by `python -m tests.docs.format_page`.",
        "",
        "## Files of a bundle",
        "",
        "A bundle is the folder `<store>/<run_id>/` or `<store>/<tenant>/<run_id>/`. Its files are not removed while"
        " `hold.json` exists, and are removed together. Any other file or folder, also one that begins with a dot,"
        " is a finding of `verify` (RB203) and is not copied. Files under `revisions/<n>/` are listed by the run.json"
        " of revision `<n>` or of a later one.",
        "",
        "| file | holds | written by | sealed | copied | searched for credentials |",
        "|---|---|---|---|---|---|",
        *bundle,
        "",
        "## Beside the bundles of a store",
        "",
        "These are no bundles: they are not copied, verified, searched, listed, or removed with a bundle. `push` and"
        " `sync` carry baselines after their runs.",
        "",
        "| name | holds | written by | moved by |",
        "|---|---|---|---|",
        *beside,
        "",
        "The index of a local store is a file in the reader's cache folder: `RUNBUNDLE_CACHE`, else"
        " `$XDG_CACHE_HOME/runbundle`, else `~/.cache/runbundle`.",
        "",
        "## Derived and guarded fields",
        "",
        "run.json, tool_calls.json, evidence.json and config.snapshot.json follow from events.jsonl by the rules whose"
        " version run.json names (`rules`). `verify` assembles these files again and compares them. The guarded fields"
        " below do not follow from the events. Only `self_sha256` protects them, the SHA-256 of the canonical bytes of"
        " run.json without that field. It reveals damage, but no edit after which somebody computed it again. A bundle"
        " that was rewritten as a whole can be detected only by a digest kept elsewhere or by a signature. A bundle"
        " without `rules` and `self_sha256` counts as sealed before these fields existed: it is `unchanged` at best,"
        " never `verified`, and the report says why.",
        "",
        "| file | guarded field | reason | checked instead |",
        "|---|---|---|---|",
        *guarded,
        "",
        "The derived fields are:",
        "",
        *derived,
        "",
    ])  # fmt: skip


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
