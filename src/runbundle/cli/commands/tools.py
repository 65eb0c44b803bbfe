"""`runbundle tools`: print the tool calls of a run."""

from typing import TYPE_CHECKING

import click

from runbundle.cli.altered import say_altered
from runbundle.cli.options import format_option, open_store, print_json, reports_errors, run_argument, store_option
from runbundle.cli.printing import say

if TYPE_CHECKING:
    from runbundle.bundle.reader import Bundle
    from runbundle.format.tool_calls import CallEntry

_LIMIT = 200


@click.command("tools", epilog="Example: runbundle tools @last")
@run_argument
@store_option
@format_option()
@click.option("--all", "every", is_flag=True, help=f"Show all calls, not only the first {_LIMIT}.")
@reports_errors
def command(run: str, store_url: str, format_: str, every: bool) -> None:
    """Show the tool calls of a run: tool, status, decision of the policy, and the payloads that contracts kept.

    RUN is a path, a run id, the beginning of a run id, or @last. If a file was changed after the seal, a warning is
    printed first, as by show.

    Exit codes: 0 done, also if no tool was called; 2 no such run; 4 a file was changed after the seal, or the bundle
    lies in the folder of another run.
    """
    from runbundle.bundle.catalog.locate import resolve
    from runbundle.bundle.reader import Bundle

    bundle = Bundle.open(*resolve(open_store(store_url), run))
    altered = say_altered(bundle, as_json=format_ == "json")
    if format_ == "json":
        print_json(bundle.tool_calls().model_dump(mode="json", by_alias=True))
    else:
        _print(bundle, every=every)
    if altered:
        raise click.exceptions.Exit(4)


def _print(bundle: "Bundle", *, every: bool) -> None:
    from itertools import islice

    from runbundle.bundle.listings import each_tool_call
    from runbundle.cli.render import plural

    calls = list(islice(each_tool_call(bundle), None if every else _LIMIT))
    if not calls:
        say("No tool was called.")
        return
    print_calls(calls)
    for call in calls:
        _print_payloads(call)
    more = bundle.index.counts.tool_calls - len(calls)
    if more > 0:
        say()
        say(f"… {plural(more, 'more call')}; --all shows them")


def print_calls(calls: "list[CallEntry]") -> None:
    """Print a table of tool calls, without their payloads."""
    from runbundle.cli.render import size, span_duration, table

    rows = [
        [
            call.tool,
            {"unset": "ok"}.get(call.status, call.status),
            span_duration(call.duration_ns, call.status),
            f"v{call.contract.version}" if call.contract else "-" if _never_ended(call) else "none",
            "-" if _never_ended(call) and call.policy.decision == "allowed" else call.policy.decision,
            size(call.arguments.bytes if call.arguments else None),
            size(call.result.bytes if call.result else None),
            str(sum(len(p.redactions) for p in (call.arguments, call.result) if p)),
        ]
        for call in calls
    ]
    table(
        ["TOOL", "STATUS", "DURATION", "CONTRACT", "POLICY", "ARGUMENTS", "RESULT", "REDACTED"],
        rows,
        right=(2, 5, 6, 7),
    )


def _never_ended(call: "CallEntry") -> bool:
    """Tell whether a call never ended: what nobody said of it might have been said yet."""
    return call.status == "interrupted"


def _print_payloads(call: "CallEntry") -> None:
    import orjson

    from runbundle.cli.render import cut

    say()

    say(f"{call.tool}  {call.call_id}")
    for name, payload in (("arguments", call.arguments), ("result", call.result)):
        if payload is None:
            continue
        if payload.view is None:
            bare = call.contract is None and not _never_ended(call)
            view = "withheld: the tool has no contract" if bare else "withheld"
        else:
            view = payload.view if isinstance(payload.view, str) else orjson.dumps(payload.view).decode()
        say(cut(f"  {name:<9}  {view}"))
    if call.error:
        say(f"  error      {call.error.type}")
