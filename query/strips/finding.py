"""How a strip is found, and read again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np
import torch

from query.engine.neighbors.lists import NeighborLists
from query.engine.sums import Arrays
from query.engine.undefined import Undefined
from query.metrics import Alignment, Comparison, align_all
from query.metrics.registry import is_whole
from query.reading.dataset_files import Unreadable
from query.reading.selection import Source
from query.reading.vectors import Reader, Vectors
from query.strips.cutting import Unit, list_lengths, list_units, pair_units, sum_units
from query.strips.parts import Parts, as_array, from_array
from query.strips.question import Question, StripsError
from query.tables.shared.plans import ModelPair, Plan

_LISTS = ("index", "value", "begin", "slack")


class Work:
    """Finds strips, one after another; what several need is kept."""

    def __init__(self, question: Question, plan: Plan, parts: Parts, threads: int) -> None:
        """Take a question; no vector is read yet.

        Args:
            question: The question.
            plan: The alignments asked for.
            parts: Where strips are.
            threads: How many threads this process may use.
        """
        self.question, self.plan, self.parts, self.threads = question, plan, parts, threads
        self.phases = [list_units(plan), sum_units(plan, question.side), pair_units(plan)]
        self._group: tuple[int, Comparison] | None = None
        self._pass: tuple[tuple[Any, ...], ExitStack, Callable[[int], Arrays]] | None = None

    def find(self, unit: Unit) -> Arrays:
        """Return a strip.

        Args:
            unit: The strip; those of earlier phases are found.
        """
        find = (self._find_lists, self._find_sums, self._find_pairs)
        kind = ("lists", "sums", "pairs").index(unit.name.partition("/")[0])
        if kind != 1:
            self.close()
        return find[kind](unit)

    def close(self) -> None:
        """Give back the memory of the last pass."""
        if self._pass is not None:
            self._pass[1].close()
            self._pass = None

    @cached_property
    def comparisons(self) -> dict[Source, Comparison]:
        """A comparison of every model alone, with lists long enough for all that is asked."""
        found = self.plan.comparisons(lambda source: _Lists(self, source), _StrictReader)
        longest = max(list_lengths(self.plan), default=0)
        for comparison in found.values():
            comparison.lengthen_lists(longest)
        return found

    def group(self, number: int) -> Comparison:
        """Return the comparison of models on the systems that they share.

        There may be a group per pair of models, and so one is held at a time.

        Args:
            number: The number of the group.
        """
        if self._group is None or self._group[0] != number:
            group, strips = self.plan.groups[number], _SumsOf(self, number)
            self._group = number, group.compare(self.comparisons, self.plan.keys, strips)
        return self._group[1]

    def _find_lists(self, unit: Unit) -> Arrays:
        source, geometry = unit.of
        finder = self.comparisons[source].finder
        try:
            found = finder.list_strip(0, geometry, unit.number, unit.count)
        except Undefined as undefined:
            return as_array(str(undefined))
        scalars = np.array([found.k, found.relative, found.products], np.float64)
        return {name: getattr(found, name) for name in _LISTS} | {"scalars": scalars}

    def _find_sums(self, unit: Unit) -> Arrays:
        if self._pass is None or self._pass[0] != unit.of:
            self.close()
            number, kinds = unit.of
            stack = ExitStack()
            find = stack.enter_context(self.group(number).sums.in_strips(kinds))
            self._pass = unit.of, stack, find
        found = self._pass[2](unit.number)
        if "ranks" in found and found["ranks"].max(initial=0) < 2**16:
            found["ranks"] = found["ranks"].astype(np.uint16)
        return found

    def _find_pairs(self, unit: Unit) -> Arrays:
        i, j = unit.of
        group = self.plan.groups[i]
        metrics, pairs = group.together[j]
        some = pairs[_share(len(pairs), unit)]
        if any(is_whole(name) for name in metrics):
            torch.set_num_threads(self.question.threads)
        try:
            given = self.group(i), metrics, group.numbered(some)
            found = list(align_all(*given, **self.plan.options.for_pairs))
        finally:
            torch.set_num_threads(self.threads)
        return as_array([[metric, *pair, asdict(value)] for metric, pair, value in found])


class _StrictReader(Reader):
    """Reads models, and raises what would else be kept as the reason why they have no values."""

    def read(self, source: Source) -> Vectors:
        try:
            return super().read(source)
        except Unreadable as error:
            raise StripsError(
                f"{error}. What is found is kept, and the same command goes on"
            ) from error


class _Lists:
    """The lists of one model that are found; a `query.engine.protocols.FoundStrips`."""

    def __init__(self, work: Work, source: Source) -> None:
        self._work, self._source, self.side = work, source, work.question.side

    def lists(self, model: int, geometry: str, k: int) -> list[NeighborLists] | None:
        units = [unit for unit in self._work.phases[0] if unit.of == (self._source, geometry)]
        found = [read_lists(self._work.parts, unit) for unit in units]
        if not found or any(lists is None or lists.k < k for lists in found):
            return None
        return [lists for lists in found if lists is not None]

    def sums(self, kinds: frozenset[str]) -> None:
        return None


class _SumsOf:
    """The sums of one group that are found; a `query.engine.protocols.FoundStrips`."""

    def __init__(self, work: Work, number: int) -> None:
        self._work, self._number, self.side = work, number, work.question.side

    def lists(self, model: int, geometry: str, k: int) -> None:
        return None

    def sums(self, kinds: frozenset[str]) -> Iterator[Arrays] | None:
        units = [unit for unit in self._work.phases[1] if unit.of == (self._number, kinds)]
        if not units or self._work.parts.missing([unit.name for unit in units]):
            return None
        return map(self._read, units)

    def _read(self, unit: Unit) -> Arrays:
        found = self._work.parts.read(unit.name)
        if found is None:  # it was damaged
            found = self._work.find(unit)
            self._work.parts.write(unit.name, found)
        if "ranks" in found:
            found["ranks"] = found["ranks"].astype(np.int32)
        return found


def read_lists(parts: Parts, unit: Unit) -> NeighborLists | None:
    """Return a strip of lists; None if it is not found.

    Args:
        parts: Where strips are.
        unit: The strip.

    Raises:
        Undefined: There are no such lists.
    """
    found = parts.read(unit.name)
    if found is None:
        return None
    if "scalars" not in found:
        raise Undefined(from_array(found))
    k, relative, products = found.pop("scalars").tolist()
    arrays: Mapping[str, Any] = found
    label = np.arange(len(found["slack"]))
    return NeighborLists(
        k=int(k), relative=relative, products=bool(products), label=label, **arrays
    )


def read_pairs(
    plan: Plan, parts: Parts, unit: Unit
) -> Iterator[tuple[tuple[str, ModelPair], Alignment]]:
    """Yield the alignments of a strip of pairs, by metric and pair.

    Args:
        plan: What is asked for.
        parts: Where strips are.
        unit: The strip, which is found.
    """
    sources = plan.groups[unit.of[0]].sources
    for metric, a, b, value in from_array(parts.read(unit.name) or as_array([])):
        yield (metric, (sources[a], sources[b])), Alignment(**value)


def _share(total: int, unit: Unit) -> slice:
    return slice(total * unit.number // unit.count, total * (unit.number + 1) // unit.count)
