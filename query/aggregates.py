"""What the aggregates compute: Arrow lists in, one value a group out, NULL where the value is undefined."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from query.metrics import Undefined, align
from query.metrics.intrinsic_dimension import intrinsic_dimension
from query.vectors import NOTHING, Vectors, dense


def align_groups(groups: pa.Array, metric: pa.Array, k: pa.Array, estimator: pa.Array, normalize: pa.Array) -> pa.Array:
    """The alignment of each group's pairs of vectors.

    groups: list of struct(a, b) of lists of float32. An option that is NULL is the default.
    Raises ValueError on options that make no sense, even for a group without rows.
    """

    def value(
        pairs: pa.Array, metric: str, k: int | None, estimator: str | None, normalize: str | None
    ) -> float | None:
        try:
            a, b = paired(pairs)
        except Undefined:
            a = b = NOTHING
        k = 25 if k is None else k
        return align(a, b, metric, k=k, estimator=estimator, normalize=normalize or "l2").value

    return _each(value, groups, metric, k, estimator, normalize)


def dimension_groups(groups: pa.Array, method: pa.Array, k: pa.Array, normalize: pa.Array) -> pa.Array:
    """The intrinsic dimension of each group's vectors. groups: list of lists of float32."""

    def value(rows: pa.Array, method: str | None, k: int | None, normalize: str | None) -> float | None:
        k = 50 if k is None else k
        try:
            x = NOTHING if rows is None else dense(rows.drop_null(), "a")
        except Undefined:
            x = NOTHING
        try:
            return intrinsic_dimension(x, method or "mle", k=k, normalize=normalize or "none")
        except Undefined:
            return None

    return _each(value, groups, method, k, normalize)


def paired(pairs: pa.StructArray | None) -> tuple[Vectors, Vectors]:
    """Both sides of the rows that have both, in canonical order: (n, d_a) and (n, d_b). Raises Undefined if ragged."""
    if pairs is None:
        return NOTHING, NOTHING
    left, right = pairs.field("a"), pairs.field("b")
    if left.null_count or right.null_count:
        both = pc.and_(left.is_valid(), right.is_valid())
        left, right = left.filter(both), right.filter(both)
    a, b = dense(left, "a"), dense(right, "b")
    order = canonical_order(a, b)
    return a[order], b[order]


def canonical_order(a: Vectors, b: Vectors) -> NDArray[np.intp]:
    """An order of the rows that depends on what they hold alone, since threads deliver them in any.

    a: (n, d_a), b: (n, d_b), row i of both one system. It is the same for (b, a), so that symmetric metrics stay so
    where there are ties. Rows of equal content come in any order, which changes nothing.
    """
    hashes = _hash_rows(a), _hash_rows(b)
    return np.lexsort((hashes[0], hashes[0] + hashes[1]))


def _hash_rows(rows: Vectors) -> NDArray[np.uint64]:
    """64 bits a row: a sum over its float32 bit patterns with odd random weights."""
    bits = np.ascontiguousarray(rows).view(np.uint32)
    # Small integers end in many zero bits, and so would their products; the fold fills these and loses nothing.
    folded = bits ^ (bits >> np.uint32(20))
    random = np.random.default_rng(0).integers(2**63, size=rows.shape[1], dtype=np.uint64)
    hashes: NDArray[np.uint64] = folded @ (random * np.uint64(2) + np.uint64(1))
    return hashes


def _each(value: Callable[..., float | None], groups: pa.Array, *options: pa.Array) -> pa.Array:
    settings = zip(*(option.to_pylist() for option in options), strict=True)
    return pa.array([value(group.values, *how) for group, how in zip(groups, settings, strict=True)], pa.float64())
