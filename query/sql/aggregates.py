"""What the aggregates compute: Arrow lists in, one value per group out, NULL if it is undefined.

Values are in the precision of the rows: FLOAT[] as float32, DOUBLE[] and all other numbers as
float64.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from query.metrics import METRICS, Undefined, align, measure
from query.reading.vectors import NO_VECTORS, cut_into_rows
from query.sql.progress import Progress
from query.tables.shared.numbers import read_whole

Table = NDArray[np.float32] | NDArray[np.float64]

_HEAD = 16  # elements that distinguish most rows, at a small part of the cost of all


def pack(vectors: pa.ChunkedArray) -> pa.Array:
    """Return each vector as the bytes of its numbers.

    DuckDB collects these in half the time that lists take.

    Args:
        vectors: Lists of float32 or float64.
    """
    whole = vectors.combine_chunks()
    values = whole.values.to_numpy(zero_copy_only=False)
    ends = pa.py_buffer(whole.offsets.to_numpy().astype(np.int64) * values.itemsize)
    return pa.Array.from_buffers(
        pa.large_binary(), len(whole), [whole.buffers()[0], ends, pa.py_buffer(values)]
    )


def unpack(packed: pa.BinaryArray | None, size: int | None, name: str) -> Table:
    """Return a group of packed vectors without a copy.

    Args:
        packed: The vectors, none of them NULL; None for no group.
        size: Bytes of a number: 4 for float32, 8 for float64.
        name: What the vectors are called in a message.

    Returns:
        (n, d).

    Raises:
        Undefined: If they differ in length.
    """
    if packed is None or not len(packed):
        return NO_VECTORS
    _, ends, values = packed.buffers()
    dtype = np.dtype(f"f{size}")
    ends = (
        np.frombuffer(ends, np.int32)[packed.offset : packed.offset + len(packed) + 1]
        // dtype.itemsize
    )
    return cut_into_rows(np.frombuffer(values, dtype, ends[-1]), ends, name)


def align_groups(
    left: pa.Array,
    left_size: pa.Array,
    right: pa.Array,
    right_size: pa.Array,
    metric: pa.Array,
    k: pa.Array,
    estimator: pa.Array,
    normalize: pa.Array,
    rows: pa.Array,
) -> pa.Array:
    """Return the alignment of each group's pairs of vectors.

    All options have passed `wrong_options`; one that is NULL is the default.

    Args:
        left: Lists of packed vectors, one list per group.
        left_size: Bytes of their numbers.
        right: Lists of the other vectors; the i-th of both lists is one system.
        right_size: Bytes of their numbers.
        metric: The metric.
        k: Neighbors per system, as text.
        estimator: The metric's estimator.
        normalize: How vectors are normalized.
        rows: How many systems are drawn for an estimate, as text.
    """

    def value(
        a: pa.Array | None,
        b: pa.Array | None,
        sizes: tuple[int | None, int | None],
        metric: str,
        k: str | None,
        estimator: str | None,
        normalize: str | None,
        rows: str | None,
    ) -> float | None:
        try:
            pair = _pair(a, b, sizes)
        except Undefined:
            pair = NO_VECTORS, NO_VECTORS
        how: dict[str, Any] = {"estimator": estimator, "normalize": normalize or "l2"}
        return align(*pair, metric, k=_whole("k", k), rows=_whole("rows", rows), **how).value

    options = (metric, k, estimator, normalize, rows)
    return _each(value, (left, right), (left_size, right_size), options)


def measure_groups(
    groups: pa.Array,
    size: pa.Array,
    name: pa.Array,
    k: pa.Array,
    method: pa.Array,
    normalize: pa.Array,
    rows: pa.Array,
) -> pa.Array:
    """Return a measure of each group's vectors.

    Args:
        groups: Lists of packed vectors, one list per group.
        size: Bytes of their numbers.
        name: The measure.
        k: Neighbors per system, as text.
        method: The measure's method.
        normalize: How vectors are normalized.
        rows: How many systems are drawn for an estimate, as text.
    """

    def value(
        group: pa.Array | None,
        sizes: tuple[int | None],
        name: str,
        k: str | None,
        method: str | None,
        normalize: str | None,
        rows: str | None,
    ) -> float | None:
        try:
            x = NO_VECTORS if group is None else unpack(group.drop_null(), *sizes, "a")
        except Undefined:
            x = NO_VECTORS
        ordered = x[canonical_order(x, x)]
        how: dict[str, Any] = {"method": method, "normalize": normalize or "none"}
        return measure(ordered, name, k=_whole("k", k), rows=_whole("rows", rows), **how).value

    return _each(value, (groups,), (size,), (name, k, method, normalize, rows))


def wrong_options(
    name: pa.Array, k: pa.Array, variant: pa.Array, normalize: pa.Array, rows: pa.Array
) -> pa.Array:
    """Return what is wrong with the options of a metric or a measure, NULL if nothing is.

    Args:
        name: The metric or measure.
        k: Neighbors per system, as text.
        variant: The estimator of a metric, or the method of a measure.
        normalize: How vectors are normalized.
        rows: How many systems are drawn for an estimate, as text.
    """

    def wrong(
        name: str, k: str | None, variant: str | None, normalize: str | None, rows: str | None
    ) -> str | None:
        none = NO_VECTORS
        try:
            whole: dict[str, Any] = {"k": _whole("k", k), "rows": _whole("rows", rows)}
            if name in METRICS:
                align(none, none, name, estimator=variant, normalize=normalize or "l2", **whole)
            else:
                measure(none, name, method=variant, normalize=normalize or "none", **whole)
        except ValueError as error:
            return str(error)
        return None

    columns = (column.to_pylist() for column in (name, k, variant, normalize, rows))
    given = list(zip(*columns, strict=True))
    found = {options: wrong(*options) for options in set(given)}
    return pa.array([found[options] for options in given], pa.string())


def canonical_order(a: Table, b: Table) -> NDArray[np.intp]:
    """Return an order of the rows that depends on what they hold alone.

    Threads deliver rows in any order. The canonical one is the same for (b, a), so that symmetric
    metrics stay so if there are ties, and the same for float64 numbers that float32 holds as for
    these in float32. Rows of equal content come in any order, which changes nothing.

    Args:
        a: (n, d_a).
        b: (n, d_b), row i of both one system.

    Returns:
        (n,), row numbers.
    """
    head = _hash_rows(a[:, :_HEAD]) + _hash_rows(b[:, :_HEAD])
    order = np.argsort(head)
    if (np.diff(head[order]) > 0).all():
        return order
    hashes = _hash_rows(a), _hash_rows(b)
    return np.lexsort((hashes[0], hashes[0] + hashes[1]))


def _pair(
    left: pa.Array | None, right: pa.Array | None, sizes: tuple[int | None, int | None]
) -> tuple[Table, Table]:
    """Return both sides of the rows that have both, in canonical order: (n, d_a) and (n, d_b).

    Raises Undefined if vectors of one side differ in length.
    """
    if left is None or right is None:
        return NO_VECTORS, NO_VECTORS
    if left.null_count or right.null_count:
        both = pc.and_(left.is_valid(), right.is_valid())
        left, right = left.filter(both), right.filter(both)
    a, b = unpack(left, sizes[0], "a"), unpack(right, sizes[1], "b")
    order = canonical_order(a, b)
    return a[order], b[order]


def _whole(name: str, given: str | None) -> int | None:
    return None if given is None else read_whole(name, given)


def _hash_rows(rows: Table) -> NDArray[np.uint64]:
    """Return 64 bits per row: a sum over its float32 bit patterns with odd random weights.

    What float32 leaves of float64 numbers is hashed, too.
    """
    if rows.dtype == np.float64:
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            near = rows.astype(np.float32)
            return _hash_bits(near) + _hash_bits(rows - near)
    return _hash_bits(rows)


def _hash_bits(rows: Table) -> NDArray[np.uint64]:
    bits = np.ascontiguousarray(rows).view(np.uint32)
    # Small integers end in many zero bits, and so would their products; the fold fills these and
    # loses nothing.
    folded = bits ^ (bits >> np.uint32(20))
    hashes: NDArray[np.uint64] = folded @ _weights(bits.shape[1])
    return hashes


@lru_cache(maxsize=64)
def _weights(count: int) -> NDArray[np.uint64]:
    """Return odd random numbers, always the same; many small groups ask for them."""
    random = np.random.default_rng(0).integers(2**63, size=count, dtype=np.uint64)
    odd: NDArray[np.uint64] = random * np.uint64(2) + np.uint64(1)
    return odd


def _each(
    value: Callable[..., float | None],
    groups: tuple[pa.Array, ...],
    sizes: tuple[pa.Array, ...],
    options: tuple[pa.Array, ...],
) -> pa.Array:
    """Return one value per group.

    `value` takes the lists as Arrow arrays (None for NULL), the sizes and options as Python values.
    """
    lists = zip(*([group.values for group in column] for column in groups), strict=True)
    widths = zip(*(column.to_pylist() for column in sizes), strict=True)
    settings = zip(*(option.to_pylist() for option in options), strict=True)
    count = len(groups[0])
    found = []
    with Progress(f"comparing groups, {count} at a time") as progress:
        progress.expect(count)
        for rows, size, setting in zip(lists, widths, settings, strict=True):
            found.append(value(*rows, size, *setting))
            progress.advance(1)
    return pa.array(found, pa.float64())
