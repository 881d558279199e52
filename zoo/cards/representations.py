"""The vectors that a model gives: what its card says of each, and the names by which users ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from zoo.cards.base import Card, CardError
from zoo.worker.pooling import NODE_FIELDS, NODES, POOLINGS, full_name, split_name

LAYERS = "layers"  # by this word a user asks for all of them
ALL, DEFAULT = "all", "default"
_LAYER = "layer-"
_IN_CARD = rf"(?:[a-z][a-z0-9_]*|{_LAYER}[0-9]+)"
_BEHIND = (*POOLINGS[1:], NODES)  # what may stand behind the colon of a full name
# The name in a card, and the one in a store, which may name a pooling.
RepresentationName = Annotated[str, Field(pattern=rf"^{_IN_CARD}$")]
FullName = Annotated[str, Field(pattern=rf"^{_IN_CARD}(?::(?:{'|'.join(_BEHIND)}))?$")]
Level = Literal["node", "system"]
Channels = Literal["invariant", "all"]


class Representation(Card):
    """One kind of vector that a model gives.

    Attributes:
        name: The name by which a user asks for it.
        layer: Where in the network it is read: the hook or the API call, in words.
        level: 'node': one vector per atom or residue; 'system': one vector per system.
        pooling: How vectors of nodes become one of the system: 'mean', or 'none' if there are none.
            A card names no other; `find_representation` gives those that a user asks for, and
            'nodes' where the vectors of nodes are kept.
        channels: 'invariant': a rotation of the system leaves the vector as it is; 'all': not so.
        dimension: The length of the vector.
        paper_row: The row of Table 1 of the paper that this is, 1 to 59.
        paper_row_of_twin: The row of Table 1 of the paper that the untrained twin is.
    """

    name: RepresentationName
    layer: str = Field(min_length=3)
    level: Level
    pooling: Literal["mean", "sum", "std", "max", "none", "nodes"]
    channels: Channels
    dimension: int = Field(gt=0)
    paper_row: int | None = Field(default=None, ge=1, le=59)
    paper_row_of_twin: int | None = Field(default=None, ge=1, le=59)

    @model_validator(mode="after")
    def _pooling_fits_level(self) -> Representation:
        if self.pooling != ("mean" if self.level == "node" else "none"):
            raise ValueError("pooling is 'mean' for level 'node' and 'none' for level 'system'")
        return self

    @property
    def is_layer(self) -> bool:
        """Whether it is a layer: `layer-0` or another of that name."""
        return self.name.startswith(_LAYER)


class Layers(Card):
    """The depths of a network at which its nodes have vectors, as representations of the same kind.

    A card states them once, as [model.layers], instead of a [[model.representation]] for each. One
    forward pass gives any of them; the last one is the default representation.

    Attributes:
        first: What `layer-0` is, in words: the embedding of the input; or, where all nodes begin
            alike, what the first layer makes of them.
        others: What `layer-1` and the others are, in words, with {i} for the number.
        level: As of a `Representation`.
        channels: As of a `Representation`.
        dimensions: The lengths of the vectors of `layer-0`, `layer-1`, … in turn.
    """

    first: str = Field(min_length=3)
    others: str = Field(pattern=r"\{i\}")
    level: Level
    channels: Channels
    dimensions: tuple[Annotated[int, Field(gt=0)], ...] = Field(min_length=2)

    @property
    def last(self) -> int:
        """The number of the last layer."""
        return len(self.dimensions) - 1

    def representations(self) -> list[dict[str, Any]]:
        """Return the tables of `layer-0`, `layer-1`, …, as a card would have them."""
        return [
            {
                "name": f"{_LAYER}{i}",
                "layer": self.others.replace("{i}", str(i)) if i else self.first,
                "level": self.level,
                "pooling": "mean" if self.level == "node" else "none",
                "channels": self.channels,
                "dimension": dimension,
            }
            for i, dimension in enumerate(self.dimensions)
        ]


def name_layers(model: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a model's table with a representation for each of its layers.

    Args:
        model: A [[model]] of models.toml. If its layers are not as they have to be, it is returned
            as it is, since the card is going to be refused for them.
    """
    try:
        layers = Layers.model_validate(model["layers"]).representations()
        return {**model, "representation": [*model["representation"], *layers]}
    except (KeyError, TypeError, ValidationError):
        return model


def find_representation(every: Sequence[Representation], name: str, model: str) -> Representation:
    """Return what a full name stands for.

    Args:
        every: The representations of the model's card.
        name: Such as 'last_hidden' or 'last_hidden:std'.
        model: The id of the model, for the message.

    Returns:
        That of the card, or a copy of it with the full name and another pooling.

    Raises:
        CardError: The model has no such representation, or it cannot be pooled so.
    """
    base, colon, pooling = name.partition(":")
    found = next((each for each in every if each.name == base), None)
    if found is None:
        raise CardError(f"{model} has no representation {base!r}; it has {_listed(every)}")
    if not colon:
        return found
    if pooling == NODES and found.level == "node":
        return found.model_copy(update={"name": name, "pooling": pooling})
    if pooling not in POOLINGS:
        expected = f"{', '.join(POOLINGS[:-1])} or {POOLINGS[-1]}"
        raise CardError(f"{name!r}: there is no pooling {pooling!r}; expected {expected}")
    if found.level == "system":
        raise CardError(
            f"{name!r}: {model} gives {base!r} as one vector per system, so there are no nodes to "
            f"pool; ask for {base!r}"
        )
    full = full_name(base, pooling)
    return found if full == base else found.model_copy(update={"name": full, "pooling": pooling})


def why_no_nodes(found: Representation, kind: str, scales_with: str) -> str | None:
    """Return why a model gives no vectors of atoms or residues, None if it does.

    Args:
        found: A representation of the model's card.
        kind: The input of the model.
        scales_with: What its memory grows with.
    """
    if found.level == "system":
        return f"it gives {found.name!r} as one vector per system"
    if kind not in NODE_FIELDS:
        return f"its input is {kind}, so its nodes are no atoms or residues of the system"
    if kind == "structure" and scales_with == "tokens":
        return "its nodes are tokens of a text, and no atoms of the system"
    return None


def choose_names(
    every: Sequence[Representation], asked: str, model: str, default: str
) -> tuple[str, ...]:
    """Return the full names that a user means, in the card's order and in that of POOLINGS.

    Args:
        every: The representations of the model's card.
        asked: Names separated by commas; 'all' stands for all of the card, 'layers' for its
            layers, 'default' for the default one. ':' and a pooling may follow each of them.
        model: The id of the model, for messages.
        default: The name of the default one.

    Raises:
        CardError: The model has no representation of a name, or no layers.
    """
    chosen = set()
    for word in asked.split(","):
        base, colon, pooling = word.strip().partition(":")
        if pooling == NODES:
            raise CardError(f"{word!r}: the option --{NODES} keeps the vectors of nodes, too")
        names = [default if base == DEFAULT else base]
        if base in (ALL, LAYERS):
            names = [each.name for each in every if base == ALL or each.is_layer]
        if not names:
            raise CardError(f"the card of {model} names no layers; it has {_listed(every)}")
        for name in names:
            chosen.add(find_representation(every, f"{name}{colon}{pooling}", model).name)
    places = {each.name: place for place, each in enumerate(every)}

    def place(name: str) -> tuple[int, int]:
        base, pooling = split_name(name)
        return places[base], POOLINGS.index(pooling)

    return tuple(sorted(chosen, key=place))


def _listed(every: Sequence[Representation]) -> str:
    return ", ".join(each.name for each in every)
