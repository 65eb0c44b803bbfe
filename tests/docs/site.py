"""Builds the documentation site in site/: python -m tests.docs.site, or `make docs`. Needs the extra `docs`.

The pages of the repository are copied as they lie, so that links between them hold, with one that is made from the
docstrings. A link to what is no page becomes its text, with the path as a tooltip: no address of the repository is
known here. Nothing is fetched, neither by the build nor by the pages.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.docs import api_page

ROOT = Path(__file__).parents[2]
STAGE = ROOT / ".cache" / "site"
SITE = ROOT / "site"

NAV: dict[str, list[str]] = {
    "": ["README.md"],
    "Use": [
        "docs/recording.md",
        "docs/forwarding.md",
        "docs/contracts.md",
        "docs/redaction.md",
        "docs/frameworks.md",
        "docs/gates.md",
        "docs/stores.md",
        "docs/searching.md",
        "docs/run-state.md",
        "docs/guarantees.md",
        "docs/figures.md",
    ],
    "Guides": ["docs/guides/*.md", "examples/README.md"],
    "Reference": [
        "docs/dialects.md",
        "docs/commands.md",
        "docs/settings.md",
        "docs/findings.md",
        "docs/api.md",
        "docs/format-v1.md",
    ],
    "Inside": ["ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"],
    "Decisions": ["docs/decisions/*.md"],
}
"""The sections of the site, and which pages are in each. A page that is not in the repository is left out."""

_BESIDE = ("examples/*.py", "docs/**/*.svg", "docs/**/*.png", "docs/**/*.gif")
"""What pages show or link to, and is no page."""

_LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
_CONFIG = """\
[project]
site_name = "runbundle"
site_description = "The flight recorder for AI agents, built on OpenTelemetry"
docs_dir = "pages"
site_dir = "site"
use_directory_urls = false
nav = [
{nav}
]

[project.theme]
font = false
language = "en"
features = ["navigation.sections", "navigation.top", "content.code.copy", "search.highlight"]

[project.markdown_extensions]
attr_list = {{}}
md_in_html = {{}}
tables = {{}}
toc.permalink = true
pymdownx.highlight.pygments_lang_class = true
pymdownx.superfences = {{}}

[[project.theme.palette]]
media = "(prefers-color-scheme: light)"
scheme = "default"

[[project.theme.palette]]
media = "(prefers-color-scheme: dark)"
scheme = "slate"
"""


def pages() -> dict[str, list[str]]:
    """Return the pages of each section, as paths below the root; `docs/api.md` is made, the others are there."""
    found: dict[str, list[str]] = {}
    for section, patterns in NAV.items():
        paths = [path for pattern in patterns for path in _matching(pattern)]
        found[section] = list(dict.fromkeys(paths))
    return found


def _matching(pattern: str) -> list[str]:
    if pattern == "docs/api.md":
        return [pattern]
    paths = [path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern)]
    return sorted(paths, key=lambda path: (not path.endswith("README.md"), path))


def stage(folder: Path) -> list[str]:
    """Copy the pages, the examples and the pictures to an empty folder; return the paths of the pages."""
    staged = [path for paths in pages().values() for path in paths]
    beside = [path.relative_to(ROOT).as_posix() for pattern in _BESIDE for path in ROOT.glob(pattern)]
    there = {*staged, *beside}
    for path in staged:
        text = api_page.page() if path == "docs/api.md" else (ROOT / path).read_text()
        _put(folder / path, _without_links_out(text, path, there))
    for path in beside:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, folder / path)
    return staged


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _without_links_out(text: str, path: str, there: set[str]) -> str:
    def shown(link: re.Match[str]) -> str:
        label, target = link[1], link[2]
        if re.match(r"[a-z]+:|#", target):
            return link[0]
        place = (ROOT / path).parent / target.partition("#")[0]
        name = place.resolve().relative_to(ROOT).as_posix()
        return link[0] if name in there else f'<span title="{name}">{label}</span>'

    parts = re.split(r"(^```.*?^```)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else _LINK.sub(shown, part) for part in parts)


def config(staged: Path) -> str:
    """Return the configuration of the generator, for pages that are in the folder `staged`."""
    lines: list[str] = []
    for section, paths in pages().items():
        each = ", ".join(f'{{ "{_title(staged / path)}" = "{path}" }}' for path in paths)
        lines.append(f'  {{ "{section}" = [{each}] }},' if section else f"  {each},")
    return _CONFIG.format(nav="\n".join(lines))


def _title(page: Path) -> str:
    heading = next(line for line in page.read_text().split("\n") if line.startswith("# "))
    return heading.removeprefix("# ").replace("`", "").replace('"', "'")


def main() -> int:
    """Build the site; return the exit code of the generator."""
    shutil.rmtree(STAGE, ignore_errors=True)
    shutil.rmtree(SITE, ignore_errors=True)
    stage(STAGE / "pages")
    (STAGE / "zensical.toml").write_text(config(STAGE / "pages"))
    zensical = Path(sys.executable).with_name("zensical")
    code = subprocess.run([zensical, "build", "--strict"], cwd=STAGE, check=False).returncode
    if code == 0:
        shutil.move(STAGE / "site", SITE)
        print(f"site: {SITE / 'index.html'}")
    return code


if __name__ == "__main__":
    sys.exit(main())
