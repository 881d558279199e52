"""Geom2Vec (Pengmei et al.): equivariant networks pre-trained by denoising molecules.

They compute in float32 and know no periodicity.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch_geometric.nn
import torch_geometric.utils
from torch import Tensor, nn

# geom2vec imports two compiled packages that no index offers built. It needs two functions of them:
# torch_geometric has scatter by now, and `Neighbours` replaces radius_graph.
sys.modules.setdefault("torch_scatter", torch_geometric.utils)
sys.modules.setdefault("torch_cluster", torch_geometric.nn)

from geom2vec import create_model  # noqa: E402 - needs the two lines above
from geom2vec.models.representation.torchmd.tensornet import (  # noqa: E402
    decompose_tensor,
    tensor_norm,
)

from zoo.encoder import Encoder, NotApplicable, System  # noqa: E402

BLOCKS = {"et": "attention_layers", "vis": "vis_mp_layers", "tn": "layers"}  # by `model_type`


@dataclass(frozen=True, slots=True)
class Molecule:
    """The atomic numbers (n,) and positions in Å (n, 3) of a molecule."""

    numbers: Tensor
    positions: Tensor


class Neighbours(nn.Module):
    """The search for pairs of atoms within the cutoff (in Å), each atom with itself among them.

    It gives the pairs, (2, pairs), their distances and their vectors. If an atom has more than MOST
    neighbors, the nearest ones are taken; the package's own search takes those that it meets first.
    """

    MOST = 32

    def __init__(self, cutoff: float) -> None:
        super().__init__()
        self.cutoff = cutoff

    def forward(self, positions: Tensor, batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        distances = (positions[:, None] - positions[None]).norm(dim=-1)
        distances = distances.masked_fill(batch[:, None] != batch[None], torch.inf)
        near, atoms = distances.topk(min(self.MOST, len(positions)), largest=False, sorted=True)
        centre, rank = (near <= self.cutoff).nonzero(as_tuple=True)
        edges = torch.stack([atoms[centre, rank], centre])
        vectors = positions[edges[0]] - positions[edges[1]]
        return edges, vectors.norm(dim=-1), vectors


class FamilyEncoder(Encoder):
    """A network of Geom2Vec, or its untrained twin.

    All representations are per atom. `invariant` holds the scalars, (n, width), and `all` those and
    the three components of the vectors, (n, 4 · width). `layer-0` and so on are the scalars that
    each block reads, and the last one is `invariant`.

    The card's `options` are the arguments of geom2vec.create_model, which also draws the untrained
    twin.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        if dtype != "float32":
            raise ValueError(
                f"dtype {dtype!r}: the weights are published in float32; use DTYPE=float32"
            )
        if untrained_seed is not None:
            torch.manual_seed(untrained_seed)
        network = create_model(**model["options"], device="cpu")
        if untrained_seed is None:
            path = self.weights / model["weights"]["files"][0]["path"]
            network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        network.representation_model.distance = Neighbours(model["options"]["cutoff"])
        self.network = network.to(device).eval().requires_grad_(False)
        self._read: list[Tensor] = []  # by the blocks from the last batch
        network = network.representation_model
        read = partial(invariants, network) if model["options"]["model_type"] == "tn" else whole
        for block in getattr(network, BLOCKS[model["options"]["model_type"]]):
            block.register_forward_pre_hook(partial(self._keep, read))

    def _keep(self, read: Callable[[Tensor], Tensor], block: nn.Module, args: Any) -> None:
        self._read.append(read(args[0]))

    def prepare(self, system: System) -> Molecule:
        if system.pbc is not None and system.pbc.any():
            raise NotApplicable("the model reads molecules; it knows no periodicity")
        return Molecule(
            torch.as_tensor(system.numbers).long(), torch.as_tensor(system.positions).float()
        )

    def size(self, item: Molecule) -> int:
        """Return the number of atoms."""
        return len(item.numbers)

    @torch.inference_mode()
    def encode(
        self, items: Sequence[Molecule], representations: Sequence[str]
    ) -> dict[str, list[np.ndarray]]:
        sizes = [self.size(item) for item in items]
        numbers = torch.cat([item.numbers for item in items]).to(self.device)
        positions = torch.cat([item.positions for item in items]).to(self.device)
        batch = torch.arange(len(items)).repeat_interleave(torch.tensor(sizes)).to(self.device)
        self._read.clear()
        scalars, vectors, _ = self.network(numbers, positions, batch)
        rows = {f"layer-{i}": layer for i, layer in enumerate([*self._read, scalars])}
        rows["invariant"] = scalars
        rows["all"] = torch.cat([scalars[:, None], vectors], dim=1).flatten(1)
        return {
            name: [part.cpu().numpy() for part in torch.split(rows[name], sizes)]
            for name in representations
        }


def whole(scalars: Tensor) -> Tensor:
    """Return what is rows of scalars already."""
    return scalars


def invariants(network: nn.Module, matrices: Tensor) -> Tensor:
    """Return TensorNet's scalars for its features, a 3 x 3 matrix per atom and channel.

    They are the norms of the three parts of a matrix, after the layers that follow the last block.
    With shapes that stay the same, the package adds an atom, which stands for missing neighbors.
    """
    if network.static_shapes:
        matrices = matrices[:-1]
    norms = torch.cat([tensor_norm(part) for part in decompose_tensor(matrices)], dim=-1)
    return network.act(network.linear(network.out_norm(norms)))
