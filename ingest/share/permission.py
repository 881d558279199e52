"""What may be published: by the card of the model, and by the licenses of dataset and weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ingest.runs.folder import Run
from ingest.runs.imported import IMPORTED, NOT_STATED
from ingest.share.record import ShareError, license_of
from ingest.systems.materialized import MaterializedDataset
from zoo.cards.base import CardError
from zoo.cards.discovery import find_model, load_models
from zoo.cards.family import Selection
from zoo.cards.licenses import License
from zoo.cards.twins import split_twin


def find_local_model(model_id: str) -> Selection | None:
    """Return a model if this zoo has a card of it.

    Args:
        model_id: The id of the model.

    Raises:
        CardError: There is no such card, and a family has faults, so that it may be one of its.
    """
    try:
        return find_model(model_id)
    except CardError:
        load_models()
        return None


def require_current_card(run: Run, model_id: str, dataset: str) -> None:
    """Refuse vectors of an earlier version of a card: others would take them for the present one's.

    Args:
        run: A finished run of the model.
        model_id: The id of the model.
        dataset: The name of the dataset.

    Raises:
        ShareError: This zoo has another version of the model's card.
    """
    selection = find_local_model(model_id)
    if selection is not None and selection.card_hash != run.read("job/job.json")["card_hash"]:
        raise ShareError(
            f"the vectors of {model_id} were made by another version of its card than this zoo "
            f"has; `matterzoo ingest {model_id} {dataset}` makes them again, then publish"
        )


def require_license(run: Run, dataset: MaterializedDataset, model_id: str) -> None:
    """Refuse vectors that may not be shared.

    Args:
        run: A finished run of the model.
        dataset: The dataset that was embedded.
        model_id: The id of the model.

    Raises:
        ShareError: The license of the dataset, of imported vectors, or of the weights forbids it,
            or nobody has stated one.
    """
    row = run.read("model.json")["model"]
    if reason := why_not_shared(model_id, row, dataset.dataset, dataset.license):
        raise ShareError(reason)


def why_not_shared(model_id: str, row: Mapping[str, Any], dataset: str, license: str) -> str | None:
    """Return why the vectors of a model on a dataset may not be shared, None if they may.

    Args:
        model_id: The id of the model.
        row: The model as in the store's table: family, license_weights, card (as a dictionary).
        dataset: The name of the dataset.
        license: The license of the dataset.
    """
    if re.search(r"\bND\b|NoDeriv", license):
        return f"the license of {dataset}, {license}, forbids sharing what is derived from it"
    if row["family"] == IMPORTED and row["license_weights"] == NOT_STATED:
        return (
            f"nobody has stated a license for the vectors of {model_id}, so they are not "
            f"published; `matterzoo clean {model_id}`, then import them again with "
            f"`matterzoo ingest {model_id} {dataset} --vectors FILE --license CC-BY-4.0` "
            "or the like"
        )
    selection = find_local_model(model_id)
    card = row["card"] if selection is None else selection.model.model_dump(mode="json")
    _, draw = split_twin(model_id)
    is_trained = draw is None and card.get("weights", {}).get("source") != "none"
    of_weights = license_of(card)
    if is_trained and of_weights is not None and not of_weights.shareable:
        return (
            f"the vectors of {model_id} are not published: the license of its weights, "
            f"{_why_forbidden(of_weights)}"
        )
    return None


def _why_forbidden(license: License) -> str:
    """Return why vectors are not shared, and what to do if nobody has read the license for it."""
    name = f"{license.name} ({license.url or license.no_url_because})"
    if license.share is False:
        return f"{name}, does not allow sharing what the model computes"
    limits = ["gated"] if license.gated else []
    limits += [] if license.commercial else ["non-commercial"]
    return (
        f"{name}, is {' and '.join(limits)}. If you have read there that what the model computes "
        "may be shared with others, say so in the card: share = true in license_weights"
    )
