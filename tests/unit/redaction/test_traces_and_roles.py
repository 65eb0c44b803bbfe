"""The two known forms of text: stack traces and JSON messages."""

from runbundle.redaction.traces_and_roles import MAX_FRAMES, message_roles, reduce_stacktrace


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
