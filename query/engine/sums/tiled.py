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
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from query.engine import threads
from query.engine.sums.found import Arrays, Centered, Sums, join
from query.engine.tile_operations import (
    closeness_of,
    closer_counts,
    find_distances,
    rounding,
    tally_closer,
)
from query.engine.tiles import cut, triangle_strips, upper

SMALL = 2**15  # products of two vectors, which one thread makes in some ten microseconds
LANDMARKS = 256  # systems, from which row means are estimated
CHUNK = 8192  # elements that are summed in the precision of the tiles
SHARE = 8 * CHUNK  # elements of each tile of which a thread takes the products at a time
# Elements between the tiles of two models, so that they are not a power of two apart, which caches
# do not like: products of 60 tiles take two thirds of the time.
APART = 80


class TilePass:
    """Finds the sums of these kinds for all pairs of models; a `query.engine.sums.Pass`."""

    def __init__(
        self,
        models: Sequence[Centered],
        kinds: frozenset[str],
        nearest: Sequence[NDArray[np.int32]],
        *,
        device: torch.device,
        side: int,
    ) -> None:
        """Take the models, and prepare what all tiles need.

        Args:
            models: The models over the same n systems, n ≥ 2.
            kinds: Of KINDS.
            nearest: For 'ranks' the lists of which places are counted, one per model, (n, k).
            device: Where tiles are computed.
            side: The side of a tile.
        """
        self.kinds, self.device, self.side = kinds, device, side
        self.z = [model.z for model in models]
        self.count, self.n = len(models), len(models[0].z)
        self.dtype = self.z[0].dtype
        self.squares = torch.stack([model.squares.to(device, self.dtype) for model in models])
        self.stack = self._room()
        # Distances take the place of inner products, unless these are needed, too.
        self.apart = self._room() if {"kernels", "distances"} <= kinds else self.stack
        if "distances" in kinds:
            each = map if self.count * self.n**2 < SMALL else threads.each
            self.shift = torch.stack(list(each(self._row_means, range(self.count))))
        if "ranks" in kinds:
            self._prepare_ranks(models, nearest)

    def _room(self) -> Tensor:
        elements = min(self.side, self.n) ** 2
        return torch.empty(self.count, elements + APART, dtype=self.dtype, device=self.device)

    def find(self, number: int) -> Arrays:
        """Return the sums of one strip; see `Pass.find`.

        Args:
            number: The strip.
        """
        strip = triangle_strips(self.n, self.side)[number]
        self._begin_counting()
        sum_strip = partial(self._sum, strip, strip.start, lambda products: None, shared=False)
        # One model is summed in the thread that calls, in which torch would share its products.
        found = threads.alone(sum_strip, self.n**2) if self.count == 1 else sum_strip()
        start = np.array(strip.start)
        return found | self._counted(strip.start) | {"start": start}

    def run(self, advance: Callable[[int], object]) -> Sums:
        """Return the added sums of all strips; see `Pass.run`.

        Args:
            advance: Called with the number of products that each step covered.
        """
        self._begin_counting()
        strips = triangle_strips(self.n, self.side)
        sums = join(self._sum(strip, 0, advance) for strip in strips)
        return sums._replace(**self._counted(0))  # counts are whole numbers: their order is nothing

    def _row_means(self, m: int) -> Tensor:
        z, squares = self.z[m].to(self.device), self.squares[m]
        return threads.alone(lambda: row_means(z, squares), z.numel() * min(len(z), LANDMARKS))

    def _sum(
        self, strip: slice, begun: int, advance: Callable[[int], object], *, shared: bool = True
    ) -> Arrays:
        """Return the sums of a strip, and count what is closer in it.

        begun: The first of the systems that have been counted.
        shared: Whether threads may share a product of long vectors, which rounds as their number
            wants it.
        """
        small = self.count * self.n**2 < SMALL  # then waking threads takes longer than the work
        each = map if small else threads.each
        enough = not shared or self.count >= torch.get_num_threads()
        alone = small or self.device.type == "cpu" and enough
        sums = _Totals(self.kinds, self.count, self.n, self.device)
        for part, other in upper(self.n, self.side, self.side, strip):
            height, width = part.stop - part.start, other.stop - other.start
            shape = self.count, height, width
            flat = apart = self.stack[:, : height * width]
            tiles = distances = flat.view(shape)
            if self.apart is not self.stack:
                apart = self.apart[:, : height * width]
                distances = apart.view(shape)
            if not alone:  # with few models, all threads share each product
                for m in range(self.count):
                    self._multiply(tiles, part, other, m)
            given = tiles, distances, part, other, alone, begun, sums.rows
            list(each(partial(self._model, *given), range(self.count)))
            weight = 1 if part == other else 2
            if "kernels" in self.kinds:
                sums.kernels.add_(products(flat), alpha=weight)
            if "distances" in self.kinds:
                sums.distances.add_(products(apart), alpha=weight)
            advance(self.count * height * width * weight)
        return self._found(sums, strip)

    def _multiply(self, tiles: Tensor, part: slice, other: slice, m: int) -> None:
        z = self.z[m]
        torch.mm(z[part].to(self.device), z[other].to(self.device).T, out=tiles[m])

    def _model(
        self,
        tiles: Tensor,
        distances: Tensor,
        part: slice,
        other: slice,
        alone: bool,
        begun: int,
        rows: Tensor,
        m: int,
    ) -> None:
        if alone:
            self._multiply(tiles, part, other, m)
        squares = self.squares[m]
        if "ranks" in self.kinds:
            ranked = self.limits[m], self.precision[m], self.tallies[m]
            tally_closer(tiles[m], squares, part, other, *ranked, begun)
        if "distances" in self.kinds:
            given = squares, self.shift[m], part, other, rows[m]
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

    def _begin_counting(self) -> None:
        if "ranks" in self.kinds:
            shape = (self.count, self.n, self.limits[0].shape[1] + 1)
            self.tallies = torch.zeros(shape, dtype=torch.int32, device=self.device)

    def _counted(self, start: int) -> Arrays:
        """Return the counts of the systems from `start` on."""
        if "ranks" not in self.kinds:
            return {}
        pairs = zip(self.tallies, self.order, strict=True)
        counts = [closer_counts(t[start:], order[start:]).cpu() for t, order in pairs]
        shape = self.count, self.n - start, self.count, -1
        return {"ranks": torch.stack(counts).view(shape).numpy()}

    def _found(self, sums: _Totals, strip: slice) -> Arrays:
        found: Arrays = {}
        if "kernels" in self.kinds:
            found["kernels"] = sums.kernels.cpu().numpy()
        if "distances" in self.kinds:
            found["distances"] = sums.distances.cpu().numpy()
            found["start"] = np.array(strip.start)
            found["distance_rows"] = sums.rows[:, strip.start :].cpu().numpy()
            if strip.start == 0:
                diagonal = (-2 * self.shift).to(torch.float64)
                found["distance_diagonal"] = diagonal.cpu().numpy()
        return found


