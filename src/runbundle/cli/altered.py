"""What a command says before it prints what a bundle has: whether that is what was sealed."""

from typing import TYPE_CHECKING

from runbundle.cli.printing import say

if TYPE_CHECKING:
    from runbundle.bundle.reader import Bundle

_FINDINGS_SHOWN = 5
_DIGESTED_BYTES = 32_000_000


def say_altered(bundle: "Bundle", *, as_json: bool) -> bool:
    """Say what of a bundle is not what was sealed; return whether something is not.

    Of a bundle above 32 MB the sizes of the files are compared and no more, which a line says. With `as_json` the
    digests of all are, and what is said goes to standard error.
    """
    from runbundle.bundle.reader import misplaced
    from runbundle.cli.render import size
    from runbundle.errors import KeyNotFound

    whole = sum(entry.bytes for entry in bundle.index.files)
    elsewhere = misplaced(bundle.key, bundle.index)
    if whole <= _DIGESTED_BYTES or as_json:
        from runbundle.bundle.verify import verify  # 0.2 s, which a large run need not wait for

        report = verify(bundle.store, bundle.key, quick=True, search=False)
        found = [f for f in report.findings if f.dimension == "integrity"]
        wrong = [f"{f.code}  {f.file or ''}: {f.message}" for f in found if f.severity == "error"]
    else:
        wrong: list[str] = []
        for entry in bundle.index.files:
            try:
                if bundle.store.size(f"{bundle.key}/{entry.path}") != entry.bytes:
                    wrong.append(f"{entry.path}: has another size than was sealed")
            except KeyNotFound:
                wrong.append(f"{entry.path}: is not there")
        say(f"only the sizes of the files were compared, {size(whole)}; runbundle verify compares all", err=True)
    if elsewhere:
        wrong.insert(0, f"RB505  run.json: {elsewhere}")
    if wrong:
        say("WARNING: this bundle is not what was sealed; runbundle verify says more", err=as_json)
    for text in wrong[:_FINDINGS_SHOWN]:
        say(f"  {text}", err=as_json)
    return bool(wrong)
