"""Vectors in a plane: by principal components, or by UMAP."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from query.engine.neighbors.nearest import nearest
from query.engine.tiles import tile_dtype

Plane = NDArray[np.float64]  # (n, 2)
Explained = tuple[float | None, float | None]  # the parts of all variance along x and y

_TIE = 1e-9  # relative difference below which two coordinates count as equally large
_FLAT = 1e-12  # part of all variance that is rounding

_Floats = NDArray[np.float64]


def principal_plane(x: _Floats) -> tuple[Plane, Explained]:
    """Return the scores on the two directions of largest variance.

    They come from eigenvectors of the smaller of covariance and Gram matrix. The largest value of
    each coordinate, the first where several are as large, is positive, so that neither the machine
    nor a rotation of the vectors turns the map over.

    Args:
        x: Vectors, (n, d), n ≥ 2.

    Returns:
        The scores, (n, 2), and their parts of all variance.
    """
    # SciPy takes a while to import, which other questions need not wait for.
    from scipy.linalg import eigh

    centered = x - x.mean(axis=0)
    wide = x.shape[1] > x.shape[0]
    products = centered @ centered.T if wide else centered.T @ centered
    last = len(products) - 1
    values, directions = eigh(products, subset_by_index=[max(0, last - 1), last])
    values, directions = np.clip(values[::-1], 0.0, None), directions[:, ::-1]
    scores = directions * np.sqrt(values) if wide else centered @ directions
    missing = 2 - values.size  # vectors of one dimension
    scores = np.pad(scores, ((0, 0), (0, missing)))
    shares = np.pad(values / np.trace(products), (0, missing))
    sizes = np.abs(scores)
    first = np.argmax(sizes >= sizes.max(axis=0) * (1 - _TIE), axis=0)
    plane = np.where(scores[first, [0, 1]] < 0, -scores, scores)
    return plane, (float(shares[0]), float(shares[1]))


def umap_plane(x: _Floats, k: int, seed: int) -> Plane:
    """Return UMAP of the exact k nearest rows by distance.

    It starts from the principal plane, so that groups lie where they do in it (Kobak and
    Linderman, Nat. Biotechnol. 39, 156 (2021)); the start of umap-learn is random where the graph
    falls apart.

    Args:
        x: Vectors, (n, d), n > k.
        k: Neighbors, a row the first of its own.
        seed: Of what UMAP draws at random.

    Returns:
        (n, 2).
    """
    lists = nearest(torch.from_numpy(x), k - 1, "euclidean", dtype=tile_dtype(len(x)))
    own = np.arange(len(x))[:, None]
    index = np.concatenate([own, lists.index], axis=1)
    squares = np.concatenate([np.zeros(own.shape), np.clip(lists.value, 0.0, None)], axis=1)
    distances = np.sqrt(squares)
    with _same_threads(), warnings.catch_warnings():
        # It warns of what does not matter here: no TensorFlow, no way to add systems later,
        # several groups.
        warnings.simplefilter("ignore")
        known = (index, distances.astype(np.float32), None)
        layout = _import_umap()(
            n_neighbors=k, init=_start(x, seed), random_state=seed, n_jobs=1, precomputed_knn=known
        )
        drawn = layout.fit_transform(x)
    plane: Plane = drawn.astype(np.float64)
    return plane


@contextmanager
def _same_threads() -> Iterator[None]:
    """Leave torch as many threads as it had: Numba gives OpenMP one per core, once UMAP asks."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@cache
def _import_umap() -> Any:
    """Return the class UMAP, which takes seconds to import.

    Numba keeps what it compiles of UMAP for the next process, as it does with the engine's kernels;
    UMAP itself does not ask for it, and would compile for 8 s in every process.
    """
    from numba.core.dispatcher import Dispatcher
    from umap import UMAP, layouts, umap_

    for function in (*vars(layouts).values(), *vars(umap_).values()):
        if isinstance(function, Dispatcher):
            function.enable_caching()
    return UMAP


def _start(x: _Floats, seed: int) -> Plane:
    """Return the principal plane, with random numbers along a direction without variance.

    UMAP would scale up such a direction as any other.
    """
    plane, shares = principal_plane(x)
    flat = np.array(shares, dtype=np.float64) < _FLAT
    plane[:, flat] = np.random.default_rng(seed).normal(size=plane.shape)[:, flat]
    return plane
