"""Mutated files of 18 formats: none may be a traceback, or take more than 1 GB or 20 s.

    python -m tests.ingest.readers.fuzz --files 2600 --seed 12

Each file is read, and its entries become rows, as in `matterzoo ingest`. A file may be refused,
wholly or in part. An exception other than DatasetError is wrong, and so is a reason that names an
exception of our own code (`guard.OUR_FAULT`). The current file lies in `--folder`, so that a file
that ends the process can be found there.
"""

from __future__ import annotations

import argparse
import gzip
import random
import re
import shutil
import sqlite3
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ase.build import bulk, molecule

from ingest.readers.shared.guard import OUR_FAULT
from ingest.sources.shared.discovery import find_dataset
from ingest.systems.entry import DatasetError, Entry, Unreadable
from ingest.systems.tables import EXPORTED
from ingest.systems.validation import validate
from tests.ingest.aselmdb import edited, plain
from zoo.encoder import content_hash
from zoo.worker.tables import SYSTEMS

INPUTS = Path(__file__).parent / "inputs"
KINDS = {  # format: suffix, and which of the inputs are mutated
    "extxyz": (".extxyz", "*.extxyz"),
    "xyz": (".xyz", "*.xyz"),
    "cif": (".cif", "c*.cif"),
    "mmcif": (".cif", "m*.cif"),
    "pdb": (".pdb", "*.pdb"),
    "poscar": (".vasp", "*.vasp"),
    "sdf": (".sdf", "*.sdf"),
    "mol": (".mol", "d0*.sdf"),
    "csv": (".csv", "s[0-9]*.csv"),
    "tsv": (".tsv", "*.tsv"),
    "fasta": (".fasta", "*.fasta"),
    "db": (".db", "k*.db"),
    "aselmdb": (".aselmdb", "*.aselmdb"),
    "json": (".json", "*.json"),
    "traj": (".traj", "*.traj"),
    "smi": (".smi", "*.smi"),
    "gz": (".xyz.gz", "*xyz.gz"),
    "parquet": (".parquet", ""),
}
MOST_BYTES = 2**30  # of memory beyond what the process had before
MOST_SECONDS = 20.0
LARGEST = 20_000  # bytes of an input; the long SMILES has more
HOSTILE = [
    b"nan",
    b"inf",
    b"-1",
    b"0",
    b"1e999",
    b"1e-320",
    b"9" * 30,
    b"100000000",
    b"4294967296",
    b"0x10",
    b"?",
    b".",
]
HOSTILE += [
    b"pos:R:100000000",
    b"\x00",
    b"\xe9",
    b"\xff\xfe",
    b'"',
    b"'",
    b";",
    b"\n;\n",
    b"\r",
    b"\t",
    b"{",
    b"[" * 999,
]
HOSTILE += [
    b"data_",
    b"loop_",
    b"_atom_site.id",
    b"$$$$",
    b"M  END",
    b"M  CHG  1   1   9",
    b">",
    b"D",
    b"Xx",
    b"C" * 9000,
]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--files", type=int, default=260)
    arguments.add_argument("--seed", type=int, default=12)
    arguments.add_argument("--folder", type=Path)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return fuzz(options.files, random.Random(options.seed), options.folder or Path(folder))


def fuzz(files: int, draw: random.Random, folder: Path) -> int:
    """Mutate and read so many files. Returns how many went wrong."""
    seeds = {kind: list(contents(kind, folder)) for kind in KINDS}
    counts, seconds, worst = Counter[str](), Counter[str](), (0.0, 0.0)
    for number in range(files):
        kind = list(KINDS)[number % len(KINDS)]
        path = folder / f"fuzz-{number}{KINDS[kind][0]}"
        mutated(kind, seeds[kind], path, draw)
        before, started = peak(), time.monotonic()
        outcome = read(path)
        used, took = peak() - before, time.monotonic() - started
        if used > MOST_BYTES or took > MOST_SECONDS:
            outcome = f"too much: {used / 2**20:.0f} MB, {took:.1f} s"
        worst = max(worst[0], used), max(worst[1], took)
        seconds[kind] += took
        counts[outcome if outcome in ("accepted", "in part", "refused") else "wrong"] += 1
        if outcome not in ("accepted", "in part", "refused"):
            kept = Path(tempfile.gettempdir()) / path.name
            shutil.copy(path, kept)
            print(f"{kept}: {outcome}", flush=True)
        path.unlink()
    print(
        f"{files} files: {dict(counts)}; "
        f"at most {worst[0] / 2**20:.0f} MB more and {worst[1]:.2f} s",
        flush=True,
    )
    print(
        "seconds by format:",
        ", ".join(f"{kind} {spent:.1f}" for kind, spent in seconds.most_common()),
    )
    return counts["wrong"]


