"""A file of every format is read the same when gzip has compressed it."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.readers.shared.discovery import load_readers
from ingest.readers.shared.packed import SystemFault
from ingest.sources.shared.discovery import find_dataset
from ingest.systems.entry import DatasetError, Entry, Unreadable
from tests.ingest.aselmdb import crystals, plain
from tests.ingest.readers.test_inputs import FOLDER, given

Patch = pytest.MonkeyPatch
Read = Callable[[Path], list[Entry | Unreadable]]
SUFFIXES = sorted({suffix for reader in load_readers() for suffix in reader.suffixes})
TYPICAL = {
    ".aselmdb": lambda folder: plain(folder / "a.aselmdb", crystals(2)).read_bytes(),
    ".contcar": lambda folder: (FOLDER / "p06_velocities.vasp").read_bytes(),
    ".poscar": lambda folder: (FOLDER / "p06_velocities.vasp").read_bytes(),
    ".ent": lambda folder: (FOLDER / "b47_segments.pdb").read_bytes(),
    ".mmcif": lambda folder: (FOLDER / "m05_ligand_and_variants.cif").read_bytes(),
    ".mol": lambda folder: (FOLDER / "d12_crlf.sdf").read_bytes(),
    ".fa": lambda folder: (FOLDER / "f05_crlf_wrap.fasta").read_bytes(),
    ".faa": lambda folder: (FOLDER / "f18_bom.fasta").read_bytes(),
    ".sdf": lambda folder: (FOLDER / "d11_dup_title.sdf").read_bytes(),
    ".csv": lambda folder: (FOLDER / "s19_utf16.csv").read_bytes(),
    ".parquet": lambda folder: smiles_table(folder / "a.parquet").read_bytes(),
}


def smiles_table(path: Path) -> Path:
    pq.write_table(pa.table({"id": ["a", "b"], "smiles": ["CCO", "C1"]}), path)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_may_be_compressed(suffix: str, tmp_path: Path) -> None:
    first = next(iter(sorted(FOLDER.glob(f"*[0-9]*{suffix}"))), None)
    content = TYPICAL[suffix](tmp_path) if suffix in TYPICAL else (first or Path()).read_bytes()
    file, packed = tmp_path / f"x.1{suffix}", tmp_path / f"x.1{suffix}.GZ"
    file.write_bytes(content)
    packed.write_bytes(gzip.compress(content))
    rows = list(given(file))
    assert any(not gives.startswith(("refused", "error")) for _, gives in rows)
    assert [(name, gives.replace(".GZ", "")) for name, gives in given(packed)] == rows
    assert find_dataset(str(packed)).name == find_dataset(str(file)).name == "x.1"


def test_a_compressed_file_may_be_long_if_its_content_is_no_repetition(
    read: Read, tmp_path: Path
) -> None:
    """70 MB; more than 64 MiB that shrink to less than a hundredth are refused."""
    letters = np.random.default_rng(0).choice(list(b"ACDEFGHIKLMNPQRSTVWY"), 2**20)
    sequence = letters.astype(np.uint8).tobytes()
    path = tmp_path / "long.fasta.gz"
    packed = gzip.compress(b"%s\n" % sequence, compresslevel=1)
    with path.open("wb") as file:
        for number in range(70):  # what is packed one after another is unpacked as one
            file.write(gzip.compress(b">%d\n" % number) + packed)
    found = read(path)
    assert [entry.source_id for entry in found] == [str(number) for number in range(70)]
    assert isinstance(found[69], Entry) and found[69].sequence == sequence.decode()


def test_what_a_compressed_binary_file_lacks_is_told_of_the_file_given(tmp_path: Path) -> None:
    path = tmp_path / "a.traj.gz"
    path.write_bytes(gzip.compress(b"- of Ulm and no more"))
    with pytest.raises(
        DatasetError, match=f"^{path} is not a whole trajectory of ASE: expected 16"
    ):
        list(find_dataset(str(path)).entries())


def test_a_temporary_folder_that_is_full_or_gone_is_no_fault_of_a_file(
    small_disk: Path, fill: Callable[[Path, int], Path], tmp_path: Path, monkeypatch: Patch
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    content = plain(tmp_path / "a.aselmdb", crystals(2)).read_bytes()
    (folder / "a.aselmdb.gz").write_bytes(gzip.compress(content))
    (folder / "b.xyz").write_text("1\n\nH 0 0 0\n")
    dataset = find_dataset(str(folder))
    assert sum(isinstance(item, Entry) for item in dataset.entries()) == 3
    fill(small_disk, 5000)
    for place, why in ((small_disk, "No space left on device"), (tmp_path / "none", "No such")):
        monkeypatch.setattr(tempfile, "tempdir", str(place))
        with pytest.raises(
            SystemFault, match=rf"a\.aselmdb\.gz cannot be unpacked to {place}: {why}.*TMPDIR"
        ):
            list(dataset.entries())
