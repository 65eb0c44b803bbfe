"""The exceptions of runbundle, in one place, drawn as a tree.

::

    RunbundleError
    ├── ConfigError (ValueError)          an option, URL, id or environment variable cannot be used as given
    ├── ContractError                     a tool contract is wrong; `.path` says where
    ├── StoreError
    │   ├── KeyNotFound (KeyError)        the store has nothing under that key, or no run of that name
    │   │   └── OddEntry                  the entry is a link, a pipe, a folder, …; it was not opened
    │   ├── AlreadyExists (FileExistsError)  create-only: the key is taken; nothing was changed
    │   ├── KeyChanged                    conditional replace: the key holds other bytes; nothing was changed
    │   └── StoreUnavailable              disk full, no permission, no network: worth another try
    ├── RunStateError
    │   ├── StateConflict                 another writer was first: a revision, a lease or a name; nothing was changed
    │   ├── StateNotFound (KeyError)      no run, checkpoint or thread has that name
    │   ├── StateRefused                  the deletion would break records that stay; nothing was changed
    │   ├── StateCorrupt                  stored state cannot be trusted: altered, not encrypted, or incomplete
    │   └── StateUnavailable              disk full, locked, no network: worth another try
    ├── BundleError
    │   ├── MalformedBundle               a file does not parse; `.file` and `.line` say where
    │   │   ├── TooLarge                  a file, a line or an entry is over its limit; it was not read to its end
    │   │   └── TooDeep                   JSON is nested over the limit
    │   ├── UnsupportedVersion            the bundle was written by a later major version of the format
    │   ├── NotSealed                     run.json is absent: the run is still being written, or was cut off
    │   ├── WriteConflict                 another bundle is sealed under this run id
    │   ├── BundleQuarantined             a credential was found before publishing; nothing was published
    │   ├── NotVerified                   a bundle that is to be compared does not verify
    │   └── NotComparable                 what would be said of a difference of two runs would not be true
    └── PolicyBlocked                     a policy refused a tool call; the only error that an agent should see

No decorator, span processor or exporter raises any of these but `PolicyBlocked`: inside an application failures are
counted, logged now and then, and stated in the bundle. `ConfigError` and `ContractError` are raised where a developer
makes the mistake: in `configure()`, or when a contract is built.
"""


class RunbundleError(Exception):
    """The base of all errors of this package.

    `message` says what is wrong. `hint` says in one sentence what to do, or is empty. `lines` are shown below the
    message to people: the runs that a name could mean, or the place in a text. `code` is the stable name that JSON
    output uses. `str()` gives the message, with the hint in brackets.
    """

    code = "error"

    def __init__(self, message: str, *, hint: str = "", lines: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.lines = lines

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigError(RunbundleError, ValueError):
    """An option, URL, run id or environment variable cannot be used as given."""

    code = "config"


class ContractError(RunbundleError):
    """A tool contract is wrong. `path` is where in the contract, such as `data.rules[2].selector`."""

    code = "contract"

    def __init__(self, message: str, *, path: str = "", hint: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message, hint=hint)
        self.path = path


class StoreError(RunbundleError):
    """The artifact store could not do what was asked."""

    code = "store"


class KeyNotFound(StoreError, KeyError):
    """The store has nothing under that key, or no run of that name."""

    code = "not-found"


class OddEntry(KeyNotFound):
    """The entry under the key is no regular file, or lies behind a link. It was neither opened nor followed."""

    code = "odd-entry"


class AlreadyExists(StoreError, FileExistsError):
    """The key is taken. Nothing was changed."""

    code = "already-exists"


class KeyChanged(StoreError):
    """The key holds other bytes than those that were to be replaced. Nothing was changed."""

    code = "key-changed"


class StoreUnavailable(StoreError):
    """The store cannot be reached or written: disk full, no permission, no network."""

    code = "store-unavailable"


class RunStateError(RunbundleError):
    """The run store could not do what was asked."""

    code = "run-state"


class StateConflict(RunStateError):
    """Another writer was first: the revision moved on, the lease or the name is taken. Nothing was changed."""

    code = "state-conflict"


class StateNotFound(RunStateError, KeyError):
    """No run, checkpoint or thread of this tenant has that name."""

    code = "state-not-found"


class StateRefused(RunStateError, NotImplementedError):
    """The state that would remain is rebuilt from the state that would be deleted. Nothing was changed."""

    code = "state-refused"


class StateCorrupt(RunStateError):
    """Stored state cannot be trusted: it was altered, is incomplete, or is not encrypted although encryption is on."""

    code = "state-corrupt"


class StateUnavailable(RunStateError):
    """The run store cannot be reached or written: disk full, locked, no permission, no network."""

    code = "state-unavailable"


class BundleError(RunbundleError):
    """A bundle cannot be read or written."""

    code = "bundle"


class MalformedBundle(BundleError):
    """A file of the bundle does not parse. `file` names it; `line` counts from 1, or is 0 for the whole file."""

    code = "malformed"
    finding = ""
    """The code of the finding that `verify` makes of this error, or "" if it has none of its own."""

    def __init__(self, message: str, *, file: str, line: int = 0, hint: str = "") -> None:
        super().__init__(f"{file}{f':{line}' if line else ''}: {message}", hint=hint)
        self.file = file
        self.line = line


class TooLarge(MalformedBundle):
    """A file, a line or an entry is larger than any that runbundle writes. It was not read to its end."""

    finding = "RB231"


class TooDeep(MalformedBundle):
    """JSON is nested more deeply than any that runbundle writes."""

    finding = "RB232"


class UnsupportedVersion(BundleError):
    """The bundle was written by a later major version of the format. A newer runbundle reads it."""

    code = "unsupported-version"


class NotSealed(BundleError):
    """`run.json` is absent: the run is still being written, or its writer was cut off."""

    code = "not-sealed"


class WriteConflict(BundleError):
    """Another bundle is sealed under this run id. The records of the second run stay in the spool."""

    code = "write-conflict"


class BundleQuarantined(BundleError):
    """A credential was found in an assembled bundle. Nothing was published; the records were set aside in the spool."""

    code = "quarantined"
    finding = "RB407"


class NotVerified(BundleError):
    """A bundle that is to be compared does not verify."""

    code = "not-verified"


class NotComparable(BundleError):
    """Two runs cannot be compared: something of one is missing, or what is known of them cannot be set side by side."""

    code = "not-comparable"


class PolicyBlocked(RunbundleError):
    """A policy refused a tool call. It is raised to the agent, which may handle it like any error of a tool."""

    code = "policy-blocked"
