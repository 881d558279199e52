"""Sums over all pairs of systems for all pairs of models, from one pass over half of the pairs.

A block of systems meets another once; for the two, every model makes its tile of inner products of
vectors about their mean. A thread makes a tile and, while it is in its cache, all that one model
needs of it; once the tiles of all models lie side by side, products of tiles are added up:
'ranks': in every tile the systems are counted that are closer than each model's nearest ones
    (information imbalance);
'kernels': Σ_ij K_ij L_ij (linear CKA, RSA);
'distances': Σ_ij E_ij F_ij of tiles that have become Euclidean distances (distance correlation).
    Distances have a large mean and small differences, so each tile first loses an estimate of its
    row and column means, from 256 landmarks: every centering gives the same with it and without
    it, and float32 then has digits to spare.

Tiles and their products have the precision of the comparison (float32 beyond 2,048 systems); sums
of 8,192 elements are added in float64. The memory that is needed is one tile per model (two with
both 'kernels' and 'distances'), the vectors, and with 'ranks' some numbers for every system and
pair of models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from query.engine import threads
from query.engine.tile_operations import (
    closeness_of,
    closer_counts,
    find_distances,
    rounding,
    tally_closer,
)
from query.engine.tiles import cut, stacked_tile, upper

Matrix = NDArray[np.float64]

EMPTY: Matrix = np.empty((0, 0))
KINDS = ("kernels", "distances", "ranks")
RANKED = 1  # of each model's nearest systems are ranked, unless more are asked for
SMALL = 2**15  # products of two vectors, which one thread makes in some ten microseconds
LANDMARKS = 256  # systems, from which row means are estimated
CHUNK = 8192  # elements that are summed in the precision of the tiles
SHARE = 8 * CHUNK  # elements of each tile of which a thread takes the products at a time
# Elements between the tiles of two models, so that they are not a power of two apart, which caches
# do not like: products of 60 tiles take two thirds of the time.
APART = 80


@dataclass(frozen=True, slots=True)
class Centered:
    """One model's vectors about their mean.

    Attributes:
        z: The vectors, (n, d), in the precision of the tiles.
        squares: Their squared lengths, (n,) float64.
    """

    z: Tensor
    squares: Tensor


class Sums(NamedTuple):
    """What the pass found, for models numbered as given; what was not asked for is empty.

    Attributes:
        kernels: Σ_ij K_ij L_ij, i = j included, (M, M).
        distances: Σ_ij E_ij F_ij of the shifted distances, i = j included, (M, M).
        distance_rows: Σ_j E_ij, i = j included, (M, n).
        distance_diagonal: E_ii, (M, n).
        ranks: For a model b, system i, model a and the t-th nearest system of i in a: how many
            systems are closer to i in b, counted twice, without and with those as close; (M, n, M,
            k). The nearest system is one of these itself, so its place is half of the count and a
            half.
    """

    kernels: Matrix = EMPTY
    distances: Matrix = EMPTY
    distance_rows: Matrix = EMPTY
    distance_diagonal: Matrix = EMPTY
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
    """Find the sums of these kinds for all pairs of models.

    Args:
        models: The models over the same n systems, n ≥ 2.
        kinds: Of KINDS.
        nearest: For 'ranks' the lists of which places are counted, one per model, (n, k).
        device: Where tiles are computed.
        advance: Called with the number of products (pairs of systems × models) that each step
            covered.
        side: The side of a tile; None leaves the choice to the free memory.

    Returns:
        The sums.
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
        self.stack = self._room()
        # Distances take the place of inner products, unless these are needed, too.
        self.apart = self._room() if {"kernels", "distances"} <= kinds else self.stack
        if "kernels" in kinds:
            self.kernels = torch.zeros(self.count, self.count, dtype=torch.float64, device=device)
        if "distances" in kinds:
            self.distances = torch.zeros(self.count, self.count, dtype=torch.float64, device=device)
            self.rows = torch.zeros(self.count, self.n, dtype=torch.float64, device=device)
            self.shift = torch.stack(
                [row_means(z.to(device), s) for z, s in zip(self.z, self.squares, strict=True)]
            )
        if "ranks" in kinds:
            self._prepare_ranks(models, nearest)

    def _room(self) -> Tensor:
        elements = min(self.side, self.n) ** 2
        return torch.empty(self.count, elements + APART, dtype=self.dtype, device=self.device)

    def run(self, advance: Callable[[int], object]) -> Sums:
        small = self.count * self.n**2 < SMALL  # then waking threads takes longer than the work
        each = map if small else threads.each
        alone = small or self.device.type == "cpu" and self.count >= torch.get_num_threads()
        for part, other in upper(self.n, self.side, self.side):
            height, width = part.stop - part.start, other.stop - other.start
            flat, apart = (room[:, : height * width] for room in (self.stack, self.apart))
            tiles, distances = (room.view(self.count, height, width) for room in (flat, apart))
            if not alone:  # with few models, all threads share each product
                for m in range(self.count):
                    self._multiply(tiles, part, other, m)
            for_model = partial(self._model, tiles, distances, part, other, alone)
            list(each(for_model, range(self.count)))
            weight = 1 if part == other else 2
            if "kernels" in self.kinds:
                self.kernels += weight * products(flat)
            if "distances" in self.kinds:
                self.distances += weight * products(apart)
            advance(self.count * height * width * weight)
        return self._found()

    def _multiply(self, tiles: Tensor, part: slice, other: slice, m: int) -> None:
        z = self.z[m]
        torch.mm(z[part].to(self.device), z[other].to(self.device).T, out=tiles[m])

    def _model(
        self, tiles: Tensor, distances: Tensor, part: slice, other: slice, alone: bool, m: int
    ) -> None:
        if alone:
            self._multiply(tiles, part, other, m)
        squares = self.squares[m]
        if "ranks" in self.kinds:
            ranked = self.limits[m], self.precision[m], self.tallies[m]
            tally_closer(tiles[m], squares, part, other, *ranked)
        if "distances" in self.kinds:
            given = squares, self.shift[m], part, other, self.rows[m]
            find_distances(tiles[m], distances[m], *given)

    def _prepare_ranks(
        self, models: Sequence[Centered], nearest: Sequence[NDArray[np.int32]]
    ) -> None:
        wanted = np.concatenate(nearest, axis=1)  # (n, M·k): every model's nearest systems
        self.precision = [rounding(self.dtype, z.shape[1]) for z in self.z]
        found = threads.each(
            lambda m: closeness_of(self.z[m], self.squares[m] / 2, wanted, self.device),
            range(self.count),
        )
        self.limits, self.order = zip(*found, strict=True)
        shape = (self.count, self.n, wanted.shape[1] + 1)
        self.tallies = torch.zeros(shape, dtype=torch.int32, device=self.device)

    def _found(self) -> Sums:
        sums: dict[str, Any] = {}
        if "kernels" in self.kinds:
            sums["kernels"] = self.kernels.cpu().numpy()
        if "distances" in self.kinds:
            sums["distances"] = self.distances.cpu().numpy()
            sums["distance_rows"] = self.rows.cpu().numpy()
            sums["distance_diagonal"] = (-2 * self.shift).to(torch.float64).cpu().numpy()
        if "ranks" in self.kinds:
            counts = map(closer_counts, self.tallies, self.order)
            ranks = torch.stack([found.cpu() for found in counts])
            sums["ranks"] = ranks.view(self.count, self.n, self.count, -1).numpy()
        return Sums(**sums)


