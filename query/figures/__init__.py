"""The figures of the report, one function per figure: a connection and names in, a figure out.

    query.figures.alignment_matrix(query.connect("matter.duckdb"), "aflow", metric="cka")

Each figure draws the result of the statement in `query/statements/` that has its name, and keeps
it: `chart.answer` has the SQL and the rows. A figure is loaded when it is first used, so that
nothing else needs Altair. README.md in this folder says how to add one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from query.figures.drawing.questions import NothingToDraw
    from query.figures.models.alignment_across_datasets import alignment_across_datasets
    from query.figures.models.alignment_curve import alignment_curve
    from query.figures.models.alignment_matrix import alignment_matrix
    from query.figures.models.control_alignment import control_alignment
    from query.figures.models.convergence import convergence
    from query.figures.models.depth_profile import depth_profile
    from query.figures.models.information_imbalance_plane import information_imbalance_plane
    from query.figures.models.kinship import kinship
    from query.figures.models.layer_alignment import layer_alignment
    from query.figures.models.model_tree import model_tree
    from query.figures.models.node_alignment import node_alignment
    from query.figures.models.training_effect import training_effect
    from query.figures.records.energy_errors import energy_errors
    from query.figures.records.exposure import exposure
    from query.figures.records.novelty_errors import novelty_errors
    from query.figures.vectors.dimensions import dimensions
    from query.figures.vectors.novelty import novelty
    from query.figures.vectors.probe import probe
    from query.figures.vectors.system_map import system_map

__all__ = [
    "NothingToDraw",
    "alignment_across_datasets",
    "alignment_curve",
    "alignment_matrix",
    "control_alignment",
    "convergence",
    "depth_profile",
    "dimensions",
    "energy_errors",
    "exposure",
    "information_imbalance_plane",
    "kinship",
    "layer_alignment",
    "model_tree",
    "node_alignment",
    "novelty",
    "novelty_errors",
    "probe",
    "system_map",
    "training_effect",
]

# The names that are defined elsewhere than in a module of the same name in `models`.
_MODULES = {
    "NothingToDraw": "drawing.questions",
    "dimensions": "vectors.dimensions",
    "energy_errors": "records.energy_errors",
    "exposure": "records.exposure",
    "novelty": "vectors.novelty",
    "novelty_errors": "records.novelty_errors",
    "probe": "vectors.probe",
    "system_map": "vectors.system_map",
}


def __getattr__(name: str) -> Any:
    """Load the figure called `name`."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f"{__name__}.{_MODULES.get(name, f'models.{name}')}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "altair":
            raise
        raise ModuleNotFoundError(
            "figures are drawn with Altair, which is not installed: "
            "pip install 'matterzoo[report]'",
            name=error.name,
        ) from error
    globals()[name] = getattr(module, name)
    return globals()[name]


def __dir__() -> list[str]:
    return __all__
