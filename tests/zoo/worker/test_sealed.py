"""A sealed file, or one with a stamp, is read as it was written, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zoo.worker.errors import DamagedFileError
from zoo.worker.sealed import check_stamp, read_sealed, stamp, write_sealed

CONTENT = {"run_id": "r", "counts": {"ok": 3}, "name": "Å"}


def test_a_sealed_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_sealed(path, CONTENT)
    assert read_sealed(path) == CONTENT
    assert json.loads(path.read_text())["sealed"] == "sha256"


def test_a_file_of_before_there_were_seals_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(CONTENT))
    assert read_sealed(path) == CONTENT


def test_every_flipped_bit_of_a_sealed_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_sealed(path, CONTENT)
    whole = path.read_bytes()
    for place in range(len(whole)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            try:
                found = read_sealed(path)
            except DamagedFileError as error:
                assert str(error).startswith(f"{path} is damaged: ")
            else:  # such as another kind of white space
                assert found == CONTENT


@pytest.mark.parametrize("text", ["", "{", "[1]", "1", "[" * 100_000])
def test_what_is_no_json_object_is_damaged(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(DamagedFileError, match=r"run.json is damaged: it (is not|holds no) JSON"):
        read_sealed(path)


def test_a_file_is_known_by_its_stamp(tmp_path: Path) -> None:
    path = tmp_path / "shard-00000.parquet"
    path.write_bytes(b"abc")
    known = stamp(path)
    assert known["size"] == 3
    check_stamp(path, known)
    path.write_bytes(b"abd")
    expected = r"expected 3 bytes with SHA-256 ba7816bf8f01…, found 3 bytes with SHA-256 "
    with pytest.raises(DamagedFileError, match=expected):
        check_stamp(path, known)
    path.unlink()
    with pytest.raises(DamagedFileError, match="is missing"):
        check_stamp(path, known)
