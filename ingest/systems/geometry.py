"""Geometry of atoms in periodic cells: the heights of a cell, and the two nearest atoms."""

from __future__ import annotations

import numpy as np

FEW = 128  # atoms, of which all pairs are sooner compared than a tree is built, or even imported


def cell_heights(cell: np.ndarray, pbc: np.ndarray) -> np.ndarray:
    """Return the distances between opposite faces of a cell.

    Args:
        cell: (3, 3) in Å, rows are lattice vectors.
        pbc: (3,) bool, at least one of them true; the periodic vectors span a volume.

    Returns:
        (3,) in Å; 1 in directions that are not periodic.
    """
    heights: np.ndarray = 1 / np.linalg.norm(np.linalg.inv(_complete(cell, pbc)), axis=0)
    return heights


def nearest_pair(
    positions: np.ndarray, cell: np.ndarray | None, pbc: np.ndarray | None, within: float
) -> tuple[int, int, float] | None:
    """Find the two atoms that are nearest to each other, if they are nearer than `within`.

    Args:
        positions: (n, 3) in Å.
        cell: (3, 3) in Å, or None without periodicity.
        pbc: (3,) bool, or None without periodicity.
        within: A distance in Å, less than half the height of the cell in any periodic direction.

    Returns:
        The indices of the two atoms, the smaller first, and their distance in Å; None if no two
        atoms are that near.
    """
    pairs = _candidates(positions, cell, pbc, within)
    vectors = positions[pairs[:, 1]] - positions[pairs[:, 0]]
    if cell is not None and pbc is not None:
        complete = _complete(cell, pbc)
        shifts = np.rint(vectors @ np.linalg.inv(complete)) * pbc
        vectors = vectors - shifts @ complete
    distances = np.linalg.norm(vectors, axis=1)
    if not (distances < within).any():
        return None
    nearest = int(distances.argmin())
    first, second = sorted(pairs[nearest].tolist())
    return first, second, float(distances[nearest])


def _candidates(
    positions: np.ndarray, cell: np.ndarray | None, pbc: np.ndarray | None, within: float
) -> np.ndarray:
    """Return pairs of atoms (m, 2) that include all pairs nearer than a distance in Å."""
    if len(positions) <= FEW:
        return np.column_stack(np.triu_indices(len(positions), 1))
    from scipy.spatial import KDTree  # here because it is slow to import

    if cell is None or pbc is None:
        return np.asarray(KDTree(positions).query_pairs(within, output_type="ndarray"))
    # Coordinates along the normals of the cell's faces: two atoms are never farther apart in one
    # of these than they are in space.
    inverse = np.linalg.inv(_complete(cell, pbc))
    heights = 1 / np.linalg.norm(inverse, axis=0)
    fractions = positions @ inverse
    wrapped = fractions % 1.0 % 1.0  # twice: -1e-17 % 1.0 is 1.0
    scaled = np.where(pbc, wrapped, fractions) * heights
    tree = KDTree(scaled, boxsize=np.where(pbc, heights, 0.0))
    return np.asarray(tree.query_pairs(within, p=np.inf, output_type="ndarray"))


def _complete(cell: np.ndarray, pbc: np.ndarray) -> np.ndarray:
    """Put unit vectors, perpendicular to the periodic ones, where a cell is not periodic."""
    if pbc.all():
        return cell
    span = np.linalg.svd(np.where(pbc[:, None], cell, 0.0))[2]
    complete = cell.copy()
    complete[~pbc] = span[pbc.sum() :]
    return complete
