"""The figures of the report, one function each: a connection and names in, a Matplotlib figure out.

    figures.alignment_matrix(query.connect("matter.duckdb"), "aflow", metric="cka")

Each figure draws the result of one statement in query/statements/ and carries it: `plot.answer` has the SQL and the rows.
"""

from query.figures.alignment_curve import alignment_curve
from query.figures.alignment_matrix import alignment_matrix
from query.figures.beyond_twins import beyond_twins
from query.figures.controls import controls
from query.figures.convergence import convergence
from query.figures.dimensions import dimensions
from query.figures.distribution import distribution
from query.figures.energy_errors import energy_errors
from query.figures.imbalance import imbalance
from query.figures.kinship import kinship
from query.figures.model_tree import model_tree
from query.figures.plot import NothingToDraw, Plot
from query.figures.system_map import system_map

__all__ = [
    "NothingToDraw",
    "Plot",
    "beyond_twins",
    "controls",
    "convergence",
    "alignment_curve",
    "dimensions",
    "distribution",
    "energy_errors",
    "alignment_matrix",
    "imbalance",
    "kinship",
    "system_map",
    "model_tree",
]
