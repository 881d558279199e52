"""Chemprop's message passing over molecular graphs of heavy atoms, with CheMeleon's weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from chemprop.data import BatchMolGraph, MolGraph
from chemprop.featurizers import SimpleMoleculeMolGraphFeaturizer
from chemprop.nn import BondMessagePassing
from rdkit import Chem, rdBase

from zoo.encoder import Encoder, System


class FamilyEncoder(Encoder):
    """CheMeleon, or its untrained twin, in float32.

    The representation `last_hidden` holds the atoms after message passing, (n_atoms, d). Their mean
    is CheMeleon's fingerprint.

    The card's `options` are those arguments of BondMessagePassing that differ from chemprop's
    defaults. They serve the untrained twin, which that class draws; the published file contains its
    own arguments.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        if dtype != "float32":
            raise ValueError(
                f"dtype {dtype!r}: the package builds its graphs in float32; use DTYPE=float32"
            )
        if untrained_seed is None:
            path = self.weights / model["weights"]["files"][0]["path"]
            published = torch.load(path, map_location="cpu", weights_only=True)
            network = BondMessagePassing(**published["hyper_parameters"])
            network.load_state_dict(published["state_dict"])
        else:
            torch.manual_seed(untrained_seed)
            network = BondMessagePassing(**model["options"])
        self.network = network.to(device).eval().requires_grad_(False)
        self.featurizer = SimpleMoleculeMolGraphFeaturizer()

    def prepare(self, system: System) -> MolGraph:
        """Return the graph of the molecule.

        The atoms stand in RDKit's canonical order, because the tags of chirality depend on the
        order.
        """
        with rdBase.BlockLogs():
            molecule = Chem.MolFromSmiles(system.smiles)
            if molecule is None or molecule.GetNumAtoms() == 0:
                raise ValueError(
                    f"RDKit cannot read the SMILES {system.smiles!r}, or finds no atoms in it"
                )
            return self.featurizer(Chem.MolFromSmiles(Chem.MolToSmiles(molecule)))

    def size(self, item: MolGraph) -> int:
        """Return the number of atoms."""
        return len(item.V)

    @torch.inference_mode()
    def encode(
        self, items: Sequence[MolGraph], representations: Sequence[str]
    ) -> dict[str, list[np.ndarray]]:
        batch = BatchMolGraph(list(items))
        batch.to(self.device)
        rows = torch.split(self.network(batch), [self.size(item) for item in items])
        vectors = [part.cpu().numpy() for part in rows]
        return {name: vectors for name in representations}
