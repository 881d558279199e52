"""What is linear in a description of the systems, taken out of a model's vectors.

Two models may be alike only because both see something simple: which elements there are, or how
many atoms. So what a simpler description explains is taken out of both, and what is left is
compared.

Definition: with the features of the description standardized, centered, and decomposed as U S Vᵀ,
    u_k (n,) being an orthonormal direction among the systems and s_k = S_kk², ridge regression with
    an intercept and the penalty λ (Hoerl and Kennard, Technometrics 12, 55 (1970)) explains Σ_k f_k
    u_k u_kᵀ X of the vectors X (n, d), f_k = s_k / (s_k + λ). What is left is T = X − Σ_k f_k u_k
    u_kᵀ (X − x̄), the mean x̄ included, since a constant is not linear in anything.
Long vectors. A few vectors far from the rest would decide the fit, and some models have them. So a
    system whose distance ℓ from the geometric median (Weiszfeld) is more than FAR times the median
    distance counts with the weight (FAR · median / ℓ)²: the rows of X and of the description are
    multiplied by its root before the fit, and what is left is divided by it afterwards. Where the
    description of the system lies as far from the rest, in units of its own median distance, the
    vector is long because of what is described: so ℓ is divided by that distance. (Sizes are
    skewed: by ℓ alone, more than half of the pairs that share only the size had p ≤ 0.05.) If more
    than half of the vectors are one, all count alike.
Penalty: generalized cross-validation (Golub, Heath, Wahba, Technometrics 21, 215 (1979)) finds the
    λ that predicts best, of PENALTIES times the largest s_k, or ∞, which explains nothing. A tenth
    of it is taken: at the best λ for prediction, what the penalty leaves of the description is as
    large as what it keeps out of noise, and it is the same in all models.
Share: 1 − GCV(λ) / GCV(∞), the variance that is explained as cross-validation judges it, from 0 to
    1. A description of many features that fits by chance alone explains 0.

What is given back. The fit takes not only what the description explains but also the part of the
    noise that lies along U, and the same part from every model: the expected product of what is
    left of the noise of two systems i and j is −c Σ_k q_k u_ik u_jk, where q = 2 f − f² and c is
    the squared length of a system's noise. That would make any two models alike: with 30 features,
    20 dimensions and 100 systems, 60 of 60 pairs that share only the description had p ≤ 0.05.
    (Fitting in folds, or to all systems but one, has the same fault.) So every system also gets the
    coordinates √(c q_k) u_ik, which make the expected product of two different systems zero, as it
    is without a description. c is estimated from what is left, per degree of freedom: Σ |t_i − x̄|²
    / (n − 1 − Σ q). If vectors are scaled to one length, what is left along x̄ shows the less the
    longer x̄ is, and c is less by this part.

Null. n systems of which Σ q directions are taken have as many products as before, but fewer that
    are independent. So the values of shuffled pairings scatter too little, by `null_spread`, and
    are spread about their mean by as much. For neighbors this is more than is needed: p is too
    large rather than too small.

Shuffled. To take q of n degrees of freedom changes values even if the description has nothing to
    do with the models: each system is mixed with others, and models agree less. So where q is
    not small the same is done with the rows of the description in another order and the same λ:
    what the description explains of an alignment is the difference to that, not to the value
    without it.

What this cannot do: take out what depends on the description otherwise than linearly; tell much if
the description has about as many features as there are systems, as then most of what is left is
expected noise; and give p for models whose noise is far larger in some systems than in others, the
same ones in both, since what is given back is that of noise of one size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PENALTIES = np.logspace(-9, 3, 49)
UNDERSMOOTHED = 0.1  # of the penalty that predicts best
NEGLIGIBLE = 1e-10  # of the largest s_k: weaker directions of a description are rounding
SAME = 1e-6  # of the largest distance: what is nearer is one vector; distances round to 1e-8
VISIBLE = 0.01  # a direction of which less is taken is not given back
FAR = 2.0  # times the median distance, beyond which a vector counts less
STEPS = 10  # toward the geometric median


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of the vectors of one model.

    Attributes:
        vectors: What is left, with the mean, (n, d).
        given_back: The coordinates that are given back, (n, r).
        penalty: λ, of what was taken.
        lost: The degrees of freedom that are taken, Σ q.
        share: The share of the variance that the description explains, from 0 to 1.
        part: The part of the variance that is left among these very systems, from 0 to 1.
        freedom: The degrees of freedom that are left, n − 1 − Σ q.
    """

    vectors: Floats
    given_back: Floats
    penalty: float
    lost: float
    share: float
    part: float
    freedom: float


