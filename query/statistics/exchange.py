"""Which nodes may change places in a null, since nodes of one system are not independent.

Atoms of a crystal are near each other in most models, whatever else the models have in common. A
null that shuffles all nodes takes that likeness away, so that two models which have nothing in
common seem alike. A permutation test is exact if the pairings are a group under which the data of
unrelated models look the same (Lehmann and Romano, Testing Statistical Hypotheses, 3rd ed., theorem
15.2.1):

'system' (default): systems change places as wholes, node by node, with others that have as many
    nodes. It asks whether the models see systems and their nodes alike. Systems of a size that
    no other has stay where they are.
'within': nodes change places within their system. It asks whether the models see the nodes of a
    system alike, beyond which system it is; whatever is the same for all its nodes counts as
    chance.
'node': all nodes change places. Right only if nodes of one system are as unlike as any others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NULLS = ("system", "within", "node")


@dataclass(frozen=True)
class Exchange:
    """Nodes, and which of them may change places.

    Attributes:
        systems: The number of each node's system, (n,) ascending.
        null: One of NULLS.
    """

    systems: NDArray[np.int64]
    null: str = NULLS[0]

    @property
    def movable(self) -> float:
        """The share of nodes that may change places, 0 to 1."""
        if self.null == "node":
            return 1.0
        _, sizes = np.unique(self.systems, return_counts=True)
        if self.null == "within":
            return float(sizes[sizes > 1].sum() / sizes.sum())
        which, shared = np.unique(sizes, return_counts=True)
        alone = which[shared == 1].sum()
        return float(1 - alone / sizes.sum())

    def draw(self, count: int, seed: int) -> NDArray[np.int64]:
        """Return the nodes of whole systems drawn at random, or nodes themselves for 'node'.

        Args:
            count: How many nodes are to be drawn; with the last system there may be more.
            seed: The seed.

        Returns:
            The nodes, (r,) ascending.
        """
        generator = np.random.default_rng(seed)
        n = len(self.systems)
        if self.null == "node":
            return np.sort(generator.choice(n, min(count, n), replace=False))
        which, sizes = np.unique(self.systems, return_counts=True)
        order = generator.permutation(len(which))
        enough = int(np.searchsorted(np.cumsum(sizes[order]), count)) + 1
        return np.flatnonzero(np.isin(self.systems, which[order[:enough]]))

    def orders(self, parts: list[NDArray[np.int64]], count: int, seed: int) -> NDArray[np.int32]:
        """Return pairings in which nodes change places as the null says, within each part.

        Args:
            parts: Nodes, ascending, each in one part; the nodes of a system are all in one.
            count: The number of pairings.
            seed: The seed.

        Returns:
            The pairings, (count, n): row i of the first model goes with row orders[p, i].
        """
        generator = np.random.default_rng(seed)
        orders = np.tile(np.arange(len(self.systems), dtype=np.int32), (count, 1))
        for part in filter(len, parts):
            systems = self.systems[part]
            alike = _systems_by_size(systems) if self.null == "system" else []
            for order in orders:
                order[part] = part[self._shuffle(systems, alike, generator)]
        return orders

    def _shuffle(
        self,
        systems: NDArray[np.int64],
        alike: list[NDArray[np.int64]],
        generator: np.random.Generator,
    ) -> NDArray[np.int64]:
        """Return an order of nodes, given the ascending numbers of their systems."""
        if self.null == "node":
            return generator.permutation(len(systems))
        if self.null == "within":
            return np.lexsort((generator.random(len(systems)), systems))
        order = np.empty(len(systems), np.int64)
        for nodes in alike:
            order[nodes] = nodes[generator.permutation(len(nodes))]
        return order


def _systems_by_size(systems: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the nodes of the systems of each size, (systems, size), the smallest first."""
    _, starts, sizes = np.unique(systems, return_index=True, return_counts=True)
    return [starts[sizes == size][:, None] + np.arange(size) for size in np.unique(sizes)]


def draw_per_system(systems: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Return as many nodes of each system, drawn at random; smaller systems have none.

    Args:
        systems: The number of each node's system, (n,) ascending.
        count: How many nodes of each.
        seed: The seed.

    Returns:
        The nodes, ascending.
    """
    shuffled = np.lexsort((np.random.default_rng(seed).random(len(systems)), systems))
    _, starts, sizes = np.unique(systems, return_index=True, return_counts=True)
    kept = starts[sizes >= count][:, None] + np.arange(count)
    return np.sort(shuffled[kept.ravel()])
