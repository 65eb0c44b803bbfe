"""Nothing that came from a run or a store is obeyed by a terminal, a log or a CI system: it is shown."""

import json
import logging
import os
import pty
import re
import subprocess
import sys
import unicodedata
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import runbundle
from runbundle.cli.demo_agent import record
from runbundle.cli.main import _COMMANDS
from runbundle.cli.printing import github, json_text, markdown_code, markdown_text, xml_attribute, xml_text
from runbundle.process.printable import printable, printable_json
from runbundle.store import LocalStore
from tests.conftest import sealed

CLASSES = {
    "escape": "\x1b]0;PWNED\x07\x1b[2J\x1b[35;7m",
    "control": "\x00\x01\x08\x0b\x0c",
    "line": "a\r\n::error file=x::FORGED",
    "tab": "\t",
    "delete": "\x7f",
    "c1": "\x85\x9b31m\x90",
    "bidi": "\u202e\u2066\u061c\u200f",
    "zero width": "\u200b\u200d\ufeff",
    "separators": "\u2028\u2029",
    "tags": "\U000e0041\U000e007f",
    "variations": "a\ufe0f\U000e0100",
    "surrogate": "\udce9\ud800",
    "markup": "[bold red]x[/bold red][link=http://e.example]y[/link][@click=z]",
    "commands": "##[error]x ##vso[task.x]y",
    "private": "\ue000\U000f0001\ufff9",
}
HOSTILE = "evil" + "".join(CLASSES.values())
TEXT = HOSTILE.encode("utf-8", "replace").decode()
FILE = os.fsdecode(re.sub("[/\x00\ud800]", "", HOSTILE).encode("utf-8", "surrogateescape")[:200])
FORBIDDEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ud800-\udfff\ue000-\uf8ff\ufff9-\ufffb\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
    "|a\ufe0f|\\[/?bold|\\[link=|\\[@click|##\\w*\\[|(?m:^\\s*::error file)"
)
OWN = re.compile(r"\x1b\[[0-9;]*m|\r\n")


MARKUP = (
    "![x](//evil.example/t.png) [Click](https://evil.example) <b onclick=x> &#x202e;&lt;b&gt; **x** __x__ ~~pass~~ $x$"
    " `y` @octo-org/all #12 www.evil.example | a \\| b \\"
)


def _parsed(text: str) -> str:
    """Return Markdown as the HTML that a renderer with the extensions of GitHub makes of it."""
    markdown_it: Any = pytest.importorskip("markdown_it")
    return markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text)


def test_nothing_of_a_run_is_markup_in_markdown() -> None:
    """No image, link, entity, emphasis, formula, code, cell, mention; in text, and in code."""
    text = markdown_text(MARKUP)
    rest = re.sub(r"\\[!-/:-@[-`{-~]|&#?\w+;", " ", text)
    assert not re.search(r"[@#&<>\[\]*_~$|`\\]|://|www\.", rest)
    html = _parsed(f"| a | b |\n|---|---|\n| {text} | end |\n\n- `{markdown_code(MARKUP)}`\n")
    assert html.count("<td>") == 2
    assert "<td>end</td>" in html
    assert html.count("<code>") == 1
    assert not re.search("<(?!/?(?:table|thead|tbody|tr|th|td|ul|li|code)>)", html)


@pytest.mark.parametrize("text", CLASSES.values(), ids=CLASSES.keys())
def test_each_class_of_characters_is_escaped(text: str) -> None:
    """As escapes, once; and what stands beside it stays."""
    shown = printable(f"before {text} after ä 漢 é ✔\ufe0f")
    assert not FORBIDDEN.search(shown)
    assert "\n" not in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after ä 漢 é ✔\ufe0f")
    assert printable(shown) == shown
    shown.encode()


@given(st.text(st.characters(codec=None)))
def test_no_text_passes_what_would_be_obeyed(text: str) -> None:
    """Whatever it is; and JSON with it stays the same JSON, of ASCII where it has to be."""
    shown = printable(text)
    assert not FORBIDDEN.search(shown)
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for c in shown)
    document = json_text({"a": [text]}, indent=True)
    assert json.loads(document) == {"a": [text.encode("utf-8", "backslashreplace").decode()]}
    assert all(c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for c in document)
    ElementTree.fromstring(f"<a b={xml_attribute(text)}>{xml_text(text)}</a>")
    assert len(github("error", text, text).splitlines()) == 1


