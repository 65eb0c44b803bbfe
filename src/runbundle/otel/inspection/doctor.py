"""The checks of `runbundle doctor`: the environment, and the tracer provider that an application has set up."""

import os
from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any, NamedTuple

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from runbundle import settings
from runbundle.core.native import module
from runbundle.format.findings import FINDINGS
from runbundle.otel import notices, switch
from runbundle.otel.boundary.neighbours import innermost, is_safe, processors_of, raw_processors, writes_bundles
from runbundle.otel.digest_key import describe_key
from runbundle.otel.handle import running
from runbundle.otel.inspection.zero_code import describe_zero_code
from runbundle.recording.sealing.publisher import sealed_by
from runbundle.redaction.detectors.environment import is_environment_secret
from runbundle.redaction.detectors.known_secrets import WHY
from runbundle.redaction.detectors.known_values import refusal

_GROUPS = {
    "OTEL_TRACES_EXPORTER": "opentelemetry_traces_exporter",
    "OTEL_LOGS_EXPORTER": "opentelemetry_logs_exporter",
    "OTEL_METRICS_EXPORTER": "opentelemetry_metrics_exporter",
    "OTEL_TRACES_SAMPLER": "opentelemetry_traces_sampler",
    "OTEL_PROPAGATORS": "opentelemetry_propagator",
    "OTEL_PYTHON_ID_GENERATOR": "opentelemetry_id_generator",
}
"""The group of entry points that each variable's names belong to."""
_KNOWN_SAMPLERS = ("always_on", "parentbased_always_on")
_RATIO_SAMPLERS = ("traceidratio", "parentbased_traceidratio")
_BY_ENVIRONMENT = "start the program with opentelemetry-instrument, which reads the OTEL_* variables"


class Diagnosis(NamedTuple):
    """One fault of a set-up, or one fact about it. `code` is in the catalogue of findings."""

    code: str
    severity: str
    """`error`, `warning`, or `note` for a fact that is no fault."""
    message: str
    hint: str


def diagnose_environment() -> list[Diagnosis]:
    """Check the `RUNBUNDLE_*` and `OTEL_*` variables, and load the packages that they name."""
    found = [
        _diagnosis("RB920", f"nobody reads {name}{f': did you mean {near}?' if near else ''}")
        for name, near in settings.unknown_variables()
    ]
    found += [_diagnosis("RB902", why) for variable in _GROUPS for why in _not_loaded(variable)]
    traces, logs = _named("OTEL_TRACES_EXPORTER"), _named("OTEL_LOGS_EXPORTER")
    _, wrong = describe_zero_code()
    others = "runbundle" in traces and set(traces) - {"runbundle", "none"}
    found += [_diagnosis("RB905" if others else "RB902", why) for why in wrong]
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        found.append(
            _diagnosis("RB912", "OTEL_SDK_DISABLED switches OpenTelemetry off", hint="Unset OTEL_SDK_DISABLED.")
        )
    elif "runbundle" in logs and "runbundle" not in traces:
        found.append(
            _diagnosis(
                "RB912",
                "OTEL_LOGS_EXPORTER names runbundle and OTEL_TRACES_EXPORTER does not: spans tell what is a run",
                hint="Set OTEL_TRACES_EXPORTER=runbundle too, or neither and call runbundle.configure().",
            )
        )
    elif traces and "runbundle" not in traces and not found:
        found.append(
            _diagnosis(
                "RB912",
                f"OTEL_TRACES_EXPORTER lists {', '.join(traces)}: only a program that calls"
                " runbundle.configure() writes bundles",
                "note",
                hint="Set OTEL_TRACES_EXPORTER=runbundle for those that do not.",
            )
        )
    if _samples_less():
        name = os.environ["OTEL_TRACES_SAMPLER"].strip()
        said = f"OTEL_TRACES_SAMPLER is {name}: a provider that configure() builds records every run nevertheless"
        found.append(_diagnosis("RB903", f"{said}, one of the application's own does not"))
    return found


def _named(variable: str) -> list[str]:
    return [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]


def _not_loaded(variable: str) -> Iterator[str]:
    """Yield why names that a variable lists do not load: where one does not, the SDK goes without all telemetry."""
    for name in _named(variable):
        if variable == "OTEL_TRACES_SAMPLER":
            name = name.lower()
        if name == "none":
            continue
        point = next(iter(entry_points(group=_GROUPS[variable], name=name)), None)
        if point is None:
            yield f"{variable} names {name!r}, which is not installed"
            continue
        try:
            point.load()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with somebody's package is the finding
            yield f"{variable} names {name!r}, which does not load: {type(error).__name__}"


def diagnose_secrets() -> list[Diagnosis]:
    """Return the variables that hold credentials by their names, but whose values cannot be known secrets."""
    found: list[Diagnosis] = []
    for name, value in sorted(os.environ.items()):
        why = refusal(value.strip()) if is_environment_secret(name, value) else ""
        if why:
            found.append(
                _diagnosis("RB414", f"the value of {name} is not masked where it turns up: {WHY[why]}", "note")
            )
    return found


def describe_work() -> dict[str, str]:
    """Return which core redacts, and who seals, in a process with this environment."""
    return {"core": "python" if module() is None else "native", "seal": sealed_by()}


def diagnose_key(store: str) -> tuple[str, list[Diagnosis]]:
    """Return where the digest key of a store comes from, as text, and what is wrong with that."""
    standing = describe_key(store)
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
    """Check a tracer provider: by default that of the active configuration, else the global one."""
    handle = running()
    if provider is None:
        provider = handle.tracer_provider if handle is not None else trace.get_tracer_provider()
    notices.mute_end_notice()
    if not isinstance(innermost(provider), TracerProvider):
        by_environment = "runbundle" in _named("OTEL_TRACES_EXPORTER")
        hint = f"OTEL_TRACES_EXPORTER names runbundle: {_BY_ENVIRONMENT}." if by_environment else ""
        return [_diagnosis("RB906", "no tracer provider of the SDK has been set up", hint=hint)]
    found: list[Diagnosis] = []
    processors = processors_of(provider)
    found += [_diagnosis("RB901", f"{name} is handed raw spans") for name in raw_processors(provider)]
    if not any(is_safe(processor) for processor in processors):
        found.append(_diagnosis("RB906", "no redactor or bundle exporter is attached to the provider"))
    elif not any(writes_bundles(processor) for processor in processors):
        found.append(_diagnosis("RB912", "the provider's exporters are redacted, and none of them writes", "note"))
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


def _diagnosis(code: str, message: str, severity: str = "", *, hint: str = "") -> Diagnosis:
    spec = FINDINGS[code]
    return Diagnosis(code, severity or spec.severity, message, hint or spec.what_to_do)
