"""Writes docs/guides/ten-questions.md and its pictures: python -m tests.docs.questions_page.

The commands are run, and the page is drawn by a browser, over the store of `tests.support.questions`. It takes a minute
or two. Without a browser the pictures stay as they are.
"""

import os
import re
import shlex
import tempfile
import threading
from pathlib import Path

from tests.support.mixed_store import KEY, Mixed
from tests.support.questions import QUESTIONS, Question, Step, known, night_store, said

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guides" / "ten-questions.md"
PICTURES = {1: "runs", 2: "failure", 5: "policy", 6: "live"}
"""The questions of which the page is drawn, by their numbers, and the names of the pictures."""
_LINES = 10
_NAMELESS = """for (const one of document.querySelectorAll("p"))
  if (one.textContent.includes("{url}")) one.textContent = one.textContent.replace("{url}", "runs");"""
"""The folder of the store is of this machine."""
_INTRODUCTION = """\
# Ten questions at 3 a.m.

You have a trace id, a tool's name or a user, and a minute. Each question below is answered by one command, and by at most four clicks in `runbundle view`.

The store of this page has 300 runs of three tenants, a live one, one whose process died, one in quarantine, and one of 100,000 spans. `runbundle` stands here without `--store`; [Settings](../settings.md) says how a store is named once. On a terminal a table fits its width, as below; in a pipe nothing is cut.

This page is made by `python -m tests.docs.questions_page`, which runs each command and draws the pictures. A test compares the commands and their output with it.
"""  # noqa: E501 - a line of Markdown is a paragraph


def page(made: Mixed) -> str:
    """Return the page: each question with its command, the beginning of its output, and the clicks."""
    words = known(made)
    parts = [_INTRODUCTION]
    for number, question in enumerate(QUESTIONS, 1):
        shown = ["runbundle", *(part.format(**words) for part in question.command)]
        lines = [line.rstrip() for line in said(made, question, words, columns=80).splitlines()]
        # A path of this machine is nobody else's, and the state of this checkout neither.
        lines = [line for line in lines if not re.match(r"where |code ", line)]
        lines = [re.sub(r" --store \S+", "", line).replace(made.url, "runs") for line in lines]
        parts += [
            f"## {number}. {question.asked}\n",
            f"```sh\n{shlex.join(shown)}\n```\n",
            "```text\n" + "\n".join(_shortened(lines, question)) + "\n```\n",
            f"On the page: {_clicks(question)}\n",
        ]
        if number in PICTURES:
            parts.append(f"![{question.asked}](../picture/questions-{PICTURES[number]}.png)\n")
    return "\n".join(parts)


def _shortened(lines: list[str], question: Question) -> list[str]:
    """Return the first lines, and those that have the answer; three dots stand for others."""
    kept = [at < _LINES or any(text in line for text in question.answer) for at, line in enumerate(lines)]
    shown: list[str] = []
    for at, line in enumerate(lines):
        if kept[at] and len(shown) < 2 * _LINES:
            shown.append(line)
        elif shown[-1] != "...":
            shown.append("...")
    return shown


def _clicks(question: Question) -> str:
    found = ", then ".join(map(_told, question.steps))
    return f"{found[0].upper()}{found[1:]}. {question.clicks} clicks."


def _told(step: Step) -> str:
    if step.act == "filter":
        text = "the trace id" if "{" in step.text else f"`{step.text}`"
        return f"click into the field `{step.what}` and type {text}"
    if step.act == "choose":
        return f"choose `{step.text}` in the list `{step.what.lower()}`"
    if step.act == "row":
        return "click on the run"
    return "open `more filters`" if step.act == "more" else f"open the tab `{step.what.title()}`"


def steady(text: str) -> str:
    """Return the page without what differs each time: ids of spans and traces, times, widths and measured durations."""
    text = re.sub(r"\b[0-9a-f]{6,32}\b|\b[a-z2-7]{26}\b", "ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[ T][0-9:.]+(?:Z|[+-][0-9:]+)?", "TIME", text)
    text = re.sub(r"\.py:\d+", ".py:N", text)
    text = re.sub(r"\d{1,2}:\d\d:\d\d(?:\.\d+)?", "TIME", text)
    text = re.sub(r"[+]?[0-9.]+ (?:ns|µs|ms|s|m|h|d|B|kB)\b", "N", text)
    return re.sub(r"[ \u2588-\u258f]+", " ", text)


def main() -> None:
    """Write the page and its pictures."""
    os.environ |= {"RUNBUNDLE_REDACTION_KEY": KEY, "TZ": "UTC"}
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"RUNBUNDLE_CACHE": f"{folder}/cache", "RUNBUNDLE_KEYS": f"{folder}/keys"}
        with night_store(Path(folder) / "runs") as made:
            PAGE.write_text(page(made))
            _draw(made, Path(folder))


def _draw(made: Mixed, folder: Path) -> None:
    from runbundle.view.server import Server
    from tests.browser import environment
    from tests.browser.chromium import Browser
    from tests.browser.questions import done

    if missing := environment.why_not():
        print(f"the pictures are not drawn: {missing}")
        return
    browser = Browser(environment.chromium(), folder / "profile")
    for number, name in PICTURES.items():
        server = Server(made.store)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        tab = browser.page(width=1180, height=430)
        tab.open(server.link())
        done(tab, QUESTIONS[number - 1], known(made))
        tab.run(_NAMELESS.format(url=made.url))
        print(tab.picture(ROOT / "docs" / "picture" / f"questions-{name}.png"))
        tab.close()
        server.stop()
        thread.join(10)
    browser.close()


if __name__ == "__main__":
    main()
