"""Do a family's models give their golden vectors inside its image, with the network off?"""

from __future__ import annotations

from pathlib import Path

from ingest.runtimes import Limits, RunError, Runtime, Say
from zoo.card import Family
from zoo.golden import GoldenError, differences


def check(runtime: Runtime, family: Family, say: Say) -> list[str]:
    """Compute the golden vectors of every model of the family. Returns what differs, nothing if all is well."""
    if not (family.path / "golden.parquet").exists():
        say(f"{family.name} has no golden.parquet, so there is nothing to compare with")
        return []
    runtime.ensure(family, say)

    def start(family: Family, job: Path, out: Path) -> None:
        runtime.run(family, job, out, lambda event: None, Limits())

    faults = []
    for model in family.models:
        try:
            found = differences(model, family, start)
        except (GoldenError, RunError) as error:
            found = [str(error)]
        say(f"{model.id}: {'differs from' if found else 'gives'} its golden vectors")
        faults += [f"{model.id}: {fault}" for fault in found]
    return faults
