"""All settings: arguments of `configure()` and `RUNBUNDLE_*` variables, what each may be, and one way to check them.

From this table come the checks and their errors, the options in the docstring of `configure()`, the help of the command
line, and the table in docs/settings.md; a test holds the four together. A variable that is empty is not set. Messages
name what is wrong and the nearest thing that is right; of what was given they repeat words alone.
"""

import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple, cast
from urllib.parse import urlsplit

from runbundle.errors import ConfigError
from runbundle.process.regex import later

_WORD = later(r"[A-Za-z0-9_.:/-]{1,40}")
PREFIX = "RUNBUNDLE_"
VAULT_TTL_S = 7 * 24 * 3600
"""How long a vault keeps what it has by default."""


Kind = Literal[
    "choice", "flag", "number", "whole", "endpoint", "path", "store", "paths", "texts", "secret", "callable", "list",
    "mapping", "provider", "link",
]  # fmt: skip
"""What values a setting takes; each kind has one check, and one word for the page."""


class Setting(NamedTuple):
    """One setting: what `configure()` shows in its docstring, docs/settings.md lists, and `check` goes by."""

    argument: str
    """Of `configure()`; "" for a variable alone."""
    variable: str
    """Of the environment; "" for an argument alone."""
    kind: Kind
    default: str
    """As the table says it."""
    about: str
    """One sentence."""
    choices: tuple[str, ...] = ()
    least: float = 0
    """Of a number."""
    refused: str = ""
    """What is refused beyond values of another kind."""


