"""Uni-Mol (Zhou et al. 2023): a transformer over a molecule's atoms, biased by their distances."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

with (
    tempfile.TemporaryDirectory() as scratch,
    contextlib.chdir(scratch),
):  # where it is imported it makes a folder of logs
    from unimol_tools.data.conformer import coords2unimol
    from unimol_tools.models import UniMolModel
    from unimol_tools.utils import logger

from zoo.encoder import SYMBOLS, Encoder, NotApplicable, System

logger.handlers = [handler for handler in logger.handlers if not isinstance(handler, logging.FileHandler)]
logger.setLevel(logging.WARNING)


class FamilyEncoder(Encoder):
    """Representations `last_hidden`, per atom, and `cls`, the state of the token that stands before the atoms.

    The untrained twin is what the package's constructor makes of an empty checkpoint after torch.manual_seed.
    """

    def __init__(self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        if dtype != "float32":
            raise ValueError(f"dtype {dtype!r}: this package prepares its input in float32; use DTYPE=float32")
        self.remove_hs = model["options"]["remove_hs"]
        checkpoint, dictionary = (self.weights / file["path"] for file in model["weights"]["files"])
        if untrained_seed is None:
            network = build(checkpoint, dictionary, remove_hs=self.remove_hs)
        else:
            network = untrained(dictionary, untrained_seed, remove_hs=self.remove_hs)
        self.network = network.to(device).eval().requires_grad_(False)

    def prepare(self, system: System) -> dict[str, np.ndarray]:
        """Tokens, distances in Å and kinds of pairs, of a molecule in open space."""
        if system.pbc is not None and system.pbc.any():
            raise NotApplicable("the structure is periodic, and this model takes molecules")
        symbols = [SYMBOLS[number - 1] for number in system.numbers]
        if self.remove_hs and set(symbols) == {"H"}:
            raise NotApplicable("no atom is left without the hydrogens, which this model does not see")
        return coords2unimol(symbols, system.positions, self.network.dictionary, len(symbols), remove_hs=self.remove_hs)

    def size(self, item: dict[str, np.ndarray]) -> int:
        """Atoms."""
        return len(item["src_tokens"]) - 2  # two are [CLS] and [SEP]

    @torch.no_grad()
    def encode(
        self, items: Sequence[dict[str, np.ndarray]], representations: Sequence[str]
    ) -> dict[str, list[np.ndarray]]:
        """One forward pass. The package counts [SEP] among the atoms, as their last; it is left out."""
        batch, _ = self.network.batch_collate_fn([(item, 0) for item in items])
        batch = {name: tensor.to(self.device) for name, tensor in batch.items()}
        found = self.network(**batch, return_repr=True, return_atomic_reprs=True)
        atoms = [rows[: self.size(item)].cpu().numpy() for rows, item in zip(found["atomic_reprs"], items, strict=True)]
        vectors = {"last_hidden": atoms, "cls": list(found["cls_repr"].cpu().numpy())}
        return {name: vectors[name] for name in representations}


def build(checkpoint: Path, dictionary: Path, *, remove_hs: bool) -> UniMolModel:
    """The network with a checkpoint's weights."""
    return UniMolModel(
        output_dim=1,
        data_type="molecule",
        remove_hs=remove_hs,
        pretrained_model_path=str(checkpoint),
        pretrained_dict_path=str(dictionary),
    )


def untrained(dictionary: Path, seed: int, *, remove_hs: bool) -> UniMolModel:
    """The network with the constructor's weights: its checkpoint holds none."""
    with tempfile.TemporaryDirectory() as temporary:
        empty = Path(temporary, "empty.pt")
        torch.save({"model": {}}, empty)
        torch.manual_seed(seed)
        return build(empty, dictionary, remove_hs=remove_hs)
