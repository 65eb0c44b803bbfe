"""`runbundle explain`: the meaning and the remedy of a code or rule."""

import textwrap

import click

from runbundle.cli.options import format_option, print_json, reports_errors
from runbundle.cli.printing import say


@click.command("explain", epilog="Example: runbundle explain RB201")
@click.argument("code", metavar="CODE", required=False)
@format_option()
@reports_errors
def command(code: str | None, format_: str) -> None:
    """Print the meaning and the remedy of a code or rule.

    CODE is the code of a finding (RB201), a cause that diff names (RB604), a code of contracts lint (RC101), or a rule
    that a receipt names (content).
    Without CODE all of them are listed.

    Exit codes: 0 done; 2 there is no such code.
    """
    from runbundle.cli.render import width
    from runbundle.compare.catalogue import CAUSES
    from runbundle.errors import ConfigError
    from runbundle.format.findings import FINDINGS
    from runbundle.format.rules import RULES, rule_spec

    catalogue = {**FINDINGS, **CAUSES, **RULES}
    if code is None:
        if format_ == "json":
            print_json({name: spec._asdict() for name, spec in catalogue.items()})
            return
        for name, spec in catalogue.items():
            say(f"{name}  {spec.dimension:<13} {spec.title}")
        return
    name = code.upper() if code.upper() in catalogue else code
    spec = catalogue.get(name) or rule_spec(name)
    if spec is None:
        raise ConfigError(f"there is no code {code}", hint="runbundle explain lists all")
    if format_ == "json":
        print_json({"code": name, **spec._asdict()})
        return
    say(f"{name}: {spec.title} ({spec.severity}, {spec.dimension})")
    for text in (spec.why, f"What to do: {spec.what_to_do}"):
        say()
        for line in textwrap.wrap(text, min(width(), 100)):
            say(line)
