"""A model's card: what one checkpoint takes, what it gives, and where it comes from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from zoo.cards.base import Card, Identifier, Name
from zoo.cards.elements import parse_elements
from zoo.cards.licenses import License
from zoo.cards.precision import BYTES, HALF, Dtype, Tolerance
from zoo.cards.representations import (
    Layers,
    Representation,
    RepresentationName,
    find_representation,
    why_no_nodes,
)
from zoo.cards.twins import twin_seed
from zoo.cards.weights_source import Weights
from zoo.encoder import ENERGY

Input = Literal["structure", "smiles", "selfies", "sequence", "backbone", "text", "any"]


class Energy(Card):
    """The total energy in eV that a potential predicts in the same forward pass.

    Attributes:
        reference: What its zero is, and with which corrections it was trained.
        note: Anything else that a user should know.
    """

    reference: str = Field(min_length=10)
    note: str | None = None


class Compute(Card):
    """What a model costs.

    Attributes:
        parameters: The number of its parameters.
        scales_with: What its memory grows with.
        batch: How much of that goes into one batch on a CPU.
        copies_at_load: How many times its parameters are in the host's memory while it is loaded.
        systems_per_second: Its measured speed on 2 CPU cores, dataset 'aflow' or 'g2'.
    """

    parameters: int = Field(ge=0)
    scales_with: Literal["atoms", "tokens", "systems"]
    batch: int = Field(gt=0)
    copies_at_load: int = Field(default=1, ge=1)
    systems_per_second: float | None = Field(default=None, gt=0)


class Provenance(Card):
    """Where a model comes from.

    Attributes:
        architecture: The network, in words.
        training_sets: The names of the datasets that it was trained on.
        level_of_theory: How the labels of these datasets were computed.
        citation: The publication.
        doi: The DOI of the publication.
        note: Anything else that a user should know.
    """

    architecture: str
    training_sets: tuple[str, ...]
    level_of_theory: str | None = None
    citation: str
    doi: str | None = None
    note: str | None = None


class Score(Card):
    """A published performance figure.

    Attributes:
        name: What is measured.
        value: The figure.
        unit: Its unit.
        test_set: The systems on which it was measured.
        source: Where it is published.
    """

    name: Identifier
    value: float
    unit: str
    test_set: str
    source: str


class Control(Card):
    """The known answer of a control, which is a model made to test the comparison itself.

    Attributes:
        of: The id of the model that it is to be compared with.
        expect: 'same': an alignment of 1; 'chance': one inside the permutation null; 'undefined':
            NULL. It holds for all systems.
    """

    of: Name
    expect: Literal["same", "chance", "undefined"]


class Model(Card):
    """The card of one checkpoint and, where a family offers several, of one task head or prompt.

    Attributes:
        id: The name by which a user asks for it, unique among all families.
        title: Its name in words.
        input: The kind of system that it takes.
        elements: The elements that it takes, such as 'H-Rn, Ac-Cm'; None for all.
        stereochemistry: Whether it tells a written molecule from its mirror image, and reads all
            spellings alike; None if spelling decides, or if its input is not written so.
        max_atoms: The largest system that it takes, in atoms; None for any size.
        needs_lattice_vectors: Whether it cannot take a structure that is periodic along a lattice
            vector of length 0.
        dtypes: The precisions in which it may run, the one that is taken if none is asked for
            first; None for any, and float32 if none is asked for.
        default_representation: The representation that is computed if none is asked for.
        weights: Where its weights come from.
        license_weights: The license of the weights.
        layers: The layers of its network, if they are named.
        no_layers: Why none are named; a model that has weights says one of the two.
        representation: The vectors that it gives, those of its layers behind the others.
        energy: The energy that it predicts; None if it predicts none.
        compute: What it costs.
        provenance: Where it comes from.
        tolerance: How closely it repeats its vectors.
        score: Published performance figures.
        control: What it controls, if it is a control.
        options: What its encoder is given as it is.
    """

    id: Name
    title: str
    input: Input
    elements: str | None = None
    stereochemistry: bool | None = None
    max_atoms: int | None = Field(default=None, gt=0)
    needs_lattice_vectors: bool = False
    dtypes: tuple[Dtype, ...] | None = Field(default=None, min_length=1)
    default_representation: RepresentationName
    weights: Weights
    license_weights: License
    layers: Layers | None = None
    no_layers: str | None = Field(default=None, min_length=10)
    representation: tuple[Representation, ...] = Field(min_length=1)
    energy: Energy | None = None
    compute: Compute
    provenance: Provenance
    tolerance: Tolerance
    score: tuple[Score, ...] = ()
    control: Control | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("elements")
    @classmethod
    def _elements_parse(cls, value: str | None) -> str | None:
        if value is not None:
            parse_elements(value)
        return value

    @model_validator(mode="after")
    def _default_exists(self) -> Model:
        names = [r.name for r in self.representation]
        if self.default_representation not in names:
            raise ValueError(
                f"default_representation {self.default_representation!r} is not one of {names}"
            )
        if len(set(names)) != len(names):
            raise ValueError(f"representation names repeat: {names}")
        if ENERGY in names:
            raise ValueError(
                f"a representation is named {ENERGY!r}, which is what an encoder calls its energies"
            )
        return self

    @model_validator(mode="after")
    def _layers_or_reason(self) -> Model:
        if self.layers is not None and self.no_layers is not None:
            raise ValueError(
                "it names its layers and says in no_layers why it names none; leave one of them out"
            )
        return self

    @model_validator(mode="after")
    def _half_precision_has_bounds(self) -> Model:
        for dtype in self.dtypes or ():
            if dtype in HALF and self.tolerance.at(dtype) is self.tolerance:
                raise ValueError(
                    f"dtypes names {dtype}, so tolerance needs {dtype} = {{ batch = … }}"
                )
        return self

    @property
    def dtype(self) -> str:
        """The precision in which it runs if none is asked for."""
        return self.dtypes[0] if self.dtypes else "float32"

    def parameter_bytes(self, dtype: str) -> int:
        """Return what its parameters take in memory.

        Args:
            dtype: 'float32', 'float64', ….
        """
        return BYTES[dtype] * self.compute.parameters

    @property
    def trainable(self) -> bool:
        """Whether anything of it is learned."""
        return self.weights.source != "none"

    @property
    def bundled(self) -> bool:
        """Whether it needs no download of its own."""
        return self.weights.source in ("package", "none")

    def card_hash(self, *, untrained: bool, draw: int = 1) -> str:
        """Return the SHA-256 of what decides the vectors, in hexadecimal.

        That is the input, the limits, the weights' files, the representations, the presence of an
        energy, and the options. Layers are left out: to name them changes no vector that is there.

        Args:
            untrained: Whether an untrained twin is meant, which has a seed and fewer files.
            draw: Which of its twins, from 1.
        """
        names = {"id", "input", "elements", "max_atoms", "options"}
        deciding = self.model_dump(mode="json", include=names)
        not_deciding = {"paper_row", "paper_row_of_twin"}
        deciding["representation"] = [
            r.model_dump(mode="json", exclude=not_deciding)
            for r in self.representation
            if not r.is_layer
        ]
        if self.energy is not None:
            deciding[ENERGY] = "eV"  # the card's words about the energy decide nothing
        deciding["weights"] = {
            file.path: file.sha256 for file in self.weights.needed(untrained=untrained)
        }
        if untrained:
            deciding["untrained_seed"] = twin_seed(self.id, draw)
        return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()

    def find_representation(self, name: str) -> Representation:
        """Return what a full name stands for; see `zoo.cards.representations`.

        Args:
            name: Such as 'last_hidden' or 'last_hidden:std'.

        Raises:
            CardError: There is no such representation, or it cannot be pooled so.
        """
        return find_representation(self.representation, name, self.id)

    def why_no_nodes(self, name: str) -> str | None:
        """Return why it gives no vectors of atoms or residues, None if it does.

        Args:
            name: A representation of the card.
        """
        found = self.find_representation(name)
        return why_no_nodes(found, self.input, self.compute.scales_with)

    def for_worker(self, representations: Iterable[str] = ()) -> dict[str, Any]:
        """Return the card as the worker gets it: plain data, with elements as atomic numbers.

        Args:
            representations: Full names of those that are asked for. Those with a pooling of their
                own stand behind the card's.
        """
        asked = map(self.find_representation, representations)
        pooled = [each for each in asked if each not in self.representation]
        card = self.model_copy(update={"representation": (*self.representation, *pooled)})
        plain = card.model_dump(mode="json")
        plain["elements"] = None if self.elements is None else parse_elements(self.elements)
        return plain
