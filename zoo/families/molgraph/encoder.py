"""Graph networks that read the molecular graph without geometry.

They are those of Hu et al. (ICLR 2020) and MolCLR (Wang et al. 2022). Neither is a package, so the
networks are written here in plain torch, with the names that the published files give their
weights. Atoms are heavy atoms (and hydrogens that a SMILES must spell out as atoms), as in both
pre-trainings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rdkit import Chem, rdBase
from rdkit.Chem import BondDir, BondType, ChiralType
from torch import Tensor, nn
from torch.nn import functional

from zoo.encoder import Encoder, NotApplicable, System

CHIRALITY = (
    ChiralType.CHI_UNSPECIFIED,
    ChiralType.CHI_TETRAHEDRAL_CW,
    ChiralType.CHI_TETRAHEDRAL_CCW,
)
BONDS = (BondType.SINGLE, BondType.DOUBLE, BondType.TRIPLE, BondType.AROMATIC)
SELF_LOOP = len(BONDS)
DIRECTIONS = (BondDir.NONE, BondDir.ENDUPRIGHT, BondDir.ENDDOWNRIGHT)
ELEMENTS = 118


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph with edges in both directions and one edge from each atom to itself."""

    atoms: Tensor  # element and chirality of each atom, (n, 2)
    source: Tensor  # the atom at which each edge begins, (e,)
    target: Tensor  # the atom at which each edge ends, (e,)
    bonds: Tensor  # kind and direction of the bond of each edge, (e, 2)


def read(smiles: str) -> Chem.Mol:
    """Return the molecule in RDKit's canonical order, on which tags of chirality depend."""
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
        if molecule is None:
            raise ValueError(f"RDKit cannot read the SMILES {smiles!r}")
        if molecule.GetNumAtoms() == 0:
            raise ValueError(f"the SMILES {smiles!r} has no atoms")
        return Chem.MolFromSmiles(Chem.MolToSmiles(molecule))


def position(value: Any, known: Sequence[Any], what: str) -> int:
    """Return the place of a value among the known ones; raise NotApplicable for others."""
    if value not in known:
        raise NotApplicable(f"the model has no embedding for the {what} {value}")
    return known.index(value)


def describe_atom(atom: Chem.Atom) -> tuple[int, int]:
    """Return the numbers of an atom's element and chirality."""
    element = position(atom.GetAtomicNum(), range(1, ELEMENTS + 1), "atomic number")
    return element, position(atom.GetChiralTag(), CHIRALITY, "chirality")


def to_graph(molecule: Chem.Mol) -> Graph:
    """Return the graph of a molecule; raise NotApplicable for unknown atoms or bonds."""
    atoms = [describe_atom(atom) for atom in molecule.GetAtoms()]
    edges = [(i, i, SELF_LOOP, 0) for i in range(len(atoms))]
    for bond in molecule.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        kind = (
            position(bond.GetBondType(), BONDS, "bond"),
            position(bond.GetBondDir(), DIRECTIONS, "bond direction"),
        )
        edges += [(i, j, *kind), (j, i, *kind)]
    table = torch.tensor(edges)
    return Graph(torch.tensor(atoms), table[:, 0], table[:, 1], table[:, 2:])


def join(graphs: Sequence[Graph], device: str) -> Graph:
    """Return one graph with the given graphs as its unconnected parts."""
    offsets = np.cumsum([0, *(len(graph.atoms) for graph in graphs)]).tolist()
    atoms, bonds = (
        torch.cat([getattr(g, name) for g in graphs]).to(device) for name in ("atoms", "bonds")
    )
    ends = (
        torch.cat([getattr(g, name) + n for g, n in zip(graphs, offsets, strict=False)]).to(device)
        for name in ("source", "target")
    )
    return Graph(atoms, *ends, bonds)


def embedding(count: int, width: int) -> nn.Embedding:
    """Return an embedding drawn as in the original code."""
    table = nn.Embedding(count, width)
    nn.init.xavier_uniform_(table.weight)
    return table


class Convolution(nn.Module):
    """A layer that sends the source's vector plus the bond's embedding along each edge."""

    def __init__(self, bond_types: int, width: int) -> None:
        super().__init__()
        self.edge_embedding1 = embedding(bond_types, width)
        self.edge_embedding2 = embedding(len(DIRECTIONS), width)

    def bonds(self, graph: Graph) -> Tensor:
        """Return the embedding of the bond of each edge."""
        return self.edge_embedding1(graph.bonds[:, 0]) + self.edge_embedding2(graph.bonds[:, 1])

    @staticmethod
    def sum(messages: Tensor, graph: Graph) -> Tensor:
        """Return the sum of the messages that arrive at each atom."""
        return messages.new_zeros(len(graph.atoms), *messages.shape[1:]).index_add_(
            0, graph.target, messages
        )

    def degrees(self, graph: Graph) -> Tensor:
        """Return the number of messages that arrive at each atom, its own included, (n, 1)."""
        return self.sum(torch.ones(len(graph.target), 1, device=graph.target.device), graph)


