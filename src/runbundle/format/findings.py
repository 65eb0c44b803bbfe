"""The catalogue of findings: for each code a title, its meaning, and the remedy that `runbundle explain` prints."""

from runbundle.format.catalogue.pipeline import PIPELINE
from runbundle.format.catalogue.spec import FindingSpec

FINDINGS: dict[str, FindingSpec] = {
    "RB101": FindingSpec(
        "run.json is not readable", "error", "structure",
        "run.json is not valid JSON or does not fit its schema. Without it nothing else in the bundle can be checked.",
        "Restore run.json from a copy. The usual cause is a copy that was cut off or a full disk.",
    ),
    "RB102": FindingSpec(
        "a file does not fit its schema", "error", "structure",
        "A file has the digest that run.json lists, but its content does not fit the format. It was already wrong when"
        " it was sealed.",
        "Report it with the version in run.json (versions.runbundle): it is a defect of the program that wrote the"
        " bundle.",
    ),
    "RB103": FindingSpec(
        "events are not in canonical order", "error", "structure",
        "The lines of events.jsonl must be numbered from 0 without gaps and sorted by time, trace, span, type and"
        " position. They are not.",
        "If the integrity checks pass, the program that wrote the bundle is at fault: report it. Otherwise lines were"
        " moved or removed after the seal; restore the file from a copy.",
    ),
    "RB104": FindingSpec(
        "the bundle has a later format", "error", "structure",
        "run.json names a schema that this version of runbundle does not know.",
        "Install a newer version of runbundle.",
    ),
    "RB105": FindingSpec(
        "the bundle is not sealed", "warning", "structure",
        "The bundle has no run.json. That file is written last, so either the run is still being written or its"
        " process was killed.",
        "Wait for the run to end. If its process is gone, `runbundle recover RUN` seals the records that were written.",
    ),
    "RB106": FindingSpec(
        "a required file is not listed", "error", "structure",
        "run.json must list a configuration, events.jsonl and tool_calls.json, and evidence.json if anything was"
        " retrieved. One entry is missing, so the content of that file is not protected.",
        "Treat the bundle as altered: no version of runbundle leaves out an entry. Restore run.json from a copy.",
    ),
    "RB107": FindingSpec(
        "an evaluation does not fit its format", "error", "structure",
        "eval/scorecard.json or eval/gate.json is not valid JSON or does not fit its schema. The sealed files are not"
        " affected.",
        "Remove the file, or restore it from a copy. `runbundle score RUN` or `runbundle gate` makes it again.",
    ),
    "RB201": FindingSpec(
        "a file was modified", "error", "integrity",
        "A file has the size that run.json lists, but another SHA-256.",
        "Treat the bundle as altered. Restore the file from a copy whose SHA-256 is the one in run.json.",
    ),
    "RB202": FindingSpec(
        "a file is missing", "error", "integrity",
        "run.json lists a file that the bundle does not have.",
        "Restore the file from a copy. The usual cause is a bundle that was copied in part.",
    ),
    "RB203": FindingSpec(
        "a file is not listed", "error", "integrity",
        "The bundle contains a file that run.json does not list. It was not there when the bundle was sealed.",
        "Find out who put the file there, and remove it.",
    ),
    "RB204": FindingSpec(
        "a file was truncated", "error", "integrity",
        "A file is shorter than run.json says and ends at the end of a line or value.",
        "Restore it from a copy.",
    ),
    "RB205": FindingSpec(
        "a file is torn", "error", "integrity",
        "A file is shorter than run.json says and ends within a line: a write or a copy was cut off.",
        "Restore the file from a copy.",
    ),
    "RB206": FindingSpec(
        "a file has grown", "error", "integrity",
        "A file is longer than run.json says: data was appended after the seal.",
        "Treat the bundle as altered. Restore the file from a copy.",
    ),
    "RB207": FindingSpec(
        "an earlier revision is missing or altered", "error", "integrity",
        "run.json names the digest of the revision that it replaced. The run.json kept under revisions/ has another"
        " digest, or is missing.",
        "Restore the file from a copy. The content of the latest revision is not affected.",
    ),
    "RB208": FindingSpec(
        "an interrupted seal left a file", "warning", "integrity",
        "A seal was interrupted after it had written a file, and a later seal stored its own file elsewhere. No reader"
        " uses the file that was left.",
        "`runbundle recover RUN` removes the file if the run's journals still exist. Otherwise remove it yourself.",
    ),
    "RB210": FindingSpec(
        "run.json was modified", "error", "integrity",
        "run.json contains the SHA-256 of its own content (self_sha256). The content has another one.",
        "Treat the bundle as altered. Restore run.json from a copy that verifies.",
    ),
    "RB211": FindingSpec(
        "bytes are not canonical", "error", "integrity",
        "In a bundle equal content has equal bytes: sorted keys, one layout, no key twice. A file has other bytes, so"
        " it was not written by a seal.",
        "Treat the bundle as altered. The usual cause is an editor or a formatter; restore the file from a copy.",
    ),
    "RB212": FindingSpec(
        "a file contradicts the events", "error", "integrity",
        "run.json, tool_calls.json and evidence.json follow from events.jsonl. verify derived them again, by the rules"
        " that run.json names, and got other values. The message names the fields.",
        "Treat the bundle as altered. If nobody touched it since it was sealed, report it with versions.runbundle:"
        " then it is a defect of the program that wrote it.",
    ),
    "RB213": FindingSpec(
        "the rules of assembly are not known", "warning", "integrity",
        "run.json names rules of assembly that this version of runbundle does not know, so its content could not be"
        " derived again.",
        "Install a newer version of runbundle.",
    ),
    "RB214": FindingSpec(
        "run.json is older than the files beside it", "error", "integrity",
        "revisions/ contains a run.json or a file that is as late as the run.json of the bundle, or later. No seal"
        " leaves this state: run.json was put back to an earlier revision.",
        "Treat the bundle as altered. Restore the run.json of the latest revision from a copy.",
    ),
    "RB215": FindingSpec(
        "a further revision is incomplete", "warning", "integrity",
        "revisions/ contains files of the next revision. Either a seal of late records was interrupted before it"
        " replaced run.json, or run.json was put back to the revision before. The two look the same.",
        "`runbundle recover RUN` completes the seal if the run's journals still exist. Otherwise compare run.json with"
        " a copy.",
    ),
    "RB216": FindingSpec(
        "an evaluation was modified", "error", "integrity",
        "eval/scorecard.json or eval/gate.json contains the SHA-256 of its own content (self_sha256). The content has"
        " another one, or other bytes than those that were written. The sealed files are not affected.",
        "Do not believe its scores. Restore the file from a copy, or remove it and score the run again.",
    ),
    "RB217": FindingSpec(
        "an evaluation is of another bundle", "error", "integrity",
        "eval/scorecard.json or eval/gate.json names its subjects by run id and the SHA-256 of run.json. None of them"
        " is this bundle, in its present or an earlier revision.",
        "Find out who put the file there, and remove it.",
    ),
    "RB218": FindingSpec(
        "an earlier evaluation is missing or altered", "error", "integrity",
        "A scorecard or gate that was replaced is kept under eval/earlier/, named by its SHA-256. One of these files"
        " has another digest, or the one that was replaced last is missing.",
        "Restore the file from a copy. The latest scorecard and gate are not affected.",
    ),
    "RB230": FindingSpec(
        "an entry is no regular file", "error", "integrity",
        "The bundle, or the path to it, contains a link, a pipe, a socket, a device, a folder in the place of a file,"
        " or a file name that no store allows. It was not opened or followed, and copies leave it out.",
        "Find out who put it there, and remove it.",
    ),
    "RB231": FindingSpec(
        "a file is too large to be read", "error", "integrity",
        "run.json is larger than 16 MiB, or a line, an entry or a file that is read as a whole is larger than 64 MiB."
        " runbundle writes nothing of this size. The file was not read to its end.",
        "Treat the bundle as altered. Restore the file from a copy.",
    ),
    "RB232": FindingSpec(
        "JSON is nested too deeply", "error", "integrity",
        "JSON in the bundle is nested more than 96 levels deep. runbundle writes payloads with at most 64 levels and"
        " configurations with at most 32.",
        "Treat the bundle as altered. Restore the file from a copy.",
    ),
    "RB301": FindingSpec(
        "spans are missing", "warning", "completeness",
        "The run's processes started more spans than arrived.",
        "See completeness in run.json. The usual causes are full queues, sampling and killed processes.",
    ),
    "RB302": FindingSpec(
        "spans never ended", "warning", "completeness",
        "Some spans were still open when the run was sealed.",
        "Wait for background work before the run ends, or give that work a run of its own.",
    ),
    "RB303": FindingSpec(
        "records were dropped", "warning", "completeness",
        "Records were lost while the run was recorded: by limits of the OpenTelemetry SDK, a full disk or a damaged"
        " journal.",
        "See completeness.dropped in run.json: it counts the losses by reason.",
    ),
    "RB304": FindingSpec(
        "the run has no end", "warning", "completeness",
        "The run's own span never ended, because its process was killed.",
        "Nothing can be done for this run: the bundle contains the records that were written before the process died.",
    ),
    "RB305": FindingSpec(
        "counts do not agree", "error", "completeness",
        "run.json counts other numbers of events, spans, calls or errors than its files contain, or lists other"
        " traces.",
        "Report it with the version in run.json: it is a defect of the program that wrote the bundle.",
    ),
    "RB306": FindingSpec(
        "two runs share one id", "warning", "completeness",
        "More than one span claims to be this run.",
        "Give each run an id of its own, or leave run_id out: then runbundle makes a random one.",
    ),
    "RB307": FindingSpec(
        "the number of spans is not known", "warning", "completeness",
        "No process said how many spans it started, so a lost span would not be noticed. An exporter alone is handed"
        " only spans that ended, and so records this way: one that OTEL_CONFIG_FILE names, or that an application adds"
        " to a provider of its own.",
        "Call runbundle.configure(), or start the program with opentelemetry-instrument and"
        " OTEL_TRACES_EXPORTER=runbundle: both see each span begin.",
    ),
    "RB308": FindingSpec(
        "the bundle calls itself incomplete", "warning", "completeness",
        "completeness in run.json says that records are missing or came too late, and gives no other reason.",
        "See completeness in run.json.",
    ),
    "RB309": FindingSpec(
        "two records claim one span", "warning", "completeness",
        "Several records have the same trace and span id and different content. The bundle has the one that began"
        " first and counts the others. The ids came from a generator that repeats itself, such as `random` after"
        " `random.seed()`.",
        "Let configure() build the tracer provider: it draws ids from the operating system. Or give your provider an"
        " id generator that does.",
    ),
    "RB310": FindingSpec(
        "a time or an id is not possible", "warning", "completeness",
        "A span ends before it begins, begins before its parent, lies a year away from its run, or has the id zero; or"
        " a time was not between 1970 and 2262. The order of these events and their durations mean nothing.",
        "Find the instrumentation that gives milliseconds instead of nanoseconds, or the clock that was set back.",
    ),
    "RB311": FindingSpec(
        "a record was coerced", "warning", "completeness",
        "A field had another type than OpenTelemetry declares, or a value that JSON cannot hold: a time as a float,"
        " NaN, half of a surrogate pair. The bundle has the converted value, or a stand-in.",
        "The record's attribute runbundle.coerced lists the fields. Correct the instrumentation that sets them.",
    ),
    "RB401": FindingSpec(
        "content is not redacted", "error", "redaction",
        "An attribute that holds prompts, payloads or other free text has a raw value instead of a marker or a digest.",
        "Find out which program wrote the bundle, and assume that it contains raw content.",
    ),
    "RB402": FindingSpec(
        "a span has no receipt", "error", "redaction",
        "A span has no receipt of its redaction, so it did not pass the redactor.",
        "Find out which program wrote the bundle.",
    ),
    "RB403": FindingSpec(
        "a text looks like a credential", "error", "redaction",
        "The bundle contains text in the public format of a credential.",
        "Revoke the credential, move the bundle out of reach, and add a rule to the tool's contract.",
    ),
    "RB404": FindingSpec(
        "receipts do not add up", "error", "redaction",
        "The totals of redactions in run.json differ from the sum of the receipts of all spans.",
        "Report it with the version in run.json: it is a defect of the program that wrote the bundle.",
    ),
    "RB407": FindingSpec(
        "a bundle was quarantined", "error", "redaction",
        "Before a bundle is published its bytes are searched. A credential was found where it cannot be masked, such"
        " as in the run's id. Nothing was written to the store. The run's records were moved to .quarantine in the"
        " spool, with a reason.json that names the place and the rule.",
        "Revoke the credential. Add a rule to the contract that let it through, or report a hole in the redactor. Then"
        " delete the folder.",
    ),
    "RB413": FindingSpec(
        "credentials were masked at the seal", "warning", "redaction",
        "Before the bundle was published its values were searched, and credentials were found that the redactor had"
        " let through. They were masked in the bundle; redaction.masked in run.json counts them by rule.",
        "Revoke the credentials: copies that were forwarded elsewhere were not searched. Add a rule to the contract"
        " that let them through, register the value with register_secret(), or report a hole in the redactor.",
    ),
    "RB414": FindingSpec(
        "a secret of the environment cannot be recognised", "warning", "redaction",
        "The name of an environment variable says that it holds a credential, but its value cannot be told from"
        " ordinary text: it is short, a word, a date, a media type or a word of the format. Known values are masked"
        " wherever they appear; this one is masked only where a rule or a key beside it says so.",
        "Use a longer value, or rename the variable if it holds no secret.",
    ),
    "RB501": FindingSpec(
        "a parent span is unknown", "error", "references",
        "A span names a parent that is not in the bundle and is not marked as outside the run.",
        "If RB301 or RB303 is reported too, the parent was lost. Otherwise report it with the version in run.json.",
    ),
    "RB502": FindingSpec(
        "a tool call has no span", "error", "references",
        "tool_calls.json names a span that events.jsonl does not have.",
        "Report it with the version in run.json: it is a defect of the program that wrote the bundle.",
    ),
    "RB503": FindingSpec(
        "evidence has no span", "error", "references",
        "evidence.json names a span that events.jsonl does not have.",
        "Report it with the version in run.json: it is a defect of the program that wrote the bundle.",
    ),
    "RB504": FindingSpec(
        "the configuration's digest is wrong", "error", "references",
        "The SHA-256 of the configuration in run.json is not that of the file it names.",
        "Treat the bundle as altered. Restore run.json from a copy.",
    ),
    "RB505": FindingSpec(
        "a file belongs to another run", "error", "references",
        "A file names another run or tenant than the bundle in which it lies.",
        "The files of two bundles were mixed, or a folder was renamed. Restore them from copies.",
    ),
    "RB506": FindingSpec(
        "an event has no span", "error", "references",
        "An event names a span that events.jsonl does not have.",
        "If the integrity checks pass, the program that wrote the bundle is at fault: report it with the version in"
        " run.json. Otherwise restore events.jsonl from a copy.",
    ),
    "RB507": FindingSpec(
        "evidence of a score is not there", "error", "references",
        "A score in eval/scorecard.json names an event as its evidence that events.jsonl does not have, or that is of"
        " another span.",
        "Do not believe the score. The usual cause is a scorer that makes up its evidence; score the run again.",
    ),
    **PIPELINE,
}  # fmt: skip
"""All findings by code: RB1xx structure, RB2xx integrity, RB3xx completeness, RB4xx redaction, RB5xx references,
RB9xx pipeline."""
