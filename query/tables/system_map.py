"""A map of the systems as one model sees them: two coordinates each, by principal components or by UMAP."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import duckdb
import numpy as np
import torch
from numpy.typing import NDArray

from query.engine.neighbors.nearest import nearest
from query.engine.normalization import normalize
from query.engine.suggestions import unknown_name
from query.engine.tiles import tile_dtype
from query.metrics import NORMALIZATIONS, Undefined
from query.reading.selection import at_least_one, find_dataset, find_source
from query.reading.vectors import Vectors, column_to_table
from query.tables.pairs import Row

ROW = (
    "STRUCT(system_id VARCHAR, x DOUBLE, y DOUBLE, explained_x DOUBLE, explained_y DOUBLE, n BIGINT, model_id VARCHAR, "
    "dataset VARCHAR, method VARCHAR, normalization VARCHAR, k BIGINT, reason VARCHAR)"
)
# Of too many systems those that come first by a hash of their name: the same for every model.
VECTORS = """
    SELECT system_id, vector FROM (
        FROM embeddings
        WHERE model_id = $model AND representation = $representation AND starts_with(system_id, $dataset || '/')
        ORDER BY sha256(system_id || '#' || $seed::VARCHAR), content_hash LIMIT $most
    ) ORDER BY system_id
"""
METHODS = ("pca", "umap")
DRAWN = ("system_id", "x", "y", "explained_x", "explained_y")
K = 15  # what umap-learn takes
MOST = 15_000  # as in Edamadaka et al. (2025), figure 2
LEAST_SYSTEMS = 3
LEAST_K = 2
TIE = 1e-9  # relative
FLAT = 1e-12  # share of the variance that is rounding

Floats = NDArray[np.float64]
Explained = tuple[float | None, float | None]


def system_map(
    connection: duckdb.DuckDBPyConnection,
    model: str,
    dataset: str | None,
    method: str | None,
    k: int | None,
    max_systems: int | None,
    normalization: str | None,
    seed: int | None,
) -> list[Row]:
    """One row of `ROW` a system, in order of system_id; where there is no map, one row with the reason.

    method: 'pca', the two directions of largest variance, explained_x and explained_y the parts of all variance that
    are along them; or 'umap' (McInnes et al., arXiv:1802.03426), of the k nearest systems, itself one of them, as
    umap-learn counts; how far apart its groups lie means little. max_systems: of more, so many, by `seed`, the same for
    every model.
    """
    name, source = find_dataset(connection, dataset), find_source(connection, model)
    layout = Layout.of(method, k, normalization, seed)
    most = at_least_one("max_systems", max_systems, default=MOST)
    chosen = {"model": source.model_id, "representation": source.representation, "dataset": name}
    table = connection.execute(
        VECTORS, chosen | {"seed": layout.seed, "most": most}
    ).to_arrow_table()
    known = {"model_id": source.label, "dataset": name, **layout.columns(), "n": table.num_rows}
    try:
        if not table.num_rows:
            raise Undefined(f"no vectors of {source.label} on {name}")
        plane, explained = layout.draw(
            column_to_table(table.column("vector"), source.label), source.label
        )
    except Undefined as undefined:
        return [known | dict.fromkeys(DRAWN) | {"reason": str(undefined)}]
    shares = dict(zip(("explained_x", "explained_y"), explained, strict=True))
    places = zip(table.column("system_id").to_pylist(), plane.tolist(), strict=True)
    return [
        known | shares | {"system_id": system, "x": x, "y": y, "reason": None}
        for system, (x, y) in places
    ]


@dataclass(frozen=True)
class Layout:
    """How to draw. k: None where the method has no neighbors."""

    method: str
    k: int | None
    normalization: str
    seed: int

    @classmethod
    def of(
        cls, method: str | None, k: int | None, normalization: str | None, seed: int | None
    ) -> Layout:
        """From SQL's arguments, where NULL means the default. Raises ValueError on what makes no sense."""
        method, normalization = method or METHODS[0], normalization or NORMALIZATIONS[0]
        if method not in METHODS:
            raise ValueError(unknown_name("method", method, METHODS))
        if normalization not in NORMALIZATIONS:
            raise ValueError(unknown_name("normalization", normalization, NORMALIZATIONS))
        if method == "pca" and k is not None:
            raise ValueError(f"'pca' has no neighbors, but k = {k} was asked for: leave it out")
        if k is not None and k < LEAST_K:
            raise ValueError(
                f"k = {k}, expected at least {LEAST_K}: a system is the first of its own neighbors"
            )
        return cls(method, (k or K) if method == "umap" else None, normalization, seed or 0)

    def columns(self) -> Row:
        return {"method": self.method, "normalization": self.normalization, "k": self.k}

    def draw(self, vectors: Vectors, name: str) -> tuple[Floats, Explained]:
        """Two coordinates a row, (n, 2), and their parts of the variance. vectors: (n, d). Raises Undefined."""
        least = LEAST_SYSTEMS if self.k is None else max(LEAST_SYSTEMS, self.k) + 1
        if len(vectors) < least:
            raise Undefined(
                f"n = {len(vectors)}, but a map by '{self.method}' needs {least} systems"
            )
        x = normalize(vectors, self.normalization, name).numpy()
        return (
            principal_plane(x)
            if self.k is None
            else (umap_plane(x, self.k, self.seed), (None, None))
        )