class Gin(Convolution):
    """The sum of the messages, then a perceptron of two layers."""

    def __init__(self, bond_types: int, width: int) -> None:
        super().__init__(bond_types, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        return self.mlp(self.sum(x[graph.source] + self.bonds(graph), graph))


class Gcn(Convolution):
    """The sum of the messages, weighted by 1 / √(degree of source · degree of target)."""

    def __init__(self, bond_types: int, width: int) -> None:
        super().__init__(bond_types, width)
        self.linear = nn.Linear(width, width)

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        scale = self.degrees(graph).rsqrt()
        messages = self.linear(x)[graph.source] + self.bonds(graph)
        return self.sum(scale[graph.source] * scale[graph.target] * messages, graph)


class Sage(Convolution):
    """The mean of the messages, scaled to length 1."""

    def __init__(self, bond_types: int, width: int) -> None:
        super().__init__(bond_types, width)
        self.linear = nn.Linear(width, width)

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        total = self.sum(self.linear(x)[graph.source] + self.bonds(graph), graph)
        return functional.normalize(total / self.degrees(graph), dim=-1)


class Gat(Convolution):
    """The mean of two heads, each of which weighs the messages at an atom by a softmax.

    The original takes the softmax over edge_index[0], where torch_geometric 1.0 gathered messages:
    over those that arrive at one atom. Newer releases gather at edge_index[1].
    """

    HEADS = 2

    def __init__(self, bond_types: int, width: int) -> None:
        super().__init__(bond_types, self.HEADS * width)
        self.weight_linear = nn.Linear(width, self.HEADS * width)
        self.att = nn.Parameter(nn.init.xavier_uniform_(torch.empty(self.HEADS, 2 * width))[None])
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        heads = self.weight_linear(x).view(len(x), self.HEADS, -1)
        messages = heads[graph.source] + self.bonds(graph).view(-1, *heads.shape[1:])
        scores = (torch.cat([heads[graph.target], messages], dim=-1) * self.att).sum(
            -1, keepdim=True
        )
        scores = functional.leaky_relu(scores, 0.2)
        index = graph.target.view(-1, 1, 1).expand_as(scores)
        highest = scores.new_zeros(len(x), *scores.shape[1:]).scatter_reduce(
            0, index, scores, "amax", include_self=False
        )
        raised = (scores - highest[graph.target]).exp()
        weights = raised / self.sum(raised, graph)[graph.target]
        return self.sum(weights * messages, graph).mean(dim=1) + self.bias


class MolclrGcn(Convolution):
    """MolCLR's GCN, which embeds each kind of bond as one number.

    Its code computes the weights from the degrees and then sums without them.
    """

    def __init__(self, bond_types: int, width: int) -> None:
        super().__init__(bond_types, 1)
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(width, width)))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor, graph: Graph) -> Tensor:
        return self.sum((x @ self.weight)[graph.source] + self.bonds(graph), graph) + self.bias


CONVOLUTIONS: dict[str, type[Convolution]] = {
    "gin": Gin,
    "gcn": Gcn,
    "graphsage": Sage,
    "gat": Gat,
    "molclr_gcn": MolclrGcn,
}


class Network(nn.Module):
    """Embeddings of element and chirality, then convolutions, each with a batch norm and a ReLU.

    The last convolution has no ReLU. The option `convolution` is a key of CONVOLUTIONS. The numbers
    of atom and bond types include those for masks and self-loops. `features` is the width of
    MolCLR's projection; the head for its contrastive loss is not read.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__()
        layers, width = range(options["layers"]), options["width"]
        convolution = CONVOLUTIONS[options["convolution"]]
        self.x_embedding1 = embedding(options["atom_types"], width)
        self.x_embedding2 = embedding(len(CHIRALITY), width)
        self.gnns = nn.ModuleList(convolution(options["bond_types"], width) for _ in layers)
        self.batch_norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in layers)
        if features := options.get("features"):
            self.feat_lin = nn.Linear(width, features)
            self.out_lin = nn.Sequential(
                nn.Linear(features, features), nn.ReLU(), nn.Linear(features, features // 2)
            )

    def forward(self, graph: Graph) -> list[Tensor]:
        """Return the atoms before the first convolution and after each, before any ReLU."""
        x = self.x_embedding1(graph.atoms[:, 0]) + self.x_embedding2(graph.atoms[:, 1])
        layers = [x]
        for i, (convolve, normalise) in enumerate(zip(self.gnns, self.batch_norms, strict=True)):
            x = normalise(convolve(functional.relu(x) if i else x, graph))
            layers.append(x)
        return layers


class FamilyEncoder(Encoder):
    """A network on molecular graphs, or its untrained twin.

    All representations are per atom: `last_hidden` after the last batch norm, and `features`,
    MolCLR's projection of it. The projection is linear, so its mean over atoms is what MolCLR
    passes to its downstream tasks. `layer-0` holds the embeddings, and `layer-1` and so on the
    atoms after each convolution and its batch norm; the last of them is `last_hidden`.

    The untrained twin is drawn as in the original: embeddings by Xavier, the rest as torch does.
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
        network = Network(model["options"])
        if untrained_seed is None:
            path = self.weights / model["weights"]["files"][0]["path"]
            network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self.network = network.to(device).eval().requires_grad_(False)

    def prepare(self, system: System) -> Graph:
        return to_graph(read(system.smiles))

    def size(self, item: Graph) -> int:
        """Return the number of atoms."""
        return len(item.atoms)

    @torch.inference_mode()
    def encode(
        self, items: Sequence[Graph], representations: Sequence[str]
    ) -> dict[str, list[np.ndarray]]:
        layers = self.network(join(items, self.device))
        hidden = layers[-1]
        rows = {"last_hidden": hidden} | {f"layer-{i}": x for i, x in enumerate(layers)}
        if "features" in representations:
            rows["features"] = self.network.feat_lin(hidden)
        sizes = [self.size(item) for item in items]
        return {
            name: [part.cpu().numpy() for part in torch.split(rows[name], sizes)]
            for name in representations
        }
