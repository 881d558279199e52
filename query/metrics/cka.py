"""Linear CKA, centered kernel alignment: how alike two models' matrices of inner products are, as a whole.

References: Kornblith, Norouzi, Lee, Hinton, ICML 2019 (biased); Song et al., JMLR 13 (2012), equation 5 (unbiased).
Definition: HSIC(K, L) / √(HSIC(K, K) · HSIC(L, L)) with K = X Xᵀ, L = Y Yᵀ.

'unbiased' (default): Song's U-statistic; 0 on average for unrelated models whatever their dimensions.
'biased': ‖XᵀY‖² with centred features over ‖XᵀX‖ ‖YᵀY‖ (Frobenius); rises towards 1 by itself as d approaches n.

Range: 'unbiased' -1 to 1, 'biased' 0 to 1. Hardly depends on n.
Invariant to: rotations and reflections, scale, shifts (under normalization 'none'), the order of the systems.
Undefined: fewer than 4 systems, constant vectors, an unbiased self-alignment that is not positive (all inner products
between different systems alike, as with one-hot vectors).
Tested against: both formulas restated densely.

Computed from feature cross-products, n·d_a·d_b, where those are cheaper than kernel tiles, n²·(d_a + d_b); features
are centred first, so that no digits cancel. With centred features the rows of K sum to 0, so a row without its diagonal
sums to −|x_i|², which is all that the unbiased estimator needs besides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from query.metrics import tiles
from query.metrics.alignment import measure
from query.metrics.base import ROUNDING, Metric, joint_scale

GATHER = 30  # multiplications of a matrix product in the time of fetching one shuffled element


@dataclass(frozen=True, slots=True)
class State:
    """What CKA keeps of one model."""

    x: Tensor  # (n, d) float64, features centred
    squares: Tensor  # (n,) squared lengths
    scale: dict[str, float]  # by estimator: √HSIC(K, K); absent where that is not positive
    name: str


class Cka(Metric):
    """See the module."""

    name: ClassVar[str] = "cka"
    estimators: ClassVar[tuple[str, ...]] = ("unbiased", "biased")

    def prepare(self, x: Tensor, k: int, name: str = "a") -> State:
        x = x - x.mean(dim=0)
        squares = x.square().sum(dim=1)
        biased = kernel_product(x, x)
        unbiased = _hsic(x.new_tensor([biased]), squares, squares[None]).item()
        scale = {"biased": biased**0.5}
        if unbiased > ROUNDING * biased / len(x) ** 2:
            scale["unbiased"] = unbiased**0.5
        return State(x, squares, scale, name)

    def value(self, a: State, b: State, estimator: str | None) -> float:
        products = a.x.new_tensor([kernel_product(a.x, b.x)])
        return _normalised(a, b, estimator, products, b.squares[None]).item()

    def null(self, a: State, b: State, estimator: str | None, permutations: Tensor) -> Tensor:
        products = _shuffled_products(a.x, b.x, permutations)
        return _normalised(a, b, estimator, products, b.squares[permutations])


METRIC = Cka()


def cka(a: ArrayLike | Tensor, b: ArrayLike | Tensor, *, estimator: str | None = None, normalize: str = "l2") -> float:
    """Linear CKA of two models' vectors over the same systems, (n, d_a) and (n, d_b). Raises Undefined."""
    return measure(METRIC, a, b, k=1, estimator=estimator, normalization=normalize)


def kernel_product(x: Tensor, y: Tensor) -> float:
    """Σ_ij K_ij L_ij = ‖XᵀY‖² for x (n, d_x), y (n, d_y), by the cheaper of two ways; neither holds an N × N matrix."""
    n, d_x, d_y = len(x), x.shape[1], y.shape[1]
    if d_x * d_y <= n * (d_x + d_y):
        parts = tiles.blocks(d_x, d_y * tiles.FLOAT64_BYTES)
        return sum((x[:, part].T @ y).square().sum().item() for part in parts)
    return sum(torch.sum((x[rows] @ x.T) * (y[rows] @ y.T)).item() for rows in tiles.tile_rows(n))


def _shuffled_products(x: Tensor, y: Tensor, permutations: Tensor) -> Tensor:
    """The kernel product for every order in which y's rows are taken, (B,), several orders at a time.

    Where both kernels fit in one tile and gathering their n² elements costs less than n·d_x·d_y multiplications they
    are made once; else each order costs that product.
    """
    n, d_x, d_y = len(x), x.shape[1], y.shape[1]
    if n * n * tiles.FLOAT64_BYTES <= tiles.TILE_BYTES and n * GATHER < d_x * d_y:
        kernel, other = (x @ x.T).flatten(), y @ y.T
        parts = tiles.blocks(len(permutations), n * n * tiles.FLOAT64_BYTES)
        shuffled = (other[order[:, :, None], order[:, None, :]] for order in (permutations[p] for p in parts))
        return torch.cat([block.flatten(1) @ kernel for block in shuffled])
    parts = tiles.blocks(len(permutations), (n * d_y + d_x * d_y) * tiles.FLOAT64_BYTES)
    return torch.cat([(x.T @ y[permutations[p]]).square().sum(dim=(1, 2)) for p in parts])


def _normalised(a: State, b: State, estimator: str | None, products: Tensor, b_squares: Tensor) -> Tensor:
    """(B,) values from (B,) kernel products and b's squared lengths in the order of each pairing, (B, n)."""
    hsic = products if estimator == "biased" else _hsic(products, a.squares, b_squares)
    return hsic / joint_scale(a, b, estimator)


def _hsic(products: Tensor, a_squares: Tensor, b_squares: Tensor) -> Tensor:
    """Song's equation 5 for centred features. products: (B,) Σ_ij K_ij L_ij; a_squares: (n,); b_squares: (B, n)."""
    n = len(a_squares)
    diagonal = b_squares @ a_squares  # Σ_i K_ii L_ii, and also Σ_i (row sum of K)(row sum of L) off the diagonal
    total = a_squares.sum() * b_squares.sum(dim=1) / ((n - 1) * (n - 2))
    return (products - diagonal + total - 2 * diagonal / (n - 2)) / (n * (n - 3))