SETTINGS: tuple[Setting, ...] = (
    Setting("store", "RUNBUNDLE_STORE", "store", ".runbundle", "Where bundles go: a path, a URL, or a store.",
            refused="a URL of a store that there is not, or that holds a password"),
    Setting("contracts", "RUNBUNDLE_CONTRACTS", "paths", "none",
            "Tool contracts, or the files that hold them; in the variable joined by `:`.",
            refused="a file that holds no contract; two different contracts of one tool"),
    Setting("tracer_provider", "", "provider", "None", "The tracer provider to attach to; else the global one, or one"
            " that is built.", refused="an object that takes no span processors"),
    Setting("otlp", "RUNBUNDLE_OTLP", "endpoint", "none", "Forward redacted spans and logs by OTLP: True, a URL, an"
            " `Otlp`, or a list; in the variable yes, or URLs.", refused="a destination that is named twice"),
    Setting("key", "RUNBUNDLE_REDACTION_KEY", "secret", "one kept for this user",
            "The key of the digests: its bytes, the path of a file, or a callable that returns it.",
            refused="fewer than 16 bytes; a text that repeats itself"),
    Setting("", "RUNBUNDLE_REDACTION_KEY_FILE", "path", "none", "A file that holds the key of the digests."),
    Setting("", "RUNBUNDLE_KEYS", "path", "~/.config/runbundle/keys", "Where keys are kept that nobody gave."),
    Setting("safe_keys", "", "texts", "()", "Attribute keys of your own whose values may be kept; `*` stands for"
            " anything.", refused="a key of content, as `gen_ai.input.messages` is"),
    Setting("safe_names", "", "texts", "()", "Span and event names of your own that may be kept; `*` stands for"
            " anything."),
    Setting("user_id", "", "choice", "hash", "What becomes of user ids.", ("keep", "hash", "drop")),
    Setting("result", "", "list", "()", "The rules that keep fields of a run's result; by default none is kept."),
    Setting("decider", "", "callable", "None", "Who decides about calls that need approval; by default they are"
            " refused."),
    Setting("redact", "", "choice", "agents", "Whose telemetry is redacted for other sinks than bundles.",
            ("agents", "all")),
    Setting("raw_exporters", "", "choice", "refuse", "Whether `redact=\"all\"` allows exporters that see raw spans.",
            ("refuse", "allow")),
    Setting("content_mode", "", "choice", "digest", "Whether raw content is kept in an encrypted vault.",
            ("digest", "debug")),
    Setting("", "RUNBUNDLE_DEBUG_CONTENT", "flag", "0", "Whether `content_mode=\"debug\"` may keep raw content."),
    Setting("vault_ttl_s", "", "number", "604800", "How long the vault keeps what it has, in seconds."),
    Setting("", "RUNBUNDLE_VAULT", "path", ".vault in the store", "Where debug mode keeps raw content, encrypted."),
    Setting("", "RUNBUNDLE_VAULT_KEY", "secret", "none", "The key of the vault."),
    Setting("", "RUNBUNDLE_VAULT_KEY_FILE", "path", "none", "A file that holds the key of the vault."),
    Setting("spool", "RUNBUNDLE_SPOOL", "path", ".spool in the store", "Where journals lie until the seal."),
    Setting("grace_s", "", "number", "2.0", "How long an ended run waits for open spans, in seconds."),
    Setting("durability", "", "choice", "os", "What a record survives: the end of the process; that of the machine,"
            " after 0.1 s; that of the machine, at once.", ("os", "fsync-batch", "fsync")),
    Setting("spool_limit_bytes", "", "whole", "4294967296", "How much may wait for its seal, in bytes.", (), 1),
    Setting("recover", "", "flag", "True", "Whether runs that dead processes left are sealed in the background."),
    Setting("seal", "RUNBUNDLE_SEAL", "choice", "thread", "Who seals runs: a thread of the agent's process, or a"
            " process of ours that takes no time from the agent's threads.", ("thread", "process")),
    Setting("resource", "", "mapping", "None", "Resource attributes of a provider that is built here."),
    Setting("set_global", "", "flag", "True", "Whether providers built here become the global ones."),
    Setting("trust_baggage", "", "choice", "signed", "Which claims in requests, of being a part of a run, are"
            " believed.", ("signed", "any", "never")),
    Setting("run_id_keys", "RUNBUNDLE_RUN_ID_KEYS", "texts",
            "('run_id', 'run.id', 'gen_ai.agent.run_id', 'langsmith.trace.id')",
            "Attributes in which spans carry the id of a run that nobody has named; in the variable joined by `,`."),
    Setting("group_by", "RUNBUNDLE_GROUP_BY", "choice", "trace",
            "What makes one run of spans that nobody began a run for.", ("trace", "conversation")),
    Setting("", "RUNBUNDLE_STATE", "path", ".state in the store", "The folder of the run state."),
    Setting("", "RUNBUNDLE_CACHE", "path", "~/.cache/runbundle", "The index of local stores, and compiled rules."),
    Setting("", "RUNBUNDLE_TRACE_URL", "link", "none", "Where your backend shows a trace, for the links of `show`."),
    Setting("", "RUNBUNDLE_NATIVE", "flag", "1", "Whether the native core is used, if `runbundle-native` is installed."
            " Without it Python does the same, slower."),
)  # fmt: skip
"""Every setting: those of `configure()` in the order of its signature, each with the variables that belong to it."""

VARIABLES = {setting.variable: setting for setting in SETTINGS if setting.variable}
ARGUMENTS = {setting.argument: setting for setting in SETTINGS if setting.argument}
_DOCSTRING_WIDTH = 116
YES, NO = ("1", "true", "yes"), ("0", "false", "no")
"""What a variable may say that switches something on or off."""


def variable(name: str, environment: Mapping[str, str] | None = None) -> str:
    """Return what a `RUNBUNDLE_*` variable says, checked; "" if it is not set. Raises `ConfigError`."""
    setting = VARIABLES[name]
    text = (os.environ if environment is None else environment).get(name, "")
    text = text if setting.kind == "secret" else text.strip()
    if text and setting.kind == "flag" and text.lower() not in (*YES, *NO):
        raise _wrong(name, text, (*YES, *NO))
    if text and setting.kind == "choice" and text not in setting.choices:
        raise _wrong(name, text, setting.choices)
    return text


def flag(name: str) -> bool:
    """Return whether a variable switches something on. Raises `ConfigError` for what is neither yes nor no."""
    return variable(name).lower() in YES


def variables(name: str) -> list[str]:
    """Return the parts of a variable that lists paths."""
    return [part for part in variable(name).split(os.pathsep) if part]


def words(name: str) -> tuple[str, ...]:
    """Return the parts of a variable that lists texts."""
    return tuple(part.strip() for part in variable(name).split(",") if part.strip())


