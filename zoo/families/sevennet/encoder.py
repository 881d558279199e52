"""SevenNet (Park et al. 2024): equivariant message passing after NequIP; float32 only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sevenn._keys as KEY
import torch
from ase import Atoms
from e3nn.nn import Gate
from sevenn.atom_graph_data import AtomGraphData
from sevenn.checkpoint import SevenNetCheckpoint
from sevenn.model_build import build_E3_equivariant_model
from sevenn.nn.sequential import AtomGraphSequential
from sevenn.train.dataload import unlabeled_atoms_to_graph
from sevenn.util import load_checkpoint
from torch_geometric.data import Batch

from zoo.encoder import ENERGY, Encoder, System

# Counted from the last gate. The last layer keeps scalars only, the layer before it all irreps.
GATES = {"last_hidden": -1, "equivariant": -2}
EMBEDDING = "onehot_to_feature_x"  # the module that makes scalars of the elements


class FamilyEncoder(Encoder):
    """A SevenNet, or its untrained twin.

    All representations are per atom: `last_hidden` is the output of the last gate, which is
    invariant, and `equivariant` that of the gate before it, with all irreps. `layer-0` is the
    embedding of the elements; `layer-1` and so on are the scalars of even parity in the output of
    each gate, so that the last of them is `last_hidden`.

    In the untrained twin, every trainable parameter has the value that the package's own
    constructor sets after torch.manual_seed: weights drawn at random, and Bessel frequencies at
    integer multiples. The checkpoint's fixed statistics stay as they are: the mean number of
    neighbors in the convolutions, and the shift and scale of the energy per element. The latter are
    applied after the representations are read and are part of the twin's energy.
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
        layers = {f"layer-{number}": name for number, name in enumerate([EMBEDDING, *gates])}
        # The module that gives a representation, and which columns of a gate's output are scalars.
        self.gates = {name: gates[index] for name, index in GATES.items()} | layers
        self.scalars = {name: scalar_columns(self.network._modules[name].gate) for name in gates}

    def prepare(self, system: System) -> AtomGraphData:
        """Return the graph of the structure; it may be periodic in any number of directions."""
        atoms = Atoms(system.numbers, system.positions, cell=system.cell, pbc=system.pbc)
        if any(atoms.pbc & ~atoms.cell.any(axis=1)) or (all(atoms.pbc) and atoms.cell.rank < 3):
            raise ValueError(
                "the structure is periodic, but its cell "
                f"{atoms.cell.array.tolist()} spans no volume"
            )
        graph = AtomGraphData.from_numpy_dict(unlabeled_atoms_to_graph(atoms, self.cutoff))
        if self.task is not None:
            graph[KEY.DATA_MODALITY] = self.task
        return graph

    def size(self, item: AtomGraphData) -> int:
        """Return the number of atoms."""
        return int(item[KEY.NUM_ATOMS])

    @torch.no_grad()
    def encode(
        self, items: Sequence[AtomGraphData], representations: Sequence[str]
    ) -> dict[str, list[Any]]:
        """Run the layers in turn up to the energy; the forces after it would need gradients."""
        wanted: dict[str, list[str]] = {}
        for name in representations:
            wanted.setdefault(self.gates[name], []).append(name)
        sizes = [self.size(item) for item in items]
        found: dict[str, list[Any]] = {}
        data = self.network._preprocess(Batch.from_data_list(list(items)).to(self.device))
        for layer, module in self.network.named_children():
            data = module(data)
            for name in wanted.get(layer, ()):
                rows = data[KEY.NODE_FEATURE].cpu()
                if name not in GATES and layer != EMBEDDING:
                    rows = rows[:, self.scalars[layer]]
                found[name] = [atoms.numpy() for atoms in torch.split(rows, sizes)]
            if KEY.PRED_TOTAL_ENERGY in data:
                break
        found[ENERGY] = data[KEY.PRED_TOTAL_ENERGY].tolist()
        return found


def scalar_columns(gate: Gate) -> list[int]:
    """Return the columns of a gate's output that neither a rotation nor a reflection changes."""
    irreps = gate.irreps_out
    return [
        column
        for (_, irrep), place in zip(irreps, irreps.slices(), strict=True)
        if irrep.is_scalar()
        for column in range(place.start, place.stop)
    ]


def untrained(
    checkpoint: SevenNetCheckpoint, trained: AtomGraphSequential, seed: int
) -> AtomGraphSequential:
    """Return the checkpoint's architecture with the constructor's weights.

    Parameters that training left fixed are copied from the trained network.
    """
    torch.manual_seed(seed)
    network = build_E3_equivariant_model(checkpoint.config)
    fixed = {name: p.detach() for name, p in trained.named_parameters() if not p.requires_grad}
    network.load_state_dict(fixed, strict=False)
    return network
