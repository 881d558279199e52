"""Does a model behave as its card says, on this machine? In the family's local environment."""

from __future__ import annotations

from ingest.events import Log
from ingest.failures import RunError
from ingest.runtimes import environment
from zoo.cards.family import Selection
from zoo.verify.behavior import examine
from zoo.verify.golden import GoldenError
from zoo.verify.records import keep


def check(selection: Selection, say: Log, *, dummy: bool, device: str) -> None:
    """Examine one model and record what was found in its family's checked.lock. RunError with every fault.

    dummy: with a dummy checkpoint, even where the published weights are on this machine.
    """
    family, name = selection.family, selection.model_id
    environment.build(family, say)
    try:
        found = examine(selection, environment.python_of(family), dummy=dummy, device=device)
    except GoldenError as error:
        raise RunError(str(error)) from error
    if found.faults:
        raise RunError(
            f"{name} is not what its card says:\n"
            + "\n".join(f"  {fault}" for fault in found.faults)
        )
    kept = keep(selection, found.record())
    what = "a dummy checkpoint in the published format"
    if found.real:
        what = "weights drawn at random" if selection.untrained else "the published weights"
    if not selection.model.trainable:
        what = "nothing learned"
    say(f"{name}, with {what}, on {found.systems} systems: {'; '.join(found.passed)} -> {kept}")
