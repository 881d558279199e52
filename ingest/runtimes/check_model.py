"""Check in a family's local environment that a model behaves as its card says."""

from __future__ import annotations

from ingest.callbacks import Log
from ingest.failures import RunError
from ingest.runtimes import environment
from zoo.cards.family import Selection
from zoo.verify.behavior import examine
from zoo.verify.errors import VerificationError
from zoo.verify.records import write_record


def check_model(selection: Selection, log: Log, *, dummy: bool, device: str) -> None:
    """Examine one model, and record what was found in its family's checked.lock.

    Args:
        selection: The model, trained or untrained.
        log: Shows progress, one line per call.
        dummy: Whether to use a dummy checkpoint even if the published weights are on this machine.
        device: Where the model runs: `cpu`, `cuda`, `cuda:1`.

    Raises:
        RunError: With every fault that was found.
    """
    family, name = selection.family, selection.model_id
    environment.build(family, log)
    try:
        found = examine(selection, environment.python_of(family), dummy=dummy, device=device)
    except VerificationError as error:
        raise RunError(str(error)) from error
    if found.faults:
        faults = "\n".join(f"  {fault}" for fault in found.faults)
        raise RunError(f"{name} is not what its card says:\n{faults}")
    kept = write_record(selection, found.record())
    what = "a dummy checkpoint in the published format"
    if found.real:
        what = "weights drawn at random" if selection.untrained else "the published weights"
    if not selection.model.trainable:
        what = "nothing learned"
    log(f"{name}, with {what}, on {found.systems} systems: {'; '.join(found.passed)} -> {kept}")
