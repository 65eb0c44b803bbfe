"""Printing for commands: text from a run or a store is escaped before it reaches a terminal or a CI system."""

import re
from typing import Any, cast

import click

from runbundle.process.printable import printable, printable_json

_NO_WIDTH = "&#8203;"
_IN_MARKDOWN = str.maketrans({
    "&": "&amp;", "<": "&lt;", ">": "&gt;", "@": f"&#64;{_NO_WIDTH}", "#": f"&#35;{_NO_WIDTH}",
    **{sign: f"\\{sign}" for sign in "\\|[]`*_!~$"},
})  # fmt: skip
_ADDRESS = re.compile(r"(:)(//)|(?<=www)()(?=\.)", re.IGNORECASE)
_EXTRA = re.compile(r"(runbundle\[(?:yaml|debug|postgres|langgraph|objects|sql|view)\])")


def say(text: str = "", status: str = "", rest: str = "", *, err: bool = False) -> None:
    """Print one line, escaped: `text`, then a `status` word that is coloured on a terminal, then `rest`."""
    if status:
        from runbundle.cli.render import status_word

        click.echo(f"{printable(text)}{status_word(printable(status))}{printable(rest)}", err=err)
    else:
        click.echo(printable(text), err=err)


def say_hint(text: str, *, err: bool = False) -> None:
    """Print a hint as `say` does, but leave our extras readable: `runbundle[sql]` is for the user to copy."""
    parts = _EXTRA.split(text)
    click.echo("hint: " + "".join(part if _EXTRA.fullmatch(part) else printable(part) for part in parts), err=err)


def json_text(value: Any, *, indent: bool = False) -> str:
    """Return one JSON document with control characters escaped. A lone surrogate becomes text that shows its code."""
    from runbundle.format.canonical import to_json_bytes

    try:
        data = to_json_bytes(value, indent=indent)
    except TypeError:
        data = to_json_bytes(_whole(value), indent=indent)
    return printable_json(data.decode())


def github(level: str, title: str, message: str, *, file: str = "", line: int = 0) -> str:
    """Return an annotation for GitHub Actions, escaped by its rules: `%`, line ends, and in properties `:` and `,`.

    `file` and `line`: where it is shown.
    """
    place = f"file={_property(file)},line={line}," if file else ""
    return f"::{level} {place}title={_property(title)}::{_github(message)}"


def markdown_text(text: str) -> str:
    """Return text that Markdown shows as it is: no markup, link, image, formula, mention or cell, and no entity.

    What a program makes of the page itself, such as mentions and addresses, is interrupted by a mark of no width.
    """
    return _ADDRESS.sub(rf"\1{_NO_WIDTH}\2", printable(text).translate(_IN_MARKDOWN))


def markdown_code(text: str) -> str:
    """Return text to stand between backticks in Markdown, outside tables. A backtick becomes an apostrophe."""
    return printable(text).replace("`", "'")


def xml_text(text: str) -> str:
    """Return text for the content of an XML element, escaped; XML allows no control characters."""
    from xml.sax.saxutils import escape  # 35 ms: it imports urllib.request

    return escape(printable(text))


def xml_attribute(text: str) -> str:
    """Return the value of an XML attribute, escaped and in quotes."""
    from xml.sax.saxutils import quoteattr

    return quoteattr(printable(text))


def _property(text: str) -> str:
    return _github(text).replace(":", "%3A").replace(",", "%2C")


def _github(text: str) -> str:
    # Ends of lines first: they have a form of their own there. What else would be obeyed is escaped as everywhere.
    data = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return printable(data)


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_whole(key): _whole(part) for key, part in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_whole(part) for part in cast("list[Any]", value)]
    return value
