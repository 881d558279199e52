"""system_map(model, …): a map of the systems as one model sees them."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import duckdb
import pyarrow as pa

from query.engine.normalization import normalize as scale
from query.engine.suggestions import unknown_name
from query.metrics import NORMALIZATIONS, Undefined
from query.reading.kept.finds import keep
from query.reading.selection import Selection, find_dataset, find_source
from query.reading.vectors import StoredVectors, Vectors, column_to_table, refuse_damaged
from query.tables.shared.declare import Parameter, TableFunction
from query.tables.shared.parameters import MODEL, ONE_DATASET, SEED
from query.tables.shared.planes import Explained, Plane, principal_plane, umap_plane

# Of too many systems those are taken that come first by a hash of their name, the same for every
# model.
_VECTORS = """
    SELECT system_id, vector FROM (
        FROM embeddings
        WHERE model_id = $model AND representation = $representation
        AND starts_with(system_id, $dataset || '/')
        ORDER BY sha256(system_id || '#' || $seed::VARCHAR), content_hash LIMIT $most
    ) ORDER BY system_id
"""
_METHODS = ("pca", "umap")
_K = 15  # neighbors, as umap-learn takes
MOST = 15_000  # systems, as in Edamadaka et al. (arXiv 2512.03750), figure 2
_LEAST_SYSTEMS = 3  # two are a line
_KEPT = 32  # maps, for the same ones in other colors
_LEAST_K = 2  # a system is the first of its own neighbors


@dataclass(frozen=True)
class Row:
    """A system on the map, or why there is no map."""

    system_id: Annotated[str | None, "the system"]
    x: Annotated[float | None, "first coordinate"]
    y: Annotated[float | None, "second coordinate"]
    explained_x: Annotated[float | None, "the part of all variance along x, of 'pca'"]
    explained_y: Annotated[float | None, "the part of all variance along y, of 'pca'"]
    n: Annotated[int, "systems on the map"]
    model_id: Annotated[str, "the model"]
    dataset: Annotated[str, "the dataset"]
    method: Annotated[str, "how the map was drawn"]
    normalization: Annotated[str, "how vectors were normalized"]
    k: Annotated[int | None, "neighbors per system, itself the first, of 'umap'"]
    reason: Annotated[str | None, "why there is no map"]


def system_map(
    connection: duckdb.DuckDBPyConnection,
    model: str,
    dataset: str | None = None,
    method: str = "pca",
    k: int | None = None,
    max_systems: int = MOST,
    normalize: str = "l2",
    seed: int = 0,
) -> Sequence[Row]:
    """Draw the systems in a plane.

    Args:
        connection: A connection to a store.
        model: The model, or model#representation.
        dataset: The dataset.
        method: 'pca', the two directions of largest variance; or 'umap' (McInnes et al.,
            arXiv 1802.03426), in which distances between groups mean little.
        k: Nearest systems that UMAP starts from, a system the first of its own; None is 15.
        max_systems: Of more systems, so many are drawn at random.
        normalize: How vectors are normalized.
        seed: The seed of what is drawn at random.

    Returns:
        One row per system, in order of system_id; if there is no map, one row with the reason.

    Raises:
        ValueError: If the store has no such model or dataset, or an option makes no sense.
    """
    name, source = find_dataset(connection, dataset), find_source(connection, model)
    refuse_damaged(connection, [source], name)
    layout = _Layout.of(method, k, normalize, seed)
    chosen: dict[str, Any] = {
        "model": source.model_id,
        "representation": source.representation,
        "dataset": name,
        "seed": seed,
        "most": max_systems,
    }
    fingerprint = StoredVectors(connection, Selection(name)).fingerprint(source)

    def find() -> pa.Table:
        return connection.execute(_VECTORS, chosen).to_arrow_table()

    key = "map", fingerprint, name, seed, max_systems
    table = find() if fingerprint is None else keep(key, find, lambda found: int(found.nbytes))
    known = {"model_id": source.label, "dataset": name, **layout.columns(), "n": table.num_rows}
    try:
        if not table.num_rows:
            raise Undefined(f"no vectors of {source.label} on {name}")
        plane, explained = layout.draw(
            column_to_table(table.column("vector"), source.label), source.label
        )
    except Undefined as undefined:
        return [Row(None, None, None, None, None, reason=str(undefined), **known)]
    return [
        Row(system, x, y, *explained, reason=None, **known)
        for system, (x, y) in zip(
            table.column("system_id").to_pylist(), plane.tolist(), strict=True
        )
    ]


@dataclass(frozen=True)
class _Layout:
    """How to draw. k: None if the method has no neighbors."""

    method: str
    k: int | None
    normalization: str
    seed: int

    @classmethod
    def of(cls, method: str, k: int | None, normalization: str, seed: int) -> _Layout:
        """Return a layout. Raises ValueError if an option makes no sense."""
        if method not in _METHODS:
            raise ValueError(unknown_name("method", method, _METHODS))
        if normalization not in NORMALIZATIONS:
            raise ValueError(unknown_name("normalization", normalization, NORMALIZATIONS))
        if method == "pca" and k is not None:
            raise ValueError(f"'pca' has no neighbors, but k = {k} was asked for: leave it out")
        if k is not None and k < _LEAST_K:
            raise ValueError(
                f"k = {k}, expected at least {_LEAST_K}: a system is the first of its own neighbors"
            )
        return cls(method, (k or _K) if method == "umap" else None, normalization, seed)

    def columns(self) -> dict[str, Any]:
        """Return the columns that say how the map was drawn."""
        return {"method": self.method, "normalization": self.normalization, "k": self.k}

    def draw(self, vectors: Vectors, name: str) -> tuple[Plane, Explained]:
        """Return two coordinates per row, (n, 2), and their parts of the variance.

        vectors: (n, d). Raises Undefined if they are too few.
        """
        least = _LEAST_SYSTEMS if self.k is None else max(_LEAST_SYSTEMS, self.k) + 1
        if len(vectors) < least:
            raise Undefined(
                f"n = {len(vectors)}, but a map by '{self.method}' needs {least} systems"
            )
        key = self, hashlib.blake2b(vectors.tobytes()).digest(), vectors.shape
        drawn = _drawn.pop(key, None)
        if drawn is None:
            x = scale(vectors, self.normalization, name).numpy()
            drawn = (
                principal_plane(x)
                if self.k is None
                else (umap_plane(x, self.k, self.seed), (None, None))
            )
        _drawn[key] = drawn  # at the end, so that the first is the one asked for longest ago
        if len(_drawn) > _KEPT:
            _drawn.popitem(last=False)
        return drawn


# What was drawn, by layout and vectors.
_drawn: OrderedDict[tuple[_Layout, bytes, tuple[int, ...]], tuple[Plane, Explained]] = OrderedDict()

TABLE_FUNCTION = TableFunction(
    "A map of the systems as a model sees them: two coordinates each, by principal components or "
    "method := 'umap'",
    Row,
    (
        MODEL,
        ONE_DATASET,
        Parameter("method", "VARCHAR", "pca", "'pca' or 'umap'"),
        Parameter("k", "BIGINT", None, "neighbors that UMAP starts from; NULL is 15"),
        Parameter("max_systems", "BIGINT", MOST, "of more systems, so many at random", least=1),
        Parameter("normalize", "VARCHAR", "l2", "how vectors are normalized"),
        SEED,
    ),
    system_map,
)
