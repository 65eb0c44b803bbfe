"""Writes a golden bundle: deterministic ids, clock and key. Run it only to add a bundle for a new format version.

python -m tests.golden.make_bundle tests/golden/v1/NAME
"""

import sys
import time
from pathlib import Path

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

import runbundle
from runbundle.cli.demo_agent import CONFIG, CONTRACTS, answer
from runbundle.otel.agent import at_source, starts
from runbundle.testing import FakeClock, SequentialIds


def make(store: Path) -> str:
    """Record the demo's run deterministically into `store`; return its key."""
    call_ids = iter(range(1, 1000))
    saved = starts.new_call_id, starts.versions_text
    starts.new_call_id = lambda: f"call_{f'{next(call_ids):032x}'[::-1][:24]}"
    starts.versions_text = lambda: '{"python":"3.11.0","runbundle":"0.1.0"}'  # type: ignore[assignment]
    import opentelemetry.sdk.trace as sdk_trace

    sdk_trace.time_ns = at_source.time_ns = FakeClock()  # type: ignore[attr-defined]
    try:
        provider = TracerProvider(
            id_generator=SequentialIds(), resource=Resource({"service.name": "golden"}), shutdown_on_exit=False
        )
        with runbundle.configure(
            store=store, contracts=CONTRACTS, tracer_provider=provider, key=b"a key for golden bundles"
        ) as handle:
            with runbundle.start_run("demo", run_id="golden-v1", config=CONFIG, session_id="s", user_id="u") as run:
                run.set_result({"answer": answer("Where is my parcel?")})
                run.score("helpfulness", 0.9, label="good")
            return handle.flush().sealed[0]
    finally:
        starts.new_call_id, starts.versions_text = saved[0], saved[1]
        sdk_trace.time_ns = at_source.time_ns = time.time_ns  # type: ignore[attr-defined]


if __name__ == "__main__":
    print(make(Path(sys.argv[1]).parent))
