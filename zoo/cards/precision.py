"""The precisions in which models run, and how closely they repeat their vectors in each."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from zoo.cards.base import Card

Dtype = Literal["float32", "float64", "bfloat16", "float16"]
BYTES: dict[str, int] = {"float32": 4, "float64": 8, "bfloat16": 2, "float16": 2}  # of a number
HALF = ("bfloat16", "float16")  # precisions in which vectors are repeated less closely


class Bounds(Card):
    """The largest differences, relative to the vector's norm, that leave a vector the same.

    Attributes:
        batch: The difference that another batch or another order of systems may make.
        rotation: The difference that a rotation may make; None for a model without invariant
            representations.
    """

    batch: float = Field(gt=0)
    rotation: float | None = Field(default=None, gt=0)


class Tolerance(Bounds):
    """The bounds in float32 and float64, and those in half the precision.

    Attributes:
        bfloat16: The bounds in bfloat16. They also hold for the difference from float32.
        float16: The same in float16.
    """

    bfloat16: Bounds | None = None
    float16: Bounds | None = None

    def at(self, dtype: str) -> Bounds:
        """Return the bounds in a precision.

        Args:
            dtype: 'float32', 'float64', ….
        """
        return getattr(self, dtype, None) or self
