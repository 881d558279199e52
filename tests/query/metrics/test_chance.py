"""Unrelated models are called alike as often as p says, whatever their vectors are like.

Simulations: pairs of independent models, 19 permutations each, so that p ≤ 0.05 has probability
1/20 if the null is exact, and less if vectors are few and values repeat. `python -m tests.bench
chance` takes more pairs.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.query.chance import CASES, p_values

PAIRS = 40
# Of a binomial: at most 0.22 at p ≤ 0.05, where ties broken by the order of the table gave 0.8.
DEVIATIONS = 5


@pytest.mark.parametrize(("family", "how"), CASES)
def test_unrelated_models_stand_out_as_often_as_p_says(family: str, how: str) -> None:
    for metric, found in p_values(family, how, PAIRS).items():
        # reconstruction_error has no value if half of the systems have one vector, cknna if all
        # tie at the limit of float32.
        few = metric == "reconstruction_error" and family in ("two classes", "on a line")
        assert few or len(found) > PAIRS / 2, metric
        for level in (0.05, 0.25) if found else ():
            rejected, spread = (
                np.mean(np.array(found) <= level),
                (level * (1 - level) / len(found)) ** 0.5,
            )
            assert not rejected > level + DEVIATIONS * spread, (metric, level)
