"""How to compare models: what the options of SQL mean, checked before any vector is read."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from query.engine.neighbors.finder import NeighborListCache
from query.engine.protocols import Progress
from query.metrics import align
from query.reading.vectors import NO_VECTORS

HOW = (
    "STRUCT(metric VARCHAR, k VARCHAR, estimator VARCHAR, normalize VARCHAR, permutations VARCHAR, subsamples VARCHAR, "
    "seed VARCHAR, device VARCHAR)"
)
WHOLE = ("k", "permutations", "subsamples", "seed")


def default_device() -> str:
    """The environment's MATTERZOO_DEVICE, else the CPU."""
    return os.environ.get("MATTERZOO_DEVICE") or "cpu"


@dataclass(frozen=True)
class How:
    """How to compare. Raises ValueError on an option that makes no sense, also on a device that is not there.

    metric: one name, or several as 'cknna, cka' or '[cknna, cka]', which is how SQL spells a list as text.
    progress, cache: what is told how far the work is, and where neighbor lists are kept; see `query.engine.comparison`.
    """

    metric: str = "cknna"
    k: int | None = None
    estimator: str | None = None
    normalize: str = "l2"
    permutations: int = 100
    subsamples: int = 0
    seed: int = 0
    device: str = field(default_factory=default_device)
    progress: Progress | None = field(default=None, compare=False, repr=False)
    cache: NeighborListCache | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        options: dict[str, Any] = {"k": self.k, "normalize": self.normalize, "device": self.device}
        try:
            for metric in self.metrics:
                align(NO_VECTORS, NO_VECTORS, metric, **options, **self.aligning)
        except RuntimeError as error:  # no such device
            raise ValueError(str(error)) from error

    @classmethod
    def of(cls, **given: Any) -> How:
        """From SQL's arguments, where NULL means the default. Raises ValueError on a number that is not whole."""
        given |= {name: whole(name, given.get(name)) for name in WHOLE}
        return cls(**{name: value for name, value in given.items() if value is not None})

    def only(self, metric: str) -> How:
        """The same with one metric."""
        return replace(self, metric=metric)

    def one_metric(self, question: str) -> str:
        """The metric. Raises ValueError where there are several and the question takes one."""
        if len(self.metrics) > 1:
            raise ValueError(
                f"{question} takes one metric, but {len(self.metrics)} were given: {self.metric}"
            )
        return self.metrics[0]

    @property
    def metrics(self) -> list[str]:
        """Each once, in the order asked for."""
        return split_names(self.metric)

    @property
    def studying(self) -> dict[str, Any]:
        """What a `Comparison` takes of it."""
        options = {"k": self.k, "normalize": self.normalize, "device": self.device}
        return options | {"progress": self.progress, "cache": self.cache}

    @property
    def aligning(self) -> dict[str, Any]:
        """What `align_all` takes of it."""
        return {
            "estimator": self.estimator,
            "permutations": self.permutations,
            "subsamples": self.subsamples,
            "seed": self.seed,
        }


def split_names(text: str) -> list[str]:
    """Names of a list that SQL wrote as text, 'a, b' or '[a, b]': each once, in order."""
    return list(dict.fromkeys(name.strip() for name in text.strip("[] ").split(",")))


def whole(name: str, given: str | None) -> int | None:
    """An option that SQL wrote as text, as the whole number it is. Raises ValueError where it is none."""
    if given is None:
        return None
    try:
        number = Decimal(given)
        if number == number.to_integral_value():
            return int(number)
    except ArithmeticError:  # no number at all, or one without an end
        pass
    raise ValueError(f"{name} = {given}, expected a whole number")
