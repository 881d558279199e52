"""What the numbers of figures and tables are, for readers who know none of them."""

from __future__ import annotations

from query.figures.drawing.labels import metric_label

_METRICS = {
    "cknna": (
        "centered kernel nearest-neighbor alignment: how far two models agree on which systems "
        "are near each other (the k nearest); 1 is full agreement, and it may exceed 1 where "
        "systems are few"
    ),
    "mutual_knn": "the share of a system's k nearest neighbors that two models have in common",
    "cka": (
        "centered kernel alignment: how far two models agree on all distances between systems; "
        "1 is full agreement"
    ),
    "distance_correlation": (
        "how far two models' distances between systems go together, on a straight line or not; "
        "1 is full agreement"
    ),
    "information_imbalance": (
        "how far apart one model places the systems that are nearest in another; near 0 if it "
        "keeps them near, 1 by chance"
    ),
    "rsa": (
        "representational similarity analysis: the correlation, over all pairs of systems, of how "
        "unlike two models find them; 1 is full agreement"
    ),
    "procrustes": (
        "what remains between two models after the best shift, scaling and rotation; 0 is full "
        "agreement"
    ),
}

_OTHERS = {
    "by chance": "what pairing the systems at random gives, on average",
    "calibrated, above chance": (
        "0 at the value that 95 % of the random pairings stay below, 1 at full agreement; compare "
        "this, not the value itself, where the number of systems differs"
    ),
    "p": (
        "the share of random pairings that agree as well, with the true one counted among them: "
        "0.010, 1 in 101, if none of 100 does"
    ),
    "95 % interval": "how the value scatters over other samples of as many systems",
}


def explain_metric(metric: str) -> str | None:
    """Return what a metric says as a sentence, or None if nothing is known of it.

    Args:
        metric: The name of a metric, as in SQL.
    """
    if metric not in _METRICS:
        return None
    label = metric_label(metric)
    return f"{label[0].upper()}{label[1:]}: {_METRICS[metric]}."


def explain_numbers(*metrics: str) -> dict[str, str]:
    """Return what metrics say, and what stands beside their values: chance, p, an interval.

    Args:
        *metrics: Names of metrics that `explain_metric` explains.

    Returns:
        By what it is called, what it is, as the rest of a sentence.
    """
    return {**{metric_label(metric): _METRICS[metric] for metric in metrics}, **_OTHERS}
