"""Bring a model's weights here: license, download, pins where nobody has any, verification."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from zoo.cards.discovery import find_model
from zoo.cards.family import Selection
from zoo.terminal import megabytes
from zoo.weights.access import find_access, is_missing
from zoo.weights.download import Log
from zoo.weights.errors import WeightsError
from zoo.weights.local import LocalWeights, download_weights, needed_files
from zoo.weights.pins import pin

Agree = Callable[[str], bool | None]  # asks a question; None: there is nobody to ask


def obtain_weights(selection: Selection, log: Log, agree: Agree) -> LocalWeights | None:
    """Download and verify the files of a model; record their hashes if nobody has.

    Args:
        selection: The model.
        log: Called with each line that a user should see: the license, the files, what is recorded.
        agree: Asked whether a license is accepted that has to be before a download. If there is
            nobody to ask, the server decides: it lets in who has accepted.

    Returns:
        Where the files are; None for a model that needs none.

    Raises:
        WeightsError: What is missing (a token, an acceptance, an approval, a network) and where to
            get it; or the files are not those expected.
    """
    selection = find_model(selection.model_id)  # with what was recorded for another model
    if not needed_files(selection):
        return None
    if selection.model.license_weights.gated and is_missing(selection):
        _require_access(selection, agree)
    if not selection.model.weights.pinned(untrained=selection.untrained):
        log(
            f"{selection.model_id}: nobody has recorded the hashes of these weights; what is "
            "downloaded now is recorded, and nothing else is loaded from then on"
        )
        pin(selection, log)
        selection = find_model(selection.model_id)
        for line in _describe_record(selection):
            log(line)
    return download_weights(selection, log)


def _require_access(selection: Selection, agree: Agree) -> None:
    """Raise WeightsError if gated weights are refused by their server, or by the user."""
    obstacle = find_access(selection).obstacle
    if obstacle is not None:
        raise WeightsError(obstacle)
    license = selection.model.license_weights
    where = license.url or f"https://huggingface.co/{selection.model.weights.repo}"
    if agree(f"{license.name} ({where}) has to be accepted first. Have you accepted it?") is False:
        raise WeightsError(
            f"{selection.model_id} was not downloaded, since its license is not accepted: {where}"
        )


def _describe_record(selection: Selection) -> Iterator[str]:
    """Yield what was recorded of a model's files, and where."""
    weights = selection.model.weights
    of = f", {weights.repo} at revision {weights.revision}" if weights.source == "hub" else ""
    yield f"{selection.model_id}: recorded in {selection.family.pins}{of}:"
    for file in needed_files(selection):
        yield f"  {file.path}, {megabytes(file.size or 0)}, sha256 {file.sha256}"
