"""A policy is read, and a mistake in it is named with its line and what was probably meant."""

from pathlib import Path

import pytest

from runbundle.compare.gating.loading import load_policy
from runbundle.errors import ConfigError

GOOD = """\
# what a release must keep
alpha: 0.05
prices:
  m: {input: 1, output: 2}
scorers:
  - use: result_matches
    name: polite
    pattern: please
checks:
  - id: helpful
    type: non_inferiority
    metric: helpful
    margin: 0.05
  - id: safe
    type: invariant
    forbidden_tools: [delete]
waivers:
  - check: safe
    by: ada
    reason: known
    expires: 2026-12-31
"""


def read(tmp_path: Path, text: str, name: str = "gate.yaml") -> str:
    """Load a policy; return the error, or an empty text."""
    path = tmp_path / name
    path.write_text(text)
    try:
        load_policy(path)
    except ConfigError as error:
        return str(error).replace(f"{path}", "gate.yaml")
    return ""


def test_a_policy_is_read_with_the_line_of_each_check(tmp_path: Path) -> None:
    """In YAML, or in JSON, which is YAML too."""
    assert read(tmp_path, GOOD) == ""
    loaded = load_policy(tmp_path / "gate.yaml")
    assert loaded.lines == {"helpful": 10, "safe": 14}
    assert loaded.ref.name == "gate.yaml"
    names = [scorer.name or scorer.use for scorer in loaded.policy.each_scorer()]
    assert names[0] == "polite"
    assert names[-1] == "cost"
    assert read(tmp_path, '{"checks": [{"id": "a", "type": "threshold", "metric": "m", "min": 1}]}', "p.json") == ""


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("margin: 0.05", "margn: 0.05", "gate.yaml:13: there is no key 'margn' here (did you mean margin?)"),
        ("alpha:", "aplha:", "gate.yaml:2: there is no key 'aplha' here (did you mean alpha?)"),
        ("type: non_inferiority", "type: noninferiority",
         "gate.yaml:11: there is no type 'noninferiority' (did you mean non_inferiority?)"),
        ("use: result_matches", "use: result_match",
         "gate.yaml:6: there is no use 'result_match' (did you mean result_matches?)"),
        ("use: result_matches", "use: pkg:mine",
         "gate.yaml:6: there is no use 'pkg:mine' (runbundle score RUNS --scorers pkg:mine runs it"),
        ("    type: invariant\n", "", "gate.yaml:14: has no type (one of threshold"),
        ("forbidden_tools: [delete]", "forbiden_tools: [delete]",
         "gate.yaml:16: there is no key 'forbiden_tools' here (did you mean forbidden_tools?)"),
        ("{input: 1, output: 2}", "{input: 1, outptu: 2}", "gate.yaml:4: "),
        ("check: safe", "check: saef", "gate.yaml:18: there is no check 'saef' (did you mean safe?)"),
        ("expires: 2026-12-31", "expires: soon", "gate.yaml:21: waivers.0.expires: "),
        ("reason: known", "reason: ''", "gate.yaml:20: waivers.0.reason: "),
        ("margin: 0.05", "margin: -1", "gate.yaml:13: checks.0.margin: "),
        ("margin: 0.05", "margin: .nan", "gate.yaml:13: checks.0.margin: "),
        ("id: safe", "id: helpful", "two of the checks are called helpful"),
        ("    pattern: please", "    pattern: '('",
         "gate.yaml:8: scorers.0.pattern: is no regular expression of RE2"),
        ("    forbidden_tools: [delete]\n", "", "gate.yaml:14: checks.1: asks for nothing"),
        ("alpha: 0.05", "alpha: 0.05\nalpha: 0.1", "gate.yaml:3: alpha is there twice (keep one of them)"),
        ("alpha: 0.05", "alpha: [", "gate.yaml:4: is not YAML"),
        ("alpha: 0.05", "alpha: !!python/object:os.system x", "gate.yaml:2: is not YAML"),
    ],
    ids=lambda value: None if isinstance(value, str) and value.startswith("gate.yaml") else str(value)[:30].strip(),
)  # fmt: skip
def test_a_mistake_names_its_line_and_the_nearest_word(tmp_path: Path, old: str, new: str, error: str) -> None:
    """One message for the first mistake."""
    assert GOOD.count(old) >= 1
    assert error in read(tmp_path, GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    "text", ["", "- a\n", "checks: []\n", "checks: 5\n", "checks: [5]\n", "\x00", "a: " + "[" * 5000]
)
def test_what_is_no_policy_is_refused(tmp_path: Path, text: str) -> None:
    """Whatever it is instead."""
    assert read(tmp_path, text)


def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path: Path) -> None:
    """Before it is parsed."""
    with pytest.raises(ConfigError, match="cannot be read"):
        load_policy(tmp_path / "none.yaml")
    assert "larger than 1 MiB" in read(tmp_path, "#" * 1_100_000)
