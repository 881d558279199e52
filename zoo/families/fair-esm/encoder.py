"""ESM-IF1 (Hsu et al. 2022): the structure encoder of FAIR's inverse-folding model; the sequence is not looked at."""

from __future__ import annotations

import functools
import sys
import types
import warnings
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch_geometric.utils import scatter

# The package imports torch_scatter, which no index has ready-made for this torch, and calls it only where a network
# decodes residue by residue, which ESM-IF1's graph layers do not. torch_geometric, which it needs too, has the same.
sys.modules["torch_scatter"] = types.ModuleType("torch_scatter")
sys.modules["torch_scatter"].scatter = scatter
sys.modules["torch_scatter"].scatter_add = functools.partial(scatter, reduce="sum")

from esm import Alphabet, pretrained  # noqa: E402
from esm.inverse_folding.gvp_transformer import GVPTransformerModel  # noqa: E402
from esm.inverse_folding.util import CoordBatchConverter  # noqa: E402

from zoo.encoder import Encoder, System  # noqa: E402


class FamilyEncoder(Encoder):
    """Representation `last_hidden`: output of the structure encoder per residue, (residues, 512), invariant.

    The untrained twin is the package's constructor, after torch.manual_seed, with the arguments that the card's
    options repeat from the checkpoint; a checkpoint that says something else is refused.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        if dtype != "float32":
            raise ValueError(
                f"dtype {dtype!r}: the package converts its input to float32; use DTYPE=float32"
            )
        if untrained_seed is None:
            network, alphabet = load(self.weights / model["weights"]["files"][0]["path"])
        else:
            alphabet = Alphabet.from_architecture(model["options"]["arch"])
            torch.manual_seed(untrained_seed)
            network = GVPTransformerModel(Namespace(**model["options"]), alphabet)
        self.network = network.encoder.to(device).eval().requires_grad_(False)
        self.convert = CoordBatchConverter(alphabet)

    def prepare(self, system: System) -> np.ndarray:
        """N, CA and C of each residue, (residues, 3, 3) Å."""
        return oriented(system.backbone)[:, :3].astype(np.float32)

    def size(self, item: np.ndarray) -> int:
        """Residues."""
        return len(item)

    @torch.inference_mode()
    def encode(
        self, items: Sequence[np.ndarray], representations: Sequence[str]
    ) -> dict[str, list[np.ndarray]]:
        """Each padded batch holds two residues that are none at the ends of each protein; they are left out."""
        positions, confidence, _, _, padding = self.convert.from_lists(items, device=self.device)
        rows = self.network(positions, padding, confidence)["encoder_out"][0].transpose(0, 1)
        vectors = [rows[i, 1 : len(item) + 1].cpu().numpy() for i, item in enumerate(items)]
        return {name: vectors for name in representations}


def oriented(backbone: np.ndarray) -> np.ndarray:
    """A backbone about its center, turned as its first residue lies: from CA to C is x, N is in the plane of x and y.

    What is float32 then no longer depends on the orientation: of residues that are equally far, the 30th and the 31st
    say, rounding would otherwise choose another as neighbor.
    """
    n, alpha, c = backbone[0, :3]
    x = (c - alpha) / np.linalg.norm(c - alpha)
    y = n - alpha - x * (x @ (n - alpha))
    y /= np.linalg.norm(y)
    return (backbone - backbone.mean(axis=(0, 1))) @ np.stack([x, y, np.cross(x, y)], axis=1)


def load(path: Path) -> tuple[GVPTransformerModel, Alphabet]:
    """The published network, by the package's own loader."""
    with torch.serialization.safe_globals([Namespace]):
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Regression weights not found"
        )  # said of every inverse-folding model
        return pretrained.load_model_and_alphabet_core(path.stem, checkpoint)
