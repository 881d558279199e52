"""Weights that are not here: what is said of them, and offered, before anything is started."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from ingest.layout import Layout
from ingest.runs.errors import RequestError
from ingest.runs.plan import lacks_any
from ingest.runs.prepare import find_made
from ingest.runs.reporting import report_error, report_step
from ingest.runs.request import Settings, make_request
from ingest.systems.dataset import Dataset
from zoo.cards.discovery import find_model
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


def offer_weights(
    layout: Layout,
    selections: Sequence[Selection],
    datasets: Sequence[Dataset],
    settings: Settings,
    *,
    yes: bool,
) -> list[str]:
    """Have weights here that need somebody's consent, and report which cannot be had.

    Weights whose hashes nobody has recorded, and gated ones, are downloaded now, if the user
    agrees. Others are downloaded when it is the model's turn. Of a model whose vectors are all
    stored nothing is asked.

    Args:
        layout: The store that is to hold the vectors.
        selections: The models that are to be run.
        datasets: What they are to embed, sampled as asked for.
        settings: How they are to be run.
        yes: Whether the user has agreed already.

    Returns:
        The ids of models that must not be run, since their weights cannot be had.

    Raises:
        RequestError: The weights of none of the models can be had.
    """
    faults = {}
    for model_id in [selection.model_id for selection in selections]:
        selection = find_model(model_id)  # with what was recorded for a model before it
        if is_missing(selection) and _is_needed(layout, selection, datasets, settings):
            fault = _offer(selection, yes)
            if fault is not None:
                faults[model_id] = fault
    if faults and len(faults) == len(selections):
        raise RequestError("\n".join(faults.values()))
    for model_id, fault in faults.items():
        report_error(f"{model_id} is left out, and the other models are run: {fault}")
    return list(faults)


def _is_needed(
    layout: Layout, selection: Selection, datasets: Sequence[Dataset], settings: Settings
) -> bool:
    """Return whether a model has anything to compute, or nobody knows yet."""
    for dataset in datasets:
        made = find_made(layout, dataset)
        if made is None:
            return True
        request = make_request(selection, made, settings.limit or dataset.sample, settings)
        if lacks_any(layout, request):
            return True
    return False


def _offer(selection: Selection, yes: bool) -> str | None:
    """Offer to bring missing weights here; return why they cannot be had, None if they can."""
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
