"""Record the information imbalances that DADApy finds, over all systems and with all ranks.

DADApy 0.3.4 needs numpy 1:
python -m venv /tmp/dadapy && /tmp/dadapy/bin/pip install dadapy==0.3.4 'numpy<2'
/tmp/dadapy/bin/python tests/query/golden/record_dadapy.py
"""

from __future__ import annotations

import warnings
from typing import Any

from dadapy import MetricComparisons
from vectors import NORMALIZATIONS, pairs, record, scaled


def both_ways(case: str, how: str, k: int) -> dict[str, Any]:
    # "order of nearest neighbor considered" is the mean over the first k, not the k-th alone (its
    # _return_imbalance). Each direction comes with the error of its mean over subsets; there is one
    # subset, of all systems, hence the warning.
    a, b = (scaled(x, how) for x in pairs()[case])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Subset size greater")
        (from_a, _), (from_b, _) = MetricComparisons(coordinates=a).return_information_imbalace(
            b, k, len(a)
        )
    return {
        "case": case,
        "normalize": how,
        "k": k,
        "from_a": float(from_a),
        "from_b": float(from_b),
    }


record(
    "dadapy",
    [both_ways(case, how, k) for case in pairs() for how in NORMALIZATIONS for k in (1, 5)],
)
