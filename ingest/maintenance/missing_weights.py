"""Weights that are not here: what is said of them, and offered, before anything is started."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from ingest.runs.errors import RequestError
from ingest.runs.reporting import report_error, report_step
from zoo.cards.family import Selection
from zoo.command_line import agrees
from zoo.weights.access import find_access, is_missing
from zoo.weights.errors import WeightsError
from zoo.weights.obtain import obtain_weights


def weights_warnings(selection: Selection, obstacle: str | None) -> Iterator[str]:
    """Say what keeps the missing weights of a model from being used.

    Args:
        selection: A model whose weights are missing.
        obstacle: What keeps them from being downloaded; None if nothing does.

    Yields:
        Lines; none if the weights are downloaded when they are needed.
    """
    if obstacle is not None:
        yield obstacle
    elif not _is_pinned(selection):
        yield (
            f"nobody has recorded the hashes of the weights of {selection.model_id}: "
            f"`matterzoo weights {selection.model_id}` downloads and records them"
        )


def offer_weights(selections: Sequence[Selection], *, yes: bool) -> None:
    """Have weights here that need somebody's consent, and report which cannot be had.

    Weights whose hashes nobody has recorded, and gated ones, are downloaded now, if the user
    agrees. Others are downloaded when it is the model's turn.

    Args:
        selections: The models that are to be run.
        yes: Whether the user has agreed already.

    Raises:
        RequestError: The weights of none of the models can be had.
    """
    faults = [fault for selection in selections if (fault := _offer(selection, yes))]
    if faults and len(faults) == len(selections):
        raise RequestError("\n".join(faults))
    for fault in faults:
        report_error(f"{fault}; the other models are run")


def _offer(selection: Selection, yes: bool) -> str | None:
    """Offer to bring a model's weights here; return why they cannot be had, None if they can."""
    if not is_missing(selection):
        return None
    if obstacle := find_access(selection).obstacle:
        return obstacle
    if not _is_pinned(selection):
        (warning,) = weights_warnings(selection, None)
        if not agrees(f"{warning}. Do that now?", yes=yes):
            return f"{warning}, and so does --yes here"
    elif not selection.model.license_weights.gated:
        return None
    try:
        obtain_weights(selection, report_step, partial(agrees, yes=yes))
    except WeightsError as error:
        return str(error)
    return None


def _is_pinned(selection: Selection) -> bool:
    return selection.model.weights.pinned(untrained=selection.untrained)
