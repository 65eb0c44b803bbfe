"""The steps by which docs/dialects.md adds a dialect are possible: their Python is right, and the table reads."""

import ast
import importlib
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from runbundle.signals.dialects.forms.table import Dialect, Reading

PAGE = (Path(__file__).parents[2] / "docs" / "dialects.md").read_text()
BLOCKS = [textwrap.dedent(code) for code in re.findall(r"^ +```python\n(.*?)^ +```$", PAGE, re.MULTILINE | re.DOTALL)]


@pytest.mark.parametrize("code", BLOCKS, ids=["the dump", "the table", "the bundle"])
def test_what_a_block_imports_is_there(code: str) -> None:
    """Each block is Python, and its names exist."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module or "")
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")


def test_the_table_of_the_page_reads_a_tools_span() -> None:
    """Into our terms, with nothing left of its own but what it declares."""
    names: dict[str, Any] = {}
    exec(BLOCKS[1], names)
    mylib: Dialect = names["MYLIB"]
    reading = Reading(
        "tool lookup",
        {"mylib.kind": "tool", "mylib.tool": "lookup", "mylib.input": '{"order_id": "A-1"}', "mylib.output": "paid"},
    )
    assert not mylib.signs.isdisjoint(reading.attributes)
    reading.apply(mylib.rows_of[mylib.work(reading)])
    assert reading.attributes == {
        "mylib.kind": "tool",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "lookup",
        "gen_ai.tool.call.arguments": '{"order_id": "A-1"}',
        "gen_ai.tool.call.result": "paid",
    }
