"""Keys: those that people give, and those that are made on first use and kept."""

import logging
import multiprocessing
import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runbundle.errors import ConfigError
from runbundle.keyring import given_key, kept_keys
from runbundle.keyring.given_key import begin_to_stretch, digest_key_given, require_key, stretched
from runbundle.otel.composition import compose
from runbundle.otel.digest_key import describe_key, digest_key
from runbundle.redaction.detectors.known_secrets import KNOWN
from runbundle.redaction.markers import Digester
from runbundle.runstate.encrypted import EncryptedRunStore
from runbundle.store import LocalStore
from runbundle.store.url import canonical_url
from runbundle.vault.files import vault_key

GOOD = b"0f9a1c2d3e4b5a69"
WEAK = (b"hunter2", b"", b"k" * 16, b"ab" * 20, b"hunter2 hunter2 ", b"changeme" * 4)


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A keyring that is not there yet."""
    folder = tmp_path / "config" / "keys"
    monkeypatch.setenv("RUNBUNDLE_KEYS", str(folder))
    return folder


# -- given ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weak", WEAK)
@pytest.mark.parametrize("way", ["bytes", "callable", "file", "environment", "file of environment", "vault", "state"])
def test_a_weak_key_is_refused_whichever_way_it_comes_and_never_quoted(
    way: str, weak: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fewer than 16 bytes, or a shorter text repeated; the refusal says how to make one."""
    file = tmp_path / "key"
    file.write_bytes(weak)
    if way == "environment":
        monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY", weak.decode())
    if way == "file of environment":
        monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY_FILE", str(file))
    if (way == "environment" and not weak) or (way in ("bytes", "state") and len(weak) >= 32):
        return  # an empty variable is none; long repetitions in code are tests'
    made: dict[str, Callable[[], Any]] = {
        "bytes": lambda: digest_key_given(weak),
        "callable": lambda: digest_key_given(lambda: weak),
        "file": lambda: digest_key_given(file),
        "vault": lambda: vault_key({"RUNBUNDLE_VAULT_KEY": weak.decode()}),
        "state": lambda: EncryptedRunStore(None, weak),  # type: ignore[arg-type]
    }
    with pytest.raises(ConfigError, match="openssl rand -hex 32") as caught:
        made.get(way, lambda: digest_key_given(None))()
    assert not weak or weak.decode().strip() not in str(caught.value)


def test_a_long_repetition_in_code_is_let_through_and_said(caplog: pytest.LogCaptureFixture) -> None:
    """It is what tests write; in a file or a variable it would be somebody's key."""
    assert require_key(b"k" * 32, "the key", in_code=True) == b"k" * 32
    assert "tests only" in caplog.text
    with pytest.raises(ConfigError):
        require_key(b"k" * 32, "the key")


def test_a_key_whose_ends_are_equal_is_no_repetition() -> None:
    """Only a whole text repeated counts."""
    for key in (b"a key for tests a", b"0123456789abcde0", b"0123456789abcdef" * 2):
        assert require_key(key, "the key") == key


def test_nothing_that_was_given_for_a_key_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a key given for a path, not the message of a callable, not a text that cannot be encoded."""

    def failing() -> bytes:
        raise RuntimeError("my-secret-key-material")

    odd: list[Any] = ["my-secret-key-material", "my-secret-key-material\0", failing, lambda: "my-secret-key-material",
                      lambda: None, 5, Path("/my-secret-key-material"), ["my-secret-key-material"]]  # fmt: skip
    for given in odd:
        with pytest.raises(ConfigError) as caught:
            digest_key_given(given)
        assert "my-secret" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
    monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY_FILE", "my-secret-key-material")
    with pytest.raises(ConfigError, match="RUNBUNDLE_REDACTION_KEY_FILE names cannot be read") as caught:
        digest_key_given(None)
    assert "my-secret" not in str(caught.value)
    monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY", "\udcff" * 3)
    with pytest.raises(ConfigError, match="fewer than 16"):
        digest_key_given(None)


def test_all_ways_give_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """White space around the text of a file or a variable is no part of it."""
    file = tmp_path / "key"
    file.write_bytes(b" " + GOOD + b"\r\n")
    assert {digest_key_given(g) for g in (GOOD, bytearray(GOOD), file, str(file), lambda: GOOD)} == {GOOD}
    monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY_FILE", str(file))
    assert digest_key_given(None) == GOOD
    monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY", f"{GOOD.decode()}\n")
    assert digest_key_given(None) == GOOD


def test_a_given_key_is_stretched_once_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a guess at it costs, and a second `configure()` does not; digests under it are not those of its text."""
    made: list[bytes] = []
    scrypt = given_key.hashlib.scrypt
    monkeypatch.setattr(given_key, "_stretched", {})
    monkeypatch.setattr(given_key.hashlib, "scrypt", lambda key, **o: made.append(key) or scrypt(key, **o))
    began = time.process_time()
    first = stretched(GOOD)
    assert time.process_time() - began > 0.01
    assert (stretched(GOOD), len(first), made) == (first, 32, [GOOD])
    assert digest_key("memory://", GOOD).digester.key_id == Digester(first).key_id != Digester(GOOD).key_id


