"""The figures of the report, one function each: a connection and names in, a Matplotlib figure out.

    figures.heatmap(query.connect("matter.duckdb"), "aflow", metric="cka")

Each figure draws the result of one statement in query/examples/ and carries it: `plot.answer` has the SQL and the rows.
"""

from query.figures.beyond_twins import beyond_twins
from query.figures.controls import controls
from query.figures.converging import converging
from query.figures.curve import curve
from query.figures.dimension import dimension
from query.figures.distribution import distribution
from query.figures.energy import energy
from query.figures.heatmap import heatmap
from query.figures.imbalance import imbalance
from query.figures.kin import kin
from query.figures.map import map
from query.figures.plot import NothingToDraw, Plot
from query.figures.tree import tree

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
