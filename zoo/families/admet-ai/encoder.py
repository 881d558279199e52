"""ADMET-AI 2 (Swanson et al. 2024): ensembles of message passing along the bonds of molecules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from chemprop.data import BatchMolGraph, MolGraph
from chemprop.featurizers import SimpleMoleculeMolGraphFeaturizer
from chemprop.models import load_model
from rdkit import Chem, rdBase

from zoo.encoder import Encoder, System


class FamilyEncoder(Encoder):
    """An ensemble of five networks, or its untrained twin, in float32.

    The package's prediction is the mean of the five, so each representation holds that of the
    first, then that of the second, and so on: `last_hidden`, the hidden layer of each predictor as
    MPNN.encoding returns it, (1500,), and `atoms`, the atoms after message passing,
    (n_atoms, 1500). The untrained twin draws all linear layers as PyTorch does.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        if dtype != "float32":
            raise ValueError(
                f"dtype {dtype!r}: the package builds its graphs in float32; use DTYPE=float32"
            )
        paths = [self.weights / file["path"] for file in model["weights"]["files"]]
        networks = torch.nn.ModuleList(load_model(path) for path in paths)
        if untrained_seed is not None:
            torch.manual_seed(untrained_seed)
            for module in networks.modules():
                if isinstance(module, torch.nn.Linear):
                    module.reset_parameters()
        self.networks = networks.to(device).eval().requires_grad_(False)
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
        atoms = [network.message_passing(batch) for network in self.networks]
        found = {}
        if "atoms" in representations:
            rows = torch.split(torch.cat(atoms, dim=1), [self.size(item) for item in items])
            found["atoms"] = [part.cpu().numpy() for part in rows]
        if "last_hidden" in representations:
            hidden = [
                network.predictor.encode(network.bn(network.agg(part, batch.batch)), i=-1)
                for network, part in zip(self.networks, atoms, strict=True)
            ]
            found["last_hidden"] = list(torch.cat(hidden, dim=1).cpu().numpy())
        return found
