"""Write the systems of a dataset to a file that other programs read, to be embedded elsewhere.

    .extxyz   systems with atoms: positions and cell as they are (Å), charge, spin; the id is `uid`,
              the one key that ASE leaves as text
    .csv      systems with a SMILES string: id, smiles
    .fasta    systems with a sequence: the id is the header
    .parquet  every system, with all that is known of it, its labels included; lengths in Å

Ids are those of the source, without the dataset's name. The order is the dataset's.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.share.export import refuse_target
from ingest.share.exported import ExportError
from ingest.systems.materialized import MaterializedDataset, check_materialized
from ingest.systems.sample import first_ids
from ingest.systems.tables import EXPORTED, ROW_GROUP
from zoo.encoder import SYMBOLS
from zoo.files import fsync, move_unless_exists

Row = dict[str, Any]
_LINE = 80  # letters of a sequence


def export_systems(dataset: MaterializedDataset, file: Path, limit: int | None = None) -> int:
    """Write a dataset to a file, whole or not at all.

    Args:
        dataset: The dataset, which lies on disk.
        file: The file, which must not exist; its suffix says the format.
        limit: How many systems; see `ingest.systems.sample`. None takes all.

    Returns:
        How many systems were written; the others lack what the format holds.

    Raises:
        ExportError: The file exists, its format is not known, or no system fits into it.
        Damaged: A file of the dataset is missing or damaged.
    """
    file = file.absolute()
    refuse_file(file)
    check_materialized(dataset)
    field, write = FORMATS[file.suffix.lower()]
    rows = _rows(dataset, limit, _labels(dataset) if field is None else iter(()))
    temporary = file.with_name(f".{file.name}.{os.getpid()}.new")
    try:
        count = write(temporary, rows if field is None else (r for r in rows if r[field]))
        if not count:
            raise ExportError(
                f"no system of {dataset.dataset} has {field}, which {file.suffix} holds; "
                f"expected one of {', '.join(_fitting(dataset))}"
            )
        fsync(temporary)
        if not move_unless_exists(temporary, file):
            raise ExportError(f"{file} exists now, and is not replaced; give another name")
    finally:
        temporary.unlink(missing_ok=True)
    return count


def refuse_file(file: Path) -> None:
    """Refuse a file that no systems can be written to, before a dataset is made for it.

    Args:
        file: The file to be written.

    Raises:
        ExportError: It exists, has no folder to lie in, or its format is not known.
    """
    if file.suffix.lower() not in FORMATS:
        raise ExportError(f"{file} is of no format known here; expected {', '.join(FORMATS)}")
    refuse_target(file)


def _labels(dataset: MaterializedDataset) -> Iterator[tuple[str, list[Row]]]:
    """Yield the labels of each system that has any, in the order of the systems."""
    with pq.ParquetFile(dataset.labels) as table:
        rows = (row for batch in table.iter_batches(ROW_GROUP) for row in batch.to_pylist())
        for system_id, group in groupby(rows, key=lambda row: str(row["system_id"])):
            yield system_id, list(group)


def _rows(
    dataset: MaterializedDataset, limit: int | None, labels: Iterator[tuple[str, list[Row]]]
) -> Iterator[Row]:
    """Yield the systems that are asked for, in the order of the file, with the source's ids."""
    prefix, labeled = f"{dataset.dataset}/", next(labels, None)
    with pq.ParquetFile(dataset.systems) as table:
        chosen = None
        if limit is not None:
            listed = (name for b in table.iter_batches(columns=["system_id"]) for name in b[0])
            chosen = set(first_ids((name.as_py().removeprefix(prefix) for name in listed), limit))
        for batch in table.iter_batches(ROW_GROUP):
            for row in batch.to_pylist():
                name, own = row["system_id"].removeprefix(prefix), None
                if labeled is not None and labeled[0] == row["system_id"]:
                    own, labeled = labeled[1], next(labels, None)
                if chosen is None or name in chosen:
                    yield {**row, "id": name, "labels": own}


def _fitting(dataset: MaterializedDataset) -> list[str]:
    """Return the formats that hold some of a dataset's systems."""
    with pq.ParquetFile(dataset.systems) as table:
        groups = range(table.metadata.num_row_groups)
        names = [field for field, _ in FORMATS.values() if field is not None]
        there = {
            name
            for name in names
            for group in groups
            if table.read_row_group(group, columns=[name])[name].null_count
            < table.metadata.row_group(group).num_rows
        }
    return [suffix for suffix, (field, _) in FORMATS.items() if field is None or field in there]


def _write_extxyz(path: Path, rows: Iterable[Row]) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(_frame(row))
            count += 1
    return count


def _frame(row: Row) -> str:
    """Return a frame whose numbers read back as the same float64."""
    words = ["Properties=species:S:1:pos:R:3", f"uid={_quoted(row['id'])}"]
    words += [f"{key}={row[key]}" for key in ("charge", "spin") if row[key] is not None]
    periodic = row["pbc"] or [False] * 3
    if any(periodic):
        lattice = " ".join(repr(x) for vector in row["cell"] for x in vector)
        words.append(f'Lattice="{lattice}"')
    words.append(f'pbc="{" ".join("FT"[along] for along in periodic)}"')
    atoms = [
        f"{SYMBOLS[number - 1]} {x!r} {y!r} {z!r}"
        for number, (x, y, z) in zip(row["numbers"], row["positions"], strict=True)
    ]
    return "\n".join([str(len(atoms)), " ".join(words), *atoms, ""])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _write_csv(path: Path, rows: Iterable[Row]) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["id", "smiles"])
        for row in rows:
            table.writerow([row["id"], row["smiles"]])
            count += 1
    return count


def _write_fasta(path: Path, rows: Iterable[Row]) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            if row["id"].split() != [row["id"]]:
                raise ExportError(
                    f"FASTA ends an id at its first blank, so that {row['id']!r} would be another; "
                    "export to .parquet"
                )
            sequence = row["sequence"]
            lines = [sequence[at : at + _LINE] for at in range(0, len(sequence), _LINE)]
            file.write("\n".join([f">{row['id']}", *lines, ""]))
            count += 1
    return count


def _write_parquet(path: Path, rows: Iterable[Row]) -> int:
    count, group = 0, list[Row]()
    with pq.ParquetWriter(path, EXPORTED, compression="zstd", write_page_checksum=True) as writer:
        for row in rows:
            group.append({name: row[name] for name in EXPORTED.names})
            count += 1
            if len(group) == ROW_GROUP:
                writer.write_table(pa.Table.from_pylist(group, EXPORTED))
                group = []
        writer.write_table(pa.Table.from_pylist(group, EXPORTED))
    return count


Write = Callable[[Path, Iterable[Row]], int]
# {suffix: (what a system must have, what writes the file)}
FORMATS: dict[str, tuple[str | None, Write]] = {
    ".extxyz": ("numbers", _write_extxyz),
    ".csv": ("smiles", _write_csv),
    ".fasta": ("sequence", _write_fasta),
    ".parquet": (None, _write_parquet),
}
