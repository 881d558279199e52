"""How alike two sets of vectors over the same systems are, without any SQL.

- `align(a, b, "cknna", k=25, permutations=100)`: one value with everything needed to read it.
- `Comparison(tables, …)`, then `align_all(comparison, metrics, pairs, …)`: many models, pairs and
  metrics at once.
- `cknna(a, b)`, `mutual_knn(a, b)`, `cka(a, b)`, …: the value alone; they raise Undefined.
- `measure(x, "effective_rank", subsamples=100)`: one value of one model with everything needed to
  read it.
- `intrinsic_dimension(x)`, `effective_rank(x)`: the value alone; they raise Undefined.
- `METRICS`, `find_metric(name)`, `MEASURES`, `find_measure(name)`: what there is.

Each metric and measure has a file of its name, which begins with its definition.
"""

from query.engine.comparison import Comparison
from query.engine.normalization import NORMALIZATIONS, normalize
from query.engine.undefined import Undefined
from query.metrics.alignment import align, align_all
from query.metrics.base import Measure, Metric
from query.metrics.cka import cka
from query.metrics.cknna import cknna
from query.metrics.distance_correlation import distance_correlation
from query.metrics.effective_rank import effective_rank
from query.metrics.information_imbalance import information_imbalance
from query.metrics.intrinsic_dimension import intrinsic_dimension
from query.metrics.measure import Measured, measure
from query.metrics.mutual_knn import mutual_knn
from query.metrics.procrustes import procrustes
from query.metrics.reconstruction_error import reconstruction_error
from query.metrics.registry import (
    choose_estimator,
    discover,
    discover_measures,
    find_measure,
    find_metric,
)
from query.metrics.rsa import rsa
from query.metrics.shared.result import Alignment

METRICS: dict[str, Metric] = discover()
MEASURES: dict[str, Measure] = discover_measures()

__all__ = [
    "MEASURES",
    "METRICS",
    "NORMALIZATIONS",
    "Alignment",
    "Measure",
    "Measured",
    "Metric",
    "Comparison",
    "Undefined",
    "align",
    "align_all",
    "choose_estimator",
    "cka",
    "cknna",
    "distance_correlation",
    "effective_rank",
    "find_measure",
    "find_metric",
    "information_imbalance",
    "intrinsic_dimension",
    "measure",
    "mutual_knn",
    "normalize",
    "procrustes",
    "reconstruction_error",
    "rsa",
]
