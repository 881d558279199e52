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

LAYER = "layer-"  # begins the names of layers, which end in their number


def atoms_by_round(network: BondMessagePassing, graph: BatchMolGraph) -> list[torch.Tensor]:
    """Return the atoms as they would be if message passing ended early, and as they are.

    The states that pass along bonds are of bonds. After each round, the network's own last map,
    which makes atoms of them and of the atoms' features, is applied to them.

    Args:
        network: The message passing, with its `depth`.
        graph: The molecules.

    Returns:
        The atoms without any message, after one round, and so on, (atoms, d) each; last what the
        network returns.
    """
    states: list[torch.Tensor] = []  # of the bonds after each round, then of the atoms
    hook = network.tau.register_forward_hook(lambda _, __, output: states.append(output))
    atoms = network(graph)
    hook.remove()
    messages = [atoms.new_zeros(len(graph.V), states[0].shape[1])]
    messages += [
        torch.zeros_like(messages[0]).index_add(0, graph.edge_index[1], bonds)
        for bonds in states[:-2]
    ]
    return [*(network.finalize(message, graph.V, None) for message in messages), atoms]


class FamilyEncoder(Encoder):
    """CheMeleon, or its untrained twin, in float32.

    The representation `last_hidden` holds the atoms after message passing, (n_atoms, d). Their mean
    is CheMeleon's fingerprint. `layer-0` and so on are the atoms without any message, after one
    round of messages, and so on; the last of them is `last_hidden`.

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
        rounds = any(name.startswith(LAYER) for name in representations)
        layers = atoms_by_round(self.network, batch) if rounds else [self.network(batch)]
        found = {"last_hidden": layers[-1]}
        if rounds:
            found |= {f"{LAYER}{i}": rows for i, rows in enumerate(layers)}
        sizes = [self.size(item) for item in items]
        return {
            name: [part.numpy() for part in torch.split(found[name].cpu(), sizes)]
            for name in representations
        }
