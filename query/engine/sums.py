"""Sums over all pairs of systems for all pairs of models, from one pass over half of the pairs of systems.

A block of systems meets another once; every model makes its tile of inner products, about its mean, of the two. While
the tiles of all models lie side by side,
'kernels': products of tiles are added up, Σ_ij K_ij L_ij (linear CKA, RSA);
'ranks': in every tile it is counted how many systems are closer than each model's nearest ones (information imbalance);
'distances': tiles become Euclidean distances and products of those are added up (distance correlation). Distances
    have a large mean and small differences, so each tile first loses an estimate of its row and column means, from
    256 landmarks: every centering gives the same with it and without, and float32 then has digits to spare.
Tiles and their products have the comparison's precision (float32 beyond 2,048 systems), sums of 8,192 elements are added in
float64. Memory: one tile a model, the vectors, and with 'ranks' a number for every system and pair of models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from query.engine import kernels, threads
from query.engine.resolution import FLOAT64
from query.engine.tiles import stacked_tile, upper

Matrix = NDArray[np.float64]

NOTHING: Matrix = np.empty((0, 0))
KINDS = ("kernels", "distances", "ranks")
RANKED = 1  # of each model's nearest systems are ranked, where nobody says how many
LANDMARKS = 256
CHUNK = 8192  # elements that are summed in the tiles' precision
BAND = 4.0  # roundings that two values computed in different ways may be apart and yet be the same


@dataclass(frozen=True, slots=True)
class Centered:
    """One model's vectors about their mean."""

    z: Tensor  # (n, d), in the precision of the tiles
    squares: Tensor  # (n,) float64, squared lengths


class Sums(NamedTuple):
    """What the pass found; what was not asked for is empty. Models are numbered as given."""

    kernels: Matrix = NOTHING  # (M, M): Σ_ij K_ij L_ij, i = j included
    distances: Matrix = (
        NOTHING  # (M, M): Σ_ij E_ij F_ij, with the shifted distances E, i = j included
    )
    distance_rows: Matrix = NOTHING  # (M, n): Σ_j E_ij, i = j included
    distance_diagonal: Matrix = NOTHING  # (M, n): E_ii
    # (M of b, n, M of a, k): how many systems are closer in b than a's nearest, counted twice, without and with those
    # that are as close; as the nearest itself is one of these, its place is half of this and a half.
    ranks: NDArray[np.int32] = np.empty((0, 0, 0, 0), np.int32)


def sum_pairs(
    models: Sequence[Centered],
    kinds: frozenset[str],
    nearest: Sequence[NDArray[np.int32]],
    *,
    device: torch.device,
    advance: Callable[[int], object] = lambda pairs: None,
    side: int | None = None,
) -> Sums:
    """Everything of `kinds` for all pairs of models.

    models: over the same n systems, n ≥ 2. nearest: (n, k) the lists whose ranks are sought, one a model, for 'ranks'.
    advance: called with the number of products (pairs of systems × models) that each step covered. side: of a tile.
    """
    return _Pass(models, kinds, nearest, device, side).run(advance)


