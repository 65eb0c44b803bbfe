"""The catalogue of finding codes. Plain data: `runbundle explain` needs nothing else."""

from typing import NamedTuple


class FindingSpec(NamedTuple):
    """What a code means."""

    title: str
    severity: str
    dimension: str
    why: str
    what_to_do: str


FINDINGS: dict[str, FindingSpec] = {
    "RB101": FindingSpec(
        "run.json is not readable", "error", "structure",
        "The index does not parse as JSON or does not fit its schema. Nothing else of the bundle can be trusted by it.",
        "Restore run.json from a copy. A file cut short by a copy or a full disk is the usual cause.",
    ),
    "RB102": FindingSpec(
        "a file does not fit its schema", "error", "structure",
        "A file has the digest that run.json gives, yet its content is not what the format says: it was written so.",
        "Report it with the version in run.json (versions.runbundle); it is a defect of the writer.",
    ),
    "RB103": FindingSpec(
        "events are not in canonical order", "error", "structure",
        "events.jsonl must be numbered from 0 without gaps and sorted by time, trace, span, type and position.",
        "If integrity passes, the writer is at fault; otherwise lines were moved or removed after the seal.",
    ),
    "RB104": FindingSpec(
        "the format is of a later version", "error", "structure",
        "run.json names a schema that this version of runbundle does not know.",
        "Install a newer runbundle.",
    ),
    "RB105": FindingSpec(
        "the bundle is not sealed", "warning", "structure",
        "There is no run.json. It is written last, so the run is still being written, or its writer was cut off.",
        "Wait for the run to end. If its process is gone, `runbundle recover RUN` seals what it recorded.",
    ),
    "RB106": FindingSpec(
        "a file of the format is not listed", "error", "structure",
        "run.json must list a configuration, events.jsonl and tool_calls.json, and evidence.json if anything was"
        " retrieved. Without the entry nothing holds the file to its content.",
        "Treat the bundle as altered: no writer leaves it out. Restore run.json from a copy.",
    ),
    "RB201": FindingSpec(
        "a file was modified", "error", "integrity",
        "A file has the size that run.json gives but another digest.",
        "Treat the bundle as altered. Restore the file from a copy whose digest is the one in run.json.",
    ),
    "RB202": FindingSpec(
        "a file is missing", "error", "integrity",
        "run.json lists a file that is not there.",
        "Restore it from a copy; partial copies of bundles are the usual cause.",
    ),
    "RB203": FindingSpec(
        "a file is not listed", "error", "integrity",
        "The bundle holds a file that run.json does not list. It is not part of what was sealed.",
        "Remove it, or find out who put it there.",
    ),
    "RB204": FindingSpec(
        "a file was truncated", "error", "integrity",
        "A file is shorter than run.json says and ends at the end of a line or value.",
        "Restore it from a copy.",
    ),
    "RB205": FindingSpec(
        "a file is torn", "error", "integrity",
        "A file is shorter than run.json says and ends in the middle of a line: a write or copy was cut off.",
        "Restore it from a copy.",
    ),
    "RB206": FindingSpec(
        "a file has grown", "error", "integrity",
        "A file is longer than run.json says: something was added after the seal.",
        "Treat the bundle as altered. Restore the file from a copy.",
    ),
    "RB207": FindingSpec(
        "an earlier revision is missing or altered", "error", "integrity",
        "run.json names the digest of the one that it superseded; what is kept under revisions/ is another, or gone.",
        "Restore it from a copy. What the latest revision holds is not in doubt by this alone.",
    ),
    "RB208": FindingSpec(
        "a seal that was cut off left a file", "warning", "integrity",
        "A file has the name of one that run.json lists elsewhere. A seal was cut off after it had written it, and"
        " another seal did not touch it. No reader looks at it.",
        "`runbundle recover RUN` removes it if the run's journals are still there; else remove it.",
    ),
    "RB210": FindingSpec(
        "run.json was modified", "error", "integrity",
        "run.json carries the SHA-256 of all that it says besides (self_sha256), and that is another.",
        "Treat the bundle as altered. Restore run.json from a copy that verifies.",
    ),
    "RB211": FindingSpec(
        "bytes are not canonical", "error", "integrity",
        "Equal content has equal bytes in a bundle: sorted keys, one layout, no key twice. A file has other bytes, so"
        " something else than a seal has written it.",
        "Treat the bundle as altered. An editor or a formatter is the usual cause; restore the file from a copy.",
    ),
    "RB212": FindingSpec(
        "a file says something else than the events", "error", "integrity",
        "What run.json, tool_calls.json and evidence.json say follows from events.jsonl. It was derived again by the"
        " rules that run.json names, and came out differently; the message names the fields.",
        "Treat the bundle as altered. If it comes straight from a seal, report it with versions.runbundle: then it is a"
        " defect of the writer.",
    ),
    "RB213": FindingSpec(
        "it was assembled by unknown rules", "warning", "integrity",
        "run.json names a version of the rules of assembly that this version of runbundle does not know, so nothing"
        " could be derived again.",
        "Install a newer runbundle.",
    ),
    "RB214": FindingSpec(
        "run.json is older than what lies beside it", "error", "integrity",
        "Under revisions/ lies a run.json, or a file, of a later revision than the run.json in front. No seal leaves"
        " that: run.json was put back to an earlier state.",
        "Treat the bundle as altered. Restore the run.json of the latest revision from a copy.",
    ),
    "RB215": FindingSpec(
        "a further revision was begun, or taken back", "warning", "integrity",
        "Files of the next revision lie under revisions/. A seal of late data was cut off before it replaced run.json;"
        " or run.json was put back to the one before, which looks alike.",
        "`runbundle recover RUN` finishes a seal whose journals are still there. Else compare run.json with a copy.",
    ),
    "RB230": FindingSpec(
        "something is no regular file", "error", "integrity",
        "A link, a pipe, a socket, a device, a folder where a file belongs, or a file whose name no writer gives lies"
        " in the bundle, or on the way to it. It was neither opened nor followed, and it is not copied.",
        "Find out who put it there, and remove it.",
    ),
    "RB231": FindingSpec(
        "a file is too large to be read", "error", "integrity",
        "run.json above 16 MiB, a line or an entry above 64 MiB, or another file above 64 MiB that is read whole: no"
        " writer makes these. It was not read to its end.",
        "Treat the bundle as altered. Restore the file from a copy.",
    ),
    "RB232": FindingSpec(
        "JSON is nested too deeply", "error", "integrity",
        "JSON in the bundle is nested more than 96 deep. What is written stays below: payloads are opened to 64 levels,"
        " configurations to 32, and deeper ones become markers.",
        "Treat the bundle as altered. Restore the file from a copy.",
    ),
    "RB301": FindingSpec(
        "spans are missing", "warning", "completeness",
        "Fewer spans arrived than the run's processes say they started.",
        "See completeness in run.json: queue drops, sampling and killed processes are the usual causes.",
    ),
    "RB302": FindingSpec(
        "spans never ended", "warning", "completeness",
        "Spans were still open when the run was sealed.",
        "Work that outlives its run is started in it; give it a run of its own, or wait for it before the run ends.",
    ),
    "RB303": FindingSpec(
        "records were dropped", "warning", "completeness",
        "Losses were counted while the run was recorded, by the SDK's limits, a full disk or a torn journal.",
        "The reasons are in run.json under completeness.dropped.",
    ),
    "RB304": FindingSpec(
        "the run has no end", "warning", "completeness",
        "The span that is the run never ended: its process was killed.",
        "What was recorded until then is in the bundle.",
    ),
    "RB305": FindingSpec(
        "counts do not agree", "error", "completeness",
        "run.json counts other numbers of events, spans, calls or errors than its files hold, or names other traces.",
        "Report it with the version in run.json; it is a defect of the writer.",
    ),
    "RB306": FindingSpec(
        "two runs share one id", "warning", "completeness",
        "More than one span claims to be this run.",
        "Give each run an id of its own; without run_id a random one is given.",
    ),
    "RB307": FindingSpec(
        "nobody says how many spans there were", "warning", "completeness",
        "No local root carries the number of spans started beneath it, so a loss would not be seen.",
        "Record with runbundle.configure() instead of the bare exporter.",
    ),
    "RB308": FindingSpec(
        "the bundle calls itself incomplete", "warning", "completeness",
        "completeness in run.json says that something is missing or came too late, and gives no other reason.",
        "See completeness in run.json.",
    ),
    "RB309": FindingSpec(
        "two records claim one span", "warning", "completeness",
        "Records with the same trace and span id say different things. The one that began first holds, the others are"
        " counted. Ids came from a source that repeats itself, such as `random` after `random.seed()`.",
        "Let configure() build the tracer provider, which draws ids from the operating system, or give the provider an"
        " id generator that does.",
    ),
    "RB310": FindingSpec(
        "a time or an id is not possible", "warning", "completeness",
        "A span ends before it begins, begins before its parent, lies a year away from its run, or has an id of"
        " zero; or a time was none between 1970 and 2262. The order of events and durations there say nothing.",
        "Find the instrumentation that gives milliseconds for nanoseconds, or a clock that was set back.",
    ),
    "RB311": FindingSpec(
        "a record was coerced", "warning", "completeness",
        "A field was of another type than OpenTelemetry declares, or held what JSON cannot: a time as a float, NaN, a"
        " lone surrogate. What stands in the bundle is what it stands for, or a stand-in.",
        "The attribute runbundle.coerced of the record lists the fields; mend the instrumentation that gives them.",
    ),
    "RB401": FindingSpec(
        "content is not redacted", "error", "redaction",
        "A key that holds prompts, payloads or other free text has a value that is neither a marker nor a view.",
        "Find out which program wrote it, and treat the bundle as containing what it must not.",
    ),
    "RB402": FindingSpec(
        "a span has no receipt", "error", "redaction",
        "A span line carries attributes but no receipt of its redaction: it did not pass the redactor.",
        "Find out which program wrote it.",
    ),
    "RB403": FindingSpec(
        "something looks like a credential", "error", "redaction",
        "Text in the public format of a credential stands in the bundle.",
        "Revoke the credential, quarantine the bundle, and add a rule to the tool's contract.",
    ),
    "RB404": FindingSpec(
        "receipts do not add up", "error", "redaction",
        "The totals in run.json differ from the sum of the receipts of the spans.",
        "Report it with the version in run.json; it is a defect of the writer.",
    ),
    "RB407": FindingSpec(
        "a bundle was quarantined", "error", "redaction",
        "Before a bundle was published its bytes were searched, and a credential was found where it cannot be"
        " masked, as in the run's id. Nothing was written to the store; the run's records lie in .quarantine in the"
        " spool, with a reason.json that says where and by which rule.",
        "Revoke the credential. Add a rule to the contract that let it through, or report a hole in the redactor."
        " Delete the folder when it has been looked into.",
    ),
    "RB413": FindingSpec(
        "credentials were masked when the bundle was sealed", "warning", "redaction",
        "Before the bundle was published its values were searched, and credentials were found that the redactor had let"
        " through. They were masked in place; run.json counts them by rule in redaction.masked.",
        "Revoke them: what was forwarded elsewhere was not searched. Add a rule to the contract that let them through,"
        " register the value with register_secret(), or report a hole in the redactor.",
    ),
    "RB414": FindingSpec(
        "a secret of the environment is not known", "warning", "redaction",
        "A variable holds a credential by its name, and its value cannot be told from ordinary text: it is short, a"
        " word, a date, a media type or a word of the format. Values that are known are masked wherever they turn up;"
        " this one is only where a rule or a key beside it says so.",
        "Use a longer value, or rename the variable if it holds no secret.",
    ),
    "RB501": FindingSpec(
        "a parent span is unknown", "error", "references",
        "A span names a parent that is not in the bundle and is not marked as lying outside the run.",
        "If completeness says that spans are missing, it is one of them.",
    ),
    "RB502": FindingSpec(
        "a tool call has no span", "error", "references",
        "tool_calls.json names a span that events.jsonl does not have.",
        "Report it with the version in run.json; it is a defect of the writer.",
    ),
    "RB503": FindingSpec(
        "evidence has no span", "error", "references",
        "evidence.json names a span that events.jsonl does not have.",
        "Report it with the version in run.json; it is a defect of the writer.",
    ),
    "RB504": FindingSpec(
        "the configuration pointer is wrong", "error", "references",
        "The digest of the configuration in run.json is not that of the file it points to.",
        "Treat the bundle as altered.",
    ),
    "RB505": FindingSpec(
        "a file speaks of another run", "error", "references",
        "A file carries the id of another run.",
        "Files of two bundles were mixed. Restore them from copies.",
    ),
    "RB506": FindingSpec(
        "an event has no span", "error", "references",
        "An event says that it happened in a span that events.jsonl does not have.",
        "If integrity passes, the writer is at fault; report it with the version in run.json.",
    ),
    "RB901": FindingSpec(
        "an exporter can see raw spans", "error", "pipeline",
        "A processor of the tracer provider stands beside the redactor instead of behind it and is handed raw spans."
        " What runbundle itself records is redacted before it is there; the agent spans of other libraries are not."
        " There is no public way to stand in front of a provider that exists.",
        "Let runbundle.configure() build the provider and add processors to that one, or wrap the exporter in"
        " runbundle.RedactingSpanExporter.",
    ),
    "RB902": FindingSpec(
        "what the environment names did not load", "error", "pipeline",
        "OTEL_TRACES_EXPORTER, OTEL_LOGS_EXPORTER, OTEL_TRACES_SAMPLER or another variable names something that is not"
        " installed, or that fails when it is loaded. The SDK logs this and runs on without telemetry.",
        "Install the package that provides it, or correct the name.",
    ),
    "RB903": FindingSpec(
        "a sampler keeps runs from being recorded", "warning", "pipeline",
        "A tracer provider that runbundle did not build discards some traces before any processor sees them. Their runs"
        " leave no bundle; flush() counts those that our decorators begin. One that configure() builds records every"
        " run, and its sampler decides only what is forwarded.",
        "Let configure() build the provider, or give yours always_on and sample in a Collector.",
    ),
    "RB904": FindingSpec(
        "the store cannot be written", "error", "pipeline",
        "A trial file could not be written to the store.",
        "See the message; name another place with --store or RUNBUNDLE_STORE.",
    ),
    "RB905": FindingSpec(
        "raw and bundle exporters stand side by side", "error", "pipeline",
        "OTEL_TRACES_EXPORTER lists another exporter beside runbundle: that one is handed raw spans.",
        "Use OTEL_TRACES_EXPORTER=runbundle alone, and forward with configure(otlp=True).",
    ),
    "RB906": FindingSpec(
        "nothing records", "warning", "pipeline",
        "No tracer provider with a redactor was found.",
        "Call runbundle.configure(), or name the application with --app module:callable.",
    ),
    "RB907": FindingSpec(
        "the digest key is this machine's only", "warning", "pipeline",
        "Equal values have equal digests under one key. The key of this store is kept for one user of this machine, or"
        " dies with its process or container; what others record under keys of their own cannot be compared.",
        "Set RUNBUNDLE_REDACTION_KEY to the same key everywhere (`openssl rand -hex 32` makes one), or keep the folder"
        " that RUNBUNDLE_KEYS names on a volume.",
    ),
    "RB908": FindingSpec(
        "a process ended without one span seen", "warning", "pipeline",
        "runbundle was configured, and nothing came by. Nothing is decorated, the framework's own instrumentation is"
        " not switched on, or its spans go to another tracer provider.",
        "Decorate functions or instrument the framework before the work begins. Call configure() after an SDK that sets"
        " its own provider, which is then joined, and leave set_global out.",
    ),
    "RB909": FindingSpec(
        "a guarantee does not hold here", "warning", "pipeline",
        "The file system of the spool was tried and lacks something that a guarantee of the recorder rests on, as some"
        " network and container file systems do.",
        "Point RUNBUNDLE_SPOOL at a folder on a local disk.",
    ),
    "RB910": FindingSpec(
        "runs wait in the spool", "warning", "pipeline",
        "Runs were recorded and are not sealed: their process died, they are parts whose beginning is elsewhere, a seal"
        " failed, or a credential was found in them.",
        "`runbundle ls --state crashed` and the like list them; `runbundle recover --all` seals what can be sealed."
        " Parts that nothing joins are sealed as incomplete after a day.",
    ),
    "RB911": FindingSpec(
        "little space is left", "warning", "pipeline",
        "Less than 1 GiB or 1 % of the disk is left. When it is full, records are dropped and counted.",
        "Free some space; `runbundle gc` removes old bundles. RUNBUNDLE_SPOOL moves the spool.",
    ),
    "RB912": FindingSpec(
        "nothing will write a bundle", "warning", "pipeline",
        "Spans are exported or redacted, and nothing that makes bundles of them is part of the set-up.",
        "Call runbundle.configure() in the program, or set OTEL_TRACES_EXPORTER=runbundle.",
    ),
    "RB920": FindingSpec(
        "a variable is read by nobody", "warning", "pipeline",
        "The environment has a variable that begins with RUNBUNDLE_ and is none of ours: mostly a misspelt one, whose"
        " setting then is not what was meant.",
        "Correct its name, or remove it. docs/settings.md lists all that are read.",
    ),
}  # fmt: skip
"""By code: RB1xx structure, RB2xx integrity, RB3xx completeness, RB4xx redaction, RB5xx references, RB9xx pipeline."""