def test_keys_are_known_secrets(tmp_path: Path, keys: Path) -> None:
    """Given text, root and what is derived from it: wherever one turns up, it is masked."""
    found = digest_key(str(tmp_path / "store"), GOOD)
    for key in (GOOD, stretched(GOOD), found.digester.subkey("carrier")):
        assert KNOWN.find(f"it is {key.hex()}")
    assert KNOWN.find(f"it is {GOOD.decode()}")
    kept = digest_key(str(tmp_path / "store"))
    assert kept.path is not None
    assert KNOWN.find(kept.path.read_bytes().hex())


# -- kept ----------------------------------------------------------------------------------------------------------


def test_a_key_is_made_on_first_use_for_this_user_only(tmp_path: Path, keys: Path) -> None:
    """32 bytes, 0600 in a folder 0700, whatever the umask, outside the store; the next process has the same."""
    before = os.umask(0)
    try:
        policy = compose(store=str(tmp_path / "store")).policy
    finally:
        os.umask(before)
    assert policy.key_origin == "keyring"
    assert policy.key_path is not None
    assert policy.key_path.parent == keys
    assert [stat.S_IMODE(p.stat().st_mode) for p in (policy.key_path, keys, keys.parent)] == [0o600, 0o700, 0o700]
    assert (list(keys.iterdir()), len(policy.key_path.read_bytes())) == ([policy.key_path], 32)
    assert compose(store=str(tmp_path / "store")).policy.digester.key_id == policy.digester.key_id
    assert compose(store=str(tmp_path / "other")).policy.digester.key_id != policy.digester.key_id
    assert not (tmp_path / "store").exists()


def test_the_folder_is_where_configuration_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable, else XDG's if that is absolute, else below the home directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RUNBUNDLE_KEYS", "~/mine")
    assert kept_keys.folder() == tmp_path / "mine"
    monkeypatch.delenv("RUNBUNDLE_KEYS")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/etc/xdg-config")
    assert kept_keys.folder() == Path("/etc/xdg-config/runbundle/keys")
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert kept_keys.folder() == tmp_path / ".config" / "runbundle" / "keys"


def _key(start: Any, out: Any) -> None:
    start.wait()
    out.put(kept_keys.key_of("file:///raced").key)