def contents(kind: str, folder: Path) -> Iterator[bytes]:
    """What files of a format are mutated."""
    if kind == "aselmdb":
        path = plain(
            folder / "seed.aselmdb",
            [bulk("Cu"), molecule("H2O"), molecule("C6H6"), bulk("NaCl", "rocksalt", 5)],
        )
        yield path.read_bytes()
        return
    if kind == "parquet":
        crystal, water = bulk("NaCl", "rocksalt", 5), molecule("H2O")
        rows = [
            {"id": "x", "numbers": crystal.numbers, "positions": crystal.positions},
            {"id": "w", "numbers": water.numbers, "positions": water.positions, "smiles": "O"},
        ]
        rows[0] |= {"cell": crystal.cell[:], "pbc": [True] * 3, "sequence": "MKV"}
        plain_rows = [
            {key: x.tolist() if isinstance(x, np.ndarray) else x for key, x in row.items()}
            for row in rows
        ]
        pq.write_table(pa.Table.from_pylist(plain_rows, EXPORTED), folder / "seed.parquet")
        yield (folder / "seed.parquet").read_bytes()
        return
    for path in sorted(INPUTS.glob(KINDS[kind][1])):
        if path.stat().st_size < LARGEST or kind == "db":
            yield path.read_bytes()


def mutated(kind: str, seeds: list[bytes], path: Path, draw: random.Random) -> None:
    """Write a file: one of the seeds, or two after each other, with one to three changes."""
    content = draw.choice(seeds)
    if kind in ROWS and draw.random() < 0.7:  # else next to none gets to its rows
        path.write_bytes(content)
        ROWS[kind](path, draw)
        return
    if kind not in ROWS and draw.random() < 0.3:
        content += draw.choice(seeds)
    for _ in range(draw.randint(1, 3)):
        content = draw.choice(CHANGES)(content, draw) or b"\n"
    path.write_bytes(content)


def change_rows_of_db(path: Path, draw: random.Random) -> None:
    """Put something else into columns of rows of an ASE database."""
    with closing(sqlite3.connect(path)) as database:
        columns = [name for _, name, *_ in database.execute("PRAGMA table_info(systems)")]
        for _ in range(draw.randint(1, 3) if columns else 0):
            column = draw.choice(columns[3:])
            (old,) = database.execute(f"SELECT {column} FROM systems").fetchone() or (None,)
            new = draw.choice(
                [None, 1e308, -1, 2**62, "nan", b"\x00" * 7, *([changed(old, draw)] if old else [])]
            )
            database.execute(f"UPDATE OR IGNORE systems SET {column} = ? WHERE id = 1", (new,))
        database.commit()


def changed(value: object, draw: random.Random) -> object:
    """A blob or a text with one change, a number of the other sign."""
    if isinstance(value, bytes):
        return draw.choice(CHANGES)(value, draw)
    if isinstance(value, str):
        return draw.choice(CHANGES)(value.encode(), draw).decode(errors="replace")
    return -float(str(value))


def change_rows_of_aselmdb(path: Path, draw: random.Random) -> None:
    """Change the JSON of a row."""

    def change(raw: bytes) -> bytes:
        return zlib.compress(
            draw.choice([flip, insert, word, word, drop])(zlib.decompress(raw), draw)
        )

    edited(path, {draw.randint(1, 4): change})


