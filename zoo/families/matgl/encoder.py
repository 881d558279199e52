"""Networks of the Materials Graph Library (Ko et al. 2025), with DGL on the CPU; float32 only.

The release is 2.1.2. Release 3 moved the sum over an atom's neighbors to the other end of the
edges. It still loads the files of earlier releases without a warning, and computes something else:
NaCl has no equilibrium any more. Release 2.1.2 gives the energies of the package's own tests to the
last digit (M3GNet-MP-2021.2.8: MoS -10.824362 eV).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import accumulate, product
from operator import itemgetter
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
from matgl.models import M3GNet, MEGNet, SO3Net, TensorNet
from matgl.utils.io import load_model
from matgl.utils.maths import decompose_tensor, tensor_norm

from zoo.encoder import ENERGY, Encoder, NotApplicable, System

# Å on each side where some directions, but not all, are periodic: images are beyond every cutoff
VACUUM = 10.0
Part = Callable[[Any], torch.Tensor]
NODES = itemgetter(1)  # blocks return what edges, nodes and the state have become


class FamilyEncoder(Encoder):
    """A network of matgl, or its untrained twin.

    The representation `last_hidden` is the input of the readout per atom, (n_atoms, d). `layer-0`
    is the package's embedding and `layer-1` and so on what each block makes of it, the last of
    which is `last_hidden`; see `layers_of`. All are invariant.

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
        self._rows: list[torch.Tensor] = []  # of the last system, by layer
        for layer, part in layers_of(self.network):
            layer.register_forward_hook(partial(self._keep, part))

    def _keep(self, part: Part, layer: torch.nn.Module, args: Any, output: Any) -> None:
        self._rows.append(part(output))

    def prepare(self, system: System) -> dgl.DGLGraph:
        """Return the graph of the structure, which has open ends or is periodic in all directions.

        A structure that is periodic in some directions gets a vacuum in the others.

        Raises:
            NotApplicable: No atom has a neighbor, and MEGNet divides by the number of pairs.
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
        if isinstance(self.network, MEGNet) and graph.num_edges() == 0:
            reason = f"no atom has a neighbor within {self.network.cutoff} Å, which MEGNet needs"
            raise NotApplicable(reason)
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
        found: dict[str, list[Any]] = {name: [] for name in representations}
        energies = []
        for item in items:
            self._rows.clear()
            predicted = self.network(g=item, state_attr=self.state)
            layers = self._rows
            if isinstance(self.network, SO3Net):  # its blocks return what is added
                layers = list(accumulate(layers))
            named = {f"layer-{i}": rows for i, rows in enumerate(layers)}
            named["last_hidden"] = layers[-1]
            for name, vectors in found.items():
                vectors.append(named[name].numpy())
            energies.append(
                total(self.loaded, item, predicted) if self.model[ENERGY] is not None else None
            )
        return found | {ENERGY: energies}


def layers_of(network: torch.nn.Module) -> list[tuple[torch.nn.Module, Part]]:
    """Return the modules whose outputs are the layers, and what takes the rows of atoms from them.

    TensorNet's features are 3 x 3 matrices per channel. Its layers are what its last layers make of
    their invariants, which for the last of them is what the readout is given.
    """
    if isinstance(network, M3GNet):
        return [(network.embedding, itemgetter(0)), *product(network.graph_layers, [NODES])]
    if isinstance(network, MEGNet):
        return [(network.node_encoder, whole), *product(network.blocks, [NODES])]
    if isinstance(network, TensorNet):
        read = partial(invariants, network)
        embedded = (network.tensor_embedding, lambda output: read(output[0]))
        return [embedded, *product(network.layers, [read])]
    assert isinstance(network, SO3Net)
    return [(network.embedding, whole), *product(network.mixings3, [lambda added: added[:, 0]])]


def whole(output: torch.Tensor) -> torch.Tensor:
    """Return an output that is rows of atoms already."""
    return output


def invariants(network: TensorNet, matrices: torch.Tensor) -> torch.Tensor:
    """Return the norms of scalar, vector and tensor parts, after the layers that follow them."""
    norms = [tensor_norm(part) for part in decompose_tensor(matrices)]
    return network.linear(network.out_norm(torch.cat(norms, dim=-1)))


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
