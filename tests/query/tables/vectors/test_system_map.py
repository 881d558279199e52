"""Maps of the systems, against scikit-learn's principal components and its trustworthiness."""

from __future__ import annotations

import itertools
import os

import duckdb
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness

from query.tables.shared.planes import principal_plane, umap_plane

Connection = duckdb.DuckDBPyConnection
Floats = NDArray[np.float64]
Vectors = dict[str, NDArray[np.float32]]

HOW = "dataset := 'crystals'"


def uneven(n: int, d: int, seed: int = 0) -> Floats:
    """Vectors that vary less from direction to direction, about a mean."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) / np.arange(1, d + 1) + rng.normal(size=d)


@pytest.mark.parametrize(("n", "d"), [(50, 6), (6, 50), (20, 20), (3, 2)])
def test_the_plane_is_scikit_learns(n: int, d: int) -> None:
    x = uneven(n, d)
    plane, shares = principal_plane(x)
    pca = PCA(2).fit(x)
    expected = pca.transform(x)
    signs = np.sign((plane * expected).sum(axis=0))
    assert plane == pytest.approx(expected * signs)
    assert shares == pytest.approx(tuple(pca.explained_variance_ratio_))
    assert (plane.max(axis=0) == np.abs(plane).max(axis=0)).all()


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), n=st.integers(3, 40), d=st.integers(2, 40))
def test_a_rotated_model_has_the_same_map(seed: int, n: int, d: int) -> None:
    x = uneven(n, d, seed)
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))
    plane, shares = principal_plane(x)
    turned, again = principal_plane(x @ turn - 3)
    gap = min(shares[0] - shares[1], shares[1]) if n > 3 and d > 2 else shares[0] - shares[1]
    if gap > 1e-3:  # else the directions are anybody's choice
        assert turned == pytest.approx(plane, abs=1e-6)
        assert again == pytest.approx(shares)


def test_one_direction_is_a_line() -> None:
    x = np.arange(5.0)[:, None]
    for vectors in (x, x @ np.array([[3.0, 4.0]]) / 5):
        plane, shares = principal_plane(vectors)
        assert plane == pytest.approx(np.stack([2 - np.arange(5.0), np.zeros(5)], axis=1), abs=1e-7)
        assert shares == pytest.approx((1, 0), abs=1e-12)


def test_system_map(con: Connection, vectors: Vectors) -> None:
    rows = con.sql(f"""
        SELECT system_id, x, y, explained_x, explained_y FROM system_map('base', {HOW},
            normalize := 'none')
    """).fetchall()
    plane, shares = principal_plane(vectors["base"].astype(float))
    assert [row[0] for row in rows] == [f"crystals/{i:03d}" for i in range(60)]
    assert np.array([row[1:3] for row in rows]) == pytest.approx(plane)
    assert rows[0][3:] == rows[-1][3:] == pytest.approx(shares)
    unit = vectors["base"].astype(float)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    normed = con.sql(f"SELECT x, y FROM system_map('base', {HOW})").fetchall()
    assert np.array(normed) == pytest.approx(principal_plane(unit)[0])
    how = con.sql(
        f"SELECT DISTINCT model_id, dataset, method, normalization, k, n, reason "
        f"FROM system_map('base#all', {HOW})"
    )
    assert how.fetchall() == [("base#all", "crystals", "pca", "l2", None, 60, None)]


def test_of_many_systems_all_models_show_the_same(con: Connection) -> None:
    few = (
        "SELECT list(system_id), any_value(n) FROM system_map('{}', dataset := 'crystals', "
        "max_systems := 20{})"
    )
    base, rotated = (con.sql(few.format(model, "")).fetchall() for model in ("base", "rotated"))
    assert base == rotated
    assert len(base[0][0]) == base[0][1] == 20
    assert base[0][0] == sorted(base[0][0])
    other = con.sql(few.format("base", ", seed := 1")).fetchall()
    assert other != base
    assert other == con.sql(few.format("base", ", seed := 1")).fetchall()


@pytest.mark.parametrize(
    ("model", "more", "n", "reason"),
    [
        ("constant", "", 60, "every vector of constant is the same after 'l2' normalization"),
        ("poisoned", "", 60, "row 3 of poisoned is not finite (NaN or infinity)"),
        ("ragged", "", 60, "the vectors of ragged differ in length (15 to 16)"),
        ("empty", "", 0, "no vectors of empty on crystals"),
        ("base", ", max_systems := 2", 2, "n = 2, but a map by 'pca' needs 3 systems"),
        ("base", ", method := 'umap', k := 60", 60, "n = 60, but a map by 'umap' needs 61 systems"),
        (
            "base",
            ", method := 'umap', k := 2, max_systems := 3",
            3,
            "n = 3, but a map by 'umap' needs 4 systems",
        ),
    ],
)
def test_what_has_no_map_says_why(
    con: Connection, model: str, more: str, n: int, reason: str
) -> None:
    rows = con.sql(f"""
        SELECT system_id, x, y, explained_x, explained_y, n, reason FROM system_map('{model}',
            {HOW}{more})
    """).fetchall()
    assert rows == [(None, None, None, None, None, n, reason)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("'bas', dataset := 'crystals'", "did you mean 'base'"),
        ("'base', dataset := 'crystal'", "did you mean 'crystals'"),
        ("'base'", "say which dataset"),
        ("'base', dataset := 'crystals', method := 'umpa'", "did you mean 'umap'"),
        ("'base', dataset := 'crystals', method := 'umap', k := 1", "k = 1, expected at least 2"),
        (
            "'base', dataset := 'crystals', k := 5",
            "'pca' has no neighbors, but k = 5 was asked for",
        ),
        ("'base', dataset := 'crystals', normalize := 'zscor'", "did you mean 'zscore'"),
        ("'base', dataset := 'crystals', max_systems := 0", "max_systems = 0, expected at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused(con: Connection, arguments: str, message: str) -> None:
    with pytest.raises(duckdb.InvalidInputException, match=message):
        con.sql(f"FROM system_map({arguments})").fetchall()


def test_umap_keeps_neighbors_and_groups(con: Connection) -> None:
    # One test for all, as UMAP takes seconds to import, and to compile for the first time.
    rng = np.random.default_rng(0)
    groups = 40 * rng.normal(size=(3, 8))
    x = np.concatenate([group + rng.normal(size=(25, 8)) for group in groups])
    threads = torch.get_num_threads()
    other = (os.cpu_count() or 1) + 1
    torch.set_num_threads(other)
    plane = umap_plane(x, 8, seed=0)
    assert torch.get_num_threads() == other  # Numba sets one per core
    torch.set_num_threads(threads)
    assert trustworthiness(x, plane, n_neighbors=5) > 0.9
    centers = plane.reshape(3, 25, 2).mean(axis=1)
    widths = np.linalg.norm(plane.reshape(3, 25, 2) - centers[:, None], axis=2).max()
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(centers, 2)) > 2 * widths
    # The same again, also where the graph falls apart, where systems are copies, and on a line.
    for table, k in ((x, 8), (np.repeat(x[:5], 12, axis=0), 5), (x[:10, :1], 3), (x[:4], 2)):
        drawn = umap_plane(table, k, seed=0)
        assert np.isfinite(drawn).all()
        assert (drawn == umap_plane(table, k, seed=0)).all()
    asked = f"SELECT x, y, k, n, explained_x FROM system_map('base', {HOW}, method := 'umap')"
    rows = con.sql(asked).fetchall()
    assert rows == con.sql(asked).fetchall()
    assert len(rows) == 60
    assert {row[2:] for row in rows} == {(15, 60, None)}