class _Pass:
    """The state of one pass."""

    def __init__(
        self,
        models: Sequence[Centered],
        kinds: frozenset[str],
        nearest: Sequence[NDArray[np.int32]],
        device: torch.device,
        side: int | None,
    ) -> None:
        self.kinds, self.device = kinds, device
        self.z = [model.z for model in models]
        self.count, self.n = len(models), len(models[0].z)
        self.dtype = self.z[0].dtype
        self.side = side or stacked_tile(device, self.count, self.dtype.itemsize)
        self.squares = torch.stack([model.squares.to(device, self.dtype) for model in models])
        self.stack = torch.empty(
            self.count, min(self.side, self.n) ** 2, dtype=self.dtype, device=device
        )
        if "kernels" in kinds:
            self.kernels = torch.zeros(self.count, self.count, dtype=torch.float64, device=device)
        if "distances" in kinds:
            self.distances = torch.zeros(self.count, self.count, dtype=torch.float64, device=device)
            self.rows = torch.zeros(self.count, self.n, dtype=torch.float64, device=device)
            self.shift = torch.stack(
                [_row_means(z.to(device), s) for z, s in zip(self.z, self.squares, strict=True)]
            )
        if "ranks" in kinds:
            self._prepare_ranks(models, nearest)

    def run(self, advance: Callable[[int], object]) -> Sums:
        for part, other in upper(self.n, self.side, self.side):
            height, width = part.stop - part.start, other.stop - other.start
            flat = self.stack[:, : height * width]
            tiles = flat.view(self.count, height, width)
            for tile, z in zip(tiles, self.z, strict=True):
                torch.mm(z[part].to(self.device), z[other].to(self.device).T, out=tile)
            weight = 1 if part == other else 2
            if "kernels" in self.kinds:
                self.kernels += weight * products(flat)
            if self.kinds & {"distances", "ranks"}:
                threads.each(lambda m: self._model(m, tiles[m], part, other), range(self.count))  # noqa: B023
            if "distances" in self.kinds:
                self.distances += weight * products(flat)
            advance(self.count * height * width * weight)
        return self._found()

    def _model(self, m: int, tile: Tensor, part: slice, other: slice) -> None:
        if "ranks" in self.kinds:
            count_closer(
                tile,
                self.squares[m],
                part,
                other,
                self.limits[m],
                self.precision[m],
                self.counts[m],
            )
        if "distances" in self.kinds:
            become_distances(tile, self.squares[m], self.shift[m], part, other, self.rows[m])

    def _prepare_ranks(
        self, models: Sequence[Centered], nearest: Sequence[NDArray[np.int32]]
    ) -> None:
        wanted = np.concatenate(nearest, axis=1)  # (n, M·k): every model's nearest systems
        self.precision = [rounding(self.dtype, z.shape[1]) for z in self.z]
        found = threads.each(
            lambda m: _thresholds(self.z[m], self.squares[m] / 2, wanted, self.device),
            range(self.count),
        )
        self.limits = found
        self.counts = torch.zeros(self.count, *wanted.shape, dtype=torch.int32, device=self.device)

    def _found(self) -> Sums:
        sums: dict[str, Any] = {}
        if "kernels" in self.kinds:
            sums["kernels"] = self.kernels.cpu().numpy()
        if "distances" in self.kinds:
            sums["distances"] = self.distances.cpu().numpy()
            sums["distance_rows"] = self.rows.cpu().numpy()
            sums["distance_diagonal"] = (-2 * self.shift).to(torch.float64).cpu().numpy()
        if "ranks" in self.kinds:
            sums["ranks"] = self.counts.view(self.count, self.n, self.count, -1).cpu().numpy()
        return Sums(**sums)


def rounding(dtype: torch.dtype, width: int) -> float:
    """How far two values may be apart that are the same, relative: products of vectors with so many elements."""
    roundings: float = torch.finfo(dtype).eps * (BAND + width**0.5 / 8)
    return max(roundings, FLOAT64)


def features_are_cheaper(models: Sequence[Centered]) -> bool:
    """Whether products of features, n·d_a·d_b a pair, cost less than the tiles, n²·d a model and n² a pair."""
    n, count = len(models[0].z), len(models)
    width = sum(model.z.shape[1] for model in models)
    return width**2 <= n * (width + count**2)


def feature_products(models: Sequence[Centered], device: torch.device) -> NDArray[np.float64]:
    """Σ_ij K_ij L_ij = ‖XᵀY‖² for every pair of models, (M, M)."""
    found = np.empty((len(models), len(models)))
    for a, left in enumerate(models):
        for b, right in enumerate(models[: a + 1]):
            total = torch.zeros(
                left.z.shape[1], right.z.shape[1], dtype=torch.float64, device=device
            )
            for start in range(0, len(left.z), CHUNK):
                part = slice(start, start + CHUNK)
                total += left.z[part].to(device).T @ right.z[part].to(device)
            found[a, b] = found[b, a] = total.square_().sum().item()
    return found


def products(flat: Tensor) -> Tensor:
    """(M, M) float64: inner products of the rows of a wide table (M, w), summed in float64 every CHUNK columns."""
    count, width = flat.shape
    whole = width // CHUNK * CHUNK
    total = torch.zeros(count, count, dtype=torch.float64, device=flat.device)
    if whole:
        chunks = flat[:, :whole].view(count, -1, CHUNK).transpose(0, 1)
        total += torch.bmm(chunks, chunks.transpose(1, 2)).sum(dim=0, dtype=torch.float64)
    if whole < width:
        rest = flat[:, whole:]
        total += (rest @ rest.T).to(torch.float64)
    return total