class Description:
    """A description of n systems that is taken out of vectors of the same systems."""

    def __init__(self, tables: Sequence[Floats]) -> None:
        """Take the description.

        Args:
            tables: Its features, each table (n, g), standardized: mean 0 and deviation 1.
        """
        self._features = np.hstack(tables)
        self._remoteness = np.maximum(1, _remoteness(self._features))

    def of_systems(self, order: NDArray[np.int64]) -> Description:
        """Return the description with its rows in another order.

        Args:
            order: The order, (n,).
        """
        return Description([self._features[order]])

    def take_out(self, x: Floats, *, to_one_length: bool, penalty: float | None = None) -> Left:
        """Return what is left of vectors once what is linear in the description is taken out.

        Args:
            x: The vectors, (n, d), n ≥ 4, not all the same.
            to_one_length: Whether they are scaled to one length afterwards.
            penalty: λ; None for the one that the vectors ask for.
        """
        roots = self._roots_of_weights(x)
        strengths, directions = self._decompose(roots)
        mean, about = _weighted(x, roots)
        along = directions.T @ about
        total, sizes = float(np.vdot(about, about)), np.square(along).sum(axis=1)
        chosen, share = _choose_penalty(strengths, total, sizes, len(x))
        penalty = chosen if penalty is None else penalty
        kept = np.ones(len(along))
        if np.isfinite(penalty):
            kept = penalty / (strengths + penalty)
        taken = 1 - np.square(kept)
        left = about
        left -= directions @ ((1 - kept)[:, None] * along)
        part = float(np.vdot(left, left)) / total
        freedom = len(x) - 1 - len(kept) + float(np.square(kept).sum())
        noise = _noise(left, mean, freedom, to_one_length=to_one_length)
        seen = taken > VISIBLE
        back = directions[:, seen] * np.sqrt(noise * taken[seen])
        lost = float(taken.sum())
        return Left(mean + left / roots, back / roots, penalty, lost, share, part, freedom)

    def _roots_of_weights(self, x: Floats) -> Floats:
        """Return the roots of the weights of the systems, (n, 1), at most 1."""
        roots: Floats = FAR / np.maximum(_remoteness(x) / self._remoteness, FAR)
        return roots[:, None]

    def _decompose(self, roots: Floats) -> tuple[Floats, Floats]:
        """Return s_k, (directions,), and u_k as columns, (n, directions), of weighted features."""
        features = self._features if roots.min() == 1 else _weighted(self._features, roots)[1]
        wide = features.shape[1] > len(features)
        gram = features @ features.T if wide else features.T @ features
        strengths, directions = np.linalg.eigh(gram)
        kept = strengths > NEGLIGIBLE * strengths.max(initial=0.0)
        strengths, directions = strengths[kept], directions[:, kept]
        return strengths, directions if wide else features @ directions / np.sqrt(strengths)


def null_spread(n: int, lost_a: float, lost_b: float) -> float:
    """Return how much further values scatter for unrelated models than for shuffled pairings.

    Sums of products of n systems of which q directions are taken have the variance of n − q
    systems; of two models, those taken from one are among those taken from the other.

    Args:
        n: The number of systems.
        lost_a: The degrees of freedom that are taken from one model.
        lost_b: Those that are taken from the other.

    Returns:
        1 if nothing is taken from one of them, else more.
    """
    return n / (n - min(lost_a, lost_b))


def _weighted(x: Floats, roots: Floats) -> tuple[Floats, Floats]:
    """Return the weighted mean, and the rows about it times the roots of their weights, (n, d)."""
    weights = np.square(roots)
    mean: Floats = (weights.T @ x)[0] / weights.sum()
    about = x - mean
    return mean, about if roots.min() == 1 else np.multiply(about, roots, out=about)


def _remoteness(x: Floats) -> Floats:
    """Return distances from the geometric median in units of their median, (n,).

    If more than half of the rows are one, all are 1.
    """
    about = x - x.mean(axis=0)
    squares = np.einsum("ij,ij->i", about, about)

    def distances_from(center: Floats) -> Floats:
        found: Floats = np.maximum(squares - 2 * (about @ center) + center @ center, 0)
        return np.sqrt(found)

    distances = np.sqrt(squares)
    for _ in range(STEPS):
        nearness = 1 / np.maximum(distances, NEGLIGIBLE * distances.max())
        distances = distances_from(nearness @ about / nearness.sum())
    # Ten steps do not end at a vector that many systems have, but no other is nearer to their end.
    apart = distances_from(about[distances.argmin()])
    if np.median(apart) <= SAME * apart.max():
        return np.ones(len(x))
    found: Floats = distances / np.median(distances)
    return found


def _choose_penalty(strengths: Floats, total: float, sizes: Floats, n: int) -> tuple[float, float]:
    """Return the penalty, and the share that is explained by the one that predicts best.

    total: Σ |x_i − x̄|²; sizes: |u_kᵀ X|², (directions,).
    """
    penalties = PENALTIES * strengths.max(initial=0.0)
    kept = penalties[:, None] / (strengths + penalties[:, None])
    # Written so that nothing cancels if there are as many directions as systems.
    residuals = max(0.0, total - float(sizes.sum())) + np.square(kept) @ sizes
    freedom = n - 1 - len(strengths) + kept.sum(axis=1)
    errors = residuals / np.square(freedom / n)
    nothing = total / (1 - 1 / n) ** 2
    best = int(errors.argmin())
    if not errors[best] < nothing:
        return np.inf, 0.0
    return UNDERSMOOTHED * float(penalties[best]), 1 - max(0.0, float(errors[best])) / nothing


def _noise(left: Floats, mean: Floats, freedom: float, *, to_one_length: bool) -> float:
    """Return the squared length of one system's noise that shows."""
    noise = float(np.vdot(left, left)) / freedom
    length = float(mean @ mean)
    if not to_one_length or length == 0:
        return noise
    along = float(np.square(left @ mean).sum()) / length / freedom
    return max(0.0, noise - along * length / (length + noise))
