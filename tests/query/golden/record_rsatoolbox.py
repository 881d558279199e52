"""Record the Pearson correlations of squared Euclidean distances that rsatoolbox finds.

python -m venv /tmp/rsa && /tmp/rsa/bin/pip install rsatoolbox==0.3.2
/tmp/rsa/bin/python tests/query/golden/record_rsatoolbox.py
"""

from __future__ import annotations

from rsatoolbox.data import Dataset
from rsatoolbox.rdm import calc_rdm, compare
from vectors import NORMALIZATIONS, pairs, record, scaled


def correlation(case: str, how: str) -> float:
    # Its 'euclidean' is squared and divided by the number of features: no correlation changes.
    one, other = (calc_rdm(Dataset(scaled(x, how)), method="euclidean") for x in pairs()[case])
    return float(compare(one, other, method="corr")[0, 0])


record(
    "rsatoolbox",
    [
        {"case": case, "normalize": how, "value": correlation(case, how)}
        for case in pairs()
        for how in NORMALIZATIONS
    ],
)
