"""Writes docs/findings.md from the catalogue of findings: python -m tests.docs.findings_page."""

from pathlib import Path

from runbundle.compare.catalogue import CAUSES
from runbundle.format.findings import FINDINGS, FindingSpec
from runbundle.format.rules import RULES

PAGE = Path(__file__).parents[2] / "docs" / "findings.md"

GROUPS = {
    "structure": "The files are there, can be read, and have the form of the format. Found by `verify`.",
    "integrity": "The files are those that were sealed, and say what their events say. Found by `verify`.",
    "completeness": "What is missing, came too late, or cannot be so. Found by `verify`; none of these means damage.",
    "redaction": "Content that should not be there. Found by `verify`, by the search before a bundle is published, and"
    " by `doctor`.",
    "references": "One file of a bundle names what another does not have. Found by `verify`.",
    "comparison": "Why two runs differ, most upstream first. Said by `diff`; they are no findings.",
    "pipeline": "The set-up of a program or a machine. Found by `doctor`, and said in the log by the program itself.",
    "contract": "Mistakes in tool contracts. Found by `runbundle contracts lint`.",
    "receipt": "Rules that a receipt names: why a value was withheld. Shown by `runbundle show RUN --span ID`; they are"
    " no findings.",
}
"""What each group of the catalogue is about, in the order of the page."""

_INTRODUCTION = """\
# Findings

Made from the catalogue in the code by `python -m tests.docs.findings_page`. `runbundle explain CODE` prints the same.

A finding is an error, a warning, or information. The exit code of `verify` is 0 for a bundle that is verified, 3 for one from which something is known to be missing, 4 for one that is not what was sealed, and 1 for any other finding.
"""  # noqa: E501 - a line of Markdown is a paragraph


def entry(code: str, spec: FindingSpec) -> str:
    """Return what the page says about one code."""
    return f"### {code}\n\n**{spec.title}** ({spec.severity})\n\n{spec.why}\n\n*To do:* {spec.what_to_do}\n"


def page() -> str:
    """Return the page."""
    parts = [_INTRODUCTION]
    for group, about in GROUPS.items():
        found = {code: spec for code, spec in {**FINDINGS, **CAUSES, **RULES}.items() if spec.dimension == group}
        parts += [f"## {group.capitalize()}\n\n{about}\n", *(entry(code, spec) for code, spec in found.items())]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
