"""The catalogue of rules that receipts and `contracts lint` name: for each a title, its meaning and the remedy."""

from runbundle.format.catalogue.spec import FindingSpec


def _receipt(title: str, why: str, what_to_do: str = "Nothing to do: this is how redaction works.") -> FindingSpec:
    return FindingSpec(title, "information", "receipt", why, what_to_do)


def _lint(title: str, why: str, what_to_do: str, severity: str = "warning") -> FindingSpec:
    return FindingSpec(title, severity, "contract", why, what_to_do)


RULES: dict[str, FindingSpec] = {
    "RC101": _lint(
        "a rule repeats a selector",
        "Two rules have the same selector and target. The stricter one decides; the other has no effect.",
        "Keep one of them.",
    ),
    "RC102": _lint(
        "a property named like a credential is kept",
        "A rule, or undeclared_scalars, keeps a property whose name says that it is a credential. The detectors"
        " mask credentials anyway, so nothing useful is kept.",
        "Give the property a rule of its own with data_class credential.",
    ),
    "RC103": _lint(
        "a rule keeps everything",
        "A rule with action keep selects the whole payload, so fields that are added later are kept too.",
        "Give rules only to the fields that are to be kept; the rest stays masked.",
    ),
    "RC104": _lint(
        "there is no output schema",
        "The contract has rules for the result but no schema of it, so a misspelt selector is not noticed.",
        "Add the output_schema.",
    ),
    "RC105": _lint(
        "a destructive tool always runs",
        "The contract says that the tool is destructive, and its policy allows every call.",
        "Remove the policy: calls then require approval.",
    ),
    "RC106": _lint(
        "properties have no rule",
        "No rule matches these properties of the schema, so their values are withheld, as all undeclared values are.",
        "To keep a property, give it a rule.",
        "information",
    ),
    "RC107": _lint(
        "a rule matches nothing in the schema",
        "The schema of the tool has no value that the rule's selector could match, so the rule has no effect. The"
        " selector is misspelt, or the schema has changed.",
        "Correct the selector, or remove the rule.",
    ),
    "undeclared": _receipt(
        "a key or name is not known",
        "The key of an attribute is not in the tables of known keys, or the name of a span or event does not follow"
        " from known values. Neither the name nor the value is kept. A span whose attributes say its kind of work and"
        " the name of its thing is called by these, and its original name leaves only a digest.",
        "If the value is a number or a short name, list its key in safe_keys. List the name of a span or event in"
        " safe_names.",
    ),
    "content": _receipt(
        "free text is digested",
        "The attribute holds prompts, queries, addresses or other free text: only a digest and the size are kept.",
    ),
    "error": _receipt(
        "an error's message is digested",
        "Messages of exceptions quote data, so only a digest and the size are kept.",
        "To keep the messages of a tool, give its contract a rule with target error.",
    ),
    "user_id": _receipt(
        "the user's id is hashed or dropped",
        "The option user_id of configure() decides whether the id is hashed or dropped.",
        'user_id="keep" keeps an id that names nobody by itself.',
    ),
    "free_id": _receipt(
        "an id may name a person",
        "The id of a session, request or case looks like an e-mail address or a number of a person, so it is withheld.",
    ),
    "stacktrace": _receipt(
        "a stack trace is reduced to its frames",
        "Source lines and messages quote data; only file names, line numbers and function names are kept.",
    ),
    "no-contract": _receipt(
        "the tool has no contract",
        "A payload is kept only as far as a contract allows, and this tool has none: only a digest and the size are"
        " kept.",
        "Give the tool a contract; `runbundle contracts init` proposes one.",
    ),
    "contract": _receipt(
        "the tool's contract decided",
        "contract:<tool>:<selector> names the rule that decided; contract:<tool>:undeclared stands for all values"
        " that no rule matches.",
        "To keep a field, give it a rule; `runbundle contracts explain TOOL PAYLOAD` shows what decides each value.",
    ),
    "oversize": _receipt(
        "a value is too large",
        "The largest parts of a payload, or the whole payload, were replaced by markers that give their size.",
    ),
    "unserialisable": _receipt(
        "a value cannot be written as JSON", "JSON has no form for the value, or it is nested too deeply."
    ),
    "config": _receipt(
        "a part of the configuration is withheld",
        "A key of the configuration is a credential itself, or a text is too long.",
    ),
    "floor": _receipt(
        "a text contains a credential that no detector masked",
        "The last check after the detectors searches for the public formats of credentials, and for words such as"
        " password with a value behind them. The whole text is withheld.",
    ),
    "taint": _receipt(
        "a value was withheld elsewhere in the run",
        "A value that a contract withheld in one payload is masked wherever later payloads of the run repeat it.",
    ),
    "taint:forgotten": _receipt(
        "withheld values were forgotten",
        "The table of withheld values holds 512 values a run, for 256 runs at a time. Values beyond that are not"
        " masked where later payloads repeat them.",
        "Keep less of later payloads, or withhold fewer values.",
    ),
    "foreign:marker": _receipt(
        "a value already had markers",
        "A value contained a marker when it reached its first redactor: it was redacted elsewhere, or somebody"
        " typed the marker. This redactor did not withhold the value behind it.",
    ),
    "foreign:receipt": _receipt(
        "a record already had a receipt",
        "A record arrived with a receipt that was made under another key. On spans of our own scope its notes are kept"
        " unchanged. On others it counts for nothing, since anybody may write such a text: the record is read and"
        " redacted as a new one.",
        "Set the same RUNBUNDLE_REDACTION_KEY in all processes that redact for one store.",
    ),
    "malformed": _receipt(
        "what only the recorder writes has another form",
        "A key of our own, such as runbundle.capture, had a value that no recorder writes there, or a span of another"
        " scope said what only we may say, such as runbundle.tool.arguments.digest. It is dropped.",
        "Set no attributes of your own under keys that begin with runbundle.",
    ),
    "failed": _receipt(
        "redaction failed",
        "The redactor raised an error, so only the ids, times and status of the record are kept.",
        "Report it with the version in run.json; it is a defect of the redactor.",
    ),
    "detector:credential-key": _receipt(
        "a name beside a value says that it is a credential",
        "The name is the key of the value, a name in the same object, or the header or option before the value in a"
        " list.",
    ),
    "detector:known-secret": _receipt(
        "a value is a known secret",
        "The value was registered by register_secret(), as a SecretStr, or from the environment.",
    ),
    "detector:encoded-too-deep": _receipt(
        "a text is encoded too often",
        "The detectors decode text up to three times. Text that can still be decoded after that is masked unread.",
    ),
    "detector": _receipt(
        "a detector recognised a credential",
        "The rest of the rule's name is the vendor's format, or the context by which the credential was recognised.",
        "If it is no credential, report the rule with a similar text. No option switches a detector off.",
    ),
}
"""All rules, by code, by name, or by the part of a rule's name before the first colon."""


def rule_spec(name: str) -> FindingSpec | None:
    """Return the entry of a rule, by its whole name or by the part before the first colon; None if there is none."""
    return RULES.get(name.upper()) or RULES.get(name) or RULES.get(name.partition(":")[0])
