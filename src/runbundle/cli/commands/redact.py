"""`runbundle redact`: mask credentials in text, and check a set-up for leaks."""

import json
import os
import sys
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, BinaryIO, cast

import click

from runbundle.cli.options import call_app, format_option, print_json, reports_errors
from runbundle.cli.printing import say
from runbundle.errors import ConfigError
from runbundle.process.printable import printable

if TYPE_CHECKING:
    from runbundle.otel.handle import Handle
    from runbundle.redaction.detectors.detector import Detector

_BLOCK_BYTES = 65_536
_LONGEST_KEY_BYTES = 65_536
"""How much of a private key, which spans lines, is waited for."""


@click.group("redact", epilog="Example: runbundle redact text < agent.log")
def command() -> None:
    """Mask credentials in a text, and check a set-up for leaks."""


@command.command(
    "text",
    epilog='Example: echo "Authorization: Bearer eyJh.eyJz.x1y2z3" | runbundle redact text',
)
@click.option(
    "--format", "format_", type=click.Choice(["auto", "plain", "json"]), default="auto", show_default=True,
    help="Format of the input: plain text or JSON lines. auto: JSON lines if the first line is an object with a text.",
)  # fmt: skip
@reports_errors
def text(format_: str) -> None:
    """Copy standard input to standard output, with credentials masked.

    Each JSON line {"text": "…"} gives a line {"text": "…", "spans": [{"start", "end", "rule"}]}: the masked text, and
    the place of each credential in the original, in characters. Values of environment variables whose names say that
    they are secret are masked too.

    Exit codes: 0 done; 1 some lines were not such objects, and each gave a line {"error": "…"}.
    """
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    blocks = _blocks(source)
    first = next(blocks, b"")
    bad = 0
    lines = format_ == "json" or (format_ == "auto" and _text_of(first.split(b"\n", 1)[0]) is not None)
    for block in _after(first, blocks):
        if lines:
            for line in block.splitlines():
                if line.strip():
                    bad += not _record(line, sink)
        else:
            sink.write(_plain(block))
        sink.flush()
    if bad:
        say(f'error: {bad} lines are not objects with a text; each must be like {{"text": "…"}}', err=True)
        raise click.exceptions.Exit(1)


@command.command("check", epilog="Example: runbundle redact check --app myservice.telemetry:setup")
@click.option(
    "--app", metavar="MODULE:CALLABLE", help="Import and call this function, which sets up the application's telemetry."
)
@format_option()
@reports_errors
def check(app: str | None, format_: str) -> None:
    """Put a canary, a unique secret text, into every part of spans and logs, and search all output for them.

    Without --app this installation is checked, with the contracts of RUNBUNDLE_CONTRACTS: bundle and spool, OTLP over
    HTTP and gRPC to servers that the command starts, a console exporter, runbundle's own log messages, and each way to
    attach runbundle to a program. Spans of an agent may not let out any canary; spans of other code may not let out a
    known secret.

    With --app the application's own set-up is checked: its bundle, and each of its exporters of spans and logs.
    During the check these exporters are disconnected. Nothing is sent anywhere, and no file is left behind.

    The searched files are listed. Exit codes: 0 every output is clean; 1 a canary came out, or an output that was
    expected did not appear, such as a run.json.
    """
    from runbundle.otel.inspection.leak_check import check_application, check_defaults

    reports = check_defaults() if app is None else check_application(_handle(app))
    clean = all(report.reached and not report.leaked for report in reports)
    if format_ == "json":
        print_json({"clean": clean, "sinks": [report._asdict() for report in reports]})
    else:
        width = max(len(report.sink) for report in reports)
        for report in reports:
            kept = report.channels - len(report.leaked)
            verdict = "clean" if kept == report.channels else "LEAKS"
            say(f"{report.sink:<{width}}  {kept:>2} of {report.channels} channels  "
                       f"{verdict if report.reached else 'nothing came out: not checked'}")  # fmt: skip
            if report.files:
                say(f"{'':<{width}}  searched: {', '.join(report.files)}")
            for channel in report.leaked:
                say(f"{'':<{width}}  - {channel}")
        if not clean:
            say("next: runbundle doctor names the processors that are handed raw spans; runbundle explain RB901")
    raise click.exceptions.Exit(0 if clean else 1)


def _handle(app: str) -> "Handle":
    from runbundle.otel.handle import running

    call_app(app)
    handle = running()
    if handle is None:
        raise ConfigError(f"{app} did not call runbundle.configure()", hint="name the function that does")
    return handle


def _after(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _blocks(source: BinaryIO) -> Iterator[bytes]:
    """Yield whole lines as they come, without waiting for more; a private key stays in one piece."""
    read = getattr(source, "read1", source.read)
    held = bytearray()
    while data := cast("bytes", read(_BLOCK_BYTES)):
        held += data
        last = data.rfind(b"\n")  # only here: to search all that is held would be quadratic in the longest line
        if last < 0:
            continue
        cut = len(held) - len(data) + last + 1
        begun = held.rfind(b"-----BEGIN", 0, cut)
        if begun >= 0 and held.find(b"-----END", begun, cut) < 0 and len(held) - begun < _LONGEST_KEY_BYTES:
            cut = held.rfind(b"\n", 0, begun) + 1
        if cut:
            yield bytes(held[:cut])
            del held[:cut]
    if held:
        yield bytes(held)


def _plain(block: bytes) -> bytes:
    # Bytes that are not UTF-8 go through untouched, each as a character of its own.
    text = _detector().redact(block.decode("utf-8", "surrogateescape"))
    if sys.stdout.isatty():  # for reading; whoever pipes it gets what came in
        text = "\n".join("\t".join(printable(part) for part in line.split("\t")) for line in text.split("\n"))
    return text.encode("utf-8", "surrogateescape")


def _record(line: bytes, sink: BinaryIO) -> bool:
    from runbundle.redaction.detectors.detector import masked

    value = _text_of(line)
    if value is None:
        sink.write(b'{"error":"not an object with a text"}\n')
        return False
    found = _detector().find(value)
    body = {"text": masked(value, found), "spans": [span._asdict() for span in found]}
    sink.write(json.dumps(body).encode() + b"\n")
    return True


def _text_of(line: bytes) -> str | None:
    try:
        value = json.loads(line)  # not orjson, which refuses the lone surrogates that other programs write
    except (ValueError, RecursionError):
        return None
    text = cast("dict[str, object]", value).get("text") if isinstance(value, dict) else None
    return text if isinstance(text, str) else None


@cache
def _detector() -> "Detector":
    from runbundle.redaction.detectors.detector import default_detector
    from runbundle.redaction.detectors.environment import register_environment

    register_environment(os.environ)
    return default_detector()
