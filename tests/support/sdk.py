"""What the installed SDK can: 1.44 is the oldest, which google-adk wants, and 1.45 takes more."""

from opentelemetry.sdk.version import __version__

TAKES_MAPS = tuple(map(int, __version__.split(".")[:2])) >= (1, 45)
"""Whether attributes may be mappings; before 1.45 the SDK drops them with a warning."""