def become_distances(
    tile: Tensor, squares: Tensor, shift: Tensor, part: slice, other: slice, rows: Tensor
) -> None:
    """Turn inner products into distances less shift_i + shift_j, in place, and add their sums to `rows`.

    tile: (b, w), of the systems `part` with `other`. squares, shift: (n,). rows: (n,) float64.
    """
    if tile.device.type == "cpu":
        own = part.start - other.start
        columns = torch.zeros(tile.shape[1], dtype=torch.float64)
        table, square, move, total = tile.numpy(), squares.numpy(), shift.numpy(), rows.numpy()
        kernels.distances(
            table,
            square[part],
            square[other],
            move[part],
            move[other],
            own,
            total[part],
            columns.numpy(),
        )
    else:
        become_distances_torch(tile, squares, shift, part, other)
        rows[part] += tile.sum(dim=1, dtype=torch.float64)
        columns = tile.sum(dim=0, dtype=torch.float64)
    if part != other:
        rows[other] += columns


def become_distances_torch(
    tile: Tensor, squares: Tensor, shift: Tensor, part: slice, other: slice
) -> None:
    both = squares[part, None] + squares[other]
    tile.mul_(-2).add_(both)
    tile.masked_fill_(tile <= both.mul_(kernels.TWIN * torch.finfo(tile.dtype).eps), 0).sqrt_()
    if part == other:
        tile.fill_diagonal_(0)
    tile.sub_(shift[other]).sub_(shift[part, None])


def count_closer(
    tile: Tensor,
    squares: Tensor,
    part: slice,
    other: slice,
    limits: Tensor,
    precision: float,
    counts: Tensor,
) -> None:
    """Add to `counts` how many systems of the tile are closer than each limit, less and plus what rounding may do.

    tile: (b, w) inner products, left as they are. squares: (n,). limits: (n, t). counts: (n, t) int32.
    """
    if tile.device.type != "cpu":
        count_closer_torch(tile, squares, part, other, limits, precision, counts)
        return
    table, square, limit, found = (x.numpy() for x in (tile, squares, limits, counts))
    bonus, precision = square / 2, square.dtype.type(precision)
    own = part.start - other.start
    kernels.count_closer_rows(
        table, bonus[other], own, limit[part], square[part], precision, found[part]
    )
    if part != other:
        kernels.count_closer_columns(
            table, bonus[part], limit[other], square[other], precision, found[other]
        )


def count_closer_torch(
    tile: Tensor,
    squares: Tensor,
    part: slice,
    other: slice,
    limits: Tensor,
    precision: float,
    counts: Tensor,
) -> None:
    closeness = squares[other] / 2 - tile
    if part == other:
        closeness.fill_diagonal_(torch.inf)
    else:
        _count_torch(
            squares[part] / 2 - tile.T, limits[other], squares[other], precision, counts[other]
        )
    _count_torch(closeness, limits[part], squares[part], precision, counts[part])


def _count_torch(
    values: Tensor, limits: Tensor, squares: Tensor, precision: float, counts: Tensor
) -> None:
    for t in range(limits.shape[1]):
        band = precision * (squares + limits[:, t].abs())
        for limit in (limits[:, t] - band, limits[:, t] + band):
            counts[:, t] += (values < limit[:, None]).sum(dim=1, dtype=torch.int32)


def _thresholds(
    z: Tensor, half_squares: Tensor, wanted: NDArray[np.int32], device: torch.device
) -> Tensor:
    """Half the squared distance to every wanted system, but for a constant of the row, (n, t) in z's precision."""
    limits = np.empty(wanted.shape, dtype=z.cpu().numpy().dtype)
    kernels.thresholds(z.cpu().numpy(), half_squares.cpu().numpy(), wanted, limits)
    return torch.from_numpy(limits).to(device)


def _row_means(z: Tensor, squares: Tensor) -> Tensor:
    """About the mean distance of every system from all others, less half their mean: (n,), from a few landmarks."""
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randperm(len(z), generator=generator)[:LANDMARKS].to(z.device)
    tile = (
        torch.addmm(squares[chosen], z, z[chosen].T, alpha=-2)
        .add_(squares[:, None])
        .clamp_(min=0)
        .sqrt_()
    )
    return tile.mean(dim=1) - tile.mean() / 2
