"""Stack traces are reduced to their frames, once: what was reduced comes back as it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbundle.redaction.traces_and_roles import MAX_FRAMES, message_roles, reduce_stacktrace

FRAMES = {
    ("<frozen importlib._bootstrap>", "_call"): "<frozen importlib._bootstrap>:7 in _call",
    ("/home/ada/my project/run.py", "main"): "my_project/run.py:7 in main",
    ("C:/run.py", "main"): "C:/run.py:7 in main",
    ("app/[id]/page.py", "Page.get.<locals>.inner"): "[id]/page.py:7 in Page.get.<locals>.inner",
    ("<string>", "<module>"): "<string>:7 in <module>",
    ("/srv/app/a sentence about somebody", "f"): "app/a_sentence_about_somebody:7 in f",
    ("/srv/app/run.py", "no function of Python"): "<withheld>:7 in <withheld>",
    ("/srv/app/r\u00fcn.py", "f"): "<withheld>:7 in <withheld>",
}


@pytest.mark.parametrize(("path", "function"), FRAMES)
def test_a_frame_says_where_and_comes_back_as_it_is(path: str, function: str) -> None:
    """Recovery redacts again, and keeps the trace."""
    once = reduce_stacktrace(f'  File "{path}", line 7, in {function}\n    secret = "x"\nValueError: secret')
    assert once == FRAMES[path, function]
    assert reduce_stacktrace(once) == once


PARTS = st.text("ab_./<> :[]-", min_size=1, max_size=140)


@given(st.lists(st.tuples(PARTS, PARTS), max_size=3))
def test_reducing_again_changes_nothing(frames: list[tuple[str, str]]) -> None:
    """Whatever the paths and functions are called."""
    once = reduce_stacktrace("".join(f'  File "{path}", line 1, in {function}\n' for path, function in frames))
    assert reduce_stacktrace(once) == once


def test_a_sentence_is_no_frame() -> None:
    """Text in any other format gives nothing."""
    assert reduce_stacktrace("we met her at noon:7 in town") == ""
    assert reduce_stacktrace("call Anna about her test>:1 in x") == ""
    assert reduce_stacktrace("she is late with payment.py:1 in x") == ""


def test_a_stack_trace_keeps_frames_and_nothing_that_quotes_data() -> None:
    """Source lines, the message and the upper folders go; reduced again it is the same."""
    text = 'Traceback:\n  File "/home/ada/shop/app/x.py", line 3, in go\n    f("SECRET")\nValueError: SECRET\n'
    reduced = reduce_stacktrace(text)
    assert reduced == "app/x.py:3 in go"
    assert reduce_stacktrace(reduced) == reduced
    assert reduce_stacktrace("SECRET at main.js:3") == ""
    long = "\n".join(f'  File "a/b.py", line {n}, in f' for n in range(1, 200))
    assert len(reduce_stacktrace(long).split("\n")) == MAX_FRAMES


def test_roles_are_those_of_the_messages_with_equal_neighbours_merged() -> None:
    """At most eight; a role that is none is not one."""
    said = "".join(f'{{"role": "{role}"}}' for role in ("system", "user", "user", "pirate", "assistant"))
    assert message_roles(said) == ("system", "user", "assistant")
    assert len(message_roles('{"role":"user"}{"role":"tool"}' * 9)) == 8
