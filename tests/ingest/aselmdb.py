"""Small databases and archives as FAIR chemistry publishes them.

They are written by ase-db-backends, as OMol25's are, or as earlier versions of fairchem wrote those
of OMat24 and sAlex, with plain lists instead of arrays.
"""

from __future__ import annotations

import io
import json
import tarfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ase.db
import lmdb
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

Write = Callable[[Path, Sequence[Atoms]], Path]


def crystals(count: int, seed: int = 0) -> list[Atoms]:
    """Rattled cells of 2 to 5 atoms with energy, forces and stress."""
    random = np.random.default_rng(seed)
    made = []
    for index in range(count):
        n = int(random.integers(2, 6))
        atoms = Atoms(
            random.integers(1, 90, n),
            random.normal(size=(n, 3)),
            cell=4 + random.random((3, 3)),
            pbc=True,
        )
        atoms.cell[:] += 4 * np.eye(3)
        energy = -3.5 * (index + 1)
        atoms.calc = SinglePointCalculator(
            atoms, energy=energy, forces=random.normal(size=(n, 3)), stress=random.normal(size=6)
        )
        atoms.info = {"sid": f"agm{index:09d}_rattled", "energy_corrected_mp2020": energy - 0.687}
        made.append(atoms)
    return made


def molecules(count: int, seed: int = 0) -> list[Atoms]:
    """Ions and radicals of 2 to 5 atoms, with what OMol25's rows say about them."""
    made = crystals(count, seed)
    for index, atoms in enumerate(made):
        atoms.pbc, atoms.cell = False, None
        unrestricted = bool(index % 2)
        atoms.calc = SinglePointCalculator(
            atoms, energy=-1e3 - index, forces=np.zeros((len(atoms), 3))
        )
        atoms.info = {
            "source": f"omol/electrolytes/{index}/orca.tar.zst",
            "data_id": "elytes",
            "charge": index % 3 - 1,
            "spin": 1 + index % 2,
            "unrestricted": unrestricted,
            "homo_energy": np.array([-8.5, -7.5] if unrestricted else [-8.5]),
            "mulliken_charges": np.zeros((len(atoms), 1)),
            "warnings": [],
        }
    return made


def backend(path: Path, systems: Sequence[Atoms]) -> Path:
    """Write a file as OMol25's are: by ase-db-backends, in one transaction."""
    with ase.db.connect(path, type="aselmdb") as database:
        for atoms in systems:
            database.write(atoms, data=atoms.info)
    path.with_name(path.name + "-lock").unlink(missing_ok=True)
    return path


def plain(path: Path, systems: Sequence[Atoms]) -> Path:
    """Write a file as OMat24's are: by fairchem before version 2, with arrays as lists."""
    backend(path, systems)
    return edited(path, {number: _plain_lists for number in range(1, len(systems) + 1)})


def _plain_lists(raw: bytes) -> bytes:
    def plain_list(value: Any) -> Any:
        if not isinstance(value, dict) or "__ndarray__" not in value:
            return value
        shape, _, flat = value["__ndarray__"]
        return np.reshape(flat, shape).tolist()

    row = json.loads(zlib.decompress(raw))
    row["data"] = {key: plain_list(value) for key, value in row["data"].items()}
    return packed({key: plain_list(value) for key, value in row.items()})


def packed(value: Any) -> bytes:
    """Return a row: compressed JSON."""
    return zlib.compress(json.dumps(value).encode())


def edited(path: Path, edits: Mapping[int, Callable[[bytes], bytes]]) -> Path:
    """Replace the bytes of some rows."""
    with (
        lmdb.open(str(path), subdir=False, lock=False, map_size=1 << 28) as environment,
        environment.begin(write=True) as transaction,
    ):
        for number, edit in edits.items():
            key = str(number).encode()
            transaction.put(key, edit(transaction.get(key, b"")))
    return path


def padded(path: Path, count: int) -> Path:
    """Ten hydrogen atoms, and rows of 20 kB that are noise."""
    row = packed(
        {
            "numbers": [1],
            "positions": [[0.0, 0.0, 0.0]],
            "cell": [[0.0] * 3] * 3,
            "pbc": [False] * 3,
        }
    )
    noise = np.random.default_rng(0)
    return edited(
        path,
        {n: lambda raw, n=n: row if n <= 10 else noise.bytes(20_000) for n in range(1, count + 1)},
    )


def archive(path: Path, members: Mapping[str, bytes | Path]) -> Path:
    """Return a .tar.gz of these members, in this order."""
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for name, content in members.items():
            data = content if isinstance(content, bytes) else content.read_bytes()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path
