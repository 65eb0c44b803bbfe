"""The page of a run, in a browser: what is to be seen, by pointer, by keyboard, and by a screen reader."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry import trace

import runbundle
from runbundle.otel.inspection.canaries import CONTRACT, RESOURCE, found_in, plant_spans
from runbundle.otel.inspection.planting import plant_own
from runbundle.store import ArtifactStore, LocalStore
from runbundle.view.server import Server
from tests.browser import environment, runs
from tests.browser.chromium import Page
from tests.browser.conftest import READY, opened, picture_of

Configure = Callable[..., runbundle.Handle]
Serve = Callable[[ArtifactStore], Server]
TABS = ("timeline", "tools", "policy", "evidence", "redaction", "integrity", "config", "raw", "scores", "compare")
_KEYS = {
    "timeline": "t",
    "tools": "o",
    "policy": "p",
    "evidence": "v",
    "redaction": "r",
    "integrity": "i",
    "config": "c",
    "raw": "w",
    "scores": "s",
    "compare": "d",
}


@pytest.fixture
def eventful(configured: Configure, served: Serve, page: Page) -> Page:
    """A page that shows a run in which everything happens."""
    bundle = runs.eventful(configured())
    return opened(page, served(bundle.store).link(bundle.key))


def _text(page: Page) -> str:
    return page.run("document.body.innerText")


def _faults(page: Page) -> list[str]:
    """Return what a checker of accessibility finds."""
    if not page.run("'axe' in window"):
        page.send("Page.setBypassCSP", enabled=True)  # the checker is no part of the page
        page.run(f"{environment.axe()}; true")
    return page.run(
        "axe.run(document, {resultTypes: ['violations']}).then(said => said.violations.map(one =>"
        " `${one.id}: ${one.nodes.map(node => node.html + ' ' + node.failureSummary).join(' | ')}`))"
    )


def _tab(page: Page, name: str) -> None:
    page.press("g", _KEYS[name])
    page.wait(f"document.getElementById('tab-{name}').getAttribute('aria-selected') === 'true'")
    page.wait("!document.getElementById('panel').innerText.includes('reading…')")


def test_the_failure_is_what_is_seen_first(eventful: Page) -> None:
    """The span in which it began is chosen, named at the top, and its details are read."""
    eventful.wait("document.querySelector('.detail section.fault') !== null")
    eventful.wait("document.querySelector('.lead').innerText.includes('execute_tool refund: ValueError')")
    active = eventful.run("document.querySelector('.row.active').getAttribute('aria-label')")
    assert active.startswith("tool execute_tool refund, error, ")
    assert "4111 11" not in _text(eventful)


def test_every_tab_is_reached_by_keys_and_says_something_of_its_own(eventful: Page) -> None:
    """Nothing is complained about, and every request goes to the server that sent the page."""
    said = {
        "timeline": "find_order", "tools": "median", "policy": "No policy decided", "evidence": "doc-1",
        "redaction": "values withheld", "integrity": "unchanged", "config": "steps", "raw": "span.started",
        "scores": "No scorecard", "compare": "Choose the baseline",
    }  # fmt: skip
    for name in TABS:
        _tab(eventful, name)
        eventful.wait(f"document.getElementById('panel').innerText.includes({said[name]!r})")
        picture_of(eventful, f"light-{name}")
    origin = eventful.run("location.origin")
    assert {request["url"].startswith(f"{origin}/") for request in eventful.requests} == {True}
    assert {request["method"] for request in eventful.requests if not request["url"].endswith("/api/enter")} == {"GET"}
    assert eventful.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_tab_has_a_fault_of_accessibility(eventful: Page, scheme: str) -> None:
    """As the checker sees them, contrast included, in light and dark."""
    eventful.scheme(scheme)
    for name in TABS:
        _tab(eventful, name)
        picture_of(eventful, f"{scheme}-{name}")
        assert _faults(eventful) == [], name


def test_the_tree_is_walked_by_the_keys_of_a_treegrid(eventful: Page) -> None:
    """Down, up, to the ends, into a branch and out of it, folded and unfolded; from fault to fault."""

    def active() -> str:
        return eventful.run("document.querySelector('.row.active')?.getAttribute('aria-label')?.split(',')[0]")

    eventful.press("Home")
    assert active() == "run run support"
    eventful.press("ArrowRight")
    assert active() == "agent invoke_agent planner"
    eventful.press("End")
    assert active() == "model chat m-1"
    eventful.press("ArrowLeft")
    assert active() == "agent invoke_agent planner"
    eventful.press("ArrowLeft")
    assert eventful.run("document.querySelector('.row.active').getAttribute('aria-expanded')") == "false"
    assert eventful.run("document.querySelectorAll('.body .row:not([hidden])').length") == 2
    eventful.press("e")
    assert active() == "tool execute_tool refund"
    eventful.press("[")
    assert active() == "run run support"
    eventful.press("]", "/")
    eventful.type("find_order")
    eventful.press("Enter")
    assert eventful.run("document.getElementById('found').textContent") == "2 found"
    assert active() == "tool execute_tool find_order"
    eventful.press("Escape", "?")
    assert eventful.run("document.querySelector('dialog').open")
    eventful.press("Escape")
    focus = eventful.run("document.activeElement.getAttribute('role')")
    assert focus == "treegrid"
    described = eventful.run(
        "document.getElementById(document.activeElement.getAttribute('aria-activedescendant')).className"
    )
    assert "active" in described


def test_a_link_leads_back_to_span_tab_and_search(configured: Configure, served: Serve, page: Page) -> None:
    """What the address says is what another browser shows."""
    bundle = runs.eventful(configured())
    server = served(bundle.store)
    opened(page, server.link(bundle.key))
    page.press("/")
    page.type("find")
    page.press("Enter", "Escape", "/")
    page.type("status:error")
    page.press("Enter")
    link = page.run("location.hash")
    assert "span=" in link
    assert "q=status" in link
    page.open("about:blank")
    page.wait("location.href === 'about:blank'")
    opened(page, server.url + link)
    assert page.run("document.getElementById('find').value") == "status:error"
    assert page.run("document.querySelector('.row.active').getAttribute('aria-label')").startswith(
        "tool execute_tool refund"
    )
    assert page.run("location.hash") == link


def test_names_are_text_whatever_they_are_made_of(tmp_path: Path, served: Serve, page: Page) -> None:
    """Markup is shown, not parsed; characters that turn others around are named; ten kilobytes are cut."""
    store = LocalStore(tmp_path / "store")
    key = runs.hostile(store)
    opened(page, served(store).link(key))
    for name in TABS:
        _tab(page, name)
    _tab(page, "timeline")
    page.press("Home", *["ArrowDown"] * len(runs.NAMES))
    assert page.run("window.hacked") is None
    assert page.run("document.querySelectorAll('img, iframe, script:not([src])').length") == 0
    text = _text(page)
    assert "</script><script>window.hacked = 1</script>" in text
    assert "⟨U+202E⟩evil" in text
    assert "⟨U+0000⟩" in text
    assert "x" * 1000 not in page.run("document.querySelector('.body').innerText")
    page.run("document.querySelector('header a').click()")
    page.wait("document.querySelector('.runs .body .row:not([hidden])')?.innerText.includes('</script>')")
    assert "x" * 1000 not in page.run("document.querySelector('.runs').innerText")
    assert page.run("window.hacked") is None
    assert page.complaints == []


def test_numbers_are_shown_as_they_were_recorded(configured: Configure, served: Serve, page: Page) -> None:
    """JavaScript's own are others above 2**53, as ids of messengers and databases are; so are parts of 1.0 and 1e22."""
    contract = runbundle.ToolContract(
        name="pay",
        data=runbundle.DataHandling(rules=(runbundle.FieldRule(selector="/**", action="keep"),)),
    )
    handle = configured(contracts=[contract])
    numbers = {"id": 9007199254740993, "least": -(2**63), "most": 2**64 - 1, "one": 1.0, "far": 1e22, "more": 2**70}
    with (
        runbundle.start_run("pay", run_id="numbers", config={"seed": 9007199254740993}),
        runbundle.start_tool("pay", numbers),
    ):
        trace.get_current_span().set_attribute("gen_ai.request.seed", 9007199254740995)
    (key,) = handle.flush().sealed
    opened(page, served(handle.store).link(key))
    page.press("End")
    page.wait("document.querySelector('.detail')?.innerText.includes('Arguments')")
    said = page.run("document.querySelector('.detail pre').innerText")
    assert json.loads(said) == numbers | {"more": str(2**70)}
    assert ('"one": 1.0' in said, '"far": 1e+22' in said) == (True, True)
    assert "gen_ai.request.seed: 9007199254740995" in page.run("document.querySelector('.detail').textContent")
    _tab(page, "config")
    page.wait("document.getElementById('panel').innerText.includes('9007199254740993')")


