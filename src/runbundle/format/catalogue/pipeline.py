"""Findings about the set-up of a program or a machine: RB9xx."""

from runbundle.format.catalogue.spec import FindingSpec

PIPELINE: dict[str, FindingSpec] = {
    "RB901": FindingSpec(
        "an exporter can see raw spans", "error", "pipeline",
        "A span processor is registered on the tracer provider beside the redactor instead of behind it, so it"
        " receives raw spans. Spans that runbundle records itself are redacted before they get there; agent spans of"
        " other libraries are not. OpenTelemetry has no public way to put a redactor in front of a provider that"
        " already exists.",
        "Let runbundle.configure() build the provider and add processors to that one, or wrap the exporter in"
        " runbundle.RedactingSpanExporter.",
    ),
    "RB902": FindingSpec(
        "a plug-in named by the environment did not load", "error", "pipeline",
        "OTEL_TRACES_EXPORTER, OTEL_LOGS_EXPORTER, OTEL_TRACES_SAMPLER or another variable names a plug-in that is not"
        " installed or fails to load. The OpenTelemetry SDK logs this and goes on without telemetry.",
        "Install the package that provides the plug-in, or correct the name.",
    ),
    "RB903": FindingSpec(
        "a sampler keeps runs from being recorded", "warning", "pipeline",
        "A tracer provider that runbundle did not build discards some traces before any processor sees them. The runs"
        " in them leave no bundle; flush() counts those that begin in runbundle's own decorators. A provider that"
        " configure() builds records every run, and its sampler only decides what is forwarded.",
        "Let configure() build the provider, or give yours the sampler always_on and sample in a Collector.",
    ),
    "RB904": FindingSpec(
        "the store cannot be written", "error", "pipeline",
        "A trial file could not be written to the store or the spool.",
        "The message gives the reason. Correct it, or name another place with --store or RUNBUNDLE_STORE.",
    ),
    "RB905": FindingSpec(
        "raw and redacting exporters are both registered", "error", "pipeline",
        "OTEL_TRACES_EXPORTER names another exporter besides runbundle. opentelemetry-instrument puts that exporter"
        " behind the boundary, but here it cannot: it or a part of runbundle is missing. Where the variables are read"
        " by anything else, that exporter receives raw spans.",
        "Install what the message names, and start the program with opentelemetry-instrument; or call"
        " runbundle.configure(), and add exporters to its provider.",
    ),
    "RB906": FindingSpec(
        "no redactor was found", "warning", "pipeline",
        "The application has no tracer provider with a redactor, so no run is recorded.",
        "Call runbundle.configure(), or name the application with --app module:callable.",
    ),
    "RB907": FindingSpec(
        "the digest key belongs to this machine only", "warning", "pipeline",
        "Equal values have equal digests only under one key. The key of this store is kept for one user of this"
        " machine, or disappears with its process or container, so digests from elsewhere cannot be compared with"
        " these.",
        "Set RUNBUNDLE_REDACTION_KEY to one key everywhere (`openssl rand -hex 32` makes one), or keep the folder that"
        " RUNBUNDLE_KEYS names on a volume.",
    ),
    "RB908": FindingSpec(
        "a process ended without a span", "warning", "pipeline",
        "runbundle was configured, but no span arrived: no function is decorated, the framework's instrumentation is"
        " not switched on, or its spans go to another tracer provider.",
        "Decorate functions or instrument the framework before the work begins. If another SDK sets its own provider,"
        " call configure() after it, without set_global: runbundle then joins that provider.",
    ),
    "RB909": FindingSpec(
        "a guarantee does not hold here", "warning", "pipeline",
        "The file system of the spool lacks an operation that a guarantee of the recorder depends on. Some network and"
        " container file systems do.",
        "Set RUNBUNDLE_SPOOL to a folder on a local disk.",
    ),
    "RB910": FindingSpec(
        "runs wait in the spool", "warning", "pipeline",
        "The spool contains runs that were recorded and are not sealed: their process died, they are parts of runs"
        " that began elsewhere, a seal failed, or a credential was found in them.",
        "`runbundle ls --state crashed` (or another state) lists them; `runbundle recover --all` seals those that can"
        " be sealed. Parts whose run does not turn up within a day are sealed as incomplete.",
    ),
    "RB911": FindingSpec(
        "little disk space is left", "warning", "pipeline",
        "Less than 1 GiB or 1 % of the disk is free. When it is full, records are dropped and counted.",
        "Free some space; `runbundle gc` removes old bundles. RUNBUNDLE_SPOOL moves the spool.",
    ),
    "RB912": FindingSpec(
        "no bundle will be written", "warning", "pipeline",
        "Spans are exported or redacted, but no part of the set-up writes bundles.",
        "Call runbundle.configure() in the program, or set OTEL_TRACES_EXPORTER=runbundle.",
    ),
    "RB913": FindingSpec(
        "spans of a library could not be read", "warning", "pipeline",
        "Bundles have spans of unknown work with attributes that no table of dialects declares. Their place, times and"
        " status are kept, their attributes are withheld. If a library describes an agent's work in this way, its calls"
        " are in no count, and no contract is applied to them.",
        "If the library does an agent's work, look for an instrumentation of it that docs/dialects.md lists, or report"
        " its name and version. Otherwise nothing need be done; safe_keys keeps attributes of your own.",
    ),
    "RB920": FindingSpec(
        "an environment variable is not known", "warning", "pipeline",
        "The environment has a variable that begins with RUNBUNDLE_ and that runbundle does not read. It is usually"
        " misspelt, so the intended setting has no effect.",
        "Correct its name, or remove it. docs/settings.md lists all variables.",
    ),
}  # fmt: skip
