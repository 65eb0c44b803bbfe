"""The examples with frameworks run as printed, offline, each in an environment that has its packages."""

import re
from pathlib import Path

from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from tests.conftest import all_bytes
from tests.interop.examples import EXAMPLES, FOLDER
from tests.interop.reading import bundles_of


def run(name: str, folder: Path) -> tuple[str, list[Bundle]]:
    """Run an example; return what it printed and its bundles, each of which is verified."""
    output = EXAMPLES[name].run(folder)
    bundles = bundles_of(folder / ".runbundle")
    assert "next: runbundle" in output
    assert bundles
    assert {verify(bundle.store, bundle.key).verdict for bundle in bundles} == {"verified"}
    return output, bundles


def spans(bundle: Bundle) -> list[str]:
    """Return the name of each span after that of the span above it, as they are when they have ended."""
    above = {e["span_id"]: e.get("parent_span_id", "") for e in bundle.events() if e["type"] == "span.started"}
    names = {e["span_id"]: e["name"] for e in bundle.events() if e["type"] == "span.ended"}
    return [f"{names.get(above[span], '')} > {name}" for span, name in names.items()]


def test_each_request_of_the_web_service_is_a_bundle_with_the_request_above_the_agent(tmp_path: Path) -> None:
    """A request without an agent leaves none; the backend goes on getting requests, and agent spans redacted."""
    output, bundles = run("08_fastapi_otlp.py", tmp_path)
    assert len(bundles) == 2
    for bundle in bundles:
        assert {" > GET /ask", "GET /ask > invoke_agent concierge"} <= {*spans(bundle)}
        assert (bundle.index.counts.tool_calls, bundle.index.counts.model_calls) == (1, 2)
        assert bundle.index.completeness.unread is None
    assert "the backend has 'execute_tool weather': True" in output
    assert "the backend has '/ask?question=rain': True" in output
    assert "the backend has 'sunny in': False" in output
    assert "outside any run: {'opentelemetry.instrumentation.fastapi': 3}" in output
    assert b"sunny" not in all_bytes(tmp_path / ".runbundle")


def test_a_program_without_a_line_of_ours_is_recorded_by_the_command_that_it_shows(tmp_path: Path) -> None:
    """The command is in its docstring; the other exporter gets the run's spans redacted."""
    text = (FOLDER / "09_zero_code.py").read_text()
    shown = re.sub(r"\\\n\s*", "", text)
    assert f"{' '.join(EXAMPLES['09_zero_code.py'].before)} python examples/09_zero_code.py" in shown
    assert "import runbundle" not in text
    output, [bundle] = run("09_zero_code.py", tmp_path)
    assert " > invoke_agent concierge" in spans(bundle)
    assert [call.tool for call in bundle.tool_calls().calls] == ["lookup_order"]
    assert bundle.index.counts.model_calls == 2
    assert bundle.index.usage == {"input_tokens": 22, "output_tokens": 14}
    assert output.count('"name": "chat clerk-1"') == 2


def test_agents_of_the_openai_sdk_hand_over_in_one_bundle(tmp_path: Path) -> None:
    """The contract holds, although nothing of the tool is decorated; handoffs are steps."""
    _, [bundle] = run("10_openai_agents.py", tmp_path)
    [call] = bundle.tool_calls().calls
    assert call.arguments is not None
    assert call.arguments.view == {"order_id": "A-1001", "[REDACTED:key:1]": "[REDACTED:undeclared]"}
    assert call.agent == "billing"
    assert bundle.index.counts.model_calls == 3
    assert bundle.index.usage == {"input_tokens": 33, "output_tokens": 21}
    assert "step turn > step handoff to billing" in spans(bundle)
    assert b"ada@example.com" not in all_bytes(tmp_path / ".runbundle")


def test_an_mcp_client_and_its_server_leave_one_bundle(tmp_path: Path) -> None:
    """The server's span is within the client's, and both are one call."""
    _, [bundle] = run("11_mcp_pair.py", tmp_path)
    assert "execute_tool lookup_order > tools/call lookup_order" in spans(bundle)
    assert [call.tool for call in bundle.tool_calls().calls] == ["lookup_order"]
    assert bundle.index.completeness.state == "complete"