def test_no_canary_is_in_any_answer(configured: Configure, served: Serve, page: Page) -> None:
    """Of every channel of spans, our own API's included, after all tabs were looked at."""
    handle = configured(resource=RESOURCE, contracts=[CONTRACT])
    with runbundle.start_run("leak"):
        plant_spans(handle.tracer_provider)
    plant_own()
    keys = handle.flush().sealed
    server = served(handle.store)
    opened(page, server.link(keys[0]))
    for key in keys:
        opened(page, f"{server.url}#/run/{key}")
        for name in TABS:
            _tab(page, name)
    page.run("document.querySelector('header a').click()")
    page.wait("document.querySelectorAll('.runs .body .row:not([hidden])').length > 0")
    got = dict(page.bodies())
    for kind in ("bytes/", "tab/policy/", "tab/redaction/", "tab/config/", "columns/", "about/", "runs"):
        assert any(f"/api/{kind}" in url for url in got), kind
    for url, body in got.items():
        assert found_in(body) == [], url


def test_the_list_shows_the_runs_of_a_store_and_opens_one(configured: Configure, served: Serve, page: Page) -> None:
    """Filtered as `ls` filters; a run is opened with Enter, and the way back is a link."""
    handle = configured()
    runs.eventful(handle, run_id="one")
    runs.eventful(handle, run_id="two")
    server = served(handle.store)
    page.open(server.link())
    page.wait("document.querySelectorAll('.runs .body .row:not([hidden])').length === 2")
    picture_of(page, "light-runs")
    page.run("document.querySelector('.tools summary').click()")
    page.run("document.querySelector('input[name=tool]').focus()")
    page.type("nothing_like_it")
    page.wait("document.body.innerText.includes('no such runs in')")
    page.run("document.querySelector('input[name=tool]').value = ''")
    page.run("document.querySelector('form').dispatchEvent(new Event('input'))")
    page.wait("document.querySelectorAll('.runs .body .row:not([hidden])').length === 2")
    page.run("document.querySelector('.runs').focus()")
    page.press("Home", "ArrowDown", "Enter")
    page.wait("document.documentElement.dataset.ready")
    assert page.run("location.hash").startswith("#/run/one")
    page.run("document.querySelector('header a').click()")
    page.wait("document.querySelectorAll('.runs .body .row:not([hidden])').length === 2")
    page.run("document.querySelector('details').open = true")
    assert _faults(page) == []
    assert page.complaints == []