def change_content_of_gz(path: Path, draw: random.Random) -> None:
    """Change what was compressed."""
    with suppress(OSError, EOFError):  # some of the inputs cannot be unpacked
        content = gzip.decompress(path.read_bytes())
        path.write_bytes(gzip.compress(draw.choice(CHANGES)(content, draw)))


def change_rows_of_parquet(path: Path, draw: random.Random) -> None:
    """Put something else into a column, of whatever type."""
    table = pq.read_table(path)
    place = draw.randrange(table.num_columns)
    name = table.column_names[place]
    new = draw.choice(
        [
            pa.nulls(2),
            pa.array([1e308, float("nan")]),
            pa.array([-1, 2**62]),
            pa.array(["nan", "\x00" * 7]),
            pa.array([b"\xff", b""]),
            pa.array([[[1.0], [2.0, 3.0]], []]),
            pa.array([[2**40, -3, None], [0]]),
            pa.array([{"value": "x"}, None]),
            pa.array([[{"property": "p", "value": float("inf")}], None]),
        ]
    )
    pq.write_table(table.set_column(place, name, new), path)


ROWS = {
    "db": change_rows_of_db,
    "aselmdb": change_rows_of_aselmdb,
    "gz": change_content_of_gz,
    "parquet": change_rows_of_parquet,
}


def flip(content: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(content))
    return (
        content[:place] + bytes([content[place] ^ (1 << draw.randrange(8))]) + content[place + 1 :]
    )


def cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randint(len(content) // 2, len(content))]


def drop(content: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(content))
    return content[:start] + content[start + draw.randint(1, 40) :]


def insert(content: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(content))
    return content[:place] + draw.choice(HOSTILE) + content[place:]


def word(content: bytes, draw: random.Random) -> bytes:
    """Another word in the place of one."""
    words = list(re.finditer(rb"[^\s,=\"]+", content))
    if not words:
        return content
    found = draw.choice(words)
    return content[: found.start()] + draw.choice(HOSTILE) + content[found.end() :]


def repeat(content: bytes, draw: random.Random) -> bytes:
    """A line again, seldom very often."""
    lines = content.splitlines(keepends=True)
    place = draw.randrange(len(lines)) if lines else 0
    return b"".join(
        [
            *lines[:place],
            *lines[place : place + 1] * draw.choice([2, 2, 2, 2, 300]),
            *lines[place + 1 :],
        ]
    )


def swap(content: bytes, draw: random.Random) -> bytes:
    """Two lines in each other's place."""
    lines = content.splitlines(keepends=True)
    if lines:
        one, other = draw.randrange(len(lines)), draw.randrange(len(lines))
        lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


CHANGES: list[Callable[[bytes, random.Random], bytes]] = [
    flip,
    cut,
    drop,
    insert,
    insert,
    word,
    word,
    word,
    repeat,
    swap,
]


def read(path: Path) -> str:
    """'accepted', 'in part', 'refused', or what is wrong."""
    reasons, good = list[str](), 0
    try:
        for item in find_dataset(str(path)).entries():
            found = validate(item) if isinstance(item, Entry) else item
            if isinstance(found, Unreadable):
                reasons.append(found.reason)
            elif isinstance(found, Entry):
                store(found)
                good += 1
    except DatasetError as error:
        reasons.append(str(error))
    except BaseException:
        return traceback.format_exc()
    wrong = next((reason for reason in reasons if OUR_FAULT in reason), None)
    return wrong or ("refused" if not good else "in part" if reasons else "accepted")


def store(entry: Entry) -> None:
    """What becomes of an entry: a row of systems.parquet, with its hash and labels."""
    fields = {name: getattr(entry, name) for name in SYSTEMS.names[2:]}
    row = {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in fields.items()
    }
    pa.Table.from_pylist(
        [{"system_id": entry.source_id, "content_hash": content_hash(entry), **row}], SYSTEMS
    )
    assert all(np.isfinite(label.value) for label in entry.labels)


def peak() -> float:
    """Return the peak memory since the last call in bytes (Linux; elsewhere 0)."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return 0.0
    return 1024.0 * int(found[1]) if found else 0.0


if __name__ == "__main__":
    sys.exit(main() and 1)
