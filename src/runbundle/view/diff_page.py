"""The report on two runs as one HTML file, for a ticket or a mail: it opens without a server, and asks nobody anything.

The file has the report as `diff --format json` prints it, and the code that draws it, which is that of the page. Its
policy lets a browser run this code alone, by its digest. Without JavaScript it shows the report as text.
"""

import html
from typing import Any

import orjson

from runbundle.view.code import one_script
from runbundle.view.one_file import head

_MODULES = ("h", "json", "compare")


def diff_page(report: dict[str, Any], text: str) -> str:
    """Return the file. `report`: as JSON has it; `text`: the same for people, for readers without JavaScript."""
    code = one_script(*_MODULES)
    held = orjson.dumps(report).decode().replace("<", "\\u003c")
    names = f"{report['a']['run_id']} and {report['b']['run_id']}"
    return (
        f'{head(names, code)}<div id="app"></div>\n<noscript><pre>{html.escape(text)}</pre></noscript>\n'
        f'<script type="application/json" id="compared">{held}</script>\n<script>{code}</script>\n</body>\n</html>\n'
    )
