"""Energies with the composition's part taken out, against scikit-learn, SciPy and ASE."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest
from ase import units as ase_units
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import bootstrap, spearmanr
from sklearn.linear_model import LinearRegression

import query
from query.reading.energy_labels import energy_units
from query.statistics.composition import (
    Composition,
    count_elements,
    mean_interval,
)
from query.statistics.rank_correlation import spearman_coefficient
from tests.query.conftest import Lender

Connection = duckdb.DuckDBPyConnection
Floats = NDArray[np.float64]

DFT = "dataset := 'crystals', source := 'DFT'"


def compositions(n: int, elements: int, seed: int) -> Floats:
    return np.random.default_rng(seed).integers(0, 5, size=(n, elements)).astype(float) + np.eye(
        n, elements
    )


def test_elements_are_counted() -> None:
    assert count_elements([[8, 1, 1], [6, 8], [1]]).tolist() == [[2, 0, 1], [0, 1, 1], [1, 0, 0]]
    assert count_elements([]).shape == (0, 0)


@pytest.mark.parametrize("deficient", [False, True])
def test_residuals_are_those_of_scikit_learn(deficient: bool) -> None:
    counts = compositions(50, 6, seed=0)
    if deficient:
        counts[:, 5] = counts[:, 0] + 2 * counts[:, 1]  # as in a dataset of one stoichiometry
    energies = counts @ np.arange(6.0) * 100 + np.random.default_rng(1).normal(size=50)
    fit = Composition.of(counts)
    linear = LinearRegression(fit_intercept=False).fit(counts, energies)
    assert (fit.rank, fit.n_elements) == (5 if deficient else 6, 6)
    assert fit.residuals(energies) == pytest.approx(energies - linear.predict(counts), abs=1e-9)
    hat = counts @ np.linalg.pinv(counts)
    assert fit.leverage == pytest.approx(np.diag(hat))


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 30),
    elements=st.integers(1, 8),
    scale=st.floats(1e-3, 1e4),
)
def test_zeros_of_the_elements_make_no_difference(
    seed: int, n: int, elements: int, scale: float
) -> None:
    counts = compositions(n, elements, seed)
    rng = np.random.default_rng(seed)
    energies, zeros = rng.normal(size=n), scale * rng.normal(size=elements)
    fit = Composition.of(counts)
    left, moved = fit.residuals(energies), fit.residuals(energies + counts @ zeros)
    assert moved == pytest.approx(left, abs=1e-9 * max(1, scale), nan_ok=True)
    assert fit.residuals(np.nan_to_num(left)) == pytest.approx(left, abs=1e-9, nan_ok=True)
    assert fit.leverage.sum() == pytest.approx(fit.rank)
    assert np.isnan(left).all() == (n == fit.rank)


def test_a_system_that_the_fit_takes_whole_has_no_residual() -> None:
    fit = Composition.of(np.array([[1, 0, 0], [2, 0, 0], [0, 1, 0], [1, 1, 1.0]]))
    assert np.isnan(fit.residuals(np.arange(4.0))).tolist() == [False, False, True, True]


def test_the_interval_is_scipys_bootstrap() -> None:
    values = np.random.default_rng(0).exponential(size=200)
    expected = bootstrap((values,), np.mean, method="percentile", rng=1).confidence_interval
    found = mean_interval(values)
    assert found == pytest.approx((expected.low, expected.high), rel=0.02)
    assert found == mean_interval(values)
    assert mean_interval(values[:4]) is None


def test_the_rank_correlation_is_scipys() -> None:
    x, y = np.random.default_rng(0).integers(0, 5, size=(2, 40)).astype(float)
    assert spearman_coefficient(x, y) == pytest.approx(spearmanr(x, y).statistic)
    assert spearman_coefficient(x, np.ones(40)) is None
    assert spearman_coefficient(x[:2], y[:2]) is None


@pytest.mark.parametrize(
    ("unit", "ev"),
    [
        ("eV", 1.0),
        ("meV", 1e-3),
        ("Ha", ase_units.Hartree),
        ("Hartree", ase_units.Hartree),
        ("kJ/mol", ase_units.kJ / ase_units.mol),
        ("kcal/mol", ase_units.kcal / ase_units.mol),
    ],
)
def test_units_are_ases(unit: str, ev: float) -> None:
    assert energy_units()[unit] == pytest.approx(ev, rel=1e-6)


def by_hand(energies: Connection, model: str) -> tuple[Floats, Floats, Floats]:
    """Atoms, and residuals of labels and of predictions by scikit-learn.

    They are of the systems that have both, in order.
    """
    table = energies.execute(
        "SELECT l.value / 1000, p.value, numbers FROM labels l "
        "JOIN labels p USING (system_id) JOIN systems USING "
        "(system_id) WHERE l.source = 'DFT' AND p.source = ? ORDER BY system_id",
        [model],
    ).fetchall()
    counts = np.array(
        [[row[2].count(z) for z in (1, 2, 3, 4, 6, 8, 26)] for row in table], dtype=float
    )
    left = []
    for column in (0, 1):
        values = np.array([row[column] for row in table])
        left.append(
            values - LinearRegression(fit_intercept=False).fit(counts, values).predict(counts)
        )
    return counts.sum(axis=1), left[0], left[1]


@pytest.mark.parametrize("model", ["near", "far"])
def test_energy_residuals(energies: Connection, model: str) -> None:
    atoms, label, predicted = by_hand(energies, model)
    rows = energies.sql(f"""
        SELECT n_atoms, label_residual, predicted_residual, label_residual_per_atom,
            predicted_residual_per_atom, rank
        FROM energy_residuals({DFT}, models := ['{model}']) WHERE leverage < 0.999
            ORDER BY system_id
    """).fetchall()
    absorbed = 2 if model == "near" else 0
    found = np.array(rows, dtype=float)
    expected = np.stack([atoms, label, predicted, label / atoms, predicted / atoms], axis=1)[
        absorbed:
    ]
    assert found[:, :5] == pytest.approx(expected, abs=1e-9)
    assert set(found[:, 5]) == {6 if model == "near" else 4}


def test_what_the_fit_takes_is_null_with_a_reason(energies: Connection) -> None:
    rows = energies.sql(f"""
        SELECT system_id, formula, label_residual, predicted_residual_per_atom, leverage, n, rank,
            n_elements, reason
        FROM energy_residuals({DFT}, models := ['near']) WHERE leverage > 0.999
    """).fetchall()
    why = (
        "the composition model takes all of its energy: no other system tells what its "
        "elements weigh"
    )
    common = (None, None, pytest.approx(1), 58, 6, 7, why)
    assert rows == [("crystals/000", "X000", *common), ("crystals/001", "X001", *common)]


@pytest.mark.parametrize("model", ["near", "far", "rotated"])
def test_energy_errors(energies: Connection, model: str) -> None:
    atoms, label, predicted = by_hand(energies, model)
    few = 0 if model == "far" else 2
    atoms, label, predicted = atoms[few:], label[few:], predicted[few:]
    off = np.abs(predicted - label)
    ((mae, low, high, rmse, median, per_atom, rho, raw, n, absorbed, warning, reason),) = (
        energies.sql(f"""
        SELECT mae, low, high, rmse, median_error, mae_per_atom, spearman, raw_mae, n, absorbed,
            warning, reason
        FROM energy_errors({DFT}, models := ['{model}'])
    """).fetchall()
    )
    assert (mae, rmse, per_atom) == pytest.approx(
        (off.mean(), (off**2).mean() ** 0.5, (off / atoms).mean())
    )
    assert median == pytest.approx(np.median(off))
    assert rho == pytest.approx(spearmanr(label, predicted).statistic)
    assert low < mae < high < raw
    assert (n, absorbed, warning, reason) == (off.size, few, None, None)


def test_every_model_with_predictions_is_compared(energies: Connection) -> None:
    rows = energies.sql(
        f"SELECT model_id, n, property, source, dataset FROM energy_errors({DFT}) ORDER BY mae"
    )
    assert rows.fetchall() == [
        (model, 40 if model == "far" else 58, "energy", "DFT", "crystals")
        for model in ("base", "near", "far", "noise", "rotated")
    ]
    assert (
        energies.sql(
            f"SELECT max(mae) FROM energy_errors({DFT}) WHERE model_id = 'base'"
        ).fetchone()[0]
        < 1e-9
    )  # type: ignore[index]


def test_all_may_be_compared_on_what_all_have(energies: Connection) -> None:
    rows = energies.sql(
        f"SELECT DISTINCT n, absorbed, rank FROM energy_errors({DFT}, missing := 'common')"
    ).fetchall()
    assert rows == [(40, 0, 4)]
    chosen = f"{DFT}, systems := ['crystals/{{:03d}}', 'crystals/{{:03d}}']".format(30, 31)
    (row,) = energies.sql(
        f"SELECT n, absorbed, mae, reason FROM energy_errors({chosen}, models := ['near'])"
    ).fetchall()
    why = (
        "the composition model has as many constants as there are systems on crystals, 2, "
        "and takes all"
    )
    assert row == (0, 2, None, why)


def test_few_systems_are_warned_of(energies: Connection) -> None:
    chosen = [f"crystals/{i:03d}" for i in range(30, 40)]
    ((n, warning),) = energies.sql(
        f"SELECT n, warning FROM energy_errors({DFT}, models := ['near'], systems := {chosen})"
    ).fetchall()
    assert n == 10
    assert warning == (
        "errors look smaller than they are, as the composition model fits 4 constants to 10 "
        "systems and takes up a part of them; with 20 systems or more it takes little"
    )


def test_two_models_are_compared_with_each_other(energies: Connection) -> None:
    chosen = "dataset := 'crystals', models := ['{}'], source := '{}'"
    there, back = (
        energies.sql(
            f"SELECT mae, n, spearman FROM energy_errors({chosen.format(*pair)})"
        ).fetchall()
        for pair in (("near", "far"), ("far", "near"))
    )
    assert there == [pytest.approx(back[0])]
    others = energies.sql(
        "SELECT model_id FROM energy_errors(dataset := 'crystals', source := 'near') ORDER BY 1"
    )
    assert others.fetchall() == [("base",), ("far",), ("noise",), ("rotated",)]


def test_a_model_without_predictions_says_so(energies: Connection) -> None:
    rows = energies.sql(
        f"SELECT model_id, mae, n, reason FROM energy_errors({DFT}, models := ['scaled'])"
    ).fetchall()
    assert rows == [
        ("scaled", None, 0, "no system on crystals has both a label and a prediction of scaled")
    ]
    assert energies.sql(f"FROM energy_residuals({DFT}, models := ['scaled'])").fetchall() == []


@pytest.fixture(scope="module")
def molecules_path(energies_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("molecules") / "matter.duckdb"
    copy.write_bytes(energies_path.read_bytes())
    with query.connect(copy, read_only=False) as con:
        con.execute("UPDATE systems SET numbers = [1, 1, 8] WHERE dataset = 'molecules'")
        systems = "FROM systems WHERE dataset = 'molecules'"
        con.execute(
            f"INSERT INTO labels SELECT system_id, 'enthalpy', random(), 'kcal/mol', "
            f"'tables' {systems}"
        )
        con.execute(
            f"INSERT INTO labels SELECT system_id, 'volume', random(), 'Å^3', 'tables' {systems}"
        )
        con.execute(
            f"INSERT INTO labels SELECT system_id, 'energy', random(), 'eV', 'near' {systems}"
        )
    return copy


@pytest.fixture
def molecules(molecules_path: Path, tmp_path: Path) -> Iterator[Connection]:
    """A store of its own for a test that writes."""
    copy = tmp_path / "matter.duckdb"
    copy.write_bytes(molecules_path.read_bytes())
    with query.connect(copy, read_only=False) as con:
        yield con


def test_the_energy_that_is_meant(molecules: Connection) -> None:
    asked = (
        "SELECT property, source, n, rank, n_elements FROM energy_errors(dataset := 'molecules')"
    )
    add = (
        "INSERT INTO labels SELECT system_id, ?, value, 'Ha', ? FROM labels "
        "WHERE property = 'enthalpy'"
    )
    assert molecules.sql(asked).fetchall() == [("enthalpy", "tables", 40, 1, 2)]
    molecules.execute(
        add, ["ionization_energy", "tables"]
    )  # in the unit, but none of a whole system
    molecules.execute(
        f"{add} ORDER BY system_id LIMIT 30", ["internal_energy_0K", "QM"]
    )  # of fewer systems
    assert molecules.sql(asked).fetchall() == [("enthalpy", "tables", 40, 1, 2)]
    molecules.execute(
        add, ["internal_energy_298K", "QM"]
    )  # of as many, and more like what a potential predicts
    assert molecules.sql(asked).fetchall() == [("internal_energy_298K", "QM", 40, 1, 2)]
    molecules.execute(add, ["energy", "QM"])
    assert molecules.sql(asked).fetchall() == [("energy", "QM", 40, 1, 2)]


def test_energies_of_no_whole_system_are_not_chosen_among(molecules: Connection) -> None:
    molecules.execute("UPDATE labels SET property = 'gap' WHERE property = 'enthalpy'")
    asked = "SELECT property FROM energy_errors(dataset := 'molecules')"
    assert molecules.sql(asked).fetchall() == [("gap",)]
    molecules.execute(
        "INSERT INTO labels VALUES ('molecules/000', 'ionization_energy', 12, 'eV', 'tables')"
    )
    choices = (
        "property := 'gap', source := 'tables'; property := 'ionization_energy', source := 'tables'"
    )
    with pytest.raises(
        duckdb.InvalidInputException, match=f"several labels on molecules .* choose one: {choices}"
    ):
        molecules.sql(asked).fetchall()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("dataset := 'crystals'", "choose one: .*source := 'DFT'; .*source := 'force field'"),
        ("dataset := 'crystal'", "did you mean 'crystals'"),
        ("source := 'DFT'", "say which dataset"),
        ("dataset := 'crystals', source := 'dft'", "no labels of 'dft' on crystals"),
        (
            "dataset := 'crystals', source := 'DFTT'",
            "no labels of 'DFTT' on crystals; did you mean 'DFT'",
        ),
        (
            "dataset := 'crystals', property := 'energi'",
            "no label 'energi' on crystals; did you mean 'energy'",
        ),
        (
            "dataset := 'molecules', property := 'volume'",
            "'volume' of 'tables' is in 'Å.3', expected a unit of energy: eV",
        ),
        (
            "dataset := 'molecules', property := 'energy'",
            "no labels of energy on molecules; .*one of: near",
        ),
        (
            "dataset := 'molecules', property := 'enthalpy', source := 'near'",
            "no labels of enthalpy of 'near' on molecules",
        ),
        (f"{DFT}, models := ['neat']", "did you mean 'near'"),
        (f"{DFT}, missing := 'comon'", "did you mean 'common'"),
    ],
)
@pytest.mark.parametrize("function", ["energy_errors", "energy_residuals"])
def test_what_cannot_be_compared_is_said(
    molecules_path: Path, lender: Lender, function: str, arguments: str, message: str
) -> None:
    with pytest.raises(duckdb.InvalidInputException, match=message):
        lender.lend(molecules_path).sql(f"FROM {function}({arguments})").fetchall()
