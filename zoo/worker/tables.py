"""The columns of the Parquet files that a worker reads (systems) and writes.

Shards are what a killed run continues from. When a run is done, they are merged into vector files
and one file of outcomes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from zoo.encoder import ENERGY, System

_ROWS = pa.list_(pa.list_(pa.float64()))
# One row per system; the columns are the fields of `zoo.encoder.System`.
SYSTEMS = pa.schema(
    [
        pa.field("system_id", pa.string(), nullable=False),
        pa.field("content_hash", pa.string(), nullable=False),
        pa.field("numbers", pa.list_(pa.int16())),
        pa.field("positions", _ROWS),
        pa.field("cell", _ROWS),
        pa.field("pbc", pa.list_(pa.bool_())),
        pa.field("charge", pa.int32()),
        pa.field("spin", pa.int32()),
        pa.field("smiles", pa.string()),
        pa.field("sequence", pa.string()),
        pa.field("backbone", pa.list_(_ROWS)),
    ]
)
# One row per system and representation; what a system lacks is null.
SHARD = pa.schema(
    [
        ("system_id", pa.string()),
        ("content_hash", pa.string()),
        ("representation", pa.string()),
        ("status", pa.string()),  # ok | failed | not_applicable
        ("reason", pa.string()),  # why there is no vector
        ("vector", pa.list_(pa.float32())),
        (ENERGY, pa.float64()),  # eV, of the whole system: the same in every representation
    ]
)
# How shards and outcomes are written: few distinct values are stored once, and a damaged page is
# noticed.
SHARD_OPTIONS = {
    "use_dictionary": ["representation", "status", "reason"],
    "write_page_checksum": True,
}
# One row per system and representation of a finished run: a shard's columns without the vector.
OUTCOMES = pa.schema([field for field in SHARD if field.name != "vector"])
OUTCOMES_OPTIONS = SHARD_OPTIONS | {"compression": "zstd"}
# One row per vector, in the order of system_id; every file holds one representation. Nothing is
# nullable, so that readers need not look for nulls: pyarrow reads it 1.3 times as fast.
VECTORS = pa.schema(
    [
        pa.field("system_id", pa.string(), nullable=False),
        pa.field("model_id", pa.string(), nullable=False),
        pa.field("representation", pa.string(), nullable=False),
        pa.field("content_hash", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field(
            "vector",
            pa.list_(pa.field("element", pa.float32(), nullable=False)),
            nullable=False,
        ),
    ]
)
# Byte-stream-split puts the exponents of all floats side by side, which is what compresses in them:
# 0.87 bytes are stored per byte of float32, where zstd alone stores 0.96.
VECTORS_OPTIONS = {
    "compression": "zstd",
    "compression_level": 1,
    "use_dictionary": ["model_id", "representation", "run_id"],
    "column_encoding": {"vector.list.element": "BYTE_STREAM_SPLIT"},
    "write_statistics": ["system_id", "model_id", "representation", "run_id"],
    "write_page_checksum": True,
}
# One row per node of a system, in the order of system_id and node. The rows of a system follow each
# other, so that its id and hash are stored once per page.
NODE_VECTORS = VECTORS.insert(1, pa.field("node", pa.int32(), nullable=False))
NODE_OPTIONS = VECTORS_OPTIONS | {
    "use_dictionary": ["system_id", "content_hash", "model_id", "representation", "run_id"],
    "write_statistics": ["system_id", "node", "model_id", "representation", "run_id"],
}


def to_system(batch: pa.RecordBatch, row: int) -> System:
    """Convert a row of a table of systems.

    Args:
        batch: Rows with the columns of SYSTEMS.
        row: The number of the row, from 0.

    Returns:
        The system, with arrays of the types that `System` documents.
    """
    cell = {name: batch.column(name)[row] for name in batch.schema.names}
    return System(
        system_id=cell["system_id"].as_py(),
        content_hash=cell["content_hash"].as_py(),
        numbers=_to_array(cell["numbers"], np.int64, (-1,)),
        positions=_to_array(cell["positions"], np.float64, (-1, 3)),
        cell=_to_array(cell["cell"], np.float64, (3, 3)),
        pbc=_to_array(cell["pbc"], np.bool_, (3,)),
        backbone=_to_array(cell["backbone"], np.float64, (-1, 4, 3)),
        **{name: cell[name].as_py() for name in ("charge", "spin", "smiles", "sequence")},
    )


def _to_array(scalar: pa.Scalar, dtype: type[Any], shape: tuple[int, ...]) -> np.ndarray | None:
    """Return a nested list as one array, without making a Python object of each number."""
    if not scalar.is_valid:
        return None
    values = scalar.values
    while pa.types.is_list(values.type):
        values = values.flatten()
    array: np.ndarray = values.to_numpy(zero_copy_only=False)
    return array.astype(dtype).reshape(shape)
