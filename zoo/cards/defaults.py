"""What the models of a family share: [defaults] in models.toml, merged into every [[model]]."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

NEVER_SHARED = ("id", "title")  # every model has its own
# A license that is put together from two places would be one that nobody has read.
TAKEN_WHOLE = ("license_weights",)


def merge_defaults(model: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's table with what it leaves to the defaults of its family.

    A key of the model wins. Tables are merged key by key. The license and lists, such as
    `[[model.representation]]`, are taken whole, from the model if it has them. A model that says in
    `no_layers` why it names no layers does not get those of the defaults.

    Args:
        model: A [[model]] of models.toml.
        defaults: The [defaults] of the same file.
    """
    if "no_layers" in model:
        defaults = {name: value for name, value in defaults.items() if name != "layers"}
    merged = {**defaults, **model}
    for name in defaults.keys() & model.keys() - {*TAKEN_WHOLE}:
        if isinstance(defaults[name], dict) and isinstance(model[name], dict):
            merged[name] = {**defaults[name], **model[name]}
    return merged


def find_unused_defaults(
    models: Sequence[Mapping[str, Any]], defaults: Mapping[str, Any]
) -> Iterator[str]:
    """Find the defaults that every model overrides, whose values nothing would check.

    Args:
        models: The [[model]] tables of models.toml, at least one.
        defaults: The [defaults] of the same file.

    Yields:
        Names such as 'elements' or 'provenance.doi'.
    """
    for name, value in defaults.items():
        if isinstance(value, dict) and name not in TAKEN_WHOLE:
            own = [model[name] for model in models if isinstance(model.get(name), dict)]
            for key in value if len(own) == len(models) else ():
                if all(key in table for table in own):
                    yield f"{name}.{key}"
        elif all(name in model for model in models):
            yield name


def is_default(model: Mapping[str, Any], where: tuple[int | str, ...]) -> bool:
    """Return whether a value of a merged table comes from the defaults.

    Args:
        model: The model's own table, before it was merged.
        where: The keys and indices that lead to the value, such as ('provenance', 'doi').
    """
    if not where or where[0] not in model:
        return bool(where)
    own = model[str(where[0])]
    if where[0] in TAKEN_WHOLE or not isinstance(own, dict):
        return False
    return len(where) > 1 and where[1] not in own
