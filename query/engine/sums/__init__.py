"""Sums over all pairs of systems for all pairs of models, in one pass that can be cut in strips.

found       what a pass starts from and what it finds
tiled       a pass over tiles of half of all pairs of systems
features    sums of products of kernels from products of features, where those are cheaper
"""

from query.engine.sums.features import FeaturePass, features_are_cheaper
from query.engine.sums.found import KINDS, RANKED, Arrays, Centered, Pass, Sums, join
from query.engine.sums.tiled import CHUNK, TilePass, products, row_means

__all__ = [
    "CHUNK",
    "KINDS",
    "RANKED",
    "Arrays",
    "Centered",
    "FeaturePass",
    "Pass",
    "Sums",
    "TilePass",
    "features_are_cheaper",
    "join",
    "products",
    "row_means",
]
