"""The steps of a question, done in a browser by the pointer."""

import json

from tests.browser.chromium import Page
from tests.browser.conftest import READY
from tests.support.questions import Question, Step

ROWS = "[...document.querySelectorAll('.runs .body .row:not([hidden])')]"


def done(page: Page, question: Question, words: dict[str, str]) -> str:
    """Take the steps of a question, from the list of all runs, and return what is to be seen when the answer is."""
    page.wait(f"{ROWS}.length > 1")
    for step in question.steps:
        _take(page, step, step.text.format(**words))
    for text in question.seen:
        page.wait(f"document.body.innerText.includes({json.dumps(text)})")
    return page.run("document.body.innerText")


def _take(page: Page, step: Step, text: str) -> None:
    if step.act == "more":
        page.click("document.querySelector('.tools summary')")
    elif step.act == "filter":
        page.click(f"document.querySelector('input[name={step.what}]')")
        before = page.run("document.querySelector('.list .note').innerText")
        page.type(text)
        page.wait(f"document.querySelector('.list .note').innerText !== {json.dumps(before)}")
    elif step.act == "choose":  # a browser draws the choices by itself, where no click of a test goes
        chosen = f"[...document.querySelectorAll('select')].find(s => s.ariaLabel === {json.dumps(step.what)})"
        events = "['input', 'change'].forEach(name => e.dispatchEvent(new Event(name, {bubbles: true})))"
        page.run(f"(() => {{ const e = {chosen}; e.value = {json.dumps(text)}; {events}; }})()")
    elif step.act == "row":
        row = f"{ROWS}.find(r => r.innerText.includes({json.dumps(step.what)}))"
        page.wait(f"{row} !== undefined")
        page.click(row)
        page.wait(READY, 60)
    else:
        page.click(f"document.getElementById('tab-{step.what}')")
