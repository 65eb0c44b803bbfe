"""Markers and receipts that were there before a record came to its first redactor: counted, since they are nobody's.

A tool may have returned text that was redacted elsewhere, and anybody may write what looks like a marker of ours. The
grammar of both is closed, so that they carry nothing; but what a bundle says was withheld, nobody here withheld.
"""

import re
from collections.abc import Mapping
from typing import Any, cast

from runbundle.redaction.markers import MARKER
from runbundle.redaction.receipt import Receipt, parse_receipt
from runbundle.signals import own

_AT_CAPTURE = re.compile(r"\[REDACTED:(?:credential|unserialisable|oversize(?::bytes=[0-9<]+)?(?::roles=[a-z+]+)?)\]")
"""What the capture of values writes itself, each as a whole value: a secret of pydantic, what is no data, too large."""


def receipt_of(text: object, key_id: str) -> tuple[Receipt, bool]:
    """Return the receipt that a record came with, or a new one, and whether the record comes here for the first time.

    One that was made under another key is kept, and counted as foreign. A receipt is no proof of its maker.
    """
    receipt = parse_receipt(text)
    if receipt is None:
        return Receipt(key_id), True
    if receipt.by != key_id and not receipt.failed:
        receipt.count_more("foreign:receipt", "found", 1)
        receipt.by = key_id
    return receipt, False


def count_markers(attributes: Mapping[str, Any], key_id: str, receipt: Receipt) -> None:
    """Count the foreign markers in attributes that no redactor has seen yet."""
    found = 0
    for value in attributes.values():
        if value.__class__ is str:
            if "[REDACTED:" in value:
                found += _foreign(value, key_id)
        elif value.__class__ is list or value.__class__ is tuple:
            found += sum(_foreign(v, key_id) for v in cast("list[Any]", value) if v.__class__ is str)
    if own.HIDDEN in "".join(attributes):
        found += sum(key.startswith(own.HIDDEN) for key in attributes)
    if found:
        receipt.count_more("foreign:marker", "found", found)


def _foreign(text: str, key_id: str) -> int:
    found = 0
    for match in MARKER.finditer(text):
        whole = match.start() == 0 or (text[match.start() - 1] == '"' and text[match.end() : match.end() + 1] == '"')
        ours = f":{key_id}:" in match[0] or (whole and _AT_CAPTURE.fullmatch(match[0]) is not None)
        found += not ours
    return found
