"""`matterzoo nearest`: one's own systems beside those of the store."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from ingest.layout import Layout
from matterzoo import main
from schemas.store import connect
from tests.query.stores import make

Said = pytest.CaptureFixture[str]
MOLECULE = '2\nenergy={} pbc="F F F" Properties=species:S:1:pos:R:3\nH 0 0 0\n{} 0 0 {}\n'


def write(path: Path, *molecules: tuple[str, float]) -> Path:
    path.write_text("".join(MOLECULE.format(d, other, d) for other, d in molecules))
    return path


def stored(layout: Layout) -> list[tuple[str, int]]:
    with connect(layout.store, read_only=True) as connection:
        return connection.execute(
            "SELECT model_id, count(*) FROM embeddings GROUP BY ALL ORDER BY ALL"
        ).fetchall()


def ask(capfd: Said, *words: object) -> tuple[int, list[dict[str, str]], str]:
    capfd.readouterr()
    code = main(["nearest", *map(str, words), "--format", "csv"])
    out, err = capfd.readouterr()
    return code, list(csv.DictReader(io.StringIO(out))), err


def test_a_file_is_embedded_and_nothing_is_stored_unless_it_gets_a_name(
    layout: Layout, tmp_path: Path, capfd: Said
) -> None:
    known = write(tmp_path / "known.extxyz", ("C", 1.1), ("F", 0.9), ("Au", 1.5))
    assert main(["ingest", "toy", str(known)]) == 0
    before = stored(layout)
    mine = write(tmp_path / "mine.extxyz", ("F", 1.0))
    code, rows, err = ask(capfd, "toy", mine, "known", "--k", 2)
    assert code == 0
    assert "1 ok, 0 failed" in err
    assert [(row["given"], row["given_formula"], row["rank"]) for row in rows] == [
        ("0", "FH", "1"),
        ("0", "FH", "2"),
    ]
    assert len({row["system_id"] for row in rows} & {"known/0", "known/1", "known/2"}) == 2
    assert all(float(row["similarity"]) == pytest.approx(1) for row in rows)
    assert all(row["labels"].startswith("energy = ") for row in rows)
    assert stored(layout) == before
    two = write(tmp_path / "two.extxyz", ("F", 1.0), ("C", 2.0))
    two.write_text(two.read_text().replace("H 0 0 0\nF", "Fe 0 0 0\nFe", 1))
    code, rows, err = ask(capfd, "toy", two, "--k", 9, "--name", "kept")
    assert code == 1
    assert "error: 0: ValueError: no iron today" in err
    assert {row["given"] for row in rows} == {"1"}
    assert sorted(row["system_id"] for row in rows) == ["known/0", "known/1", "known/2"]
    assert stored(layout) == [("toy", before[0][1] + 1)]


REFUSED = [
    (("toy", "CCO"), "there is no file CCO; toy takes a structure, expected .aselmdb"),
    (("toy", "mine.cif"), "there is no file mine.cif"),
    (("to", "mine.cif"), "no model 'to' in this store; did you mean 'toy'"),
    (("toy", "mine.cif", "man"), "no dataset 'man' in this store; did you mean 'many'"),
    (("toy#whole", "mine.cif"), "no representation of toy 'whole'"),
    (("morgan", "CC("), "'CC(' is not a SMILES string"),
    (("morgan", "iron.extxyz"), "morgan takes nothing of iron.extxyz: it takes a smiles"),
]


def test_what_cannot_be_is_refused(layout: Layout, capfd: Said) -> None:
    make(layout.store, dict.fromkeys(("toy", "morgan"), np.eye(3, dtype=np.float32)))
    write(Path("iron.extxyz"), ("Fe", 1.0))
    for words, message in REFUSED:
        code, rows, err = ask(capfd, *words)
        assert (code, rows) == (2, [])
        assert f"error: {message}" in err
