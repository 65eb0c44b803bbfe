"""What `runbundle doctor` looks at: the environment, and the tracer provider that an application has set up."""

import os
from importlib.metadata import entry_points
from typing import Any, NamedTuple

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from runbundle.models.findings import FINDINGS
from runbundle.otel import active, notices, switch
from runbundle.otel.digest_key import key_standing
from runbundle.otel.processors import innermost, is_safe, processors_of, raw_processors
from runbundle.redaction.detectors.environment import is_environment_secret
from runbundle.redaction.detectors.known import WHY
from runbundle.redaction.detectors.known_values import refusal

_GROUPS = {
    "OTEL_TRACES_EXPORTER": "opentelemetry_traces_exporter",
    "OTEL_LOGS_EXPORTER": "opentelemetry_logs_exporter",
}
_KNOWN_SAMPLERS = ("always_on", "parentbased_always_on")
_RATIO_SAMPLERS = ("traceidratio", "parentbased_traceidratio")


class Diagnosis(NamedTuple):
    """One thing that is wrong with a set-up, or to be known of it. `code` is in the catalogue of findings."""

    code: str
    severity: str
    """`error`, `warning`, or `note`: to be known, and no fault."""
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
    if _samples_less():
        name = os.environ["OTEL_TRACES_SAMPLER"].strip()
        said = f"OTEL_TRACES_SAMPLER is {name}: a provider that configure() builds records every run nevertheless"
        found.append(_diagnosis("RB903", f"{said}, one of the application's own does not"))
    return found


def diagnose_secrets() -> list[Diagnosis]:
    """Look for variables that hold credentials by their names and whose values cannot be known secrets."""
    found: list[Diagnosis] = []
    for name, value in sorted(os.environ.items()):
        why = refusal(value.strip()) if is_environment_secret(name, value) else ""
        if why:
            found.append(
                _diagnosis("RB414", f"the value of {name} is not masked where it turns up: {WHY[why]}", "note")
            )
    return found


def diagnose_key(store: str) -> tuple[str, list[Diagnosis]]:
    """Say where the digest key of the store with this URL comes from, and what is to be found fault with."""
    standing = key_standing(store)
    said = f"digest key: {standing.text}"
    return said, [_diagnosis("RB907", said)] if standing.fault else []


def _samples_less() -> bool:
    sampler = os.environ.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    if not sampler or sampler in _KNOWN_SAMPLERS:
        return False
    try:
        ratio = float(os.environ.get("OTEL_TRACES_SAMPLER_ARG", "") or 1.0)
    except ValueError:
        ratio = 1.0  # what the SDK makes of it
    return sampler not in _RATIO_SAMPLERS or ratio < 1.0


def diagnose_provider(provider: Any = None) -> list[Diagnosis]:
    """Look at a tracer provider: by default that of the active configuration, else the global one."""
    handle = active.get()
    if provider is None:
        provider = handle.tracer_provider if handle is not None else trace.get_tracer_provider()
    notices.expect_nothing()
    if not isinstance(innermost(provider), TracerProvider):
        return [_diagnosis("RB906", "no tracer provider of the SDK has been set up")]
    found: list[Diagnosis] = []
    processors = processors_of(provider)
    found += [_diagnosis("RB901", f"{name} is handed raw spans") for name in raw_processors(provider)]
    if not any(is_safe(processor) for processor in processors):
        found.append(_diagnosis("RB906", "no redactor or bundle exporter is attached to the provider"))
    keeps, description = notices.sampling_of(provider)
    if keeps == "some":
        found.append(_diagnosis("RB903", f"the sampler is {description}"))
    elif keeps == "parents":
        found.append(_diagnosis("RB903", f"runs of callers that do not sample are left out by {description}", "note"))
    if handle is not None and provider is handle.tracer_provider and handle.owns_provider:
        leads = switch.is_led_to(handle.tracer_provider)
        said = f"the global tracer provider is a {type(trace.get_tracer_provider()).__name__}, not the one configured"
        found += [] if leads else [_diagnosis("RB908", f"{said}: what instruments that is not recorded", "note")]
    return found


def _diagnosis(code: str, message: str, severity: str = "") -> Diagnosis:
    spec = FINDINGS[code]
    return Diagnosis(code, severity or spec.severity, message, spec.what_to_do)
