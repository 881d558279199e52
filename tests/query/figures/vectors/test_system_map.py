"""The map: the model is the most aligned one, colors are stored labels, unknown ones are rings."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest

import query
from query.figures import NothingToDraw, system_map
from query.statements import ask
from tests.query.figures.conftest import make_store
from tests.query.figures.scene import layers, overlapping, written
from tests.vectors import remove

Connection = duckdb.DuckDBPyConnection


def test_the_most_aligned_model_is_drawn(small: Connection) -> None:
    found = small.sql(
        "SELECT model_a, avg(value) "
        "FROM alignment_matrix('crystals', models := (SELECT list(model_id) FROM "
        "models_on('crystals') WHERE kind IN ('model', 'descriptor'))) WHERE model_a != model_b "
        "GROUP BY 1 ORDER BY 2 DESC"
    ).fetchall()
    rows = ask(small, "system_map", dataset="crystals").rows
    assert {row["model_id"] for row in rows} == {found[0][0]}
    assert [row["system_id"] for row in rows] == [f"crystals/{i:03d}" for i in range(60)]
    assert [row["n_atoms"] for row in rows] == [1 + i % 7 for i in range(60)]


def test_coordinates_are_principal_components(small: Connection) -> None:
    rows = ask(small, "system_map", dataset="crystals", model="alpha-1").rows
    asked = (
        "SELECT vector FROM embeddings WHERE model_id = 'alpha-1' AND system_id LIKE 'crystals/%' "
        "ORDER BY system_id"
    )
    x = np.array([row[0] for row in small.execute(asked).fetchall()], dtype=np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    left, singular, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    expected = left[:, :2] * singular[:2]
    drawn = np.array([(row["x"], row["y"]) for row in rows])
    assert np.abs(drawn) == pytest.approx(np.abs(expected), abs=1e-5)
    assert rows[0]["explained_x"] == pytest.approx(singular[0] ** 2 / (singular**2).sum(), rel=1e-5)


def test_colors_are_labels_and_unknown_ones_are_rings(own: Connection) -> None:
    name = "format('crystals/{:03d}', i)"
    own.execute(f"INSERT INTO labels SELECT {name}, 'gap', i, 'eV', 'book' FROM range(40) t(i)")
    own.execute(
        f"INSERT INTO labels SELECT {name}, 'gap', 9, 'eV', 'alpha-0' FROM range(20, 60) t(i)"
    )
    chart = system_map(own, "crystals", model="beta-0", color="gap")
    rings, points = layers(chart, "point")
    assert [row["value"] for row in points.rows] == list(range(40))  # the book, not the model
    assert len(rings.rows) == 20
    notes = "Principal components, n = 60. Rings: not known (20)."
    assert {notes, "gap (eV), book"} <= written(chart)
    for drawn, row in zip(points.rows, chart.answer.rows[:40], strict=True):
        assert (drawn["x"], drawn["y"]) == pytest.approx((row["x"], row["y"]), rel=1e-4)
        assert drawn["known"] == f"{row['value']:.4g} eV"
    assert overlapping(chart) == []
    of_model = ask(
        own, "system_map", dataset="crystals", model="beta-0", label="gap", source="alpha-0"
    ).rows
    assert {row["source"] for row in of_model if row["value"] is not None} == {"alpha-0"}


def test_a_single_value_does_not_decide_the_colors(own: Connection) -> None:
    own.execute(
        "INSERT INTO labels "
        "SELECT system_id, 'gap', CASE WHEN i = 59 THEN 1e6 ELSE i END, 'eV', 'book' "
        "FROM (SELECT *, split_part(system_id, '/', 2)::INTEGER AS i FROM systems "
        "WHERE dataset = 'crystals')"
    )
    _, points = layers(system_map(own, "crystals", model="beta-0", color="gap"), "point")
    low, high = np.percentile([*range(59), 1e6], [1, 99])
    scale = points.encoding["color"]["scale"]
    assert scale["domain"] == pytest.approx([low, high])
    assert scale["clamp"] is True


def test_colors_of_many_magnitudes_are_logarithmic(own: Connection) -> None:
    own.execute("UPDATE systems SET n_atoms = 1 + n_atoms * n_atoms * n_atoms")
    _, points = layers(system_map(own, "crystals", model="beta-0"), "point")
    assert points.encoding["color"]["scale"]["type"] == "log"


KNOWN = (  # formula, SMILES; the element and group that counts, and rings
    ("C6H6", "c1ccccc1", "C", "carbon group", "aromatic"),
    ("H2", "[H][H]", "H", "hydrogen", "without rings"),
    ("Au5Mn12", "C%10CC%10", "Mn", "transition metals", "with rings, not aromatic"),
    ("CH4N2O", "NC(N)=[O+]", "N", "nitrogen group", "without rings"),
    ("C2Co", "[13Co]C1CC1", "C", "carbon group", "with rings, not aromatic"),
    ("X1", None, "X", None, None),
)


def test_what_systems_are_is_known_from_formula_and_smiles(own: Connection) -> None:
    for i, (formula, smiles, *_) in enumerate(KNOWN):
        own.execute(
            "UPDATE systems SET formula = $1, smiles = $2 WHERE system_id = $3",
            [formula, smiles, f"crystals/{i:03d}"],
        )
    rows = ask(own, "system_map", dataset="crystals", model="beta-0").rows
    found = [(row["element"], row["group"], row["rings"]) for row in rows[: len(KNOWN)]]
    assert found == [known[2:] for known in KNOWN]


def test_a_reader_chooses_the_model(small: Connection) -> None:
    chart = system_map(small, "crystals", maps=3)
    rows = chart.answer.rows
    models = list(dict.fromkeys(row["model_id"] for row in rows))
    assert {model.partition("-")[0] for model in models} in (  # one per family
        {"alpha", "beta", descriptor} for descriptor in ("counts", "rings")
    )
    spec = chart.to_dict()
    (seen_by,) = [param for param in spec["params"] if param["name"] == "seen_by"]
    assert (seen_by["value"], seen_by["bind"]["options"]) == (models[0], models)
    _, points = layers(chart, "point")
    assert len(points.rows) == 3 * 60
    named = system_map(small, "crystals", model=[models[2], models[0]])
    assert list(dict.fromkeys(row["model_id"] for row in named.answer.rows)) == [
        models[2],
        models[0],
    ]
    assert any(text.startswith(f"{models[2]}: ") for text in written(named))
    assert overlapping(named) == []


def test_formulas_are_categories(own: Connection) -> None:
    own.execute("UPDATE systems SET formula = 'Y' WHERE system_id < 'crystals/012'")
    chart = system_map(own, "crystals", color="formula")
    assert {"Y (12)", "other (38)"} <= written(chart)
    assert sum(len(layer.rows) for layer in layers(chart, "point")) == 60


def test_counts_are_of_the_points_drawn(own: Connection) -> None:
    own.execute("UPDATE systems SET formula = 'Y' WHERE system_id < 'crystals/012'")
    two = ["alpha-0", "beta-0"]
    chart = system_map(own, "crystals", color="formula", model=two)
    assert "Y (12)" in written(chart)  # both maps have the same systems
    remove(own, "model_id = 'beta-0' AND system_id >= 'crystals/050'")
    chart = system_map(own, "crystals", color="formula", model=two)
    assert {"Y", "other"} <= written(chart)
    chart = system_map(own, "crystals", color="formula", model="beta-0")
    assert {"Y (12)", "other (28)"} <= written(chart)


def test_a_message_names_what_is_missing(small: Connection) -> None:
    with pytest.raises(
        NothingToDraw, match="no system of crystals has a label 'charm': see FROM labels"
    ):
        system_map(small, "crystals", color="charm")
    with pytest.raises(NothingToDraw, match="every vector of flat is the same"):
        system_map(small, "crystals", model="flat")
    with pytest.raises(
        NothingToDraw, match="no model has vectors on nothing: matterzoo ingest MODEL nothing"
    ):
        system_map(small, "nothing")


def test_many_systems_are_small(tmp_path: Path) -> None:
    with query.connect(make_store(tmp_path / "matter.duckdb", {"alpha": 1}, 3001)) as connection:
        _, points = layers(system_map(connection, "crystals", model="alpha-0"), "point")
    assert len(points.rows) == 3001
    assert points.encoding["size"]["value"] == 10


def test_a_map_of_some_says_of_how_many(small: Connection) -> None:
    chart = system_map(small, "crystals", model="alpha-0", max_systems=20)
    assert len({row["system_id"] for row in chart.answer.rows}) == 20
    assert "Principal components, n = 20 drawn at random of 60 systems." in written(chart)
    whole = system_map(small, "crystals", model="alpha-0", max_systems=60)
    assert "Principal components, n = 60." in written(whole)
