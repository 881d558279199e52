"""The figures of the report, one function each: a connection and names in, a Matplotlib figure out.

    figures.heatmap(query.connect("matter.duckdb"), "aflow", metric="cka")

Each figure draws the result of one statement in query/examples/ and carries it: `plot.answer` has the SQL and the rows.
"""

from query.figures.alignment_curve import curve
from query.figures.alignment_matrix import heatmap
from query.figures.beyond_twins import beyond_twins
from query.figures.controls import controls
from query.figures.convergence import converging
from query.figures.dimensions import dimension
from query.figures.distribution import distribution
from query.figures.energy_errors import energy
from query.figures.imbalance import imbalance
from query.figures.kinship import kin
from query.figures.model_tree import tree
from query.figures.plot import NothingToDraw, Plot
from query.figures.system_map import map

__all__ = [
    "NothingToDraw",
    "Plot",
    "beyond_twins",
    "controls",
    "converging",
    "curve",
    "dimension",
    "distribution",
    "energy",
    "heatmap",
    "imbalance",
    "kin",
    "map",
    "tree",
]
