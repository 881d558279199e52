"""The tree of models: neighbor joining on how differently they align with all others.

References: Edamadaka et al., arXiv 2512.03750, equations A9–A12; Saitou and Nei, Mol. Biol. Evol.
4, 406 (1987).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

# Added to every alignment before a profile is made, so that a model unlike all others has one too.
# The paper does not print its value.
EPSILON = 1e-12
# What Newick requires to be quoted, and '#', which some readers take for a comment.
SPECIAL = re.compile(r"[^\w.@+-]")

if TYPE_CHECKING:
    from Bio.Phylo.BaseTree import Clade, Tree

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Node:
    """A node of the tree; numbers follow the drawing.

    Attributes:
        number: The number of the node.
        parent: The number of its parent; None for the root.
        name: The name of a leaf; None for other nodes.
        branch_length: The length of the branch to its parent; None for the root.
    """

    number: int
    parent: int | None
    name: str | None
    branch_length: float | None


def join(names: Sequence[str], values: Matrix) -> tuple[list[Node], str]:
    """Return the neighbor-joining tree of at least two models, depth first, and its Newick text.

    The root is only where the drawing begins: neighbor joining does not tell which model came
    first. Branches may come out slightly negative. A tree of 190 models takes seconds, so the last
    few are kept: a matrix in the order of its tree, and the tree itself, are often asked for both.

    Args:
        names: The models.
        values: The finite alignments, (n, n), row i those of model i with all models, itself
            included.
    """
    nodes, newick = _join(tuple(names), np.ascontiguousarray(values, np.float64).tobytes())
    return list(nodes), newick


@lru_cache(maxsize=16)
def _join(names: tuple[str, ...], values: bytes) -> tuple[tuple[Node, ...], str]:
    from Bio.Phylo.TreeConstruction import (  # slow to import, and rarely needed
        DistanceMatrix,
        DistanceTreeConstructor,
    )

    table = np.frombuffer(values, np.float64).reshape(len(names), len(names))
    distances = profile_distances(table)
    lower = [[float(distances[i, j]) for j in range(i)] + [0.0] for i in range(len(names))]
    matrix = DistanceMatrix(list(names), lower)
    tree = DistanceTreeConstructor().nj(matrix)
    tree.ladderize()
    nodes = _number(tree)
    return tuple(nodes), f"{_newick(nodes, nodes[0])};"


def profile_distances(values: Matrix) -> Matrix:
    """Return √JSD (base 2, in [0, 1]) between the profiles of models, (n, n).

    A profile is a row or a column with negative values as 0, scaled to a sum of 1. The distance is
    the mean of that of rows and that of columns.

    Args:
        values: The alignments, (n, n).
    """
    kept = np.clip(values, 0.0, None) + EPSILON
    rows, columns = (
        _root_jsd(table / table.sum(axis=1, keepdims=True)) for table in (kept, kept.T)
    )
    mean: Matrix = (rows + columns) / 2
    return mean


def _root_jsd(profiles: Matrix) -> Matrix:
    p, q = profiles[:, None, :], profiles[None, :, :]
    middle = (p + q) / 2
    divergence = (p * np.log2(p / middle) + q * np.log2(q / middle)).sum(axis=2) / 2
    distances: Matrix = np.sqrt(np.clip(divergence, 0.0, None))  # rounding may take 0 below 0
    return distances


def _number(tree: Tree) -> list[Node]:
    nodes: list[Node] = []

    def visit(clade: Clade, parent: int | None) -> None:
        number = len(nodes)
        name = None if clade.clades else clade.name
        # Between models that see the same, only rounding is left, of either sign.
        length = None if parent is None else round(clade.branch_length, 9) + 0.0
        nodes.append(Node(number, parent, name, length))
        for child in clade.clades:
            visit(child, number)

    visit(tree.root, None)
    return nodes


def _newick(nodes: Sequence[Node], node: Node) -> str:
    """Return the Newick text of a node and what is below it.

    Biopython's writer gives the root a branch of length 0, and leaves '#' unquoted, which is part
    of the names of representations.
    """
    if node.name is not None:
        text = f"'{node.name}'" if SPECIAL.search(node.name) else node.name
    else:
        children = (child for child in nodes if child.parent == node.number)
        text = f"({','.join(_newick(nodes, child) for child in children)})"
    return text if node.branch_length is None else f"{text}:{node.branch_length:.6f}"
