"""The exceptions of runbundle, in one place.

::

    RunbundleError
    ├── ConfigError (ValueError)          an option, URL, id or environment variable cannot be used as given
    ├── ContractError                     a tool contract is wrong; `.path` says where
    ├── StoreError
    │   ├── KeyNotFound (KeyError)        nothing is stored under that key, or no run has that name
    │   │   └── OddEntry                  what lies there is a link, a pipe, a folder, …; it was not opened
    │   ├── AlreadyExists (FileExistsError)  create-only: the key is taken; nothing was changed
    │   ├── KeyChanged                    conditional replace: the key holds something else; nothing was changed
    │   └── StoreUnavailable              disk full, no permission, no network: worth another try
    ├── RunStateError
    │   ├── StateConflict                 someone else was first: a revision, a lease or a name; nothing was changed
    │   ├── StateNotFound (KeyError)      no run, checkpoint or thread goes by that name
    │   ├── StateRefused                  the deletion would break what it leaves behind; nothing was changed
    │   ├── StateCorrupt                  what is stored cannot be trusted: altered, in plain, or incomplete
    │   └── StateUnavailable              disk full, locked, no network: worth another try
    ├── BundleError
    │   ├── MalformedBundle               a file does not parse; `.file` and `.line` say where
    │   ├── UnsupportedVersion            written by a later major version of the format
    │   ├── NotSealed                     run.json is absent: the run is still being written, or was cut off
    │   ├── WriteConflict                 another bundle was sealed under this run id
    │   └── BundleQuarantined             a credential was found in it before it was published; it was not
    └── PolicyBlocked                     a tool call was refused by policy; the only one an agent should see

None of these is raised out of a decorator, a span processor or an exporter: inside an application failures are
counted, logged now and then, and stated in the bundle. `ConfigError` and `ContractError` are raised where a
developer makes the mistake, in `configure()` or when a contract is built.
"""


class RunbundleError(Exception):
    """Base of all errors of this package.

    `hint` says what to do about it, in one sentence, or is empty. `code` is the stable name used in JSON output.
    """

    code = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

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
    """Nothing is stored under that key, or no run goes by that name."""

    code = "not-found"


class OddEntry(KeyNotFound):
    """What lies under the key is no regular file, or lies behind a link. It was neither opened nor followed."""

    code = "odd-entry"


class AlreadyExists(StoreError, FileExistsError):
    """The key is taken. Nothing was changed."""

    code = "already-exists"


class KeyChanged(StoreError):
    """The key holds something else than what was to be replaced. Nothing was changed."""

    code = "key-changed"


class StoreUnavailable(StoreError):
    """The store cannot be reached or written: disk full, no permission, no network."""

    code = "store-unavailable"


class RunStateError(RunbundleError):
    """The run store could not do what was asked."""

    code = "run-state"


class StateConflict(RunStateError):
    """Someone else was first: the revision has moved on, the lease is another's, the name is taken. Nothing changed."""

    code = "state-conflict"


class StateNotFound(RunStateError, KeyError):
    """No run, checkpoint or thread goes by that name, for this tenant."""

    code = "state-not-found"


class StateRefused(RunStateError, NotImplementedError):
    """What would remain is rebuilt from what would be deleted. Nothing was changed."""

    code = "state-refused"


class StateCorrupt(RunStateError):
    """What is stored cannot be trusted: altered, in plain although encryption is on, or incomplete."""

    code = "state-corrupt"


class StateUnavailable(RunStateError):
    """The run store cannot be reached or written: disk full, locked, no permission, no network."""

    code = "state-unavailable"


class BundleError(RunbundleError):
    """A bundle cannot be read or written."""

    code = "bundle"


class MalformedBundle(BundleError):
    """A file of the bundle does not parse. `file` names it, `line` counts from 1 (0: the whole file)."""

    code = "malformed"
    finding = ""
    """The code of the finding that `verify` makes of it, if it has one of its own."""

    def __init__(self, message: str, *, file: str, line: int = 0, hint: str = "") -> None:
        super().__init__(f"{file}{f':{line}' if line else ''}: {message}", hint=hint)
        self.file = file
        self.line = line


class TooLarge(MalformedBundle):
    """A file, a line or an entry is larger than any that is written. It was not read to its end."""

    finding = "RB231"


class TooDeep(MalformedBundle):
    """JSON is nested more deeply than any that is written."""

    finding = "RB232"


class UnsupportedVersion(BundleError):
    """The bundle was written in a later major version of the format."""

    code = "unsupported-version"


class NotSealed(BundleError):
    """`run.json` is absent: the run is still being written, or its writer was cut off."""

    code = "not-sealed"


class WriteConflict(BundleError):
    """Another bundle is sealed under this run id. The records of the second run stay in the spool."""

    code = "write-conflict"


class BundleQuarantined(BundleError):
    """A credential was found in an assembled bundle. Nothing of it was published; its records were set aside."""

    code = "quarantined"
    finding = "RB407"


class PolicyBlocked(RunbundleError):
    """A tool call was refused by policy. Raised to the agent, which may handle it like any tool error."""

    code = "policy-blocked"
