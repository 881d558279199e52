"""Check that a family's models give their golden vectors inside its image, without a network."""

from __future__ import annotations

from ingest.callbacks import Log
from ingest.failures import RunError
from ingest.limits import Limits
from ingest.runtimes.family_worker import run_alone
from ingest.runtimes.protocol import Runtime
from ingest.runtimes.worker import JobPlaces
from zoo.cards.family import Family, Selection
from zoo.verify.environment import Start
from zoo.verify.errors import VerificationError
from zoo.verify.golden import find_golden_differences
from zoo.weights.local import LocalWeights, find_weights, needed_files


def check_image(runtime: Runtime, family: Family, log: Log) -> list[str]:
    """Compute the golden vectors of every model of a family, and compare them.

    Args:
        runtime: The runtime that starts the workers.
        family: The family to check. Models without weights on this machine are passed over.
        log: Shows one line per model.

    Returns:
        One sentence for each difference; an empty list if there are none.

    Raises:
        RunError: If the family's environment cannot be made ready.
    """
    if not (family.path / "golden.parquet").exists():
        log(f"{family.name} has no golden.parquet, so there is nothing to compare with")
        return []
    runtime.ensure(family, log)
    faults = []
    for model in family.models:
        selection = Selection(family=family, model=model, untrained=False)
        local = find_weights(selection)
        if needed_files(selection) and local is None:
            remedy = f"`matterzoo weights {model.id}` downloads them"
            log(f"{model.id}: its weights are not on this machine; {remedy}")
            continue
        try:
            found = find_golden_differences(model, family, _start(runtime, local, log))
        except (VerificationError, RunError) as error:
            found = [str(error)]
        log(f"{model.id}: {'differs from' if found else 'gives'} its golden vectors")
        faults += [f"{model.id}: {fault}" for fault in found]
    return faults


def _start(runtime: Runtime, local: LocalWeights | None, log: Log) -> Start:
    return lambda family, job, out: run_alone(
        runtime, family, JobPlaces(job, out, local), lambda event: None, Limits(), log
    )
