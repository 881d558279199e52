"""Two metrics written again with dense matrices, and the small store's vectors for them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from tests.query.figures.conftest import SMALL, make_vectors

Matrix = NDArray[np.float64]


def unit(model: str) -> Matrix:
    x = make_vectors(SMALL, 0)[model].astype(float)
    scaled: Matrix = x / np.linalg.norm(x, axis=1, keepdims=True)
    return scaled


def mutual_knn(a: Matrix, b: Matrix, k: int = 25) -> float:
    near = []
    for x in (a, b):
        products = x @ x.T
        np.fill_diagonal(products, -np.inf)
        near.append(np.argsort(-products, axis=1)[:, :k])
    return float(
        np.mean([len(set(one) & set(other)) / k for one, other in zip(*near, strict=True)])
    )


def information_imbalance(a: Matrix, b: Matrix) -> float:
    far, farther = (np.linalg.norm(x[:, None] - x[None], axis=2) for x in (a, b))
    for distances in (far, farther):
        np.fill_diagonal(distances, np.inf)
    ranks = rankdata(farther, axis=1)
    return float(2 / len(a) * np.mean([ranks[i, far[i].argmin()] for i in range(len(a))]))
