"""Every metric against an independent implementation, on the same float64 vectors."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from query.engine.normalization import normalize
from query.metrics import METRICS, NORMALIZATIONS, align, cka, cknna, mutual_knn

Matrix = NDArray[np.float64]


def related(n: int, seed: int, noise: float = 0.5, offset: float = 0.0) -> tuple[Matrix, Matrix]:
    """Return two models that see the same 6 coordinates, in 20 and 12 dimensions."""
    random = np.random.RandomState(seed)
    latent = random.normal(size=(n, 6))
    a, b = (
        latent @ random.normal(size=(6, d)) + noise * random.normal(size=(n, d)) for d in (20, 12)
    )
    return a + offset * random.normal(size=20), b + offset * random.normal(size=12)


def unit(x: Matrix) -> Matrix:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def neighbor_mask(kernel: Matrix, k: int) -> Matrix:
    kernel = kernel.copy()
    np.fill_diagonal(kernel, -np.inf)
    mask = np.zeros_like(kernel)
    np.put_along_axis(mask, np.argsort(-kernel, axis=1)[:, :k], 1.0, axis=1)
    return mask


def song(kernel: Matrix, other: Matrix) -> float:
    """Return unbiased HSIC as printed: Song et al. 2012, equation 5."""
    m = len(kernel)
    kernel, other = kernel - np.diag(np.diag(kernel)), other - np.diag(np.diag(other))
    one = np.ones(m)
    total = (one @ kernel @ one) * (one @ other @ one) / ((m - 1) * (m - 2))
    return float(
        (np.trace(kernel @ other) + total - 2 / (m - 2) * (one @ kernel @ other @ one))
        / (m * (m - 3))
    )


def dense_cknna(a: Matrix, b: Matrix, k: int) -> float:
    """Return the value of Huh et al.'s published code without its 1e-6, the mean of both orders."""

    def similarity(kernel: Matrix, other: Matrix) -> float:
        mask = neighbor_mask(kernel, k) * neighbor_mask(other, k)
        # their code multiplies by the transpose: sum(K * L.T) is trace(K L)
        return song(mask * kernel, mask * other)

    kernel, other = a @ a.T, b @ b.T
    both = (similarity(kernel, other) + similarity(other, kernel)) / 2
    return both / float(np.sqrt(similarity(kernel, kernel) * similarity(other, other)))


def dense_centered_cknna(a: Matrix, b: Matrix, k: int) -> float:
    """Return the value of equations A3 to A8 of Edamadaka et al. 2025."""
    kernel, other = a @ a.T, b @ b.T
    masks = neighbor_mask(kernel, k), neighbor_mask(other, k)
    kernel, other = (x - x.mean(axis=1, keepdims=True) for x in (kernel, other))
    own = np.sum(masks[0] * kernel**2) * np.sum(masks[1] * other**2)
    return float(np.sum(masks[0] * masks[1] * kernel * other) / np.sqrt(own))


def kornblith(a: Matrix, b: Matrix) -> float:
    """Return biased linear CKA with the centering matrix written out."""
    centering = np.eye(len(a)) - 1 / len(a)
    kernel, other = centering @ a @ a.T @ centering, centering @ b @ b.T @ centering
    return float(np.sum(kernel * other) / (np.linalg.norm(kernel) * np.linalg.norm(other)))


@pytest.mark.parametrize("k", [2, 10, 25, 80])
@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_cknna_is_the_published_code(k: int, offset: float) -> None:
    a, b = related(130, seed=k, offset=offset)
    assert cknna(a, b, k) == pytest.approx(dense_cknna(unit(a), unit(b), k), rel=1e-9)
    assert cknna(a, b, k, normalize="none") == pytest.approx(dense_cknna(a, b, k), rel=1e-9)


@pytest.mark.parametrize("k", [2, 10, 25, 80])
@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_centered_cknna_is_the_printed_equation(k: int, offset: float) -> None:
    a, b = related(130, seed=k, offset=offset)
    assert cknna(a, b, k, estimator="centered") == pytest.approx(
        dense_centered_cknna(unit(a), unit(b), k), rel=1e-9
    )


def test_cknna_over_all_neighbors_is_unbiased_cka() -> None:
    a, b = related(60, seed=1)
    assert cknna(a, b, k=59) == pytest.approx(cka(a, b), rel=1e-9)


@pytest.mark.parametrize("k", [1, 10, 40])
def test_mutual_knn_agrees_with_scikit_learn(k: int) -> None:
    a, b = related(200, seed=3)
    lists = [
        NearestNeighbors(n_neighbors=k, metric="cosine").fit(x).kneighbors(return_distance=False)
        for x in (a, b)
    ]
    shared = [len(set(i) & set(j)) for i, j in zip(*lists, strict=True)]
    assert mutual_knn(a, b, k) == pytest.approx(np.mean(shared) / k, abs=1e-12)


@pytest.mark.parametrize(("n", "offset"), [(200, 0.0), (200, 30.0), (10, 0.0), (4, 0.0)])
def test_cka_agrees_with_the_printed_equations(n: int, offset: float) -> None:
    """At n = 10 and 4 there are more features than systems, and it is computed another way."""
    a, b = related(n, seed=4, offset=offset)
    kernels = [unit(x) @ unit(x).T for x in (a, b)]
    expected = song(*kernels) / np.sqrt(song(kernels[0], kernels[0]) * song(kernels[1], kernels[1]))
    # the restatement, not the metric, loses digits to an offset of 30 deviations
    assert cka(a, b) == pytest.approx(expected, rel=1e-9 if offset == 0 else 1e-5)
    assert cka(a, b, estimator="biased") == pytest.approx(kornblith(unit(a), unit(b)), rel=1e-8)
    assert cka(a, b, estimator="biased", normalize="none") == pytest.approx(
        kornblith(a, b), rel=1e-8
    )


def test_normalizations() -> None:
    x = np.array([[3.0, -4.0, 1.0], [0.0, 2.0, 1.0], [6.0, 8.0, 1.0]])
    assert normalize(x, "none").numpy() == pytest.approx(x)
    assert normalize(x, "l2").numpy() == pytest.approx(unit(x))
    assert normalize(x, "max").numpy() == pytest.approx(x / np.array([[4.0], [2.0], [8.0]]))
    varied = x[:, :2]
    assert normalize(x, "zscore").numpy() == pytest.approx(
        (varied - varied.mean(0)) / varied.std(0)
    )
    assert x[0, 0] == 3.0, "the caller's vectors are not touched"


@pytest.mark.parametrize("how", NORMALIZATIONS)
@pytest.mark.parametrize("metric", METRICS)
def test_normalizing_beforehand_changes_nothing(metric: str, how: str) -> None:
    a, b = related(90, seed=5)
    ready = normalize(a, how).numpy(), normalize(b, how).numpy()
    direct = align(a, b, metric, k=10, normalize=how)
    assert direct.value == pytest.approx(
        align(*ready, metric, k=10, normalize="none").value, rel=1e-12
    )
    assert direct.normalization == how
