"""Networks of the Materials Graph Library (Ko et al. 2025), with DGL on the CPU; float32 only.

The release is 2.1.2. Release 3 moved the sum over an atom's neighbors to the other end of the
edges. It still loads the files of earlier releases without a warning, and computes something else:
NaCl has no equilibrium any more. Release 2.1.2 gives the energies of the package's own tests to the
last digit (M3GNet-MP-2021.2.8: MoS -10.824362 eV).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

os.environ["MATGL_BACKEND"] = "DGL"  # read when matgl is imported
os.environ["DGLBACKEND"] = "pytorch"  # otherwise dgl writes a configuration into the home folder

import dgl
import matgl.models
import numpy as np
import torch
from ase import Atoms
from matgl.apps.pes import Potential
from matgl.ext.ase import Atoms2Graph
from matgl.utils.io import load_model

from zoo.encoder import ENERGY, Encoder, System

# Å on each side where some directions, but not all, are periodic: images are beyond every cutoff
VACUUM = 10.0


class FamilyEncoder(Encoder):
    """A network of matgl, or its untrained twin.

    The representation `last_hidden` is the input of the readout per atom, (n_atoms, d); it is
    invariant.

    The option `network` names a class of matgl.models, and `arguments` are its arguments in the
    published model.json. `fidelity` is given for a network with the method of calculation as its
    state. The class draws the untrained twin from these arguments; the twin's energy contains no
    reference energies of the elements.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        if dtype != "float32":
            raise ValueError(
                f"dtype {dtype!r}: this package builds its graphs in float32; use DTYPE=float32"
            )
        if device != "cpu":
            raise ValueError(
                f"device {device!r}: the DGL that matgl 2.1.2 runs with here "
                "is a build for the CPU only"
            )
        if untrained_seed is None:
            loaded = load_model(self.weights)
        else:
            torch.manual_seed(untrained_seed)
            loaded = Potential(build(model["options"]))
        self.loaded, network = loaded, loaded.model
        self.network = network.eval().requires_grad_(False)
        self.to_graph = Atoms2Graph(self.network.element_types, self.network.cutoff)
        fidelity = model["options"].get("fidelity")
        # Zeros are the package's own default.
        self.state = torch.zeros(1, 2) if fidelity is None else torch.tensor([fidelity])
        self._rows = torch.empty(0)
        # MEGNet alone does not return the rows.
        self.hooked = isinstance(self.network, matgl.models.MEGNet)
        if self.hooked:
            self.network.node_s2s.register_forward_pre_hook(self._keep)

    def _keep(self, module: torch.nn.Module, args: tuple[dgl.DGLGraph, torch.Tensor]) -> None:
        self._rows = args[1]

    def prepare(self, system: System) -> dgl.DGLGraph:
        """Return the graph of the structure, which has open ends or is periodic in all directions.

        A structure that is periodic in some directions gets a vacuum in the others.
        """
        atoms = Atoms(system.numbers, system.positions, cell=system.cell, pbc=system.pbc)
        open_axes = tuple(np.flatnonzero(~atoms.pbc))
        if 0 < len(open_axes) < 3:
            atoms.center(vacuum=VACUUM, axis=open_axes)
            atoms.pbc = True
        if atoms.pbc.any() and atoms.cell.rank < 3:
            raise ValueError(
                "the structure is periodic, but its cell "
                f"{atoms.cell.array.tolist()} spans no volume"
            )
        graph, lattice, _ = self.to_graph.get_graph(atoms)
        graph.edata["pbc_offshift"] = graph.edata["pbc_offset"] @ lattice[0]
        graph.ndata["pos"] = graph.ndata["frac_coords"] @ lattice[0]
        return graph

    def size(self, item: dgl.DGLGraph) -> int:
        """Return the number of atoms."""
        return int(item.num_nodes())

    @torch.inference_mode()
    def encode(
        self, items: Sequence[dgl.DGLGraph], representations: Sequence[str]
    ) -> dict[str, list[Any]]:
        """Compute one graph at a time, as the package's calculators do.

        M3GNet numbers the pairs of its triplets without those beyond the triplets' cutoff, but
        looks them up among all pairs: in a batch, the numbers would point into another system.
        """
        vectors, energies = [], []
        for item in items:
            predicted = self.network(g=item, state_attr=self.state)
            vectors.append((self._rows if self.hooked else item.ndata["node_feat"]).numpy())
            energies.append(
                total(self.loaded, item, predicted) if self.model[ENERGY] is not None else None
            )
        return {name: vectors for name in representations} | {ENERGY: energies}


def total(potential: Potential, graph: dgl.DGLGraph, predicted: torch.Tensor) -> float:
    """Return the energy in eV that a potential makes of its network's prediction.

    The prediction is scaled, and repulsion and reference energies are added.
    """
    energy = potential.data_std * predicted + potential.data_mean
    if potential.calc_repuls:
        energy = energy + potential.repuls(potential.model.element_types, graph)
    if potential.element_refs is not None:
        energy = energy + torch.squeeze(potential.element_refs(graph))
    return float(energy)


def build(options: Mapping[str, Any]) -> torch.nn.Module:
    """Return the network with weights drawn by its own constructor."""
    return getattr(matgl.models, options["network"])(**options["arguments"])
