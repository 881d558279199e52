"""Times one pair of (n, d) tables: `python timed.py dcor|dadapy A.npy B.npy`.

It runs in the rivals' environment and prints JSON: seconds, values, version. What is compiled is
compiled on a few rows beforehand.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from importlib.metadata import version

import numpy as np

WARM_UP = 200  # rows


def dcor(a: np.ndarray, b: np.ndarray) -> list[float]:
    from dcor import distance_correlation

    return [float(distance_correlation(a, b))]


def dadapy(a: np.ndarray, b: np.ndarray) -> list[float]:
    """Return the imbalance from a to b and from b to a, with the ranks of all systems."""
    from dadapy import MetricComparisons

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that all systems are asked for
        forward, backward = MetricComparisons(coordinates=a).return_information_imbalace(
            b, k=1, subset_size=len(a)
        )
    return [float(forward[0]), float(backward[0])]


if __name__ == "__main__":
    name, *paths = sys.argv[1:]
    tables = [np.load(path).astype(np.float64) for path in paths]
    rival = {"dcor": dcor, "dadapy": dadapy}[name]
    rival(*(table[:WARM_UP] for table in tables))
    start = time.perf_counter()
    values = rival(*tables)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "values": values, "version": version(name)}))
