"""What a probe of a model finds beyond the best baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from query.statistics.probes.scores import Judged, interval
from query.tables.shared.probes.probed import Probed

Floats = NDArray[np.float64]

COLUMNS = ("best_baseline", "difference", "difference_low", "difference_high", "n_shared")


def compare_with_best(
    found: Probed, baselines: Sequence[Probed], resampled: Floats
) -> dict[str, Any]:
    """Return COLUMNS: the best baseline on the systems that a model has, and the difference to it.

    Each baseline is judged on the systems that it shares with the model, and so is the model beside
    it. The interval is from the same resampled groups for both.

    Args:
        found: What was found of the model.
        baselines: What was found of the baselines.
        resampled: How often each group counts, (B, groups); see `resampled_groups`.
    """
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    best: tuple[float, str, Judged, Judged] | None = None
    for baseline in baselines:
        pair = _on_shared(found, baseline)
        value = None if pair is None else pair[1].value()
        if pair is not None and value is not None and (best is None or value > best[0]):
            best = value, baseline.name, *pair
    if best is None:
        return row
    highest, name, model, other = best
    row |= {"best_baseline": name, "n_shared": model.labels.size}
    value = model.value()
    if value is not None:
        low, high = difference_interval(model, other, resampled)
        row |= {"difference": value - highest, "difference_low": low, "difference_high": high}
    return row


def difference_interval(
    one: Judged, other: Judged, resampled: Floats
) -> tuple[float | None, float | None]:
    """Return the 95 % interval of the difference of two scores of the same systems.

    Args:
        one: The first predictions.
        other: The second ones.
        resampled: How often each group counts, (B, groups).
    """
    apart = one.values_of(resampled) - other.values_of(resampled)
    return interval(apart, np.unique(one.groups).size)


def _on_shared(found: Probed, baseline: Probed) -> tuple[Judged, Judged] | None:
    if found.judged is None or baseline.judged is None:
        return None
    shared, mine, its = np.intersect1d(found.places, baseline.places, return_indices=True)
    if not shared.size:
        return None
    return found.judged.among(mine), baseline.judged.among(its)
