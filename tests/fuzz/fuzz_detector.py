"""Coverage-guided fuzzing of the redactor's pure core: `python tests/fuzz/fuzz_detector.py -max_total_time=600`.

Needs `pip install atheris`. It begins with the inputs of corpus.txt, base64 a line, which test_corpus.py goes through
in every run, and leaves new ones in the folder it prints. The property is the same in both: `check`.
"""

import base64
import sys
import tempfile
from pathlib import Path
from typing import Any

try:
    import atheris  # pyright: ignore[reportMissingImports]
except ImportError:
    atheris = None

sys.path.insert(0, str(Path(__file__).parents[2] / "src"))

from runbundle.format.contract import ToolContract
from runbundle.redaction.detectors.detector import default_detector, masked
from runbundle.redaction.markers import Digester
from runbundle.redaction.payloads.payload import compile_payload_rules, redact_payload
from runbundle.redaction.receipt import Receipt, parse_receipt
from runbundle.redaction.traces_and_roles import reduce_stacktrace

_CONTRACT = ToolContract.model_validate(
    {
        "name": "t",
        "data": {"rules": [{"selector": "/a/*", "action": "keep"}, {"selector": "/b/**/c", "action": "keep"}]},
    }
)
_RULES = compile_payload_rules(_CONTRACT, "input")
_DIGEST = Digester(b"fuzz")


def check(data: bytes) -> None:
    """Any bytes, as text and as a kept value: total, idempotent, and its receipt can be read."""
    text = data.decode("utf-8", "surrogateescape")
    detector = default_detector()
    found = detector.find(text)
    assert all(0 <= s.start < s.end <= len(text) for s in found)
    shown = masked(text, found)
    assert detector.redact(shown) == shown
    receipt = Receipt()
    once: Any = redact_payload({"a": [text], "b": {text: {"c": text}}}, _RULES, _DIGEST, receipt, "arguments")
    assert redact_payload(once, _RULES, _DIGEST, Receipt(), "arguments") == once
    assert parse_receipt(receipt.to_text()) is not None
    reduced = reduce_stacktrace(text)
    assert reduce_stacktrace(reduced) == reduced


def corpus() -> list[bytes]:
    """Return the inputs that were found so far."""
    lines = (Path(__file__).parent / "corpus.txt").read_text().split()
    return [base64.b64decode(line) for line in lines]


if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp(prefix="corpus-"))
    for number, known in enumerate(corpus()):
        (folder / f"{number:04}").write_bytes(known)
    print(f"corpus: {folder}")
    atheris.instrument_all()  # pyright: ignore
    atheris.Setup([*sys.argv, str(folder)], check)  # pyright: ignore
    atheris.Fuzz()  # pyright: ignore