@pytest.mark.parametrize("links", [True, False])
def test_processes_that_race_get_one_key(links: bool, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file system has no links, too."""

    def no_link(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    if not links:
        monkeypatch.setattr(Path, "hardlink_to", no_link)
    fork = multiprocessing.get_context("fork")
    start, out = fork.Event(), fork.Queue()
    racing = [fork.Process(target=_key, args=(start, out)) for _ in range(8)]
    for process in racing:
        process.start()
    start.set()
    assert len({out.get(timeout=30) for _ in racing}) == 1
    for process in racing:
        process.join()
    assert len(list(keys.iterdir())) == 1


def _symlinked(path: Path) -> None:
    elsewhere = path.with_name("elsewhere")
    elsewhere.write_bytes(os.urandom(32))
    elsewhere.chmod(0o600)
    path.symlink_to(elsewhere)


def _written(content: bytes, mode: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)
        path.chmod(mode)

    return write


@pytest.mark.parametrize(
    ("lay", "why"),
    [
        (_written(b"s" * 32, 0o640), "can be used by others"),
        (_written(b"s" * 32, 0o606), "can be used by others"),
        (_written(b"s" * 31, 0o600), "does not have 32 bytes"),
        (_written(b"s" * 33, 0o600), "does not have 32 bytes"),
        (_written(b"", 0o600), "does not have 32 bytes"),
        (_symlinked, "symbolic link"),
        (lambda path: path.symlink_to("nowhere"), "symbolic link"),
        (os.mkfifo, "not a regular file"),
        (lambda path: path.mkdir(mode=0o700), "not a regular file"),
    ],
    ids=["group", "others", "short", "long", "empty", "link", "dangling link", "pipe", "folder"],
)
def test_a_key_file_that_is_not_as_it_was_made_is_refused(
    lay: Callable[[Path], None], why: str, keys: Path, tmp_path: Path
) -> None:
    """Named, and not quoted; nothing hangs, and no other key is taken in its place."""
    keys.mkdir(parents=True)
    path = kept_keys.path_of(canonical_url(str(tmp_path / "store")))
    lay(path)
    for ask in (lambda: digest_key(str(tmp_path / "store")), lambda: describe_key(str(tmp_path / "store"))):
        with pytest.raises(ConfigError, match=why) as caught:
            ask()
        assert str(path) in str(caught.value)
        assert "sss" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_key_file_of_another_user_is_refused(keys: Path) -> None:
    """Whoever put it there knows it."""
    keys.mkdir(parents=True)
    _written(b"s" * 32, 0o600)(kept_keys.path_of("x"))
    os.chown(kept_keys.path_of("x"), 12345, 12345)
    with pytest.raises(ConfigError, match="another user"):
        kept_keys.key_of("x")


def test_where_no_key_can_be_kept_the_process_has_one_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A part of the path that is a file, a disk that is full, a user without a home, modes that are not kept."""

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    (tmp_path / "file").touch()
    monkeypatch.setenv("RUNBUNDLE_KEYS", str(tmp_path / "file" / "keys"))
    places = [str(tmp_path / name) for name in "abc"]
    found = [digest_key(places[0]) for _ in range(2)]
    assert describe_key(places[0]).fault
    monkeypatch.setenv("RUNBUNDLE_KEYS", str(tmp_path / "keys"))
    with monkeypatch.context() as patch:
        patch.setattr(kept_keys, "write_synced", full)
        found += [digest_key(places[1])]
    monkeypatch.delenv("RUNBUNDLE_KEYS")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "home", homeless)
        found += [digest_key(places[2])]
        assert describe_key(places[2]).fault
    assert {(key.origin, key.path) for key in found} == {("process", None)}
    assert found[0].digester.key_id == found[1].digester.key_id
    warned = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warned) == 3
    assert all("RUNBUNDLE_REDACTION_KEY" in text for text in warned)
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p.stat().st_size]


def test_a_store_elsewhere_has_a_key_of_this_machine_and_says_so_once(
    keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Options of the connection make no other store of it."""
    first = digest_key("s3://bucket/prefix?region=eu-west-1&timeout_s=5")
    other = digest_key("s3://bucket?prefix=prefix&retries=1")
    assert first.digester.key_id == other.digester.key_id != digest_key("s3://bucket/other").digester.key_id
    assert (first.origin, first.path) == ("keyring", other.path)
    assert [r.getMessage().count("RUNBUNDLE_REDACTION_KEY") for r in caplog.records] == [1, 1]
    caplog.clear()
    digest_key("s3://bucket/quiet", GOOD)
    assert caplog.records == []


def test_a_store_in_memory_has_a_key_in_memory(keys: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is kept, and nothing is worth a word."""
    found = digest_key("memory://")
    assert (found.origin, found.path, keys.exists(), caplog.records) == ("process", None, False, [])
    assert digest_key("memory://").digester.key_id == found.digester.key_id


def test_one_store_has_one_key_whatever_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative, with `..`, as a URL, through a link."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    names = ["store", "./store/", "../" + tmp_path.name + "/store", str(tmp_path / "link" / "store"),
             LocalStore("store").url, "file://localhost" + str(tmp_path / "store")]  # fmt: skip
    assert {canonical_url(name) for name in names} == {(tmp_path.resolve() / "store").as_uri()}
    monkeypatch.chdir("/")
    assert canonical_url("loop/" * 3) == "file:///loop/loop/loop"


