"""The card of a model, if this zoo has one."""

from __future__ import annotations

from zoo.cards.base import CardError
from zoo.cards.discovery import find_model, load_models
from zoo.cards.family import Selection


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
