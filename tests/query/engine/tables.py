"""Random vectors, and tiles of their inner products."""

from __future__ import annotations

import numpy as np
import torch

TILES = [(slice(0, 25), slice(0, 25)), (slice(0, 25), slice(25, 60))]


def table(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, d)))


def a_tile(part: slice, other: slice) -> tuple[torch.Tensor, torch.Tensor]:
    """Return centered vectors, and the inner products of some with others, in float32."""
    x = table(60, 7).to(torch.float32)
    x = x - x.mean(dim=0)
    return x, x[part] @ x[other].T
