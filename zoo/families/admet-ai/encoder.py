"""ADMET-AI 2 (Swanson et al. 2024): ensembles of message passing along the bonds of molecules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from chemprop.data import BatchMolGraph, MolGraph
from chemprop.featurizers import SimpleMoleculeMolGraphFeaturizer
from chemprop.models import load_model
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
    """An ensemble of five networks, or its untrained twin, in float32.

    The package's prediction is the mean of the five, so each representation holds that of the
    first, then that of the second, and so on: `last_hidden`, the hidden layer of each predictor as
    MPNN.encoding returns it, (1500,), and `atoms`, the atoms after message passing,
    (n_atoms, 1500). `layer-0` and so on are sums over the atoms, as the networks take them, without
    any message, after one round of messages, and so on; the last one is `last_hidden`.

    The untrained twin draws all linear layers as PyTorch does.
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
        found: dict[str, list[torch.Tensor]] = {}  # one tensor of each network
        rounds = any(name.startswith(LAYER) for name in representations)
        for network in self.networks:
            for name, part in self._run(network, batch, rounds).items():
                found.setdefault(name, []).append(part)
        vectors = {name: torch.cat(found[name], dim=1).cpu() for name in representations}
        sizes = [self.size(item) for item in items]
        return {
            name: [part.numpy() for part in torch.split(rows, sizes)]
            if name == "atoms"
            else list(rows.numpy())
            for name, rows in vectors.items()
        }

    def _run(
        self, network: torch.nn.Module, batch: BatchMolGraph, rounds: bool
    ) -> dict[str, torch.Tensor]:
        """Return representations by one network, of all atoms or of all molecules.

        Args:
            network: The network.
            batch: The molecules.
            rounds: Whether those of layers are asked for.
        """
        passing = network.message_passing
        layers = atoms_by_round(passing, batch) if rounds else [passing(batch)]
        sums = [network.agg(atoms, batch.batch) for atoms in layers]
        hidden = network.predictor.encode(network.bn(sums[-1]), i=-1)
        found = {"atoms": layers[-1], "last_hidden": hidden}
        if rounds:
            found |= {f"{LAYER}{i}": rows for i, rows in enumerate([*sums, hidden])}
        return found