class _Totals:
    """The sums of a strip that are floats."""

    def __init__(self, kinds: frozenset[str], count: int, n: int, device: torch.device) -> None:
        self.kernels = torch.zeros(count, count, dtype=torch.float64, device=device)
        self.distances = self.rows = self.kernels
        if "distances" in kinds:
            self.distances = torch.zeros_like(self.kernels)
            self.rows = torch.zeros(count, n, dtype=torch.float64, device=device)


def products(flat: Tensor) -> Tensor:
    """Return the inner products of the rows of a wide table, (M, M) float64.

    Every CHUNK columns are summed in the precision of the table, and these sums in float64, always
    in the same order.

    Args:
        flat: The table, (M, w).
    """

    def find(share: slice) -> Tensor:
        part = flat[:, share]
        return threads.alone(lambda: _products(part), len(part) * part.numel())

    if flat.shape[1] <= SHARE:
        return find(slice(None))
    return torch.stack(threads.each(find, cut(flat.shape[1], SHARE))).sum(dim=0)


def _products(flat: Tensor) -> Tensor:
    count, width = flat.shape
    whole = width // CHUNK * CHUNK
    if not whole:
        return (flat @ flat.T).to(torch.float64)
    total = torch.zeros(count, count, dtype=torch.float64, device=flat.device)
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
    means = tile.mean(dim=1)
    # torch shares a sum of all elements among threads, and their number decides how it rounds.
    return means - float(means.cpu().numpy().mean()) / 2
