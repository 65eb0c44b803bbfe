"""What a destination says of its records."""

from types import SimpleNamespace
from typing import Any

from runbundle.otel.forwarding.destination import Destination


def test_a_record_that_is_sent_while_it_is_asked_for_is_never_in_no_count() -> None:
    """It waited when the count began, and was resent when it ended."""
    again: Any = SimpleNamespace(delivered=0, refused=dict, keep=lambda *_: {}, reset=lambda: None)

    def waiting() -> list[Any]:
        again.delivered = 4
        return []

    again.queue = SimpleNamespace(waiting=waiting)
    sender: Any = SimpleNamespace(exporter=None, stop=lambda: None)
    said = Destination("here", {"spans": sender, "logs": sender}, again).delivery()
    assert (said.queued, said.resent, said.delivered) == (0, 4, 4)