@pytest.mark.parametrize(
    "text", ["", "plain text", "C:\\x", "a: b, 50 %", "[1, true]", "['a']", "[REDACTED:x]", "a[0]", "“ä” 漢字"]
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    """Nothing is escaped that is only read."""
    assert printable(text) == text
    assert printable_json(json.dumps(text)) == json.dumps(text)


def test_annotations_follow_their_own_rules() -> None:
    """Percent signs and ends of lines in the message, colons and commas too in what is a property."""
    assert github("error", "a,b:c%", "50%\r\n::x") == "::error title=a%2Cb%3Ac%25::50%25%0D%0A::x"


def poison(value: Any) -> Any:
    """Return a document of a bundle with all that is free text in it made hostile."""
    if isinstance(value, dict):
        return {key: part if key in KEPT else poison(part) for key, part in value.items()}
    if isinstance(value, list):
        return [poison(part) for part in value]
    return f"{value}{TEXT}" if isinstance(value, str) else value


KEPT = {
    "t",
    "schema",
    "run_id",
    "started_at",
    "ended_at",
    "duration_ns",
    "path",
    "sha256",
    "type",
    "time_ns",
    "trace_id",
    "span_id",
    "parent_span_id",
    "op",
    "media_type",
    "status",
    "state",
    "content_mode",
    "severity",
    "dimension",
    "decision",
    "mode",
    "side_effects",
    "action",
    "key_id",
    "supersedes",
    "trace_ids",
    "files",
    "config",
    "redaction",
    "completeness",
    "self_sha256",
    "rules",
    "counts",
    "digest",
}


@pytest.fixture
def hostile(tmp_path: Path, configured: Callable[..., runbundle.Handle]) -> Path:
    """A store that somebody else wrote to: a sound bundle, one that was edited, names of files that are not ours."""
    store = tmp_path / "store"
    rule = runbundle.FieldRule(selector="", target="output", action="keep")
    contract = runbundle.ToolContract(name="fetch", data=runbundle.DataHandling(rules=(rule,)))
    with configured(contracts=[contract]) as handle:

        @runbundle.tool
        def fetch() -> str:
            return HOSTILE

        with runbundle.start_run(HOSTILE, run_id="sound"):
            fetch()
        assert sealed(handle).key == "sound"
    key = record(LocalStore(store)).sealed[0]
    folder = store / key
    for path in folder.glob("*.json*"):
        lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        path.write_text("\n".join(json.dumps(poison(json.loads(line))) for line in lines) + "\n")
    (folder / FILE).touch()
    (store / "sound" / FILE).touch()
    (store / FILE).mkdir()
    (store / ".spool" / FILE).mkdir()
    (store / "poisoned").symlink_to(folder)
    given = {
        "name": TEXT,
        "data": {"rules": [{"selector": "/x\x1b[2J", "action": "keep"}]},
    }
    (tmp_path / "contracts.json").write_text(json.dumps({"contracts": [given]}))
    check = {"id": TEXT[:90], "type": "invariant", "metric": TEXT, "min": 0}
    (tmp_path / "policy.json").write_text(json.dumps({"checks": [check]}))
    (tmp_path / "broken.json").write_text(json.dumps({"contracts": [{"name": HOSTILE, HOSTILE: 1}]}))
    (tmp_path / "payload.json").write_text(json.dumps({"\x1b[2J\u202e": TEXT}))
    return folder


def commands(folder: Path) -> list[list[str]]:
    """Each command, on what there is and on what there is not."""
    text = TEXT.replace("\x00", "")
    named = [[command, run] for command in ("show", "tools", "verify") for run in ("sound", folder.name, text)]
    found = [[*one, "--format", form] for one in named for form in ("human", "json")]
    for form in ("human", "json", "markdown", "github"):
        for a, b in (("sound", folder.name), (text, "sound")):
            found.append(["diff", a, b, "--format", form, "--incomplete"])
    found += [["export", run, "--to", "zip", "-o", f"{len(run)}.zip"] for run in ("sound", folder.name, text)]
    found.append(["view", text, "--no-open"])
    span = next(json.loads(line)["span_id"] for line in (folder / "events.jsonl").read_text().splitlines())
    found += [["verify", run, "--format", form] for run in ("sound", folder.name) for form in ("github", "junit")]
    parts = ("--errors", "--slow", "--tree", "--config", "--evidence", "--events", "--redaction", "--full")
    found += [["show", folder.name, part, "--format", form] for part in parts for form in ("human", "json")]
    found += [["show", folder.name, "--events", "--full"]]
    found += [["show", folder.name, "--span", span], ["show", "sound", "--span", text], ["show", folder.name, "--all"]]
    found += [["ls"], ["ls", "--format", "json"], ["ls", "--refresh"], ["ls", "--text", text], ["ls", "--since", text]]
    found += [["ls", "--status", text], ["ls", f"--{text}"], [text], ["index", "--rebuild"], ["recover", "--all"]]
    found += [["recover", text], ["gc", "--older-than", "1d", "--dry-run"], ["gc", "--older-than", text]]
    found += [
        ["gc", "--keep-last", "1", "--dry-run", "--format", "json"],
        ["hold", "sound", "--reason", text],
        ["hold", "sound"],
    ]
    found += [
        ["hold", "sound", "--release"],
        ["push", "sound", f"other{text[4:9]}"],
        ["pull", text, "other"],
        ["sync", "store", "other"],
    ]
    found += [
        ["push", folder.name, "third"],
        ["explain", text],
        ["schema", text],
        ["debug", "show", text],
        ["debug", "purge"],
    ]
    found += [["doctor"], ["doctor", "--app", text], ["doctor", "--store", text], ["redact", "check", "--app", text]]
    found += [
        ["contracts", "lint", "contracts.json"],
        ["contracts", "lint", "broken.json"],
        ["contracts", "lint", text],
    ]
    found += [["contracts", "explain", text, "payload.json", "--contracts", "contracts.json"]]
    found += [
        ["contracts", "explain", "x", "payload.json", "--contracts", "contracts.json"],
        ["contracts", "init", "--from", text],
    ]
    found += [
        ["ls", option, text] for option in ("--where", "--tool", "--error", "--name", "--score", "--sort", "--user")
    ]
    found += [["ls", "--count-by", by] for by in ("tool", "error", "name")]
    found += [["ls", "--count-by", "status", "--over", "1h"], ["stats"], ["stats", "--tool", text], ["sql", text]]
    found += [["sql", "--tables"], ["tail", text], ["tail", folder.name], ["tail", text, "--format", "json"]]
    found += [["rm", text], ["rm", folder.name, "--dry-run"], ["state", "ls", "--state", text]]
    found += [["state", "show", text], ["completion", "bash"], ["completion", text]]
    found += [["score", run, *more] for run in ("sound", folder.name, text) for more in ([], ["--format", "json"])]
    found += [["score", "sound", "--scorers", text], ["gate", "--policy", text, "--candidate", "sound"]]
    asked = ["gate", "--policy", "policy.json", "--candidate"]
    found += [[*asked, run, "--format", form] for run in ("sound", folder.name)
              for form in ("human", "json", "junit", "github", "markdown")]  # fmt: skip
    found += [["baseline", "set", text, "sound", "--reason", text], ["baseline", "show", text], ["baseline", "ls"]]
    found += [["baseline", "set", "main", "sound", "--reason", text, "--by", text], ["baseline", "show", "main"]]
    found += [[*asked, text, "--baseline", "main"], ["baseline", "diff", "main"]]
    found.append(["rm", "sound"])
    return [*found, ["demo", "--store", "new"], ["redact", "text"]]


RUN = """
import io, json, sys
from runbundle.cli import main
for arguments in json.load(open("commands.json")):
    sys.argv = ["runbundle", *arguments]
    sys.stdin = io.TextIOWrapper(io.BytesIO(b"plain"))
    print("@@", len(arguments), flush=True)
    try:
        main.main()
    except SystemExit:
        pass
    sys.stdout.flush(); sys.stderr.flush()
"""


@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
def test_no_command_prints_what_a_terminal_would_obey(hostile: Path, tmp_path: Path, terminal: bool) -> None:
    """Names, errors, results, names of files, contracts, the spool, arguments: in tables, errors, hints and JSON."""
    asked = commands(hostile)
    assert {arguments[0] for arguments in asked} >= set(_COMMANDS)
    (tmp_path / "commands.json").write_text(json.dumps(asked))
    environment = {**os.environ, "RUNBUNDLE_STORE": str(tmp_path / "store"), "COLUMNS": "400", "TERM": "xterm-256color"}
    program = [sys.executable, "-W", "ignore", "-c", RUN]
    if terminal:
        outer, inner = pty.openpty()
        ran = subprocess.Popen(program, stdout=inner, stderr=inner, stdin=subprocess.DEVNULL, env=environment)
        os.close(inner)
        output = b""
        while True:
            try:
                block = os.read(outer, 65536)
            except OSError:
                break
            if not block:
                break
            output += block
        os.close(outer)
        ran.wait(60)
    else:
        output = subprocess.run(
            program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, timeout=200
        ).stdout
    place = output.find(b"\x1b[35;7m")
    assert place < 0, ascii(output[max(0, place - 300) : place + 50])
    text = OWN.sub(lambda own: "\n" if own[0] == "\r\n" else "", output.decode())
    assert text.count("@@ ") == len(asked)
    assert "Traceback" not in text, text[text.index("Traceback") - 500 :][:3000]
    found = FORBIDDEN.search(text)
    assert found is None, ascii(text[max(0, found.start() - 300) : found.end() + 100])
    assert "\\x1b]0;PWNED\\x07" in text


def test_log_messages_are_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """What they quote is shown; numbers and the form of the message stay."""
    with caplog.at_level(logging.INFO, "runbundle"):
        logging.getLogger("runbundle").warning("a run %r of %s, %d %%", "id\nx", ValueError(HOSTILE), 5)
    (said,) = caplog.records
    assert said.msg == "a run %r of %s, %d %%"
    assert not FORBIDDEN.search(said.getMessage())
    assert "\n" not in said.getMessage()
    assert said.getMessage().endswith(", 5 %")
