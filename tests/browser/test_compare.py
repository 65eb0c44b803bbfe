"""Two runs beside each other, in a browser: in a tab of the page of one of them, and as a file of their own."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import runbundle
from runbundle.bundle.custody import baselines
from runbundle.bundle.reader import Bundle
from runbundle.cli.main import group
from runbundle.compare.report import between
from runbundle.store import ArtifactStore, LocalStore
from runbundle.view.server import Server
from tests.browser import environment
from tests.browser.chromium import Page
from tests.browser.conftest import opened, picture_of
from tests.support.planted import Planted, run

Configure = Callable[..., runbundle.Handle]
Serve = Callable[[ArtifactStore], Server]
SAID = "document.getElementById('panel').innerText"


@pytest.fixture
def store(configured: Configure) -> LocalStore:
    """Two runs with a changed argument, one more call, and a changed configuration."""
    handle = configured()
    run("base", Planted(steps=20))
    run("args", Planted(steps=20, order="B-2002", more=(7,), temperature=1))
    handle.flush()
    handle.shutdown()
    return LocalStore("store")


def call(*arguments: str) -> str:
    """Run a command on the test's store."""
    return CliRunner().invoke(group, [*arguments, "--store", "store"], catch_exceptions=False).output


def faults(page: Page) -> list[str]:
    """Return what the checker of accessibility finds."""
    page.send("Page.setBypassCSP", enabled=True)
    page.run(f"{environment.axe()}; true")
    return page.run("axe.run(document).then(said => said.violations.map(one => one.id + one.nodes.map(n => n.html)))")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_another_run_is_chosen_by_keys_and_the_cause_comes_first(
    store: LocalStore, served: Serve, page: Page, scheme: str
) -> None:
    """Then what changed, each with a sign, equal stretches folded; the numbers are those of the command."""
    page.scheme(scheme)
    opened(page, served(store).link("args"))
    page.press("g", "d")
    page.wait(f"{SAID}.includes('Choose the baseline')")
    assert page.run("[...document.querySelectorAll('#others option')].map(one => one.value)") == ["base"]
    page.run("document.getElementById('with').focus()")
    page.type("base")
    page.press("Enter")
    page.wait("document.querySelector('.compared') !== null")
    picture_of(page, f"{scheme}-compare")
    report = between(store, "base", "args")
    assert json.loads(call("diff", "base", "args", "--format", "json")) == report
    first = page.run("document.querySelector('.compared').firstElementChild.innerText")
    assert first == f"RB601 {report['cause']['sentence']}"
    said = page.run(SAID)
    for text in (
        "also RB608",
        "+ added tool weather",
        "~ changed tool find_order: arguments",
        "equal steps",
        "/temperature",
    ):
        assert text in said
    assert page.run("location.hash").endswith("tab=compare&with=base")
    assert faults(page) == []
    assert page.complaints == []


def test_a_link_leads_to_the_comparison_and_from_it_to_the_spans(store: LocalStore, served: Serve, page: Page) -> None:
    """A span of this run is chosen beside it; one of the other opens there; a link may turn the two around."""
    server = served(store)
    opened(page, server.link("args"))
    page.run("location.hash = '#/run/args?tab=compare&with=base'")
    page.wait("document.querySelector('.compared .steps button') !== null")
    span = page.run(
        "(() => { const one = document.querySelector('.compared .steps button'); one.click(); return one.innerText })()"
    )
    page.wait(f"document.querySelector('.detail').innerText.includes({span!r})")
    page.run("location.hash = '#/run/base?tab=compare&with=args'")
    page.wait("location.hash.startsWith('#/run/base')")
    page.wait(f"{SAID}.includes('removed tool weather')")


def test_runs_that_cannot_be_compared_say_why(store: LocalStore, served: Serve, page: Page) -> None:
    """No such run, and one that was edited by hand: no difference is shown."""
    server = served(store)
    path = store.root / "base" / "tool_calls.json"
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b"find_order", b"drop_order"))
    opened(page, server.link("args"))
    for name, words in (("base", "does not verify: RB20"), ("none", "none")):
        page.run(f"location.hash = '#/run/args?tab=compare&with={name}'")
        page.wait(f"document.querySelector('#panel [role=alert]')?.innerText.includes({words!r})")
    assert page.run("document.querySelector('.compared')") is None


def test_scores_and_gates_of_a_run_are_shown(store: LocalStore, served: Serve, page: Page) -> None:
    """Its scorecard, and the gate of a named baseline, with the span that broke it; an edited scorecard is said."""
    Path("gate.yaml").write_text("checks:\n  - {id: no-weather, type: invariant, forbidden_tools: [weather]}\n")
    assert "error_rate" in call("score", "args")
    baselines.add(store, "main", [Bundle.open(store, "base")], by="ada", reason="r")
    said = call("gate", "--policy", "gate.yaml", "--baseline", "main", "--candidate", "args")
    assert "weather was called" in said
    opened(page, served(store).link("args"))
    page.press("g", "s")
    page.wait(f"{SAID}.includes('Gate against main, entry 1 ✕ fail')")
    text = page.run(SAID)
    assert "tool_calls" in text
    assert "weather was called" in text
    assert faults(page) == []
    file = store.root / "args" / "eval" / "scorecard.json"
    file.write_bytes(file.read_bytes().replace(b'"value": 21', b'"value": 12'))
    page.press("g", "t", "g", "s")
    page.wait(f"{SAID}.includes('eval/scorecard.json was edited after it was written')")


def test_the_file_about_two_runs_opens_from_disk_and_asks_nobody(store: LocalStore, tmp_path: Path, page: Page) -> None:
    """It says what the tab says; another script is refused, and no request leaves it; without scripts it is text."""
    text = call("diff", "base", "args", "--format", "html")
    path = tmp_path / "diff.html"
    path.write_text(text.replace("</body>", "<script>window.hacked = 1</script></body>"))
    page.open(path.as_uri())
    page.wait("document.querySelector('.compared') !== null")
    picture_of(page, "file-compare")
    assert page.run("window.hacked") is None
    assert page.run("document.querySelector('h2').innerText").startswith("RB601 the configuration differs")
    assert page.run("fetch('http://127.0.0.1:9/').then(() => 'out', error => error.name)") == "TypeError"
    assert {request["url"].split("#")[0] for request in page.requests} == {path.as_uri()}
    assert "<noscript><pre>**RB601" in text
    path.write_text(text)
    page.open(path.as_uri())
    page.wait("document.querySelector('.compared') !== null")
    assert faults(page) == []
    assert len(text) < 40_000