def principal_plane(x: Floats) -> tuple[Floats, Explained]:
    """Scores on the two directions of largest variance, (n, 2), and their parts of all variance. x: (n, d), n ≥ 2.

    By eigenvectors of the smaller of covariance and Gram matrix. The largest value of each coordinate, the first where
    several are as large, is positive, so that neither the machine nor a rotation of the vectors turns the map over.
    """
    from scipy.linalg import (
        eigh,  # takes a while to import, which other questions need not wait for
    )

    centered = x - x.mean(axis=0)
    wide = x.shape[1] > x.shape[0]
    products = centered @ centered.T if wide else centered.T @ centered
    last = len(products) - 1
    values, directions = eigh(products, subset_by_index=[max(0, last - 1), last])
    values, directions = np.clip(values[::-1], 0.0, None), directions[:, ::-1]
    scores = directions * np.sqrt(values) if wide else centered @ directions
    missing = 2 - values.size  # vectors of one dimension
    scores, shares = (
        np.pad(scores, ((0, 0), (0, missing))),
        np.pad(values / np.trace(products), (0, missing)),
    )
    sizes = np.abs(scores)
    first = np.argmax(sizes >= sizes.max(axis=0) * (1 - TIE), axis=0)
    plane = np.where(scores[first, [0, 1]] < 0, -scores, scores)
    return plane, (float(shares[0]), float(shares[1]))


def umap_plane(x: Floats, k: int, seed: int) -> Floats:
    """UMAP of the exact k nearest rows by distance, a row the first of its own, (n, 2). x: (n, d), n > k.

    It starts from the principal plane, so that groups lie where they do in it (Kobak and Linderman, Nat. Biotechnol.
    39, 156 (2021)); umap-learn's own start is random where the graph falls apart.
    """
    lists = nearest(torch.from_numpy(x), k - 1, "euclidean", dtype=tile_dtype(len(x)))
    own = np.arange(len(x))[:, None]
    index = np.concatenate([own, lists.index], axis=1)
    distances = np.sqrt(
        np.concatenate([np.zeros(own.shape), np.clip(lists.value, 0.0, None)], axis=1)
    )
    with warnings.catch_warnings():
        # It warns of what is no matter here: no TensorFlow, no way to add systems later, several groups.
        warnings.simplefilter("ignore")
        from umap import UMAP  # takes seconds to import and to compile

        known = (index, distances.astype(np.float32), None)
        layout = UMAP(
            n_neighbors=k, init=_start(x, seed), random_state=seed, n_jobs=1, precomputed_knn=known
        )
        drawn = layout.fit_transform(x)
    plane: Floats = drawn.astype(np.float64)
    return plane


def _start(x: Floats, seed: int) -> Floats:
    """The principal plane; a direction without variance, which UMAP would scale up all the same, at random."""
    plane, shares = principal_plane(x)
    flat = np.array(shares, dtype=np.float64) < FLAT
    plane[:, flat] = np.random.default_rng(seed).normal(size=plane.shape)[:, flat]
    return plane
