"""Sums over all pairs of systems of the models of a comparison, each kind found once."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from query.engine.compared_models import Models
from query.engine.devices import Scratch
from query.engine.neighbors.candidates import center
from query.engine.neighbors.finder import ListFinder
from query.engine.protocols import FoundStrips
from query.engine.sums import (
    RANKED,
    Arrays,
    Centered,
    FeaturePass,
    Pass,
    Sums,
    TilePass,
    features_are_cheaper,
    join,
)
from query.engine.tiles import stacked_tile
from query.engine.undefined import Undefined


class ModelSums:
    """The sums over all pairs of systems of the models of a comparison."""

    def __init__(
        self,
        models: Models,
        finder: ListFinder,
        *,
        k: int | None,
        device: torch.device,
        dtype: torch.dtype,
        advance: Callable[[int], object],
        side: int | None = None,
        strips: FoundStrips | None = None,
    ) -> None:
        """Take the models; nothing is added up yet.

        Args:
            models: The models.
            finder: Who finds the lists of which places are counted.
            k: How many of the nearest systems are ranked; RANKED if None.
            device: Where tiles of products are computed.
            dtype: The precision of these tiles.
            advance: Called with the number of products of two vectors that were made.
            side: The side of a tile; None leaves the choice to the free memory.
            strips: Sums that other processes have found in strips.
        """
        self._models: Models = weakref.proxy(models)  # which own these sums; see `ListFinder`
        self._finder, self._k = finder, RANKED if k is None else k
        self._device, self._dtype, self._advance = device, dtype, advance
        self._strips = strips
        self._side = side if strips is None else strips.side
        self._sums: dict[str, Sums] = {}
        self._squares: dict[int, NDArray[np.float64]] = {}
        self._places: dict[int, int] = {}

    def missing(self, kinds: Iterable[str]) -> frozenset[str]:
        """Return the kinds that are not found yet.

        Args:
            kinds: Of `sums.KINDS`.
        """
        return frozenset(kinds) - self._sums.keys()

    def compute(
        self, kinds: Iterable[str], meanwhile: Callable[[int], object] = lambda model: None
    ) -> None:
        """Find sums of these kinds for all models in one pass; those that are found stay.

        Args:
            kinds: Of `sums.KINDS`.
            meanwhile: Called with the number of each model that has values, before its vectors
                are centered, so that whatever else is done with them needs no second reading.
        """
        kinds = self.missing(kinds)
        parts = self._strips.sums(kinds) if kinds and self._strips is not None else None
        with Scratch(self._device) as scratch:
            centered: dict[int, Centered] = {}
            for i in range(len(self._models)):
                if self._models.reason(i) is None:
                    meanwhile(i)
                    if kinds and parts is None:
                        centered[i] = self._center(i, scratch)
            if kinds:
                # One strip is held at a time: all of them may not fit in memory.
                noted = None if parts is None else map(self._note_squares, parts)
                found = self._find(centered, kinds) if noted is None else join(noted)
                self._places = {i: place for place, i in enumerate(self._usable)}
                self._sums |= dict.fromkeys(kinds, found)
            centered.clear()

    @contextmanager
    def in_strips(self, kinds: frozenset[str]) -> Iterator[Callable[[int], Arrays]]:
        """Hold what all strips of a pass need.

        Args:
            kinds: Of `sums.KINDS`.

        Yields:
            A function that finds the sums of a strip by its number, which `FoundStrips` returns.
        """
        with Scratch(self._device) as scratch:
            centered = {i: self._center(i, scratch) for i in self._usable}
            opened = self._open(centered, kinds) if centered else None
            squares = [self._squares[i] for i in self._usable]

            def find(number: int) -> Arrays:
                found = {} if opened is None else opened.find(number)
                return found if number else found | {"squares": np.array(squares)}

            yield find
            centered.clear()

    def of_kind(self, kind: str) -> Sums:
        """Return the sums of one kind; models are numbered by `place`.

        Args:
            kind: One of `sums.KINDS`.
        """
        if kind not in self._sums:
            self.compute({kind})
        return self._sums[kind]

    def place(self, i: int) -> int:
        """Return the number that a model has in the sums.

        Args:
            i: Its number in the comparison.
        """
        return self._places[i]

    def squares(self, i: int) -> NDArray[np.float64]:
        """Return the squared lengths of a model's vectors about their mean, (n,).

        Args:
            i: The number of the model.
        """
        self.of_kind("kernels")
        return self._squares[i]

    def kernel_product(self, a: int, b: int) -> float:
        """Return Σ_ij K_ij L_ij of the centered kernels of two models, i = j included.

        Args:
            a: The number of the first model.
            b: The number of the second.
        """
        return float(self.of_kind("kernels").kernels[self.place(a), self.place(b)])

    def _center(self, i: int, scratch: Scratch) -> Centered:
        """Return a model's vectors about their mean."""
        x = self._models.vectors(i)
        z, squares = center(x, x.mean(dim=0), self._dtype)
        self._squares[i] = squares.numpy()
        return Centered(scratch.hold(z), squares)

    @property
    def _usable(self) -> list[int]:
        return [i for i in range(len(self._models)) if self._models.reason(i) is None]

    def _note_squares(self, part: Arrays) -> Arrays:
        """Take note of the squares that the first strip has, and return the sums of a strip."""
        squares = part.pop("squares", None)
        if squares is not None:
            self._squares |= dict(zip(self._usable, squares, strict=True))
        return part

    def _find(self, centered: dict[int, Centered], kinds: frozenset[str]) -> Sums:
        return self._open(centered, kinds).run(self._advance) if centered else Sums()

    def _open(self, centered: dict[int, Centered], kinds: frozenset[str]) -> Pass:
        found = list(centered.values())
        side = self._side or stacked_tile(self._device, len(found), found[0].z.element_size())
        if kinds == {"kernels"} and features_are_cheaper(found):
            return FeaturePass(found, self._device, side)
        lists = [self._ranked(i) for i in centered] if "ranks" in kinds else []
        return TilePass(found, kinds, lists, device=self._device, side=side)

    def _ranked(self, i: int) -> NDArray[np.int32]:
        """Return a model's nearest systems, (n, k); nobody in particular where systems tie."""
        try:
            return self._finder.neighbors(i, "euclidean", self._k).near
        except Undefined:
            return np.zeros((self._models.n, self._k), np.int32)
