"""What can be made of a bundle."""

from pathlib import Path
from typing import Any

from runbundle.bundle.assembly.assemble import assemble
from runbundle.bundle.assembly.gather import GatheredRun
from runbundle.bundle.assembly.reread import entries_of_bundle
from runbundle.bundle.reader import Bundle
from runbundle.format.identity import RunKey


def again(bundle: Bundle, scratch: Path) -> dict[str, Any]:
    """Assemble a bundle from nothing but itself; return its files, run.json among them."""
    gathered = GatheredRun(RunKey(bundle.index.tenant_id or "", bundle.index.run_id), scratch)
    gathered.add(entries_of_bundle(bundle, scratch))
    versions = frozenset({bundle.index.versions.otel_sdk or ""} - {""})
    made = assemble(gathered, torn=bundle.index.completeness.dropped.get("torn_lines", 0), sdk_versions=versions)
    return {part.name: part.body for part in made.files} | {"run.json": made.index()}
