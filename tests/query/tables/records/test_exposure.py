"""What models were trained on beside a dataset: every answer that there is, on a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

import query

Connection = duckdb.DuckDBPyConnection
DATASETS = ("salex", "proteins", "b3db", "qm9", "peptides", "mine")
TRAINED_ON: dict[str, list[str] | None] = {
    "nothing": [],
    "undeclared": None,
    "hidden": ["web text"],
    "mptrj": ["MPtrj"],
    "salex": ["MPtrj", "sAlex"],
    "omat": ["OMat24"],
    "alexandria": ["Alexandria"],
    "pdb": ["PDB"],
    "cath": ["CATH", "web text"],
    "uniref": ["UniRef50 (September 2021)"],
    "tdc": ["TDC ADMET"],
    "omol": ["OMol25"],
    "own": ["my own set"],
}


@pytest.fixture(scope="module")
def con(store_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    copy = tmp_path_factory.mktemp("exposure") / "matter.duckdb"
    copy.write_bytes(store_path.read_bytes())
    with query.connect(copy, read_only=False) as con:
        for dataset in DATASETS:
            con.execute(
                "INSERT INTO datasets SELECT * REPLACE (? AS dataset) FROM datasets LIMIT 1",
                [dataset],
            )
        for model, sets in TRAINED_ON.items():
            con.execute(
                "INSERT INTO models SELECT * REPLACE "
                "(? AS model_id, ?::VARCHAR[] AS training_sets) "
                "FROM models WHERE model_id = 'base'",
                [model, sets],
            )
        yield con


def ask(con: Connection, dataset: str, model: str) -> tuple[str, str | None, str, str | None]:
    rows = con.execute(
        "SELECT exposure, training_set, reason, source FROM exposure(dataset := ?, models := [?])",
        [dataset, model],
    ).fetchall()
    assert len(rows) == 1
    found: tuple[str, str | None, str, str | None] = rows[0]
    return found


@pytest.mark.parametrize(
    ("dataset", "model", "exposure", "training_set", "reason"),
    [
        ("proteins", "pdb", "same-set", "PDB", "trained on PDB, which proteins is taken from"),
        ("salex", "salex", "held-out", "sAlex", "the split that the publisher did not train on"),
        ("salex", "omat", "may-overlap", "OMat24", "on OMat24, drawn from Alexandria; salex is"),
        ("salex", "alexandria", "may-overlap", "Alexandria", "from sAlex, drawn from Alexandria"),
        ("proteins", "cath", "may-overlap", "CATH", "CATH, drawn from PDB; proteins is taken from"),
        (
            "proteins",
            "uniref",
            "may-overlap",
            "UniRef50 (September 2021)",
            "UniRef50, drawn from UniRef, drawn from UniProt; UniProtKB takes up sequences",
        ),
        ("peptides", "uniref", "may-overlap", "UniRef50 (September 2021)", "taken from UniProt"),
        ("qm9", "omol", "may-overlap", "OMol25", "OMol25, drawn from GEOM, drawn from QM9; qm9"),
        ("salex", "mptrj", "not-compared", None, "no record says that MPtrj has systems of salex"),
        (
            "proteins",
            "mptrj",
            "other-matter",
            None,
            "its sets hold crystals, and proteins holds pro",
        ),
        ("b3db", "tdc", "unknown", "TDC ADMET", "has not been counted"),
        ("qm9", "own", "unknown", "my own set", "no record says what my own set holds"),
        ("salex", "hidden", "unknown", "web text", "nobody has disclosed what web text holds"),
        ("salex", "undeclared", "unknown", None, "nobody recorded what it was trained on"),
        ("mine", "mptrj", "unknown-dataset", None, "no record says what mine is taken from"),
        ("mine", "undeclared", "unknown", None, "nobody recorded what it was trained on"),
        ("mine", "nothing", "untrained", None, "it was trained on nothing"),
    ],
)
def test_every_answer(
    con: Connection,
    dataset: str,
    model: str,
    exposure: str,
    training_set: str | None,
    reason: str,
) -> None:
    found = ask(con, dataset, model)
    assert found[:2] == (exposure, training_set)
    assert reason in found[2]
    known = exposure in ("same-set", "held-out", "may-overlap") or training_set == "TDC ADMET"
    assert (found[3] or "").startswith("https://") == known


def test_without_models_it_is_about_all_that_have_vectors(con: Connection) -> None:
    rows = con.execute("SELECT model_id, exposure FROM exposure(dataset := 'crystals')").fetchall()
    held = con.execute("SELECT DISTINCT model_id FROM embeddings ORDER BY 1").fetchall()
    assert rows == [(model, "unknown") for (model,) in held]


def test_what_is_not_in_the_store_is_refused(con: Connection) -> None:
    with pytest.raises(duckdb.Error, match="no dataset 'qm99' in this store; did you mean 'qm9'"):
        con.sql("FROM exposure(dataset := 'qm99')").fetchall()
    with pytest.raises(duckdb.Error, match="no model 'pdbx' in this store"):
        con.sql("FROM exposure(dataset := 'qm9', models := ['pdbx'])").fetchall()
