"""How a run is called that nobody has named."""

import pytest

from runbundle.errors import ConfigError
from runbundle.format.identity import valid_run_id
from runbundle.otel.belonging.run_names import RunNames, run_names
from runbundle.redaction.detectors.known_secrets import KNOWN
from runbundle.redaction.markers import Digester
from runbundle.redaction.permitted.safe_text import has_credential_format
from runbundle.redaction.policy import Policy
from runbundle.redaction.redactor import Redactor
from runbundle.signals.semconv import RUN_ID_KEYS
from tests.unit.signals.dialects.spans import span

DIGESTER = Digester(b"a key for tests only")
CONVERSATION = "gen_ai.conversation.id"


def test_the_first_span_that_carries_an_id_names_the_run() -> None:
    """By the first key that it has; numbers, lists and what can be no id are none."""
    names = RunNames(("a", "b"))
    assert names.name_in([{"b": "two"}, {"a": "one"}]) == "two"
    assert names.name_in([{"a": 5, "b": ["x"]}, {"a": "con"}, {"a": "x" * 200}, {"a": ""}]) == ""
    assert names.name_in([{"a": "sk-proj-0123456789abcdefghij", "b": "two"}]) == "two"
    assert RunNames(()).name_in([dict.fromkeys(RUN_ID_KEYS, "x")]) == ""


def test_a_conversation_names_a_run_before_anything_else_where_that_is_asked_for() -> None:
    """Itself, or by a digest that is one for one key only."""
    spans = [{"run_id": "r"}, {CONVERSATION: "conv-7"}, {CONVERSATION: "conv-8"}]
    assert run_names(DIGESTER).name_in(spans) == "r"
    grouped = run_names(DIGESTER, group_by="conversation")
    assert grouped.name_in(spans) == "conv-7"
    for number in range(300):
        said = [{CONVERSATION: f"+49 151 {number}"}]
        name = grouped.name_in(said)
        assert name == grouped.name_in(said)
        assert valid_run_id(name)
        assert not has_credential_format(name)
        assert name != run_names(Digester(b"another key for tests"), group_by="conversation").name_in(said)


def test_an_id_that_may_be_a_persons_number_names_no_folder() -> None:
    """A digest stands for it, the same for the same one; without a key there is none."""
    names = run_names(DIGESTER, ["a"])
    for said in ("4915112345678", "chat-4111111111111111", "+41791234567"):
        name = names.name_in([{"a": said}])
        assert valid_run_id(name)
        assert said[5:] not in name
        assert name == names.name_in([{"a": said}])
        assert name != names.name_in([{"a": said + "0"}])
        assert RunNames(("a",)).name_in([{"a": said}]) == ""


def test_a_uuid_is_nobodys_number() -> None:
    """Digits stand in a row in many; one that is almost all digits may be a number that was filled up."""
    names = run_names(DIGESTER, ["a"])
    for said in ("d0621baad2ed214869875c8af40fce71", "a3f0c9d2-0000-4000-8000-1234567890AB"):
        assert names.name_in([{"a": said}]) == said
    for said in ("00000000-0000-4000-8000-491701234567", "0000000000000000000abc491701234567"):
        assert names.name_in([{"a": said}]).startswith("run-")


def test_a_known_secret_names_no_folder() -> None:
    """It is judged as any other id is, though a run that is begun by name may be called that."""
    KNOWN.register("zebra-crossing-9")
    name = run_names(DIGESTER, ["a"]).name_in([{"a": "zebra-crossing-9"}])
    assert name.startswith("run-")
    assert valid_run_id(name)
    assert RunNames(("a",)).name_in([{"a": "zebra-crossing-9"}]) == ""


@pytest.mark.parametrize("key", [*RUN_ID_KEYS, CONVERSATION, "session.id", "langsmith.trace.session_id"])
@pytest.mark.parametrize("number", ["+41791234567", "0791234567", "chat-4111111111111111"])
def test_a_persons_number_that_names_a_run_is_not_kept_on_the_span_either(key: str, number: str) -> None:
    """A keyed digest stands for it; an id that says nothing of anybody is kept where its key is known."""
    redactor = Redactor(Policy(digester=DIGESTER))
    once = redactor.redact_span(span("chat", {"gen_ai.operation.name": "chat", key: number}))
    assert number not in repr(once)
    assert redactor.redact_span(once) == once


def test_the_environment_counts_where_an_option_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option that is given wins; a word that nobody knows is refused."""
    monkeypatch.setenv("RUNBUNDLE_RUN_ID_KEYS", " job.id ,x,")
    monkeypatch.setenv("RUNBUNDLE_GROUP_BY", "conversation")
    assert run_names(DIGESTER)[:2] == (("job.id", "x"), "conversation")
    assert run_names(DIGESTER, ["mine"])[0] == ("mine",)
    monkeypatch.setenv("RUNBUNDLE_GROUP_BY", "conversations")
    with pytest.raises(ConfigError, match="did you mean 'conversation'"):
        run_names(DIGESTER)
