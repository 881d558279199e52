"""How to compare models: the options of SQL, checked before any vector is read."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any

from query.engine.conditioned import require_normalization
from query.engine.neighbors.finder import NeighborListCache
from query.engine.protocols import Progress
from query.metrics import align
from query.reading.vectors import NO_VECTORS
from query.tables.shared.numbers import split_names


def default_device() -> str:
    """Return the device to compute on: MATTERZOO_DEVICE of the environment, else the CPU."""
    return os.environ.get("MATTERZOO_DEVICE") or "cpu"


@dataclass(frozen=True)
class Options:
    """How to compare models.

    Making one raises ValueError if an option makes no sense, also if there is no such device.

    Attributes:
        metric: One name, or several as 'cknna, cka' or '[cknna, cka]', as SQL spells a list.
        k: Neighbors per system; None is the metric's default.
        estimator: None is the metric's default.
        normalize: How vectors are normalized.
        permutations: How many pairings the null is of.
        subsamples: How many subsets the interval is of; 0 gives none.
        seed: Of what is drawn at random.
        device: Where to compute, as PyTorch names it.
        rows: How many systems are drawn for an estimate; None is exact.
        given: A model, 'size', or several as a list, of which what is linear in them is taken out
            of both models; None is nothing.
        progress: It is told how far the work is.
        cache: Where neighbor lists are kept.
    """

    metric: str = "cknna"
    k: int | None = None
    estimator: str | None = None
    normalize: str = "l2"
    permutations: int = 100
    subsamples: int = 0
    seed: int = 0
    device: str = field(default_factory=default_device)
    rows: int | None = None
    given: str | None = None
    progress: Progress | None = field(default=None, compare=False, repr=False)
    cache: NeighborListCache | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Raise ValueError if an option makes no sense."""
        try:
            for metric in self.metrics:
                align(NO_VECTORS, NO_VECTORS, metric, **self.of_models, **self.for_pairs)
        except RuntimeError as error:  # no such device
            raise ValueError(str(error)) from error
        if self.given_names:
            require_normalization(self.normalize)

    def without_null(self, permutations: int = 0) -> Options:
        """Return the options of a function that has no null and no interval of its own.

        Args:
            permutations: How many pairings are needed nevertheless.
        """
        return replace(self, permutations=permutations, subsamples=0)

    def one_metric(self, question: str) -> str:
        """Return the metric of a function that takes one.

        Args:
            question: The function, for the message.

        Raises:
            ValueError: If there are several metrics.
        """
        if len(self.metrics) > 1:
            raise ValueError(
                f"{question} takes one metric, but {len(self.metrics)} were given: {self.metric}"
            )
        return self.metrics[0]

    @property
    def metrics(self) -> list[str]:
        """The metrics, each once, in the order asked for."""
        return split_names(self.metric)

    @property
    def given_names(self) -> list[str]:
        """What is given, each name once; empty if nothing is."""
        return [] if self.given is None else [name for name in split_names(self.given) if name]

    @property
    def for_comparison(self) -> dict[str, Any]:
        """The arguments of a `Comparison`."""
        return self.of_models | {"progress": self.progress, "cache": self.cache}

    @property
    def of_models(self) -> dict[str, Any]:
        """What decides how models are prepared."""
        return {"k": self.k, "normalize": self.normalize, "device": self.device}

    @property
    def for_pairs(self) -> dict[str, Any]:
        """The arguments of `align_all`, apart from the models."""
        return {
            "estimator": self.estimator,
            "permutations": self.permutations,
            "subsamples": self.subsamples,
            "seed": self.seed,
            "rows": self.rows,
        }