@pytest.mark.parametrize("way", ["bytes", "file", "environment", "file of environment"])
def test_a_key_whose_stretching_was_begun_is_stretched_once_and_to_the_same_bytes(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a thread; whoever asks for it waits for that."""
    monkeypatch.setattr(given_key, "_stretched", {})
    file = tmp_path / "key"
    file.write_bytes(GOOD + b"\n")
    if way == "environment":
        monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY", GOOD.decode())
    if way == "file of environment":
        monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY_FILE", str(file))
    asked: list[str] = []
    real = given_key.hashlib.scrypt
    monkeypatch.setattr(
        given_key.hashlib, "scrypt", lambda *a, **k: asked.append(threading.current_thread().name) or real(*a, **k)
    )
    begin_to_stretch({"bytes": GOOD, "file": file}.get(way))
    assert stretched(GOOD) == real(GOOD, salt=b"runbundle/digest-key/v2", n=2**14, r=8, p=1, dklen=32)
    begin_to_stretch(GOOD)
    assert (stretched(GOOD), asked) == (stretched(GOOD), ["runbundle-key"])


def test_nothing_is_begun_for_a_key_that_is_asked_for_or_refused(tmp_path: Path) -> None:
    """A callable is called by who needs the key, once; a file that cannot be read is refused there too."""
    called: list[int] = []
    for given in (lambda: bytes(called.append(1) or GOOD), b"short", tmp_path / "none", None):
        begin_to_stretch(given)
    assert (called, given_key._begun) == ([], {})


def test_a_key_in_a_pipe_is_left_to_who_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be read once: `RUNBUNDLE_REDACTION_KEY_FILE=<(a command)`."""
    reading, writing = os.pipe()
    os.write(writing, GOOD)
    os.close(writing)
    begin_to_stretch(f"/dev/fd/{reading}")
    monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY_FILE", f"/dev/fd/{reading}")
    begin_to_stretch(None)
    assert os.read(reading, 100) == GOOD
    os.close(reading)


def test_a_fork_waits_for_a_key_that_is_being_stretched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child has it, and no thread to wait for."""
    monkeypatch.setattr(given_key, "_stretched", {})
    begin_to_stretch(GOOD)
    child = os.fork()
    if child == 0:  # pragma: no cover - in the child
        os._exit(0 if list(given_key._stretched) and not given_key._begun else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert len(stretched(GOOD)) == 32


def test_a_keyring_inside_the_store_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever copies the store would have its key; below a dot it is no part of the store."""
    for inside in ("keys", "."):
        monkeypatch.setenv("RUNBUNDLE_KEYS", str(tmp_path / inside))
        for ask in (digest_key, describe_key):
            with pytest.raises(ConfigError, match="lies in the store"):
                ask(str(tmp_path))
    monkeypatch.setenv("RUNBUNDLE_KEYS", str(tmp_path / ".config" / "keys"))
    assert digest_key(str(tmp_path)).origin == "keyring"


def test_doctor_says_where_the_key_is_and_makes_none(
    keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file, whether it is there yet, and who else joins; or that its folder will not last."""
    store = str(tmp_path / "store")
    standing = describe_key(store)
    assert "which the first run makes" in standing.text
    assert (keys.exists(), standing.fault) == (False, False)
    path = digest_key(store).path
    assert describe_key(store).text == f"{path}; RB907: that folder does not outlive this machine or container"
    monkeypatch.setattr("runbundle.otel.digest_key._thrown_away", lambda _: False)
    assert describe_key(store).text == f"{path}; processes of other users or hosts need RUNBUNDLE_REDACTION_KEY to join"
    monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY", GOOD.decode())
    assert describe_key(store).text == "given by the environment"
