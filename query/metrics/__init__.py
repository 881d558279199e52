"""How alike two sets of vectors over the same systems are. Pure torch; knows no SQL.

- `align(a, b, "cknna", k=25, permutations=100)`: one value with everything needed to read it.
- `prepare(x, ...)`, then `align_prepared(a, b, ...)`: the same for many pairs; each model is surveyed once.
- `cknna(a, b)`, `mutual_knn(a, b)`, `cka(a, b)`: the bare value; raise Undefined.
- `intrinsic_dimension(x)`: of one model; raises Undefined.
- `METRICS`, `find_metric(name)`: what there is.
"""

from query.metrics.alignment import Alignment, Prepared, align, align_prepared, prepare
from query.metrics.base import Metric, Undefined
from query.metrics.cka import cka
from query.metrics.cknna import cknna
from query.metrics.intrinsic_dimension import intrinsic_dimension
from query.metrics.mutual_knn import mutual_knn
from query.metrics.normalize import NORMALIZATIONS, normalize
from query.metrics.registry import choose_estimator, discover, find_metric

METRICS: dict[str, Metric] = discover()

__all__ = [
    "METRICS",
    "NORMALIZATIONS",
    "Alignment",
    "Metric",
    "Prepared",
    "Undefined",
    "align",
    "align_prepared",
    "choose_estimator",
    "cka",
    "cknna",
    "find_metric",
    "intrinsic_dimension",
    "mutual_knn",
    "normalize",
    "prepare",
]
