"""What may name a run, and what becomes of a claim that names none."""

import pytest

from runbundle.errors import ConfigError
from runbundle.format.identity import NO_RUN, RunKey, require_run_id, tenant_of, valid_run_id, well_formed
from runbundle.format.layout import FOLDERS


@pytest.mark.parametrize("text", ["a", "7d1f0c6c", "a.b-c_d", "A" * 128])
def test_a_run_id_is_returned_as_it_is(text: str) -> None:
    """Well formed, valid, and a tenant of that name is that tenant."""
    assert well_formed(text)
    assert valid_run_id(text)
    assert require_run_id(text) == text
    assert tenant_of(text) == text


@pytest.mark.parametrize("text", ["", ".a", "-a", "a/b", "a b", "ä", "A" * 129, "a\n"])
def test_text_without_the_grammar_is_refused_without_being_repeated(text: str) -> None:
    """It may have come from outside."""
    assert not well_formed(text)
    with pytest.raises(ConfigError) as caught:
        require_run_id(text, "tenant")
    assert caught.value.message == "invalid tenant"


@pytest.mark.parametrize("text", ["CON", "nul.txt", "a.", *sorted(FOLDERS)])
def test_a_reserved_name_is_readable_and_names_no_new_run(text: str) -> None:
    """Bundles sealed before it was reserved stay readable."""
    assert well_formed(text)
    assert not valid_run_id(text)
    with pytest.raises(ConfigError):
        require_run_id(text)


def test_a_claim_that_names_no_tenant_is_a_tenant_of_its_own() -> None:
    """Never mixed with nobody's runs, nor with those of another claim; the same claim gives the same one."""
    assert tenant_of(None) == tenant_of("") == ""
    invalid = [tenant_of(claim) for claim in ("a/b", "a/c", 5, "\ud800")]
    assert all(name.startswith("invalid-") and valid_run_id(name) for name in invalid)
    assert len(set(invalid)) == 4
    assert tenant_of("a/b") == invalid[0]


def test_a_key_is_valid_if_both_names_are() -> None:
    """Its path is where the bundle lies."""
    assert (RunKey("", "r").path, RunKey("t", "r").path) == ("r", "t/r")
    assert [RunKey(*key).valid for key in (("", "r"), ("t", "r"), ("t/", "r"), ("t", ""))] == [True, True, False, False]
    assert not NO_RUN.valid
