"""Records the distance correlations that dcor finds.

python -m venv /tmp/dcor && /tmp/dcor/bin/pip install dcor==0.6
/tmp/dcor/bin/python tests/query/golden/record_dcor.py
"""

from __future__ import annotations

import dcor
from vectors import NORMALIZATIONS, pairs, record, scaled

ESTIMATORS = {"biased": dcor.distance_correlation, "unbiased": dcor.u_distance_correlation_sqr}

record(
    "dcor",
    [
        {
            "case": case,
            "normalize": how,
            "estimator": estimator,
            "value": float(find(scaled(a, how), scaled(b, how))),
        }
        for case, (a, b) in pairs().items()
        for how in NORMALIZATIONS
        for estimator, find in ESTIMATORS.items()
    ],
)
