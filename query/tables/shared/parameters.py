"""Parameters that several table functions share."""

from __future__ import annotations

from query.reading.layers import MEAN, POOLINGS
from query.tables.shared.declare import REQUIRED, Parameter

MODEL_A = Parameter("model_a", "VARCHAR", REQUIRED, "a model, or model#representation")
MODEL_B = Parameter("model_b", "VARCHAR", REQUIRED, "the other one")
MODEL = Parameter("model", "VARCHAR", REQUIRED, "a model, or model#representation")
DATASET = Parameter("dataset", "VARCHAR", None, "the dataset; NULL is every one with vectors")
ONE_DATASET = Parameter("dataset", "VARCHAR", None, "the dataset; it has to be given")
MODELS = Parameter(
    "models",
    "VARCHAR[]",
    None,
    "these models only, 'model#layers' for its layers; NULL is all with vectors there",
)
SYSTEMS = Parameter("systems", "VARCHAR[]", None, "these systems of the dataset only")
POOLING = Parameter("pooling", "VARCHAR", MEAN, f"how nodes were pooled: {', '.join(POOLINGS)}")
MISSING = Parameter(
    "missing",
    "VARCHAR",
    "pairwise",
    "'pairwise' takes all systems that two models share, 'common' those that all models share",
)
SEED = Parameter("seed", "BIGINT", 0, "the seed of what is drawn at random")
_DRAWN = "systems drawn for an estimate, each with its neighbors among all; NULL is exact"
DRAWN = Parameter("rows", "BIGINT", None, _DRAWN, least=1, argument="drawn")

METRIC = Parameter(
    "metric",
    "VARCHAR",
    "cknna",
    "the metric, or several: ['cknna', 'cka']",
    is_option=True,
)
K = Parameter(
    "k", "BIGINT", None, "neighbors per system; NULL is the metric's default", is_option=True
)
ESTIMATOR = Parameter(
    "estimator",
    "VARCHAR",
    None,
    "the metric's estimator; NULL is its default",
    is_option=True,
)
NORMALIZE = Parameter(
    "normalize",
    "VARCHAR",
    "l2",
    "how vectors are normalized: 'l2', 'max', 'zscore' or 'none'",
    is_option=True,
)
PERMUTATIONS = Parameter(
    "permutations",
    "BIGINT",
    100,
    "shuffled pairings of the systems, which p_value and chance are from",
    is_option=True,
)
SUBSAMPLES = Parameter(
    "subsamples",
    "BIGINT",
    0,
    "random subsets of the systems, which the interval is from; 0 gives none",
    is_option=True,
)
ROWS = Parameter("rows", "BIGINT", None, _DRAWN, is_option=True, least=1)
GIVEN = Parameter(
    "given",
    "VARCHAR",
    None,
    "a model, 'size', or several: what is linear in them is taken out of both models first",
    is_option=True,
)
OPTION_SEED = Parameter("seed", "BIGINT", 0, "the seed of what is drawn at random", is_option=True)
DEVICE = Parameter(
    "device",
    "VARCHAR",
    None,
    "where to compute, 'cpu' or 'cuda'; NULL is MATTERZOO_DEVICE, else the CPU",
    is_option=True,
)
# What follows the metric and k where a function takes all options.
REST = (ESTIMATOR, NORMALIZE, PERMUTATIONS, SUBSAMPLES, OPTION_SEED, DEVICE, ROWS, GIVEN)
