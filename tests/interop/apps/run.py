"""Run one application: `python -m tests.interop.apps.run MODE APPLICATION DIALECT URL [FILE]`.

MODE says how its spans are kept: `dump` writes them, raw, into FILE; `code` calls `runbundle.configure()`; `zero` does
nothing, since the command stands behind `opentelemetry-instrument`. URL is that of the stub.
"""

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from tests.interop.apps.instrumentations import instrument
from tests.interop.apps.shared import CONTRACT


def main() -> None:
    """Run it; raise what it raises."""
    mode, application, dialect, url = sys.argv[1:5]
    os.environ |= {
        "OPENAI_API_KEY": "stub", "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_BASE": f"{url}/v1",
        "ANTHROPIC_API_KEY": "stub", "ANTHROPIC_BASE_URL": url,
    }  # fmt: skip
    module: Any = importlib.import_module(f"tests.interop.apps.{application}_app")
    end = record(mode, application, dialect, sys.argv[5] if len(sys.argv) > 5 else "")
    if hasattr(module, "emit_own"):
        module.emit_own()
    try:
        module.main()
    finally:
        end()


def record(mode: str, application: str, dialect: str, file: str) -> Callable[[], None]:
    """Begin to keep the spans of this process; return what ends it."""
    if mode == "dump":
        from tests.interop.apps.dumping import Dumper

        dumper = Dumper()
        instrument(application, dialect, dumper.provider)
        return lambda: dumper.write(file)
    if mode == "code":
        import runbundle

        handle = runbundle.configure(contracts=[CONTRACT])
        instrument(application, dialect, handle.tracer_provider)

        def end() -> None:
            print(handle.flush())
            handle.shutdown()

        return end
    return lambda: None


if __name__ == "__main__":
    main()
