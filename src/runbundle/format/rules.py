"""What the rules mean that receipts and `contracts lint` name. Plain data, as the catalogue of findings is."""

from runbundle.format.findings import FindingSpec


def _receipt(title: str, why: str, what_to_do: str = "Nothing: this is how redaction works.") -> FindingSpec:
    return FindingSpec(title, "information", "receipt", why, what_to_do)


def _lint(title: str, why: str, what_to_do: str, severity: str = "warning") -> FindingSpec:
    return FindingSpec(title, severity, "contract", why, what_to_do)


RULES: dict[str, FindingSpec] = {
    "RC101": _lint(
        "a rule repeats a selector",
        "Two rules name the same place for the same target. The stricter one decides, and the other says nothing.",
        "Keep one of them.",
    ),
    "RC102": _lint(
        "a property named like a credential is kept",
        "A rule, or undeclared_scalars, keeps a property whose name says that it is a credential. The detectors"
        " mask what is one all the same, so that nothing of use is kept.",
        "Give it a rule of its own with data_class credential.",
    ),
    "RC103": _lint(
        "a rule keeps everything",
        "The selector of a rule that keeps is the whole payload, whatever will be in it one day.",
        "Name what is to be kept, and leave the rest masked.",
    ),
    "RC104": _lint(
        "there is no output schema",
        "There are rules for the result and no schema of it, so that a misspelt selector is not noticed.",
        "Give the schema of the result.",
    ),
    "RC105": _lint(
        "a destructive tool always runs",
        "The tool is said to be destructive and its policy allows every call.",
        "Leave the policy out: calls then require approval.",
    ),
    "RC106": _lint(
        "properties have no rule",
        "No rule names these properties of the schema. They are withheld, which is what happens to all that is not"
        " named.",
        "To keep one, give it a rule.",
        "information",
    ),
    "RC107": _lint(
        "a rule matches nothing in the schema",
        "The schema of the tool describes no place that the selector of the rule could name, so that the rule never"
        " decides anything: it is misspelt, or the schema has changed.",
        "Correct the selector, or remove the rule.",
    ),
    "undeclared": _receipt(
        "nobody declared the key or name",
        "The key of an attribute is in no table of known keys, or a name does not follow from what is known."
        " Neither it nor its value is kept.",
        "If it is a number or a short name, list its key in safe_keys; a span's or an event's name in safe_names.",
    ),
    "content": _receipt(
        "free text is digested", "A key holds prompts, queries, addresses or other free text: digest and size stay."
    ),
    "error": _receipt(
        "an error's message is digested",
        "Messages of exceptions quote data.",
        "To keep parts of a tool's, give its contract a rule with target error.",
    ),
    "user_id": _receipt(
        "the user's id is hashed or dropped", "As configure(user_id=) says.", 'user_id="keep" keeps an opaque id.'
    ),
    "free_id": _receipt(
        "an id may name a person",
        "A session's, request's or case's id has the form of an address or a number of a person.",
    ),
    "stacktrace": _receipt("a stack trace is reduced to its frames", "Source lines and messages quote data."),
    "no-contract": _receipt(
        "the tool has no contract",
        "A payload is kept as far as a contract says, and there is none for this tool: digest and size stay.",
        "Give the tool a contract; `runbundle contracts init` proposes one.",
    ),
    "contract": _receipt(
        "the tool's contract decided",
        "contract:<tool>:<selector> names the rule; contract:<tool>:undeclared stands for all that no rule names.",
        "To keep a field, give it a rule; `runbundle contracts explain TOOL PAYLOAD` shows what decides each value.",
    ),
    "oversize": _receipt(
        "a value is too large", "The largest parts of a payload, or the whole, became markers with their size."
    ),
    "unserialisable": _receipt("a value is no data", "JSON cannot hold it, or it is nested too deeply."),
    "config": _receipt(
        "a part of the configuration is withheld", "A key that is a credential itself, or a text too long."
    ),
    "floor": _receipt(
        "text holds a credential that no detector cut out",
        "The last net under the detectors: the public formats, and a few words with a value behind them. The whole"
        " text goes.",
    ),
    "taint": _receipt(
        "a value was withheld elsewhere in the run",
        "What a contract withheld in one payload is masked wherever later payloads of the run repeat it.",
    ),
    "taint:forgotten": _receipt(
        "withheld values were not remembered",
        "The table of a run holds 512 values, and 256 runs have one at a time: where later payloads repeat these"
        " values, they are not masked.",
        "Withhold smaller parts, or keep less of later payloads.",
    ),
    "foreign:marker": _receipt(
        "markers were there before",
        "A value had a marker in it when it came to its first redactor: it was redacted elsewhere, or somebody"
        " wrote it. Nothing here withheld what it stands for.",
    ),
    "foreign:receipt": _receipt(
        "a receipt was there before",
        "A record came with a receipt that was made under another key. Its notes are kept as they are.",
        "Give all processes that redact for one store the same RUNBUNDLE_REDACTION_KEY.",
    ),
    "malformed": _receipt(
        "what only the recorder writes has another form",
        "A key of our own, such as runbundle.capture, had a value that no recorder writes there. It is dropped.",
        "Set no attributes of your own under keys that begin with runbundle.",
    ),
    "failed": _receipt(
        "redaction failed",
        "An error within the redactor: of the record only ids, times and status are kept.",
        "Report it with the version in run.json; it is a defect of the redactor.",
    ),
    "detector:credential-key": _receipt(
        "a name beside a value says that it is a credential",
        "The key of the value, the name in the same object, or the header or option before it in a list.",
    ),
    "detector:known-secret": _receipt(
        "a known secret",
        "The value was registered: by register_secret(), as a SecretStr, or from the environment.",
    ),
    "detector:encoded-too-deep": _receipt(
        "text is encoded too often",
        "Text is decoded three times to look into it. What decodes still after that is masked unseen.",
    ),
    "detector": _receipt(
        "a detector knew a credential",
        "The rest of the rule's name is the vendor's format, or the context by which it was known.",
        "If it is none, report the rule with a text like it. No option switches a detector off.",
    ),
}
"""By code, by rule, or by what a rule's name begins with, up to a colon."""


def rule_spec(name: str) -> FindingSpec | None:
    """Return what a rule means: the entry of its name, else of what that begins with."""
    return RULES.get(name.upper()) or RULES.get(name) or RULES.get(name.partition(":")[0])
