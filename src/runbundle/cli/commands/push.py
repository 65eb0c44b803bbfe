"""`runbundle push`: copy a run to another store, or send runs to a backend by OTLP."""

import click

from runbundle.cli.options import format_option, open_store, reports_errors, store_option


@click.command(
    "push",
    epilog="Example: runbundle push @last --otlp http://localhost:4318",
)
@click.argument("names", metavar="RUN... [DST]", nargs=-1, required=True)
@click.option("--otlp", "endpoint", metavar="URL", help="Send the runs to this OTLP receiver; no DST is given then.")
@click.option(
    "--header", "headers", metavar="NAME=VALUE", multiple=True,
    help="A header of each request, such as an API key; others on this machine can see it. May be given again.",
)  # fmt: skip
@click.option("--timeout", "timeout_s", type=float, default=10.0, metavar="SECONDS", show_default=True,
              help="For each request, with its retries.")  # fmt: skip
@store_option
@format_option()
@reports_errors
def command(
    names: tuple[str, ...], endpoint: str | None, headers: tuple[str, ...], timeout_s: float, store_url: str,
    format_: str,
) -> None:  # fmt: skip
    """Copy a run from this store to the store DST, a path or URL; or send runs to a backend by OTLP.

    To a store, as in push @last s3://bucket/runs: each file is checked against its digest, and run.json is copied last.
    No file of DST is overwritten, except that the run.json of a newer revision replaces that of the revision before.
    A baseline whose last entry names the run goes with it, with its gates, if all runs of that entry are in DST.

    With --otlp URL: the spans and log records of each RUN are sent with their own ids and times. Its files are checked
    first, and a run whose files are not those that were sealed is refused. A run may be sent again: a backend that
    merges by trace id and span id has it once, one that does not shows doubles. A bundle does not hold the kind, the
    trace state and the resource of a span. OTEL_EXPORTER_OTLP_PROTOCOL may say grpc, where spans that the receiver
    rejects are not seen; OTEL_EXPORTER_OTLP_HEADERS gives headers that nobody else sees.

    Exit codes: 0 all of it is there; 1 other files are in DST already, or an entry that is no regular file was left
    out, or the receiver rejected records; 2 no such run; 3 a run is not sealed; 4 a run is damaged; 5 a store or the
    receiver could not be used. After 5 run the command again: files that were copied are not sent again, records are.
    """
    if endpoint is not None:
        from runbundle.cli.commands.push_otlp import push

        push(names, endpoint, headers, timeout_s, store_url, format_)
        return
    if len(names) != 2:
        raise click.UsageError("push takes a RUN and a store DST, or one or more RUN and --otlp URL")
    if headers:
        raise click.UsageError("--header is for --otlp")
    from runbundle.bundle.catalog.locate import resolve
    from runbundle.bundle.custody.carrying import carry_all
    from runbundle.bundle.custody.transfer import copy, require_apart
    from runbundle.cli.commands.transfers import Progress, report

    run, destination = names
    target = open_store(destination)
    source, key = resolve(open_store(store_url), run)
    require_apart(source, target)
    progress = Progress()
    copied = (copy(s, key, target, progress=progress) for s in [source])
    report(copied, progress, format_, many=False, carried=carry_all(source, target, run_key=key))
