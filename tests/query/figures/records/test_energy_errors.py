"""Energy errors agree with scikit-learn's regression; points and rows are what is stored."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

import query
from query.figures import NothingToDraw, energy_errors
from query.statements import ask
from tests.query.figures.scene import layers, overlapping, written

Connection = duckdb.DuckDBPyConnection
ELEMENTS = (1, 6, 8)
MODELS = {"alpha-0": 0.1, "alpha-1": 0.4, "beta-0": 0.2}  # their errors, in eV


@pytest.fixture
def counts(own: Connection) -> np.ndarray:
    """Give the systems of crystals atoms of three elements, and return their counts, (60, 3)."""
    found = (
        np.random.default_rng(0).integers(0, 4, size=(60, 3))
        + np.eye(3, dtype=int)[np.arange(60) % 3]
    )
    numbers = [
        [z for z, count in zip(ELEMENTS, line, strict=True) for _ in range(count)] for line in found
    ]
    own.execute(
        "UPDATE systems SET numbers = $numbers[split_part(system_id, '/', 2)::INTEGER + 1] "
        "WHERE dataset = 'crystals'",
        {"numbers": numbers},
    )
    return found


@pytest.fixture
def energies(own: Connection, counts: np.ndarray) -> dict[str, np.ndarray]:
    """Return energies in eV by source; every source has zeros of its own."""
    rng = np.random.default_rng(1)
    bound = rng.normal(size=60)
    energies = {"book": counts @ rng.normal(size=3) + bound}
    for model, error in MODELS.items():
        energies[model] = counts @ (10 * rng.normal(size=3)) + bound + error * rng.normal(size=60)
    for source, values in energies.items():
        systems = [f"crystals/{i:03d}" for i in range(60)]
        rows = "unnest(?), 'energy', unnest(?), 'eV', ?"
        own.execute(f"INSERT INTO labels SELECT {rows}", [systems, values.tolist(), source])
    return energies


def residuals(counts: np.ndarray, energies: np.ndarray) -> np.ndarray:
    fit = LinearRegression(fit_intercept=False).fit(counts, energies)
    return energies - fit.predict(counts)


def test_rows_are_residuals(
    own: Connection, counts: np.ndarray, energies: dict[str, np.ndarray]
) -> None:
    rows = ask(own, "energy_errors", dataset="crystals").rows
    assert list(dict.fromkeys(row["model_id"] for row in rows)) == ["alpha-0", "beta-0", "alpha-1"]
    label = residuals(counts, energies["book"])
    for model in MODELS:
        predicted = residuals(counts, energies[model])
        mine = [row for row in rows if row["model_id"] == model]
        assert [row["label_residual"] for row in mine] == pytest.approx(label.tolist())
        assert [row["predicted_residual"] for row in mine] == pytest.approx(predicted.tolist())
        assert [row["mae"] for row in mine] == pytest.approx(
            [np.abs(predicted - label).mean()] * 60
        )
        assert [row["raw_mae"] for row in mine] == pytest.approx(
            [np.abs(energies[model] - energies["book"]).mean()] * 60
        )


def test_without_labels_the_model_in_the_middle_is_it_and_not_the_first_by_name(
    own: Connection, energies: dict[str, np.ndarray]
) -> None:
    own.execute("DELETE FROM labels WHERE source = 'book'")
    for now, then in (("alpha-0", "x"), ("alpha-1", "alpha-0"), ("x", "alpha-1")):
        own.execute("UPDATE labels SET source = ? WHERE source = ?", [then, now])
    rows = ask(own, "energy_errors", dataset="crystals").rows
    assert {row["source"] for row in rows} == {"alpha-1"}


def test_one_wild_energy_does_not_decide_which_model_is_in_the_middle(
    own: Connection, energies: dict[str, np.ndarray]
) -> None:
    """By means, it does from 4 eV on; if it is much larger, it spoils the fits of all."""
    own.execute("DELETE FROM labels WHERE source = 'book'")
    own.execute(
        "UPDATE labels SET value = value + 5 "
        "WHERE source = 'alpha-0' AND system_id = 'crystals/007'"
    )
    rows = ask(own, "energy_errors", dataset="crystals").rows
    assert {row["source"] for row in rows} == {"alpha-0"}


def test_without_labels_models_are_compared_with_each_other(
    own: Connection, energies: dict[str, np.ndarray]
) -> None:
    own.execute(
        "DELETE FROM labels "
        "WHERE source = 'book' OR source = 'beta-0' AND system_id = 'crystals/000'"
    )
    rows = ask(own, "energy_errors", dataset="crystals").rows
    assert {(row["model_id"], row["source"]) for row in rows} == {
        ("alpha-1", "alpha-0"),
        ("beta-0", "alpha-0"),
    }
    assert {row["compared_with"] for row in rows} == {"predictions"}
    assert rows[0]["source_reason"].startswith("the other models that have energies differ from it")
    chosen = ask(own, "energy_errors", dataset="crystals", source="beta-0").rows
    assert {row["model_id"] for row in chosen} == {"alpha-0", "alpha-1"}


def test_the_figure_draws_errors_and_residuals(
    own: Connection, energies: dict[str, np.ndarray]
) -> None:
    chart = energy_errors(own, "crystals")
    models = {row["model_id"]: row for row in chart.answer.rows}
    errors, *clouds = layers(chart, "point")
    assert errors.encoding["y"]["sort"] == ["alpha-0", "beta-0", "alpha-1"] == list(models)
    assert errors.encoding["x"]["field"] == "mae_per_atom"
    drawn = {row["model_id"]: row["mae_per_atom"] for row in errors.rows}
    expected = {model: row["mae_per_atom"] for model, row in models.items()}
    assert drawn == pytest.approx(expected, rel=1e-4)
    for place, model in enumerate(models):
        points = clouds[2 * place].rows + clouds[2 * place + 1].rows
        assert len(points) == sum(row["model_id"] == model for row in chart.answer.rows)
        for row in clouds[2 * place].rows:
            assert (row["across"], row["up"]) == (row["label_residual"], row["predicted_residual"])
    assert "Energies on crystals against the energy of book" in written(chart)
    assert overlapping(chart) == []


def test_outliers_stand_at_the_edge(own: Connection, energies: dict[str, np.ndarray]) -> None:
    own.execute(
        "UPDATE labels SET value = value + 1000 "
        "WHERE source = 'beta-0' AND system_id = 'crystals/000'"
    )
    chart = energy_errors(own, "crystals")
    models = list(dict.fromkeys(row["model_id"] for row in chart.answer.rows))
    near, far = layers(chart, "point")[1 + 2 * models.index("beta-0") :][:2]
    most = near.encoding["x"]["scale"]["domain"][1]
    rows = [row for row in chart.answer.rows if row["model_id"] == "beta-0"]
    beyond = [
        row
        for row in rows
        if max(abs(row["label_residual"]), abs(row["predicted_residual"])) > most
    ]
    assert 1 <= len(beyond) == len(far.rows) < 10
    assert f"{len(beyond)} beyond" in written(chart)
    errors = {
        row["system_id"]: abs(row["predicted_residual"] - row["label_residual"]) / row["n_atoms"]
        for row in rows
    }
    (ticks,) = layers(chart, "tick")
    (median,) = (row for row in ticks.rows if row["model_id"] == "beta-0")
    assert median["median_per_atom"] == pytest.approx(np.median([*errors.values()]), rel=1e-4)
    share = errors["crystals/000"] / sum(errors.values())
    note = f"One system, crystals/000, makes {100 * share:.0f} % of the mean of beta-0: "
    assert any(text.startswith(note) for text in chart.usermeta["notes"])
    (first,) = (row for row in far.rows if row["system_id"] == "crystals/000")
    assert first["up"] == pytest.approx(0.93 * most, rel=1e-4)
    assert first["across"] / first["up"] == pytest.approx(
        rows[0]["label_residual"] / rows[0]["predicted_residual"], rel=1e-3
    )


def test_sixty_models_do_not_collide(large_path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "matter.duckdb"
    copy.write_bytes(large_path.read_bytes())
    with query.connect(copy, read_only=False) as connection:
        connection.execute("UPDATE systems SET numbers = [1, 6]")
        connection.execute(
            "INSERT INTO labels "
            "SELECT system_id, 'energy', hash(system_id || source) % 1000 / 1000, 'eV', source "
            "FROM systems, (SELECT 'book' AS source "
            "UNION ALL SELECT model_id FROM models_on('crystals') "
            "WHERE kind = 'model') WHERE dataset = 'crystals'"
        )
        chart = energy_errors(connection, "crystals")
    errors, *clouds = layers(chart, "point")
    assert len(errors.encoding["y"]["sort"]) == 60
    assert len(clouds) == 2 * 8
    assert chart.answer.table.num_rows == 8 * 60 + 52
    assert overlapping(chart) == []


def test_without_energies_there_is_nothing_to_draw(small: Connection) -> None:
    with pytest.raises(
        NothingToDraw,
        match="no labels of energy on crystals.*"
        "encoders of potentials give energies: matterzoo ingest",
    ):
        energy_errors(small, "crystals")