def test_a_raw_id_finds_its_runs_and_is_in_no_address(
    configured: Configure, served: Serve, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in the page's own nor in one that is asked; other filters are, so that a link has them."""
    monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY", "a key for tests only, thirty-two bytes")
    handle = configured(key=None)
    for number, user in enumerate(("mallory", "alice", "mallory")):
        with runbundle.start_run("job", run_id=f"job-{number}", user_id=user):
            pass
    handle.flush()
    server = served(handle.store)
    page.open(server.link())
    rows = "[...document.querySelectorAll('.runs .body .row:not([hidden])')].map(r => r.innerText).join()"
    page.wait(f"{rows}.includes('job-1')")
    for name, text in (("text", "job"), ("user", "mallory")):
        page.run(f"document.querySelector('details').open = true, document.querySelector('input[name={name}]').focus()")
        page.type(text)
    page.wait(f"!{rows}.includes('job-1') && {rows}.includes('job-0') && {rows}.includes('job-2')")
    assert page.run("location.hash") == "#/?text=job"
    page.run("document.querySelector('.runs').focus()")
    page.press("Home", "Enter")
    page.wait(READY)
    page.run("document.querySelector('header a').click()")
    page.wait(f"{rows}.includes('job-2') && !{rows}.includes('job-1')")
    assert not any("mallory" in request["url"] for request in page.requests)
    assert "mallory" not in page.run("JSON.stringify([location.href, document.title])")
    page.open("about:blank")
    page.wait("location.href === 'about:blank'")
    page.open(f"{server.url}#/?text=job-1")
    page.wait(f"{rows}.includes('job-1') && !{rows}.includes('job-2')")


def test_a_run_that_is_sealed_anew_while_it_is_viewed_is_said(configured: Configure, served: Serve, page: Page) -> None:
    """Its bytes are not mixed: the old page is refused and offers to reload."""
    handle = configured()
    bundle = runs.eventful(handle)
    opened(page, served(handle.store).link(bundle.key))
    old = handle.store.get(f"{bundle.key}/run.json")
    handle.store.put(f"{bundle.key}/run.json", old.replace(b'"support"', b'"another"'), overwrite=True)
    page.press("Home", "ArrowDown")
    page.wait("document.querySelector('.notice').innerText.includes('sealed anew')")


def test_a_bundle_that_was_changed_is_not_shown_as_if_it_were_whole(
    configured: Configure, served: Serve, page: Page
) -> None:
    """A warning stands above everything."""
    handle = configured()
    bundle = runs.eventful(handle)
    events = handle.store.get(f"{bundle.key}/events.jsonl")
    handle.store.put(
        f"{bundle.key}/events.jsonl",
        events.replace(b"A-100", b"B-100").replace(b"find_order", b"lose_order"),
        overwrite=True,
    )
    opened(page, served(handle.store).link(bundle.key))
    page.wait("document.querySelector('.notice').innerText.includes('not what was sealed')")
