"""Log messages, each given once, that say nothing or not everything is recorded, and what to do about it."""

import atexit
import logging
import os
from typing import Any, Literal

from opentelemetry import trace

from runbundle import settings
from runbundle.otel import switch
from runbundle.otel.boundary.neighbours import innermost, processors_of, writes_bundles
from runbundle.process import forks
from runbundle.process.regex import later

_log = logging.getLogger("runbundle")

Sampling = Literal["all", "parents", "some"]
"""The share that a sampler keeps: everything, what its parent's flag lets through, or some by a rule."""

_PARENT_BASED = later(
    r"ParentBased\{root:(?P<root>.*),remoteParentSampled:(?P<a>.*),remoteParentNotSampled:(?P<b>.*)"
    r",localParentSampled:(?P<c>.*),localParentNotSampled:(?P<d>.*)\}"
)
_SAYABLE = later(r"[A-Za-z]{1,40}(?:\{[A-Za-z0-9_.:{}]{0,60})?")
_RATIO = later(r"TraceIdRatioBased\{1(?:\.0*)?\}")


def say_unknown_variables() -> None:
    """Log the `RUNBUNDLE_*` variables that nothing reads; each may be misspelt."""
    for name, near in settings.unknown_variables():
        _log.warning(
            "RB920: nobody reads %s%s; runbundle explain RB920", name, f": did you mean {near}?" if near else ""
        )


# -- sampling -------------------------------------------------------------------------------------------------------


def sampling_of(provider: Any) -> tuple[Sampling, str]:
    """Return what a provider's sampler keeps, and its description; "all" for one without a public sampler."""
    sampler: Any = getattr(innermost(provider), "sampler", None)
    try:
        description = str(sampler.get_description()) if sampler is not None else "AlwaysOnSampler"
    except Exception:  # noqa: BLE001 - somebody else's code
        description = type(sampler).__name__
    root = description.split(",", 1)[0]  # of a parent-based one: what follows is the same nearly everywhere
    return _keeps(description), root if _SAYABLE.fullmatch(root) else type(sampler).__name__


def _keeps(description: str) -> Sampling:
    if description == "AlwaysOnSampler" or _RATIO.fullmatch(description) or description.startswith("RecordEverything{"):
        return "all"
    if description.startswith("AlwaysRecordSampler{"):  # the SDK's, which drops the attributes of what is not sampled
        return _keeps(description.removeprefix("AlwaysRecordSampler{").removesuffix("}"))
    parts = _PARENT_BASED.fullmatch(description)
    if parts is None or any(_keeps(parts[part]) == "some" for part in ("root", "a", "c")):
        return "some"
    return "all" if all(_keeps(part) == "all" for part in parts.groups()) else "parents"


def say_sampling(provider: Any) -> None:
    """Log that the sampler of an application's own provider may leave runs out."""
    keeps, description = sampling_of(provider)
    if keeps == "some":
        _log.warning(
            "RB903: the sampler of the application's tracer provider is %s: runs that it leaves out are not recorded,"
            " and of those that other instrumentations begin nothing is seen; runbundle explain RB903",
            description,
        )
    elif keeps == "parents":
        _log.info(
            "RB903: the application's tracer provider goes by the flag of its callers: where that says not sampled,"
            " a run is not recorded, and of runs that other instrumentations begin nothing is seen"
        )


def say_unsampled(provider: Any) -> None:
    """Log that a sampler left a run out."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        _log.warning("a run is not recorded: OTEL_SDK_DISABLED switches OpenTelemetry off; flush() counts them")
    else:
        _log.warning(
            "RB903: a run is not recorded: the sampler of the application's tracer provider, %s, has left it out;"
            " flush() counts them; runbundle explain RB903",
            sampling_of(provider)[1],
        )


# -- nothing recorded -----------------------------------------------------------------------------------------------


def say_unconfigured() -> None:
    """Log that decorated code runs in a process that has not called `configure()`."""
    provider = trace.get_tracer_provider()
    if any(writes_bundles(processor) for processor in processors_of(provider)):
        return  # configured by the environment
    if switch.is_unset_tracing(provider):
        _log.warning("nothing is recorded: runbundle.configure() was not called in this process before decorated code")
    else:
        _log.warning(
            "no bundle is written: runbundle.configure() was not called in this process; spans of decorated code go to"
            " the application's tracer provider alone"
        )


def say_unjoined(provider: Any) -> None:
    """Log that the global tracer provider takes no span processors and so cannot be joined."""
    _log.warning(
        "the global tracer provider is a %s, which takes no span processors: what instrumentations do there is not"
        " recorded. Point them at handle.tracer_provider",
        type(provider).__name__,
    )


_configured = False
_seen = False
_reached = False
_forked = False
_quiet = False


def note_configured(at_exit: Any) -> None:
    """Note that the process records; the first call registers `at_exit` for the end of the process."""
    global _configured
    if not _configured:
        _configured = True
        atexit.register(at_exit)
        forks.before(forks.Stage.SINKS, _note_fork)


def _note_fork() -> None:
    # From here on the spans may be a child's, of which this process knows nothing, or the other way round.
    global _forked
    _forked = True


def note_end(*, seen: bool, reached: bool) -> None:
    """Note whether a configuration that ends has seen a span, and whether instrumentations could reach it."""
    global _seen, _reached
    _seen |= seen
    _reached |= reached


def mute_end_notice() -> None:
    """Suppress the notice at the end of a process that only looks at a set-up and does no work."""
    global _quiet
    _quiet = True


def say_nothing_seen() -> None:
    """Log, at the end of a configured process, that it has not seen one span."""
    if _seen or _forked or _quiet or not _configured:
        return
    _log.warning(
        "RB908: this process ends and not one span was seen, so there is no bundle. %s; runbundle explain RB908",
        "Decorate functions, or instrument the framework, before the work begins"
        if _reached
        else "configure() did not become the global tracer provider: leave set_global out, or point instrumentations"
        " at handle.tracer_provider",
    )
