"""Neighbor lists with all that tie: lists of distinct vectors are found, then of systems."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from query.engine.neighbors.distinct import (
    empty_lists,
    first_of_distinct,
    flat_lists,
    own_values,
    whole_rows,
)
from query.engine.neighbors.lists import NeighborLists, expand, offsets
from query.engine.resolution import Resolution


def find_lists(
    x: Tensor,
    k: int,
    geometry: str,
    resolution: Resolution,
    name: str,
    *,
    dtype: torch.dtype = torch.float64,
    device: torch.device | None = None,
    advance: Callable[[int], object] = lambda pairs: None,
) -> NeighborLists:
    """Return the k nearest systems of every system and those that tie with the k-th.

    Args:
        x: The normalized vectors, (n, d) float64.
        k: The number of neighbors, below n.
        geometry: 'inner' for the largest products, 'euclidean' for the smallest distances.
        resolution: What the precision of the vectors can tell apart.
        name: How reasons call the model.
        dtype: The precision of the tiles of products.
        device: Where the tiles are computed; that of x if None.
        advance: Called with the number of pairs of systems that each tile covered.

    Raises:
        Undefined: Too many systems tie.
    """
    flat, u = flat_lists(x, None, k, geometry, resolution, name, dtype, device, advance)
    advance(len(x) ** 2 - len(u) ** 2)
    return join_lists([flat], x, resolution, name)


def list_strip(
    x: Tensor,
    part: slice,
    k: int,
    geometry: str,
    resolution: Resolution,
    name: str,
    *,
    dtype: torch.dtype = torch.float64,
    device: torch.device | None = None,
) -> NeighborLists:
    """Return the lists of some of the distinct vectors, which `join_lists` makes those of systems.

    Args:
        x: The normalized vectors, (n, d) float64.
        part: The numbers of the distinct vectors, of `resolution.label`.
        k: The number of neighbors, below n.
        geometry: 'inner' for the largest products, 'euclidean' for the smallest distances.
        resolution: What the precision of the vectors can tell apart.
        name: How reasons call the model.
        dtype: The precision of the tiles of products.
        device: Where the tiles are computed; that of x if None.

    Raises:
        Undefined: Too many systems tie.
    """
    which = np.arange(part.start, part.stop)
    given = (k, geometry, resolution, name, dtype, device, lambda pairs: None)
    return flat_lists(x, which, *given)[0]


def join_lists(
    strips: Sequence[NeighborLists], x: Tensor, resolution: Resolution, name: str
) -> NeighborLists:
    """Return the lists of all systems, which are the same however the distinct vectors were cut.

    Args:
        strips: The lists of all distinct vectors in their order.
        x: The normalized vectors, (n, d) float64.
        resolution: What the precision of the vectors can tell apart.
        name: How reasons call the model.

    Raises:
        Undefined: Too many systems tie.
    """
    flat = strips[0]
    if len(strips) > 1:
        flat = replace(
            flat,
            index=np.concatenate([strip.index for strip in strips]),
            value=np.concatenate([strip.value for strip in strips]),
            begin=offsets(np.concatenate([np.diff(strip.begin) for strip in strips])),
            slack=np.concatenate([strip.slack for strip in strips]),
        )
    distinct = first_of_distinct(resolution.label)
    if len(distinct) == len(x):
        return replace(flat, label=np.arange(len(x)))
    u = x[torch.from_numpy(distinct)]
    return expand(flat, own_values(u, flat.products), resolution.label, name)


def find_some_lists(
    x: Tensor,
    rows: NDArray[np.int64],
    k: int,
    geometry: str,
    resolution: Resolution,
    name: str,
    *,
    dtype: torch.dtype = torch.float64,
    device: torch.device | None = None,
    advance: Callable[[int], object] = lambda pairs: None,
) -> NeighborLists:
    """Return the same lists as `find_lists`, of some systems only; those of all others are empty.

    Args:
        x: The normalized vectors, (n, d) float64.
        rows: The systems that get a list, (r,) ascending; so do others with the same vector.
        k: The number of neighbors, below n.
        geometry: 'inner' for the largest products, 'euclidean' for the smallest distances.
        resolution: What the precision of the vectors can tell apart.
        name: How reasons call the model.
        dtype: The precision of the tiles of products.
        device: Where the tiles are computed; that of x if None.
        advance: Called with the number of pairs of systems that each tile covered.

    Raises:
        Undefined: Too many systems tie.
    """
    apart = resolution.n_distinct == len(x)
    label = np.arange(len(x)) if apart else resolution.label
    which = np.unique(label[rows])
    flat, u = flat_lists(x, which, k, geometry, resolution, name, dtype, device, advance)
    if not apart:
        flat = expand(flat, own_values(u, flat.products), label, name, which)
    number = np.full(len(u), len(which))  # the number of the one empty list
    number[which] = np.arange(len(which))
    begin, slack = np.append(flat.begin, flat.begin[-1]), np.append(flat.slack, 0.0)
    return replace(flat, begin=begin, slack=slack, label=number[label])


def cut_lists(
    lists: NeighborLists,
    rows: NDArray[np.int64],
    x: Tensor,
    k: int,
    resolution: Resolution,
    name: str,
) -> NeighborLists:
    """Return the lists among some systems, cut from those among all.

    Lists that are left too short are searched again.

    Args:
        lists: The lists among all systems.
        rows: The systems that are left, (m,) ascending.
        x: Their vectors, (m, d) float64.
        k: The number of neighbors, below m.
        resolution: What the precision of these vectors can tell apart.
        name: How reasons call the model.

    Raises:
        Undefined: Too many systems tie.
    """
    found, short = lists.among(rows, k)
    if not short.size:
        return found
    distinct = first_of_distinct(found.label)
    u = x[torch.from_numpy(distinct)]
    geometry = "inner" if lists.products else "euclidean"
    plain = empty_lists(x, u, k, geometry, resolution, distinct)
    again = whole_rows(u, short, min(k, len(u) - 1), plain, name)
    if not np.array_equal(distinct, np.arange(len(x))):  # lists are numbered otherwise than systems
        again = expand(again, own_values(u, lists.products), found.label, name, short)
    return found.with_lists(short, again)
