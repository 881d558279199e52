"""Do a family's models give their golden vectors inside its image, with the network off?"""

from __future__ import annotations

from ingest.events import Log
from ingest.failures import RunError
from ingest.limits import Limits
from ingest.runtimes.base import Runtime
from zoo.cards.family import Family, Selection
from zoo.verify.golden import GoldenError, Start, differences
from zoo.weights.obtain import Place, at_hand, needed


def check(runtime: Runtime, family: Family, say: Log) -> list[str]:
    """Compute the golden vectors of every model of the family. Returns what differs, nothing if all is well."""
    if not (family.path / "golden.parquet").exists():
        say(f"{family.name} has no golden.parquet, so there is nothing to compare with")
        return []
    runtime.ensure(family, say)
    faults = []
    for model in family.models:
        selection = Selection(family=family, model=model, untrained=False)
        place = at_hand(selection)
        if needed(selection) and place is None:
            say(
                f"{model.id}: its weights are not at hand; `make weights MODEL={model.id}` downloads them"
            )
            continue
        try:
            found = differences(model, family, _start(runtime, place))
        except (GoldenError, RunError) as error:
            found = [str(error)]
        say(f"{model.id}: {'differs from' if found else 'gives'} its golden vectors")
        faults += [f"{model.id}: {fault}" for fault in found]
    return faults


def _start(runtime: Runtime, place: Place | None) -> Start:
    return lambda family, job, out: runtime.run(
        family, job, out, place, lambda event: None, Limits()
    )