def features_are_cheaper(models: Sequence[Centered]) -> bool:
    """Return whether products of features cost less than tiles of all pairs of systems.

    Features take n · d_a · d_b per pair of models, tiles n² · d per model and n² per pair.

    Args:
        models: The models.
    """
    n, count = len(models[0].z), len(models)
    width = sum(model.z.shape[1] for model in models)
    return width**2 <= n * (width + count**2)


def feature_products(models: Sequence[Centered], device: torch.device) -> NDArray[np.float64]:
    """Return Σ_ij K_ij L_ij = ‖XᵀY‖² for every pair of models, (M, M).

    Args:
        models: The models.
        device: Where products are computed.
    """
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
    """Return the inner products of the rows of a wide table, (M, M) float64.

    Every CHUNK columns are summed in the precision of the table, and these sums in float64, always
    in the same order.

    Args:
        flat: The table, (M, w).
    """
    shares = threads.each(lambda share: _products(flat[:, share]), list(cut(flat.shape[1], SHARE)))
    return torch.stack(shares).sum(dim=0)


def _products(flat: Tensor) -> Tensor:
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


def row_means(z: Tensor, squares: Tensor) -> Tensor:
    """Return about the mean distance of every system from all others, less half of their mean.

    It is estimated from a few landmarks, (n,).

    Args:
        z: The centered vectors, (n, d).
        squares: Their squared lengths, (n,), in the precision of z.
    """
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randperm(len(z), generator=generator)[:LANDMARKS].to(z.device)
    tile = (
        torch.addmm(squares[chosen], z, z[chosen].T, alpha=-2)
        .add_(squares[:, None])
        .clamp_(min=0)
        .sqrt_()
    )
    return tile.mean(dim=1) - tile.mean() / 2
