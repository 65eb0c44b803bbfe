"""What `runbundle doctor` looks at: the environment, and the tracer provider that an application has set up."""

import os
from importlib.metadata import entry_points
from typing import Any, NamedTuple

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from runbundle.models.findings import FINDINGS
from runbundle.otel import active
from runbundle.otel.digest_key import key_standing
from runbundle.otel.processors import is_safe, processors_of, raw_processors

_GROUPS = {
    "OTEL_TRACES_EXPORTER": "opentelemetry_traces_exporter",
    "OTEL_LOGS_EXPORTER": "opentelemetry_logs_exporter",
}
_KNOWN_SAMPLERS = ("always_on", "parentbased_always_on")


class Diagnosis(NamedTuple):
    """One thing that is wrong with a set-up. `code` is in the catalogue of findings."""

    code: str
    severity: str
    message: str
    hint: str


def diagnose_environment() -> list[Diagnosis]:
    """Look at the `OTEL_*` variables that decide what is exported and sampled."""
    found: list[Diagnosis] = []
    for variable, group in _GROUPS.items():
        names = [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]
        known = {"none", *(point.name for point in entry_points(group=group))}
        found += [
            _diagnosis("RB902", f"{variable} names {name!r}, which is not installed")
            for name in names
            if name not in known
        ]
        if variable == "OTEL_TRACES_EXPORTER" and "runbundle" in names and set(names) - {"runbundle", "none"}:
            found.append(_diagnosis("RB905", f"{variable} lists {', '.join(names)}"))
    sampler = os.environ.get("OTEL_TRACES_SAMPLER", "").strip()
    if sampler and sampler not in _KNOWN_SAMPLERS:
        found.append(_diagnosis("RB903", f"OTEL_TRACES_SAMPLER is {sampler}"))
    return found


def diagnose_key(store: str) -> tuple[str, list[Diagnosis]]:
    """Say where the digest key of the store with this URL comes from, and what is to be found fault with."""
    standing = key_standing(store)
    said = f"digest key: {standing.text}"
    return said, [_diagnosis("RB907", said)] if standing.fault else []


def diagnose_provider(provider: Any = None) -> list[Diagnosis]:
    """Look at a tracer provider: by default that of the active configuration, else the global one."""
    handle = active.get()
    if provider is None:
        provider = handle.tracer_provider if handle is not None else trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        return [_diagnosis("RB906", "no tracer provider of the SDK has been set up")]
    found: list[Diagnosis] = []
    processors = processors_of(provider)
    found += [_diagnosis("RB901", f"{name} is handed raw spans") for name in raw_processors(provider)]
    if not any(is_safe(processor) for processor in processors):
        found.append(_diagnosis("RB906", "no redactor or bundle exporter is attached to the provider"))
    description = provider.sampler.get_description()
    if description != "AlwaysOnSampler" and not description.startswith("ParentBased{root:AlwaysOnSampler"):
        found.append(_diagnosis("RB903", f"the sampler is {description}"))
    return found


def _diagnosis(code: str, message: str) -> Diagnosis:
    spec = FINDINGS[code]
    return Diagnosis(code, spec.severity, message, spec.what_to_do)
