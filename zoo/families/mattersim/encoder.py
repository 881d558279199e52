"""MatterSim (Yang et al. 2024) in its released form; float32 only.

Its graphs have bonds and triples, as those of M3GNet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms

NMS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
if torch.version.cuda is None:
    # The package requires torchvision, which the index offers built for CUDA only. Beside a torch
    # without CUDA, that build lacks these operators and cannot be imported without them. Nothing
    # here looks at images.
    torch.library.define("torchvision::nms", NMS)
    torch.library.define("torchvision::qnms", NMS)

from mattersim.datasets.utils.convertor import GraphConvertor  # noqa: E402
from mattersim.forcefield.m3gnet.m3gnet import M3Gnet  # noqa: E402
from mattersim.forcefield.potential import Potential, batch_to_dict  # noqa: E402
from torch_geometric.data import Batch, Data  # noqa: E402

from zoo.encoder import ENERGY, Encoder, System  # noqa: E402

# Å on each side in directions that are not periodic, so that images are beyond the cutoff of 5 Å
VACUUM = 10.0


class FamilyEncoder(Encoder):
    """A MatterSim network, or its untrained twin.

    The representation `last_hidden` is the input of the energy readout per atom, (n_atoms, units).
    `layer-0` is the embedding of the elements, and `layer-1` and so on are the atoms after each
    block, the last of which are `last_hidden`. All are invariant.

    The untrained twin is built by the package's constructor from the checkpoint's own arguments,
    after torch.manual_seed. The constructor draws every weight, and the twin's energy contains no
    reference energies.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        if dtype != "float32":
            raise ValueError(
                f"dtype {dtype!r}: this package builds its graphs in float32; use DTYPE=float32"
            )
        path = self.weights / model["weights"]["files"][0]["path"]
        network = (
            trained(path, device)
            if untrained_seed is None
            else untrained(path, device, untrained_seed)
        )
        network.atom_embedding.register_forward_hook(self._keep_embedding)
        for block in network.graph_conv:
            block.register_forward_hook(self._keep)
        self.network = network.eval().requires_grad_(False)
        cutoffs = network.model_args["cutoff"], network.model_args["threebody_cutoff"]  # Å
        self.graphs = GraphConvertor("m3gnet", cutoffs[0], True, cutoffs[1])
        self._rows: list[torch.Tensor] = []  # of the last batch, by layer

    def _keep_embedding(self, module: torch.nn.Module, args: Any, rows: torch.Tensor) -> None:
        self._rows = [rows]

    def _keep(self, block: torch.nn.Module, args: Any, output: tuple[torch.Tensor, Any]) -> None:
        self._rows.append(output[0])

    def prepare(self, system: System) -> Data:
        """Return the graph of the structure.

        Directions that are not periodic get a vacuum of 10 Å on each side.
        """
        atoms = Atoms(system.numbers, system.positions, cell=system.cell, pbc=system.pbc)
        open_axes = tuple(np.flatnonzero(~atoms.pbc))
        if open_axes:
            atoms.center(vacuum=VACUUM, axis=open_axes)
            atoms.pbc = True
        if atoms.cell.rank < 3:
            raise ValueError(
                "the structure is periodic, but its cell "
                f"{atoms.cell.array.tolist()} spans no volume"
            )
        return self.graphs.convert(atoms)

    def size(self, item: Data) -> int:
        """Return the number of atoms."""
        return int(item.num_atoms)

    @torch.inference_mode()
    def encode(self, items: Sequence[Data], representations: Sequence[str]) -> dict[str, list[Any]]:
        energies = self.network(
            batch_to_dict(Batch.from_data_list(list(items)), device=self.device)
        )
        sizes = [self.size(item) for item in items]
        rows = {f"layer-{i}": layer for i, layer in enumerate(self._rows)}
        rows["last_hidden"] = self._rows[-1]
        found: dict[str, list[Any]] = {ENERGY: energies.tolist()}
        for name in representations:
            found[name] = [atoms.numpy() for atoms in torch.split(rows[name].cpu(), sizes)]
        return found


def trained(path: Path, device: str) -> M3Gnet:
    """Return the published network."""
    return Potential.from_checkpoint(str(path), device=device, load_training_state=False).model


def untrained(path: Path, device: str, seed: int) -> M3Gnet:
    """Return the checkpoint's architecture with weights drawn by the package's constructor."""
    arguments = torch.load(path, map_location="cpu", weights_only=True)["model_args"]
    torch.manual_seed(seed)
    return M3Gnet(device=device, **arguments).to(device)
