"""The site has every page once, every public name, and no link that leads out of it."""

import re
from pathlib import Path

import runbundle
from tests.docs import api_page, site


def test_every_page_of_the_documentation_is_in_it_once() -> None:
    """Those below docs/ all; in one section."""
    listed = [path for paths in site.pages().values() for path in paths]
    assert len(listed) == len(set(listed))
    below = {path.relative_to(site.ROOT).as_posix() for path in (site.ROOT / "docs").rglob("*.md")}
    assert below | {"README.md", "ARCHITECTURE.md", "SECURITY.md", "docs/api.md"} <= set(listed)


def test_its_links_stay_within_it(tmp_path: Path) -> None:
    """Every relative one leads to a page, or a file beside it; what leads elsewhere has become text."""
    for path in site.stage(tmp_path):
        text = re.sub(r"^```.*?^```", "", (tmp_path / path).read_text(), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if not re.match(r"[a-z]+:|#", target):
                assert ((tmp_path / path).parent / target.partition("#")[0]).is_file(), (path, target)
    assert "pages" in site.config(tmp_path)


def test_every_public_name_is_on_the_page_of_names() -> None:
    """With what its docstring says."""
    page = api_page.page()
    for name in runbundle.__all__:
        assert f"\n## {name}\n" in page
        assert (getattr(runbundle, name).__doc__ or "").strip().split("\n")[0] in page
