"""SevenNet (Park et al. 2024): equivariant message passing after NequIP; float32 only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sevenn._keys as KEY
import torch
from ase import Atoms
from sevenn.atom_graph_data import AtomGraphData
from sevenn.checkpoint import SevenNetCheckpoint
from sevenn.model_build import build_E3_equivariant_model
from sevenn.nn.sequential import AtomGraphSequential
from sevenn.train.dataload import unlabeled_atoms_to_graph
from sevenn.util import load_checkpoint
from torch_geometric.data import Batch

from zoo.encoder import ENERGY, Encoder, System

# Counted from the last gate: the last layer keeps scalars only, the one before it all irreps.
GATES = {"last_hidden": -1, "equivariant": -2}


class FamilyEncoder(Encoder):
    """Representations `last_hidden` (last gate, invariant) and `equivariant` (gate before it, all irreps), per atom.

    The untrained twin has every trainable parameter as the package's own constructor sets it after torch.manual_seed:
    weights drawn at random, Bessel frequencies at integer multiples. What stays from the checkpoint are its fixed
    statistics: per-element energy shift and scale (they enter after the representations are read, and are part of its
    energy) and the convolutions' mean number of neighbors.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        if dtype != "float32":
            raise ValueError(
                f"dtype {dtype!r}: this package embeds atoms in float32; use DTYPE=float32"
            )
        path = self.weights / model["weights"]["files"][0]["path"]
        checkpoint = load_checkpoint(str(path))
        network = checkpoint.build_model()
        if untrained_seed is not None:
            network = untrained(checkpoint, network, untrained_seed)
        network.set_is_batch_data(True)
        self.network = network.to(device).eval().requires_grad_(False)
        self.cutoff = self.network.cutoff  # Å
        self.task = model["options"].get("task")
        gates = [name for name in self.network._modules if name.endswith("equivariant_gate")]
        self.gates = {name: gates[index] for name, index in GATES.items()}

    def prepare(self, system: System) -> AtomGraphData:
        """Graph of the structure; the package's neighbor list takes open, partly and fully periodic ones."""
        atoms = Atoms(system.numbers, system.positions, cell=system.cell, pbc=system.pbc)
        if any(atoms.pbc & ~atoms.cell.any(axis=1)) or (all(atoms.pbc) and atoms.cell.rank < 3):
            raise ValueError(
                f"the structure is periodic, but its cell {atoms.cell.array.tolist()} spans no volume"
            )
        graph = AtomGraphData.from_numpy_dict(unlabeled_atoms_to_graph(atoms, self.cutoff))
        if self.task is not None:
            graph[KEY.DATA_MODALITY] = self.task
        return graph

    def size(self, item: AtomGraphData) -> int:
        """Atoms."""
        return int(item[KEY.NUM_ATOMS])

    @torch.no_grad()
    def encode(
        self, items: Sequence[AtomGraphData], representations: Sequence[str]
    ) -> dict[str, list[Any]]:
        """Run the layers in turn up to the energy; the forces after it would need gradients."""
        wanted = {self.gates[name]: name for name in representations}
        sizes = [self.size(item) for item in items]
        found: dict[str, list[Any]] = {}
        data = self.network._preprocess(Batch.from_data_list(list(items)).to(self.device))
        for layer, module in self.network.named_children():
            data = module(data)
            if layer in wanted:
                rows = torch.split(data[KEY.NODE_FEATURE].cpu(), sizes)
                found[wanted[layer]] = [atoms.numpy() for atoms in rows]
            if KEY.PRED_TOTAL_ENERGY in data:
                break
        found[ENERGY] = data[KEY.PRED_TOTAL_ENERGY].tolist()
        return found


def untrained(
    checkpoint: SevenNetCheckpoint, trained: AtomGraphSequential, seed: int
) -> AtomGraphSequential:
    """The checkpoint's architecture with the constructor's weights, and the parameters that training left fixed."""
    torch.manual_seed(seed)
    network = build_E3_equivariant_model(checkpoint.config)
    fixed = {name: p.detach() for name, p in trained.named_parameters() if not p.requires_grad}
    network.load_state_dict(fixed, strict=False)
    return network
