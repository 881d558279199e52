"""What the aggregates compute: Arrow lists in, one value a group out, NULL where the value is undefined."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from query.metrics import Undefined, align, measure
from query.vectors import NOTHING, Vectors, table

BYTES = 4  # of a float32
HEAD = 16  # elements that tell most rows apart, at a small part of the cost of all


def pack(vectors: pa.ChunkedArray) -> pa.Array:
    """Each vector as the bytes of its float32 values: DuckDB collects these in half the time that lists take."""
    whole = vectors.combine_chunks()
    ends = pa.py_buffer(whole.offsets.to_numpy().astype(np.int64) * BYTES)
    values = pa.py_buffer(whole.values.to_numpy(zero_copy_only=False))
    return pa.Array.from_buffers(pa.large_binary(), len(whole), [whole.buffers()[0], ends, values])


def unpack(packed: pa.BinaryArray | None, name: str) -> Vectors:
    """A group of packed vectors without NULLs as (n, d), without a copy. Raises Undefined if they differ in length."""
    if packed is None or not len(packed):
        return NOTHING
    _, ends, values = packed.buffers()
    ends = np.frombuffer(ends, np.int32)[packed.offset : packed.offset + len(packed) + 1] // BYTES
    return table(np.frombuffer(values, np.float32), ends, name)


def align_groups(
    left: pa.Array, right: pa.Array, metric: pa.Array, k: pa.Array, estimator: pa.Array, normalize: pa.Array
) -> pa.Array:
    """The alignment of each group's pairs of vectors.

    left, right: lists of packed vectors, in each the i-th of both one system. An option that is NULL is the default.
    Raises ValueError on options that make no sense, even for a group without rows.
    """

    def value(
        a: pa.Array | None, b: pa.Array | None, metric: str, k: int | None, estimator: str | None, normalize: str | None
    ) -> float | None:
        try:
            pair = paired(a, b)
        except Undefined:
            pair = NOTHING, NOTHING
        return align(*pair, metric, k=k, estimator=estimator, normalize=normalize or "l2").value

    return _each(value, (left, right), (metric, k, estimator, normalize))


def measure_groups(groups: pa.Array, name: pa.Array, method: pa.Array, k: pa.Array, normalize: pa.Array) -> pa.Array:
    """A measure of each group's vectors. groups: lists of packed vectors. An option that is NULL is the default."""

    def value(
        rows: pa.Array | None, name: str, method: str | None, k: int | None, normalize: str | None
    ) -> float | None:
        try:
            x = NOTHING if rows is None else unpack(rows.drop_null(), "a")
        except Undefined:
            x = NOTHING
        ordered = x[canonical_order(x, x)]
        return measure(ordered, name, method=method, k=k, normalize=normalize or "none").value

    return _each(value, (groups,), (name, method, k, normalize))


def paired(left: pa.Array | None, right: pa.Array | None) -> tuple[Vectors, Vectors]:
    """Both sides of the rows that have both, in canonical order: (n, d_a) and (n, d_b). Raises Undefined if ragged."""
    if left is None or right is None:
        return NOTHING, NOTHING
    if left.null_count or right.null_count:
        both = pc.and_(left.is_valid(), right.is_valid())
        left, right = left.filter(both), right.filter(both)
    a, b = unpack(left, "a"), unpack(right, "b")
    order = canonical_order(a, b)
    return a[order], b[order]


def canonical_order(a: Vectors, b: Vectors) -> NDArray[np.intp]:
    """An order of the rows that depends on what they hold alone, since threads deliver them in any.

    a: (n, d_a), b: (n, d_b), row i of both one system. It is the same for (b, a), so that symmetric metrics stay so
    where there are ties. Rows of equal content come in any order, which changes nothing.
    """
    head = _hash_rows(a[:, :HEAD]) + _hash_rows(b[:, :HEAD])
    if len(np.unique(head)) == len(head):
        return np.argsort(head)
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


def _each(value: Callable[..., float | None], groups: tuple[pa.Array, ...], options: tuple[pa.Array, ...]) -> pa.Array:
    """One value a group: the lists as Arrow arrays (None for NULL), the options as Python values."""
    lists = zip(*([group.values for group in column] for column in groups), strict=True)
    settings = zip(*(option.to_pylist() for option in options), strict=True)
    return pa.array([value(*rows, *how) for rows, how in zip(lists, settings, strict=True)], pa.float64())
