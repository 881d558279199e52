"""ESM-IF1 (Hsu et al. 2022): the structure encoder of FAIR's inverse-folding model.

It does not look at the sequence.
"""

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

# The package imports torch_scatter, which no index offers built for this torch. It calls it only
# where a network decodes residue by residue, which ESM-IF1's graph layers do not do.
# torch_geometric, which the package needs too, has the same functions.
sys.modules["torch_scatter"] = types.ModuleType("torch_scatter")
sys.modules["torch_scatter"].scatter = scatter
sys.modules["torch_scatter"].scatter_add = functools.partial(scatter, reduce="sum")

from esm import Alphabet, pretrained  # noqa: E402
from esm.inverse_folding.gvp_transformer import GVPTransformerModel  # noqa: E402
from esm.inverse_folding.util import CoordBatchConverter  # noqa: E402

from zoo.encoder import Encoder, System  # noqa: E402


class FamilyEncoder(Encoder):
    """ESM-IF1, or its untrained twin.

    The representation `last_hidden` is the output of the structure encoder per residue, (residues,
    512); it is invariant. `layer-0` is what the transformer of the structure encoder reads, and
    `layer-1` and so on are its hidden states after each layer; the last of them is `last_hidden`,
    after the final layer norm.

    The untrained twin is drawn by the package's constructor, after torch.manual_seed, with the
    arguments in the card's options. These repeat the checkpoint's arguments, and a checkpoint with
    other arguments is refused.
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
        """Return N, CA and C of each residue in Å, (residues, 3, 3)."""
        return oriented(system.backbone)[:, :3].astype(np.float32)

    def size(self, item: np.ndarray) -> int:
        """Return the number of residues."""
        return len(item)

    @torch.inference_mode()
    def encode(
        self, items: Sequence[np.ndarray], representations: Sequence[str]
    ) -> dict[str, list[np.ndarray]]:
        """Return the rows of the residues.

        A padded batch adds a row at each end of every protein; these rows are left out.
        """
        positions, confidence, _, _, padding = self.convert.from_lists(items, device=self.device)
        output = self.network(positions, padding, confidence, return_all_hiddens=True)
        last = output["encoder_out"][0]
        found = {"last_hidden": last}
        layers = [*output["encoder_states"][:-1], last]
        found |= {f"layer-{i}": states for i, states in enumerate(layers)}
        return {
            name: [found[name][1 : len(item) + 1, i].cpu().numpy() for i, item in enumerate(items)]
            for name in representations
        }


def oriented(backbone: np.ndarray) -> np.ndarray:
    """Return a backbone about its center, in the frame of its first residue.

    The x axis points from CA to C, and N lies in the plane of x and y. In float32 the input then no
    longer depends on the orientation. Otherwise, where two residues are equally far (say the 30th
    and the 31st), rounding could choose a different neighbor.
    """
    n, alpha, c = backbone[0, :3]
    x = (c - alpha) / np.linalg.norm(c - alpha)
    y = n - alpha - x * (x @ (n - alpha))
    y /= np.linalg.norm(y)
    return (backbone - backbone.mean(axis=(0, 1))) @ np.stack([x, y, np.cross(x, y)], axis=1)


def load(path: Path) -> tuple[GVPTransformerModel, Alphabet]:
    """Return the published network, loaded by the package's own loader."""
    with torch.serialization.safe_globals([Namespace]):
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    with warnings.catch_warnings():
        # The package gives this warning for every inverse-folding model.
        warnings.filterwarnings("ignore", "Regression weights not found")
        return pretrained.load_model_and_alphabet_core(path.stem, checkpoint)
