"""The code of the page, as it is sent: the modules in `static/` as one script, without comments and indentation.

The files are plain modules, whose types are checked as such; there is no build. What is left out here is what a browser
does not read, so that a page in one file stays small.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib import resources

TYPES = {"html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}
MODULES = (
    "h", "json", "columns", "rows", "minimap", "source", "timeline",
    "detail", "compare", "tabs", "list", "live", "main",
)  # fmt: skip
"""The modules, each after those that it imports."""
SCRIPT = "page.js"
FILES = ("index.html", "view.css", SCRIPT)
"""All files of the page."""

_COMMENT = re.compile(r"^[ ]*(?://[^\n]*|/\*\*.*?\*/)[ ]*\n", re.MULTILINE | re.DOTALL)
_CAST = re.compile(r"/\*\* @type [^\n]*?\*/ ?")
_IMPORT = re.compile(r'^import \{[\w, ]+\} from "\./\w+\.js";\n', re.MULTILINE)
_WORD = re.compile(r"[\w$]")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|`(?:[^`\\$]|\\.|\$(?!\{))*(?:`|\$\{)', re.DOTALL)
_END_OF_TEMPLATE = re.compile(r"(?:[^`\\$]|\\.|\$(?!\{))*(?:`|\$\{)", re.DOTALL)
_PATTERN = re.compile(r"/(?:[^/\\\[\n]|\\.|\[(?:[^\]\\]|\\.)*\])+/")
_ARGUMENT = re.compile(r"(?<![\w$])\((\w+)\)=>")
_CONSTANT = re.compile(r"\bconst(?= \w|[\[{])")
# Declarations after each other become one: those without quotes other than ", patterns and blocks, in which a semicolon
# may be no end.
_DECLARED = re.compile(r"""(?:\blet (?:[^;{}"'`\n/]|"[^";{}\\\n]*")*;)+let """)
_EXPORT = re.compile(r"^export ", re.MULTILINE)


@cache
def static_file(name: str) -> bytes | None:
    """Return a file of the page as it is sent; None if there is none of that name."""
    if name not in FILES:
        return None
    if name == SCRIPT:
        return one_script().encode()
    return _shortened(name, _source(name)).encode()


@cache
def one_script(*names: str) -> str:
    """Return all modules, or those named, as one script: one after the other, without the lines that import and export.

    So no two of them may use one name at their top.
    """
    code = "".join(_EXPORT.sub("", _IMPORT.sub("", _source(f"{name}.js"))) for name in names or MODULES)
    return f"(()=>{{{_shortened(SCRIPT, code)}}})();"


def _source(name: str) -> str:
    return resources.files("runbundle.view").joinpath("static", name).read_text("utf-8")


def _shortened(name: str, text: str) -> str:
    if name.endswith(".html"):
        return text
    text = re.sub(r"^ +|\n(?=\n)", "", _CAST.sub("", _COMMENT.sub("", text)), flags=re.MULTILINE)
    if name.endswith(".css"):
        return re.sub(r"\s*([{};,])\s*|(:) ", lambda found: found[1] or found[2], re.sub(r"/\*.*?\*/", "", text))
    tight = "".join(_tight(text)).replace(";}", "}")
    tight = _CONSTANT.sub("let", _ARGUMENT.sub(r"\1=>", tight))
    return _DECLARED.sub(lambda found: found[0].replace(";let ", ","), tight)


def _tight(code: str) -> Iterator[str]:
    """Yield the pieces of a module without the space that no token needs. Quoted text and patterns stay as they are."""
    inside: list[int] = []  # depths of braces at which a template goes on
    depth, at, before = 0, 0, "\n"
    while at < len(code):
        sign = code[at]
        if sign == "}" and inside and inside[-1] == depth:
            inside.pop()
            end = _END_OF_TEMPLATE.match(code, at + 1)
        elif sign == "/" and (before in "(,=:[!&|?{};+\n" or code[:at].rstrip().endswith("return")):
            end = _PATTERN.match(code, at)
        else:
            end = _QUOTED.match(code, at)
        if end is not None:
            piece = code[at : end.end()]
            if piece.endswith("${"):
                inside.append(depth)
        else:
            depth += (sign == "{") - (sign == "}")
            after = code[at + 1 : at + 2]
            piece = sign
            joins = not (_WORD.match(before) and _WORD.match(after)) and not (before == after and before in "+-")
            ends = before in "{(,;[=>&|?:+\n" or after in ")}],&|?:."
            if (sign == " " and joins) or (sign == "\n" and ends):
                piece = ""
        at += len(piece) or 1
        before = piece[-1:] or before
        yield piece
