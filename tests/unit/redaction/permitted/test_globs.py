"""Safe keys and names: what a pattern lets through, and which patterns are refused."""

import pytest

from runbundle.errors import ConfigError
from runbundle.redaction.permitted.globs import checked_keys, checked_names, glob_matcher, key_matcher, name_matcher


def test_a_star_stands_for_anything_and_nothing_else_is_special() -> None:
    """Patterns without a star are no business of a matcher."""
    assert glob_matcher(["app.kind"]) is None
    assert key_matcher([]) is name_matcher([]) is None
    matches = glob_matcher(["app.*", "x+y*"])
    assert matches is not None
    assert [matches(text) for text in ("app.", "app.a\nb", "apps", "x+y1", "xxy1")] == [True, True, False, True, False]


def test_a_pattern_keeps_no_key_that_names_a_credential() -> None:
    """Nor one that does not read like a key."""
    matches = key_matcher(["app.*"])
    assert matches is not None
    assert [matches(key) for key in ("app.kind", "app.password", "app.ada@example.org")] == [True, False, False]


def test_a_pattern_keeps_only_what_reads_like_a_name() -> None:
    """A name with a person in it is none."""
    matches = name_matcher(["order *"])
    assert matches is not None
    assert [matches(name) for name in ("order created", "order of ada@example.org")] == [True, False]


@pytest.mark.parametrize("pattern", ["", " ", "*", "*.*", "app.password*", "größe *", 7])
def test_a_pattern_that_matches_nothing_or_everything_is_refused(pattern: str) -> None:
    """Where it is written, with what to do about it."""
    for checked in (checked_keys, checked_names):
        with pytest.raises(ConfigError) as raised:
            checked([pattern])
        assert raised.value.hint


def test_a_key_of_content_cannot_be_called_safe() -> None:
    """It is redacted by its kind, whatever is said of it; as a name it says nothing of an attribute."""
    with pytest.raises(ConfigError, match="known key of content"):
        checked_keys(["gen_ai.input.messages"])
    assert checked_keys(["app.kind", "app.*"]) == {"app.kind", "app.*"}
    assert checked_names(["gen_ai.input.messages"]) == {"gen_ai.input.messages"}
