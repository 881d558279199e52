"""Files of any format: empty, garbage, misnamed, changed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.readers.shared.discovery import load_readers
from ingest.sources.shared.discovery import find_dataset, load_datasets
from ingest.systems.entry import DatasetError
from ingest.systems.materialize import materialize

POSCAR = "CsCl\n1.0\n4.12 0 0\n0 4.12 0\n0 0 4.12\nCs Cl\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n"
File = Callable[[str, str | bytes], Path]

H_ATOM = "1\n\nH 0 0 0\n"
SUFFIXES = sorted({suffix for reader in load_readers() for suffix in reader.suffixes})


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_file_is_an_error(suffix: str, file: File) -> None:
    path = file("empty" + suffix, "")
    with pytest.raises(DatasetError, match=r"is empty \(0 bytes\)"):
        find_dataset(str(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "junk", [bytes(range(255, -1, -1)) * 8, b"\n\n\n", b"\x00" * 4096, b"lorem ipsum\n" * 50]
)
def test_garbage_is_one_clear_error(suffix: str, junk: bytes, file: File, tmp_path: Path) -> None:
    path = file("junk" + suffix, junk)
    with pytest.raises(DatasetError, match=re.escape(str(path))):
        materialize(find_dataset(str(path)), tmp_path / "out" / "junk")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_unknown_format_lists_the_known(file: File) -> None:
    path = file("a.xlsx", "x")
    with pytest.raises(
        DatasetError,
        match=r"a.xlsx: no reader for '.xlsx'; expected .*\.cif.*\.csv.*\.extxyz.*\.sdf",
    ):
        find_dataset(str(path))


@pytest.mark.parametrize(
    ("name", "dataset"),
    [
        ("My set (2).EXTXYZ", "my-set-2"),
        ("a.b.xyz", "a.b"),
        ("POSCAR", "poscar"),
        ("...xyz", "file"),
    ],
)
def test_a_file_is_named_by_its_stem(name: str, dataset: str, file: File) -> None:
    assert find_dataset(str(file(name, POSCAR))).name == dataset


def test_a_file_may_not_take_an_embedded_datasets_name(file: File) -> None:
    for name in load_datasets():
        path = file(name + ".xyz", H_ATOM)
        with pytest.raises(
            DatasetError, match=f"would be called '{name}', which is a known dataset; rename it, or"
        ):
            find_dataset(str(path))


def test_a_changed_file_is_read_again(file: File, tmp_path: Path) -> None:
    path = file("set.xyz", H_ATOM)
    first = materialize(find_dataset(str(path)), tmp_path / "set")
    assert materialize(find_dataset(str(path)), tmp_path / "set") == first
    file("set.xyz", H_ATOM * 2)
    assert materialize(find_dataset(str(path)), tmp_path / "set").n_systems == 2
