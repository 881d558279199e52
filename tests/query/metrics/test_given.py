"""What is left of two models once what a description explains is taken out: laws and chance."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from query.engine.conditioned import Conditioned
from query.metrics import METRICS, Comparison, align, align_all
from query.metrics.alignment import align_conditioned
from query.metrics.registry import is_whole
from query.statistics.conditioning import Description, null_spread

Matrix = NDArray[np.float64]
Random = np.random.RandomState

N, K, FEATURES, PAIRS, PERMUTATIONS = 60, 5, 12, 30, 19
WITH_NULL = [name for name in METRICS if not is_whole(name)]


def rotation(random: Random, d: int) -> Matrix:
    q: Matrix = np.linalg.qr(random.normal(size=(d, d)))[0]
    return q


def sharing_only_the_given(random: Random, d: int = 10) -> tuple[Matrix, Matrix, Matrix]:
    """Return two models that see a description in the same geometry, each with its own noise."""
    given = random.normal(size=(N, FEATURES)) * np.logspace(0, -1, FEATURES) + 3
    mapped = given @ random.normal(size=(FEATURES, d))
    a, b = (mapped @ rotation(random, d) + random.normal(size=(N, d)) + 2 for _ in range(2))
    return a, b, given


def p_values(seed: int, pairs: int, extra: float = 0.0, given: bool = True) -> dict[str, Matrix]:
    """Return p by metric, (pairs,).

    Args:
        seed: Seeds the pairs.
        pairs: How many pairs of models.
        extra: How much the models of a pair share beyond the description.
        given: Whether the description is given.
    """
    random = Random(seed)
    found: dict[str, list[float]] = {name: [] for name in WITH_NULL}
    for pair in range(pairs):
        a, b, table = sharing_only_the_given(random)
        latent = extra * random.normal(size=(N, 3))
        a, b = (x + latent @ random.normal(size=(3, x.shape[1])) for x in (a, b))
        asked = (WITH_NULL, [(0, 1)])
        if given:
            left = Conditioned([a, b], {"given": table}, names=["a", "b"], n=N, k=K)
            rows = align_conditioned(left, *asked, permutations=PERMUTATIONS, seed=pair)
        else:
            rows = align_all(Comparison([a, b], k=K), *asked, permutations=PERMUTATIONS, seed=pair)
        for name, _, row in rows:
            assert row.p_value is not None, row.reason
            found[name].append(row.p_value)
    return {name: np.array(values) for name, values in found.items()}


def test_models_that_share_only_the_given_are_at_chance() -> None:
    for name, found in p_values(1, PAIRS).items():
        for level in (0.05, 0.25):
            rejected = np.mean(found <= level)
            assert rejected <= level + 4 * (level * (1 - level) / PAIRS) ** 0.5, (name, level)
    for name, found in p_values(1, 8, given=False).items():
        assert np.mean(found <= 0.05) > 0.8, name


def sharing_only_the_size(random: Random, d: int = 10) -> tuple[Matrix, Matrix, Matrix]:
    """Return two models that see the size of systems, which is skewed, each with its own noise."""
    size = np.round(np.exp(2.5 + random.normal(size=N))) + 1
    given = np.column_stack([size, np.log(size)])
    scaled = (given - given.mean(axis=0)) / given.std(axis=0)
    mapped = scaled @ random.normal(size=(2, d))
    a, b = (mapped @ rotation(random, d) + 0.3 * random.normal(size=(N, d)) + 2 for _ in range(2))
    return a, b, given


def test_models_that_share_only_a_skewed_description_are_at_chance() -> None:
    random, found = Random(13), []
    for pair in range(PAIRS):
        a, b, given = sharing_only_the_size(random)
        row = align(a, b, "cka", permutations=PERMUTATIONS, seed=pair, given=given)
        assert row.p_value is not None and row.given_share_a is not None and row.given_share_a > 0.5
        found.append(row.p_value)
    assert np.mean(np.array(found) <= 0.05) <= 0.25  # with weights by the length alone: 0.53


def test_the_same_is_taken_from_a_model_of_few_vectors_however_it_is_turned() -> None:
    random = Random(13)
    given = 3 * random.normal(size=(N, 3))
    given[:48] = given[0] + 0.3 * random.normal(size=(48, 3))
    x = given @ random.normal(size=(3, 6)) + 0.1 * random.normal(size=(N, 6)) + 2
    x[:48] = x[0]
    description = Description([(given - given.mean(axis=0)) / given.std(axis=0)])
    turned = [x, *(x @ rotation(random, 6) for _ in range(10))]
    shares = [description.take_out(each, to_one_length=True).share for each in turned]
    assert shares == pytest.approx([shares[0]] * 11, abs=1e-6) and shares[0] > 0.9


def test_a_third_model_changes_no_row_of_two_others() -> None:
    random = Random(14)
    c, _, given = sharing_only_the_given(random)
    a, b = random.normal(size=(2, N, 10))
    left = Conditioned([a, b, c], {"given": given}, names=["a", "b", "c"], n=N, k=K)
    rows = {pair: row for _, pair, row in align_conditioned(left, ["cka"], [(0, 1), (0, 2)])}
    assert rows[0, 1].given_shuffled == align(a, b, "cka", given=given).given_shuffled is None
    assert rows[0, 2].given_shuffled is not None


def test_what_they_share_beyond_the_given_is_found() -> None:
    for name, found in p_values(2, 8, extra=1.5).items():
        assert np.mean(found <= 0.05) > 0.8, name


def test_products_of_what_is_left_of_noise_have_mean_zero() -> None:
    random, total = Random(3), np.zeros((N, N))
    given = random.normal(size=(N, FEATURES))
    description = Description([(given - given.mean(axis=0)) / given.std(axis=0)])
    signal = given @ random.normal(size=(FEATURES, 40))
    for _ in range(200):
        left = description.take_out(signal + random.normal(size=(N, 40)), to_one_length=False)
        about = left.vectors - left.vectors.mean(axis=0)
        total += (about @ about.T + left.given_back @ left.given_back.T) / 40 / 200
    apart = total[~np.eye(N, dtype=bool)]
    # The mean is taken out, too: −1/n.
    assert np.abs(apart + 1 / N).max() < 0.06
    assert np.diag(total) == pytest.approx(1 - 1 / N, abs=0.12)
    assert left.lost == pytest.approx(FEATURES, abs=0.2)
    assert null_spread(N, left.lost, N) == pytest.approx(N / (N - FEATURES), abs=0.01)


def test_given_noise_changes_nothing_beyond_the_interval() -> None:
    random = Random(4)
    latent = random.normal(size=(200, 4))
    a, b = (latent @ random.normal(size=(4, 12)) + random.normal(size=(200, 12)) for _ in range(2))
    for metric in ("cknna", "cka"):
        plain = align(a, b, metric, k=K, subsamples=40)
        found = align(a, b, metric, k=K, given=random.normal(size=(200, 30)))
        assert plain.low is not None and plain.high is not None and found.value is not None
        assert plain.low < found.value < plain.high
        assert 0 <= found.given_share_a < 0.05 and 0 <= found.given_share_b < 0.05


@pytest.mark.parametrize("wide", [False, True])
def test_given_the_model_itself_leaves_nothing(wide: bool) -> None:
    random = Random(5)
    a, b, _ = sharing_only_the_given(random, d=2 * N if wide else 10)
    for copy in (a, a @ rotation(random, a.shape[1]), (5 * a - 3).astype(np.float32)):
        for metric in METRICS:
            found = align(a, b, metric, k=K, given=copy)
            assert found.value is None and found.p_value is None
            assert found.reason is not None and "nothing is left of a: given" in found.reason


def test_neither_rotations_nor_the_order_of_systems_matter() -> None:
    random = Random(6)
    a, b, given = sharing_only_the_given(random)
    order = random.permutation(N)
    for metric in ("cknna", "cka", "procrustes"):
        one = align(a, b, metric, k=K, given=given)
        turned = align(a @ rotation(random, 10), b, metric, k=K, given=7 * given)
        other = align(a[order], b[order], metric, k=K, given=given[order])
        assert turned.value == pytest.approx(one.value, abs=1e-9)
        assert other.value == pytest.approx(one.value, abs=1e-9)
        assert turned.given_share_a == pytest.approx(one.given_share_a, abs=1e-9)
        itself = align(a, a @ rotation(random, 10), metric, k=K, given=given)
        assert itself.value == pytest.approx(0 if metric == "procrustes" else 1, abs=1e-9)


def test_metrics_of_whole_vectors_have_no_null_and_say_so() -> None:
    a, b, given = sharing_only_the_given(Random(7))
    found = align(a, b, "procrustes", permutations=20, given=given)
    assert found.value is not None and found.p_value is None
    assert found.warning == "no null: procrustes has none of what is left"


def test_a_description_of_half_the_degrees_of_freedom_is_named() -> None:
    random = Random(8)
    given = random.normal(size=(N, 40))
    a, b = (given @ random.normal(size=(40, 6)) + random.normal(size=(N, 6)) for _ in range(2))
    found = align(a, b, "cka", given=given)
    assert found.warning is not None and "given takes 40 of 59 degrees of freedom from a" in (
        found.warning
    )


def test_what_degrees_of_freedom_cost_is_told_from_what_the_given_explains() -> None:
    random = Random(11)
    a, b, given = sharing_only_the_given(random)
    for metric in ("cknna", "cka"):
        found = align(a, b, metric, k=K, given=given)
        assert found.value is not None and found.given_shuffled is not None
        assert found.value < found.given_shuffled < align(a, b, metric, k=K).value
    few = align(np.tile(a, (6, 1)), np.tile(b, (6, 1)), given=np.tile(given, (6, 1)))
    assert few.given_shuffled is None and few.given_share_a > 0.6


def test_a_few_long_vectors_do_not_decide_what_is_taken() -> None:
    random = Random(10)
    a, _, given = sharing_only_the_given(random)
    plain = align(a, a, "cka", given=given)
    a[:3] *= 100
    found = align(a, a, "cka", given=given)
    assert plain.given_share_a is not None and found.given_share_a is not None
    assert plain.given_share_a > 0.6 and found.given_share_a > 0.6 * plain.given_share_a


def test_what_cannot_be_given() -> None:
    a, b, given = sharing_only_the_given(Random(9))
    with pytest.raises(ValueError, match="normalize = 'zscore' would scale up features of which"):
        align(a, b, normalize="zscore", given=given)
    short = align(a, b, given=given[:50])
    assert short.reason == "given: a has 60 systems and given 50: they cannot be paired"
    same = align(a, b, given=np.ones((N, 3)))
    assert same.reason == "given: every vector of given is the same"
    bad = align(np.where(np.arange(N)[:, None] == 3, 0, a), b, given=given)
    assert bad.reason == "row 3 of a has only zeros, which normalization 'l2' cannot scale"
