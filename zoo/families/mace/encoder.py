"""MACE (Batatia et al. 2022): messages of higher body order from equivariant node features.

The published files are pickled networks. The node features come from the network's own output
`node_feats`, which joins the layers; the irreps of each layer tell where its scalars are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import mace  # noqa: F401 - before e3nn: lets torch unpickle e3nn's constants
import numpy as np
import torch
from ase import Atoms
from e3nn import o3
from mace.data import AtomicData, Configuration
from mace.tools import AtomicNumberTable
from mace.tools.scripts_utils import extract_config_mace_model
from mace.tools.torch_geometric.batch import Batch
from mace.tools.torch_tools import default_dtype

from zoo.encoder import ENERGY, Encoder, NotApplicable, System

DTYPES = {"float32": torch.float32, "float64": torch.float64}


class FamilyEncoder(Encoder):
    """A MACE, or its untrained twin.

    All representations are per atom: `invariant` holds the scalars of the last layer,
    `invariant_layers` those of every layer, and `all` every channel. `layer-0` is what the first
    layer reads, the embedding of the element, and `layer-1` and so on are the scalars of each
    layer, the last of which are `invariant`.

    The untrained twin is built by the package's constructor from the configuration in the file,
    after torch.manual_seed. Statistics of the training set stay as they are: the mean number of
    neighbors, which scales the messages, and the reference energies, scale and shift. The latter
    are applied after the representations are read and are part of the twin's energy.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        if dtype not in DTYPES:
            raise ValueError(f"dtype {dtype!r}: this package computes in {' or '.join(DTYPES)}")
        path = self.weights / model["weights"]["files"][0]["path"]
        network = torch.load(path, map_location="cpu", weights_only=False)
        if untrained_seed is not None:
            network = untrained(network, untrained_seed)
        self.network = network.to(device, DTYPES[dtype]).eval().requires_grad_(False)
        self.cutoff = float(network.r_max)  # Å
        self.heads = getattr(network, "heads", ["Default"])
        self.head = head_of(self.heads, must=model[ENERGY] is not None)
        self.elements = AtomicNumberTable([int(z) for z in network.atomic_numbers])
        self.columns = columns(
            [o3.Irreps(str(product.linear.irreps_out)) for product in network.products]
        )
        self._embedded = torch.empty(0)
        self.network.interactions[0].register_forward_pre_hook(self._keep, with_kwargs=True)

    def _keep(self, layer: torch.nn.Module, args: Any, given: dict[str, Any]) -> None:
        self._embedded = given["node_feats"]

    def prepare(self, system: System) -> AtomicData:
        """Return the graph of the structure; it may be periodic in any number of directions.

        Raises:
            NotApplicable: No atom has a neighbor, and the network's features would be zero.
        """
        atoms = Atoms(system.numbers, system.positions, cell=system.cell, pbc=system.pbc)
        if any(atoms.pbc & ~atoms.cell.any(axis=1)) or (all(atoms.pbc) and atoms.cell.rank < 3):
            raise ValueError(
                "the structure is periodic, but its cell "
                f"{atoms.cell.array.tolist()} spans no volume"
            )
        given = {"total_charge": system.charge, "total_spin": system.spin}
        configuration = Configuration(
            atomic_numbers=atoms.numbers,
            positions=atoms.positions,
            properties={name: float(value) for name, value in given.items() if value is not None},
            property_weights={},
            cell=atoms.cell.array,
            pbc=tuple(atoms.pbc),
            head=self.head,
        )
        with default_dtype(DTYPES[self.dtype]):
            graph = AtomicData.from_config(
                configuration, z_table=self.elements, cutoff=self.cutoff, heads=self.heads
            )
        if (
            graph.edge_index.shape[1] == 0
            and "Residual" not in type(self.network.interactions[0]).__name__
        ):
            reason = (
                f"no atom has a neighbour within {self.cutoff} Å, "
                "and without one this network's features are zero"
            )
            raise NotApplicable(reason)
        return graph

    def size(self, item: AtomicData) -> int:
        """Return the number of atoms."""
        return len(item.node_attrs)

    @torch.no_grad()
    def encode(
        self, items: Sequence[AtomicData], representations: Sequence[str]
    ) -> dict[str, list[Any]]:
        """Run the whole network once, without forces."""
        batch = Batch.from_data_list(list(items)).to(self.device)
        found = self.network(batch.to_dict(), compute_force=False)
        features = found["node_feats"].cpu().numpy()
        rows = {name: features[:, columns] for name, columns in self.columns.items()}
        rows["layer-0"] = self._embedded.cpu().numpy()
        ends = np.cumsum([self.size(item) for item in items])[:-1]
        vectors = {name: np.split(rows[name], ends) for name in representations}
        return vectors | {ENERGY: found["energy"].tolist()}


def head_of(heads: Sequence[str], *, must: bool) -> str:
    """Return the head that the package's calculator reads energies from by default.

    The features do not depend on the head.

    Args:
        heads: The names of the network's heads.
        must: Whether a missing default is an error; otherwise the first head is returned.

    Raises:
        ValueError: There is no default head, and there must be one.
    """
    chosen = [head for head in heads if len(heads) == 1 or head.lower() == "default"]
    if must and not chosen:
        raise ValueError(
            f"the network has the heads {', '.join(heads)}: "
            "expected one alone, or one named default"
        )
    return (chosen or heads)[0]


def columns(layers: Sequence[o3.Irreps]) -> dict[str, np.ndarray]:
    """Return the columns of each representation in `node_feats`, which joins these layers."""
    scalars: list[np.ndarray] = []
    start = 0
    for irreps in layers:
        invariant = [ir.l == 0 for multiplicity, ir in irreps for _ in range(multiplicity * ir.dim)]
        scalars.append(start + np.flatnonzero(invariant))
        start += irreps.dim
    return {f"layer-{i}": own for i, own in enumerate(scalars, start=1)} | {
        "invariant": scalars[-1],
        "invariant_layers": np.concatenate(scalars),
        "all": np.arange(start),
    }


def untrained(network: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Return the same architecture with the constructor's weights."""
    configuration = extract_config_mace_model(network)
    configuration["atomic_numbers"] = configuration["atomic_numbers"].tolist()
    torch.manual_seed(seed)
    with default_dtype(next(network.parameters()).dtype):
        return type(network)(**configuration)
