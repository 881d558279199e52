"""Which strips a question has. That depends on the question and the number of systems alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from query.engine.tiles import triangle_strips
from query.metrics import find_metric
from query.reading.selection import Source
from query.tables.shared.plans import Group, Plan, unique

ROWS_PER_STRIP = 2048  # systems of a strip of lists at least, where there are few
MOST_LIST_STRIPS = 16  # of one model
MOST_PAIR_STRIPS = 32  # of one metric


@dataclass(frozen=True)
class Unit:
    """One strip.

    Attributes:
        name: Its name, and that of its file.
        of: What it is a strip of: a model and a geometry, a group and kinds, a group and metrics.
        number: Its number among the strips of the same, from 0.
        count: How many these are.
    """

    name: str
    of: tuple[Any, ...]
    number: int
    count: int


def list_units(plan: Plan) -> list[Unit]:
    """Return the strips of neighbor lists, those of a model next to one another.

    Args:
        plan: What is asked for.
    """
    wanted: dict[tuple[Source, str], None] = {}
    l2 = plan.options.normalize == "l2"
    for group in plan.groups if plan.options.rows is None else ():
        for name, pairs in group.wanted.items():
            lists = find_metric(name).lists
            if lists is not None and _has_values(plan, group, name) and _is_cut(plan, group):
                geometry = "euclidean" if l2 else lists
                wanted |= {(source, geometry): None for source in unique(pairs)}
    number = {source: i for i, source in enumerate(plan.keys)}
    units = []
    for source, geometry in wanted:
        count = max(1, min(MOST_LIST_STRIPS, plan.keys[source].size // ROWS_PER_STRIP))
        units += _cut(f"lists/{number[source]}-{geometry}", (source, geometry), count)
    return units


def sum_units(plan: Plan, side: int) -> list[Unit]:
    """Return the strips of sums over all pairs of systems.

    Args:
        plan: What is asked for.
        side: The side of a tile.
    """
    units = []
    for i, group in enumerate(plan.groups if plan.options.rows is None else ()):
        found: frozenset[str] = frozenset()
        for metrics, _ in group.together:
            usable = [find_metric(name) for name in metrics if _has_values(plan, group, name)]
            kinds = frozenset().union(*(metric.needs for metric in usable)) - found
            if kinds:
                count = len(triangle_strips(group.common.size, side))
                name = f"sums/{i}-{'-'.join(sorted(kinds))}-{side}"
                units += _cut(name, (i, kinds), count)
            found |= kinds
    return units


def pair_units(plan: Plan) -> list[Unit]:
    """Return the strips of pairs of models.

    Subsets and drawn systems serve all pairs of a question, which are then one strip.

    Args:
        plan: What is asked for.
    """
    units = []
    whole = plan.options.subsamples > 0 or plan.options.rows is not None
    for i, group in enumerate(plan.groups):
        for j, (_, pairs) in enumerate(group.together):
            count = 1 if whole else min(len(pairs), MOST_PAIR_STRIPS)
            units += _cut(f"pairs/{i}-{j}", (i, j), count)
    return units


def _cut(name: str, of: tuple[Any, ...], count: int) -> list[Unit]:
    return [Unit(f"{name}/{number}", of, number, count) for number in range(count)]


def _has_values(plan: Plan, group: Group, name: str) -> bool:
    metric = find_metric(name)
    k = metric.default_k if plan.options.k is None else plan.options.k
    return group.common.size >= metric.least_systems(k)


def _is_cut(plan: Plan, group: Group) -> bool:
    """Return whether lists among these systems come from those of each model; see `join`."""
    everywhere = all(plan.keys[source].size == group.common.size for source in group.sources)
    return everywhere or plan.options.normalize != "zscore"


def list_lengths(plan: Plan) -> Iterator[int]:
    """Yield how long lists have to be so that those of subsets can be cut from them.

    Args:
        plan: What is asked for.
    """
    if plan.options.subsamples:
        for group in plan.groups:
            names: Sequence[str] = [name for name in group.wanted if find_metric(name).lists]
            for metric in map(find_metric, names):
                k = metric.default_k if plan.options.k is None else plan.options.k
                if group.common.size:
                    yield metric.list_length(group.common.size, k)
