"""What explains alignment, against permutations and means worked out by hand."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import query
from query.statistics.mantel import mean_interval, orders, p_value
from query.tables.shared.relations import RELATIONS, relate

Connection = duckdb.DuckDBPyConnection
FAMILIES = {"base": "a", "near": "a", "far": "a", "rotated": "b", "scaled": "b", "noise": "c"}
TRAINING = {
    "base": ["OC20"],
    "near": ["OC20", "OC22"],
    "far": ["PDB"],
    "rotated": ["OC22"],
    "scaled": ["ZINC"],
    "noise": ["ZINC"],
}
KINDS = relate(list("aaabbc"), [frozenset(sets) for sets in TRAINING.values()])
HOW = "dataset := 'crystals', k := 5"


def symmetric(n: int, seed: int) -> NDArray[np.float64]:
    values = np.random.default_rng(seed).normal(size=(n, n))
    return values + values.T


def test_relations() -> None:
    found = [[RELATIONS[kind] for kind in row] for row in KINDS]
    family, training, neither, _ = RELATIONS
    assert found[0] == [family, family, family, neither, neither, neither]
    assert found[1] == [family, family, family, training, neither, neither]
    assert found[4] == [neither, neither, neither, family, family, training]
    assert relate([], []).shape == (0, 0)


@pytest.mark.parametrize(
    ("groups", "total"),
    [
        ([range(4)], 24),
        ([[0, 1], [2, 3, 4]], 12),
        ([[0, 3], [2, 1]], 8),
        ([[2], [0], [1]], 6),
        ([[0, 1], [3], [2]], 4),
    ],
)
def test_all_orders_that_keep_groups(groups: list[list[int]], total: int) -> None:
    n = sum(map(len, groups))
    group = {row: g for g, rows in enumerate(groups) for row in rows}
    together = {(a, b) for a in range(n) for b in range(n) if group[a] == group[b]}
    by_hand = {
        order
        for order in itertools.permutations(range(n))
        if {(a, b) for a in range(n) for b in range(n) if group[order[a]] == group[order[b]]}
        == together
    }
    found = orders(groups, 24, seed=0)
    assert {tuple(order) for order in found.tolist()} == by_hand
    assert len(found) == len(by_hand) == total


def test_random_orders_keep_groups_and_are_all_as_frequent() -> None:
    groups = [[0, 1, 2], [3, 4], [5, 6]]
    every = {tuple(order) for order in orders(groups, 48, seed=0).tolist()}
    found = [tuple(order) for order in orders(groups, 47, seed=1).tolist()]
    assert found[0] == tuple(range(7))
    assert len(every) == 48 == len(found)
    many = [
        found[1:]
        for found in (
            list(map(tuple, orders(groups, 47, seed=seed).tolist())) for seed in range(200)
        )
    ]
    counts = {order: 0 for order in every}
    for order in itertools.chain(*many):
        counts[order] += 1
    assert np.std(list(counts.values())) < 1.5 * (200 * 47 / 48) ** 0.5


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("seed", range(3))
def test_p_values_by_hand(kind: int, seed: int) -> None:
    values = symmetric(6, seed)
    groups = [range(6)] if kind == 0 else [[0, 1, 2], [3, 4], [5]]
    allowed = [
        order
        for order in itertools.permutations(range(6))
        if kind == 0 or set(order[:3]) == {0, 1, 2} and order[5] == 5
    ]

    def difference(order: tuple[int, ...]) -> float:
        means = []
        for wanted in (kind, 2):
            pairs = [
                values[order[i], order[j]]
                for i in range(6)
                for j in range(i)
                if KINDS[i, j] == wanted
            ]
            means.append(math.fsum(pairs) / len(pairs))
        return means[0] - means[1]

    def unchanged(order: tuple[int, ...]) -> bool:
        kept = {kind: kind, 2: 2}
        return all(
            kept.get(KINDS[order[i], order[j]]) == kept.get(KINDS[i, j])
            for i in range(6)
            for j in range(i)
        )

    observed = difference(tuple(range(6)))
    p = np.mean([difference(order) >= observed - 1e-9 for order in allowed])
    least = np.mean([unchanged(order) for order in allowed])
    assert p_value(values, KINDS, kind, 2, orders(groups, 9999, 0)) == (
        pytest.approx(p),
        pytest.approx(least),
    )


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 10**6), rounded=st.booleans())
def test_p_is_below_alpha_no_oftener_than_alpha(seed: int, rounded: bool) -> None:
    values = symmetric(5, seed)
    values = np.round(values) if rounded else values
    kinds = relate(list("aabbc"), [frozenset({s}) for s in ("OC20", "PDB", "OC20", "S22", "S22")])
    moved = orders([range(5)], 120, 0)
    found = np.array(
        [p_value(values[np.ix_(order, order)], kinds, 0, 2, moved)[0] for order in moved]
    )
    assert all((found <= alpha).mean() <= alpha + 1e-9 for alpha in (0.05, 0.1, 0.2, 0.5))


def test_random_permutations_come_near_all_of_them() -> None:
    values = symmetric(6, 0)
    every, _ = p_value(values, KINDS, 0, 2, orders([range(6)], 720, 0))
    some, least = p_value(values, KINDS, 0, 2, orders([range(6)], 700, 0))
    assert some == pytest.approx(every, abs=0.08)
    assert least >= 1 / 701


def test_the_interval_is_a_bootstrap_over_models() -> None:
    values, mask = symmetric(9, 0), np.ones((9, 9), dtype=bool)
    mask[:4, :4] = False
    rng = np.random.default_rng(1)
    means = []
    for _ in range(2000):
        drawn = rng.integers(9, size=9)
        pairs = [values[a, b] for a, b in itertools.combinations(drawn, 2) if a != b and mask[a, b]]
        if pairs:
            means.append(np.mean(pairs))
    found = mean_interval(values, mask, seed=0)
    assert found == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])), abs=0.1)
    assert found == mean_interval(values, mask, seed=0)


@pytest.fixture
def related(store_path: Path, tmp_path: Path) -> Iterator[Connection]:
    copy = tmp_path / "matter.duckdb"
    copy.write_bytes(store_path.read_bytes())
    with query.connect(copy, read_only=False) as con:
        for model, family in FAMILIES.items():
            con.execute(
                "UPDATE models SET family = ?, training_sets = ? WHERE model_id = ?",
                [family, TRAINING[model], model],
            )
        con.execute(
            "UPDATE models SET family = 'd', training_sets = ['ZINC'] "
            "WHERE model_id IN ('ragged', 'poisoned')"
        )
        con.execute("UPDATE models SET training_sets = [] WHERE model_id IN ('constant', 'stale')")
        con.execute("UPDATE models SET untrained_of = 'base' WHERE model_id = 'stale'")
        yield con


@pytest.mark.parametrize("metric", ["cka", "information_imbalance"])
def test_kinship(related: Connection, metric: str) -> None:
    how = f"dataset := 'crystals', metric := '{metric}'"
    rows = related.sql(f"FROM kinship({how})").fetchall()
    names = related.sql(f"DESCRIBE FROM kinship({how})").fetchall()
    found = [dict(zip((name[0] for name in names), row, strict=True)) for row in rows]
    models = list(FAMILIES)
    values = np.zeros((6, 6))
    for a, b, value in related.sql(
        f"SELECT model_a, model_b, value FROM alignment_matrix({how})"
    ).fetchall():
        if a in models and b in models:
            values[models.index(a), models.index(b)] = value
    values = (values + values.T) / 2
    by_kind = [values[np.triu(kind == KINDS, 1)] for kind in range(3)]
    for kind, row in enumerate(found[:3]):
        assert row["relation"] == RELATIONS[kind]
        assert (row["mean"], row["median"]) == pytest.approx(
            (by_kind[kind].mean(), np.median(by_kind[kind]))
        )
        assert (row["n_pairs"], row["n_models"], row["metric"]) == (by_kind[kind].size, 6, metric)
    for kind, row in enumerate(found[:2]):
        assert row["difference"] == pytest.approx(by_kind[kind].mean() - by_kind[2].mean())
        groups = [range(6)] if kind == 0 else [[0, 1, 2], [3, 4], [5]]
        toward = -1 if metric == "information_imbalance" else 1
        p, least = p_value(toward * values, KINDS, kind, 2, orders(groups, 9999, 0))
        assert row["p_value"] == pytest.approx(p)
        coarse = f"with these 6 models p cannot be below {least:.2g}"
        assert (coarse in (row["warning"] or "")) == (least > 0.01) == (kind == 1)
    assert [row["permuted"] for row in found[:3]] == [
        "all models",
        "models within families, and families of one size",
        None,
    ]
    # Pairs of one family are of 5 models; of the others, all 6 are in pairs of neither.
    assert found[0]["low"] <= found[0]["mean"] <= found[0]["high"]
    assert found[1]["low"] is None
    assert "no interval: 4 models are in such pairs, expected 5 or more" in found[1]["warning"]
    assert found[2]["low"] <= found[2]["mean"] <= found[2]["high"]
    assert (found[2]["difference"], found[2]["p_value"]) == (None, None)
    # OC20 and OC22 hold surfaces, PDB proteins, ZINC molecules: all but base and rotated differ.
    assert found[2]["warning"] == (
        "in 8 of 9 pairs the models learned from different matter: molecules, proteins, surfaces"
    )


def test_pairs_of_which_nobody_can_tell_are_a_group_of_their_own(related: Connection) -> None:
    """Sets of one source, and those of which nothing is known, do not count as 'neither'."""
    asked = (
        f"SELECT relation, n_pairs, mean, p_value, reason FROM kinship({HOW}, permutations := 0)"
    )
    before = {relation: rest for relation, *rest in related.sql(asked).fetchall()}
    assert set(before) == {*RELATIONS[:3], "left-out"}
    related.execute("UPDATE models SET training_sets = ['MPtrj'] WHERE model_id = 'far'")
    related.execute("UPDATE models SET training_sets = ['MPF.2021.2.8'] WHERE model_id = 'rotated'")
    related.execute("UPDATE models SET training_sets = ['web text'] WHERE model_id = 'noise'")
    found = {relation: rest for relation, *rest in related.sql(asked).fetchall()}
    pair = "SELECT avg(value) FROM alignment_matrix({}, models := [{}]) WHERE model_a != model_b"
    ((value,),) = related.sql(pair.format(HOW, "'far', 'rotated'")).fetchall()
    assert found["same-training-data"][:2] == [1, pytest.approx(value)]
    values = [
        related.sql(pair.format(HOW, f"'noise', '{other}'")).fetchall()[0][0]
        for other in list(FAMILIES)[:5]
    ]
    assert found["unknown-training-data"] == [5, pytest.approx(np.mean(values)), None, None]
    assert found["neither"][0] == 5  # of a's three and b's two, but far with rotated


def test_where_all_share_data_a_family_is_compared_with_that(related: Connection) -> None:
    related.execute("UPDATE models SET training_sets = ['OC20'] WHERE family IN ('a', 'b', 'c')")
    asked = (
        f"SELECT relation, mean, difference, p_value, warning, reason FROM kinship({HOW}, "
        f"models := $models)"
    )
    rows = related.execute(asked, {"models": list(FAMILIES)}).fetchall()
    means = {relation: mean for relation, mean, *_ in rows}
    family, training, neither = (rest for _, _, *rest in rows)
    assert means["neither"] is None
    assert family[0] == pytest.approx(means["same-family"] - means["same-training-data"])
    assert 0 < family[1] <= 1
    assert "compared with same-training-data, as no pair is of neither" in family[2]
    assert training[:2] == [None, None] and "related by neither" in training[3]


def test_who_takes_no_part_says_why(related: Connection) -> None:
    ((n, reason),) = related.sql(
        f"SELECT n_models, reason FROM kinship({HOW}) WHERE relation = 'left-out'"
    ).fetchall()
    assert n == 5
    assert "untrained: stale" in reason
    assert "without training data: constant" in reason
    assert "training data not recorded: partial" in reason
    assert "vectors of ragged differ in length (15 to 16): ragged" in reason
    assert "row 3 of poisoned is not finite (NaN or infinity): poisoned" in reason


def test_models_may_be_chosen(related: Connection) -> None:
    chosen = "models := ['base', 'near', 'noise', 'constant'], permutations := 50"
    rows = related.sql(
        f"SELECT relation, n_pairs, p_value, reason FROM kinship({HOW}, {chosen})"
    ).fetchall()
    assert rows == [
        ("same-family", 1, pytest.approx(1 / 3), None),
        ("same-training-data", 0, None, "no two models are related by: same-training-data"),
        ("neither", 2, None, None),
        ("left-out", None, None, "without training data: constant"),
    ]


def test_what_pairs_of_a_relation_share_besides_is_a_warning(related: Connection) -> None:
    asked = (
        f"SELECT relation, warning FROM kinship({HOW}, models := ['base', 'near', 'noise'], "
        f"permutations := 0) WHERE n_pairs > 0"
    )
    found = dict(related.sql(asked).fetchall())
    assert found["same-family"].startswith("1 of 1 pair shares training data, too; no interval")
    assert found["neither"].startswith(
        "all 2 pairs are of noise with another model; in 2 of 2 pairs the models learned from "
        "different matter: molecules, surfaces; no interval"
    )
    assert "one network" not in found["same-family"]
    columns = asked.replace("warning", "(common_model, one_network)", 1)
    assert dict(related.sql(columns).fetchall()) == {
        "same-family": (None, None),
        "neither": ("noise", None),
    }
    same = """'{"weights": {"files": [{"sha256": "a"}, {"sha256": "b"}]}}'"""
    related.execute(f"UPDATE models SET card = {same} WHERE model_id IN ('base', 'near')")
    found = dict(related.sql(asked).fetchall())
    assert "one network counts as two: base and near" in found["same-family"]
    assert dict(related.sql(columns).fetchall())["same-family"] == (None, ["base and near"])
    assert "one network" not in found["neither"]
    related.execute("UPDATE models SET input = 'smiles' WHERE model_id = 'near'")
    found = dict(related.sql(asked).fetchall())
    read = "{} the models read different input: smiles, structure"
    assert read.format("in 1 of 1 pair") in found["same-family"]
    assert read.format("in 1 of 2 pairs") in found["neither"]


def test_what_no_permutation_can_tell_is_null(related: Connection) -> None:
    asked = (
        "SELECT relation, p_value, difference IS NULL, reason FROM kinship({}, {}) "
        "WHERE relation LIKE 'same%'"
    )
    # Of these, base and rotated are alike, but share no data.
    chosen = "models := ['base', 'near', 'rotated']"
    assert related.sql(asked.format(HOW, chosen)).fetchall()[1] == (
        "same-training-data",
        1.0,
        False,
        None,
    )
    related.execute("UPDATE models SET training_sets = ['OC20'] WHERE family IN ('a', 'b')")
    why = "no p-value: all permutations leave these pairs as they are"
    assert related.sql(asked.format(HOW, "models := NULL")).fetchall()[1] == (
        "same-training-data",
        None,
        False,
        why,
    )
    chosen = "models := ['base', 'near']"
    none = "no two models are related by neither, which is what the mean is compared with"
    assert related.sql(asked.format(HOW, chosen)).fetchall()[0] == ("same-family", None, True, none)
    (row, _) = related.sql(asked.format(HOW, "permutations := 0")).fetchall()
    assert row == ("same-family", None, False, "no p-value: permutations = 0")


def test_several_metrics_at_once(related: Connection) -> None:
    both = related.sql(f"FROM kinship({HOW}, metric := ['cka', 'mutual_knn'])").fetchall()
    alone = [
        related.sql(f"FROM kinship({HOW}, metric := '{metric}')").fetchall()
        for metric in ("cka", "mutual_knn")
    ]
    assert both == alone[0] + alone[1]


def test_nobody_takes_part(con: Connection) -> None:
    rows = con.sql(f"SELECT relation, n_pairs, n_models, mean FROM kinship({HOW})").fetchall()
    assert rows[:3] == [(relation, 0, 0, None) for relation in RELATIONS[:3]]
    assert rows[3][:3] == ("left-out", None, 11)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("dataset := 'crystal'", "did you mean 'crystals'"),
        ("permutations := 10", "say which dataset"),
        ("dataset := 'crystals', models := ['bas']", "did you mean 'base'"),
        ("dataset := 'crystals', permutations := -1", "permutations = -1, expected 0 or more"),
        ("dataset := 'crystals', metric := 'cknn'", "did you mean 'cknna'"),
        ("dataset := 'crystals', missing := 'comon'", "did you mean 'common'"),
    ],
)
def test_what_makes_no_sense_is_refused(con: Connection, arguments: str, message: str) -> None:
    with pytest.raises(duckdb.InvalidInputException, match=message):
        con.sql(f"FROM kinship({arguments})").fetchall()