def check(arguments: Mapping[str, Any]) -> None:
    """Check arguments of `configure()`, each by its setting. Raises `ConfigError` that says what is nearest to it.

    None is left to the variable of a setting that has one.
    """
    for name, value in arguments.items():
        if name in ARGUMENTS and not (value is None and ARGUMENTS[name].variable):
            _CHECKS[ARGUMENTS[name].kind](ARGUMENTS[name], value)


def refuse_unknown(given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Raise `ConfigError` for keywords that nobody takes."""
    for name in given:
        near = nearest(name, known)
        raise ConfigError(f"there is no option {_shown(name)}", hint=f"did you mean {near}?" if near else "")


def unknown_variables(environment: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
    """Return the `RUNBUNDLE_*` variables that nobody reads, each with the nearest that is read, or ""."""
    found = sorted(os.environ if environment is None else environment)
    return [(name, nearest(name, VARIABLES)) for name in found if name.startswith(PREFIX) and name not in VARIABLES]


def nearest(text: str, known: Any) -> str:
    """Return the word that is most like `text`, or nothing."""
    from difflib import get_close_matches  # where something is wrong, and nowhere else

    return next(iter(get_close_matches(text, list(known), 1, 0.5)), "")


def options() -> list[str]:
    """Return the lines about options in the docstring of `configure()`.

    They stand there as text, so that an editor shows them without running anything; a test compares the two.
    """
    from textwrap import wrap  # not needed to record

    lines: list[str] = []
    for setting in ARGUMENTS.values():
        text = f"- `{setting.argument}`: {setting.about}{_choices(setting)}"
        lines += wrap(text, _DOCSTRING_WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    return lines


def table() -> str:
    """Return the table in docs/settings.md."""
    rows = ["| argument | variable | takes | default | | refused |", "|---|---|---|---|---|---|"]
    for setting in SETTINGS:
        names = [f"`{name}`" if name else "" for name in (setting.argument, setting.variable)]
        takes, refused = _TAKES[setting.kind]
        refused = refused.format(least=f"{setting.least:g}") if setting.argument or setting.kind == "flag" else ""
        refused = "; ".join(filter(None, [refused, setting.refused]))
        about = f"{setting.about}{_choices(setting)}"
        rows.append(f"| {names[0]} | {names[1]} | {takes} | {setting.default} | {about} | {refused} |")
    return "\n".join(rows) + "\n"


def _choices(setting: Setting) -> str:
    return f" One of {', '.join(f'`{choice}`' for choice in setting.choices)}." if setting.choices else ""


def _wrong(name: str, value: Any, choices: tuple[str, ...]) -> ConfigError:
    near = nearest(value.lower(), choices) if isinstance(value, str) else ""
    hint = f"did you mean {near!r}? " if near else ""
    return ConfigError(f"{name} is {_shown(value)}", hint=f"{hint}it is one of {', '.join(choices)}")


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return repr(value) if _WORD.fullmatch(value) else "something else"
    return repr(value) if isinstance(value, bool | int | float | None) else f"a {type(value).__name__}"


def _choice(setting: Setting, value: Any) -> None:
    if value not in setting.choices:
        raise _wrong(setting.argument, value, setting.choices)


def _flag(setting: Setting, value: Any) -> None:
    if not isinstance(value, bool):
        raise ConfigError(f"{setting.argument} is {_shown(value)}", hint="it is True or False")


def _number(setting: Setting, value: Any) -> None:
    whole = setting.kind == "whole"
    fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not fits or not math.isfinite(value) or value < setting.least or value > 2**63 - 1:
        kind = "a whole number" if whole else "a number"
        near = f", such as {setting.default}"
        raise ConfigError(f"{setting.argument} is {_shown(value)}", hint=f"it is {kind} from {setting.least:g}{near}")


def _endpoint(setting: Setting, value: Any) -> None:
    if value is None or isinstance(value, bool) or hasattr(value, "endpoint"):  # an Otlp has checked itself
        return
    if isinstance(value, str) or not isinstance(value, Iterable) or isinstance(value, bytes | Mapping):
        require_endpoint(setting.argument, value)
        return
    for one in cast("Iterable[Any]", value):
        if not hasattr(one, "endpoint"):
            require_endpoint(f"an item of {setting.argument}", one)


def require_endpoint(name: str, value: Any) -> None:
    """Raise `ConfigError` for a value that is no URL of a receiver. The error does not repeat a URL."""
    try:
        parts = urlsplit(value) if isinstance(value, str) and value.isprintable() and " " not in value else None
        fits = parts is not None and parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that are not closed, a port that is none
        fits = False
    if not fits:
        plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9.-]{1,80}(:\d{1,5})?", value)
        hint = f"did you mean 'http://{value}'?" if plain else "as in 'http://localhost:4318', or True"
        raise ConfigError(f"{name} is no URL of an endpoint", hint=hint)


def _texts(setting: Setting, value: Any) -> None:
    if isinstance(value, str):
        raise ConfigError(f"{setting.argument} is one text", hint=f"give a list of them: {setting.argument}=[...]")
    if not isinstance(value, Iterable):
        raise ConfigError(f"{setting.argument} is {_shown(value)}", hint="it is a list of texts")
    for item in cast("Iterable[Any]", value):
        if not isinstance(item, str) or not item:
            text = f"{setting.argument}: {_shown(item)} can never match"
            raise ConfigError(text, hint="it is a list of texts, none of them empty")


def _path(setting: Setting, value: Any) -> None:
    if value is not None and not isinstance(value, str | os.PathLike):
        raise ConfigError(f"{setting.argument} is {_shown(value)}", hint="it is a path")


def _store(setting: Setting, value: Any) -> None:
    if value is not None and not isinstance(value, str | os.PathLike) and not hasattr(value, "url"):
        raise ConfigError(f"{setting.argument} is {_shown(value)}", hint="it is a path, a URL or a store")


def _paths(setting: Setting, value: Any) -> None:
    if isinstance(value, str | bytes | os.PathLike):
        raise ConfigError(f"{setting.argument} is one text", hint=f"it is a list, as in {setting.argument}=[...]")


def _list(setting: Setting, value: Any) -> None:
    _paths(setting, value)
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        raise ConfigError(f"{setting.argument} is {_shown(value)}", hint="it is a list")


def _mapping(setting: Setting, value: Any) -> None:
    if value is not None and not isinstance(value, Mapping):
        raise ConfigError(f"{setting.argument} is {_shown(value)}", hint="it is a mapping of names to values")


def _callable(setting: Setting, value: Any) -> None:
    if value is not None and not callable(value):
        raise ConfigError(f"{setting.argument} is not callable", hint="give a function that takes a ToolCall")


def _elsewhere(setting: Setting, value: Any) -> None:  # noqa: ARG001 - whoever takes it checks it
    return


_CHECKS: dict[Kind, Callable[[Setting, Any], None]] = {
    "choice": _choice, "flag": _flag, "number": _number, "whole": _number, "endpoint": _endpoint, "texts": _texts,
    "path": _path, "paths": _paths, "store": _store, "list": _list, "mapping": _mapping, "callable": _callable,
    "secret": _elsewhere, "provider": _elsewhere, "link": _elsewhere,
}  # fmt: skip
_TAKES: dict[Kind, tuple[str, str]] = {
    "choice": ("a word", "any other word"),
    "flag": ("yes or no", "anything but True and False; in a variable, anything but 1, true, yes, 0, false, no"),
    "number": ("a number", "less than {least}, infinity, text"),
    "whole": ("a whole number", "less than {least}, fractions, text"),
    "endpoint": ("a bool, a URL, an `Otlp` or a list", "a URL that is not http or https, or has no host"),
    "path": ("a path", "anything else"),
    "store": ("a path, a URL or a store", "anything else"),
    "paths": ("a list", "one path in place of a list"),
    "texts": ("a list of texts", "one text in place of a list; an empty text"),
    "list": ("a list", "one text in place of a list"),
    "mapping": ("a mapping", "anything else"),
    "callable": ("a function", "what cannot be called"),
    "secret": ("a secret", ""),
    "provider": ("a tracer provider", ""),
    "link": ("a URL of http or https with `{trace_id}` in it", ""),
}
"""What the page says of each kind: what it takes, and what is refused."""
