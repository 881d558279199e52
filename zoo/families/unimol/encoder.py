"""Uni-Mol (Zhou et al. 2023) and Uni-Mol2 (Ji et al. 2024).

Both are transformers over a molecule's atoms and their distances.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

# The package makes a folder of logs in the working folder when it is imported.
with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
    from unimol_tools.data.conformer import coords2unimol, inner_smi2coords, mol2unimolv2
    from unimol_tools.models import UniMolModel, UniMolV2Model
    from unimol_tools.utils import logger

from zoo.encoder import SYMBOLS, Encoder, NotApplicable, System

logger.handlers = [
    handler for handler in logger.handlers if not isinstance(handler, logging.FileHandler)
]
logger.setLevel(logging.WARNING)

SEED = 42  # seed of the conformer, the package's own
MOST = 128  # atoms besides hydrogen; of larger molecules the package drops some atoms at random


class FamilyEncoder(Encoder):
    """A network of Uni-Mol or Uni-Mol2, or its untrained twin.

    The representations are `last_hidden`, per atom, and `cls`, the state of the token before the
    atoms. `layer-0` is what the first layer reads of the atoms, `layer-1` and so on are their
    hidden states after each layer, and the last one is `last_hidden`. Uni-Mol reads a structure's
    atoms. Uni-Mol2 needs bonds, so it reads a SMILES and the package's conformer of it.

    The untrained twin is what the package's constructor makes of an empty checkpoint after
    torch.manual_seed. In the constructor of Uni-Mol2 every layer adds nothing at first: its twin
    gives the embeddings of the atoms, and the same `cls` for all molecules.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        if dtype != "float32":
            raise ValueError(
                f"dtype {dtype!r}: this package prepares its input in float32; use DTYPE=float32"
            )
        self.second = "size" in model["options"]
        paths = [self.weights / file["path"] for file in model["weights"]["files"]]
        if untrained_seed is None:
            network = build(model["options"], paths)
        else:
            network = untrained(model["options"], paths, untrained_seed)
        self.network = network.to(device).eval().requires_grad_(False)
        self._read: list[torch.Tensor] = []  # by the layers, in the last forward pass
        for layer in network.encoder.layers:
            layer.register_forward_pre_hook(self._keep)

    def _keep(self, layer: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        self._read.append(args[0])

    def prepare(self, system: System) -> dict[str, np.ndarray]:
        """Return tokens, distances or positions in Å, and kinds of pairs."""
        return self.conformer(system) if self.second else self.molecule(system)

    def molecule(self, system: System) -> dict[str, np.ndarray]:
        """Return the input of Uni-Mol, from the atoms of a molecule.

        Raises:
            NotApplicable: The structure is periodic, or no atom is left without the hydrogens.
        """
        if system.pbc is not None and system.pbc.any():
            raise NotApplicable("the structure is periodic, and this model takes molecules")
        symbols = [SYMBOLS[number - 1] for number in system.numbers]
        without = self.model["options"]["remove_hs"]
        if without and set(symbols) == {"H"}:
            raise NotApplicable(
                "no atom is left without the hydrogens, which this model does not see"
            )
        return coords2unimol(
            symbols, system.positions, self.network.dictionary, len(symbols), remove_hs=without
        )

    def conformer(self, system: System) -> dict[str, np.ndarray]:
        """Return the input of Uni-Mol2, from a conformer without its hydrogens.

        The package draws the conformer, always the same one.

        Raises:
            NotApplicable: The molecule has no atom besides hydrogen, or too many.
        """
        drawn = inner_smi2coords(
            system.smiles, seed=SEED, mode="fast", remove_hs=True, return_mol=True
        )
        count = drawn.GetNumHeavyAtoms()
        if not 0 < count <= MOST:
            raise NotApplicable(f"{count} atoms besides hydrogen; the model takes 1 to {MOST}")
        return mol2unimolv2(drawn, MOST)

    def size(self, item: dict[str, np.ndarray]) -> int:
        """Return the number of atoms."""
        # [CLS] and [SEP] are tokens of Uni-Mol.
        return len(item["src_tokens"]) - (0 if self.second else 2)

    @torch.no_grad()
    def encode(
        self, items: Sequence[dict[str, np.ndarray]], representations: Sequence[str]
    ) -> dict[str, list[np.ndarray]]:
        """Run the network on a batch.

        The package does not mask the padding in Uni-Mol2's batches, so its molecules go one by one.
        """
        batches = [[item] for item in items] if self.second else [items]
        found = [vectors for batch in batches for vectors in self.forward(batch)]
        return {name: [vectors[name] for vectors in found] for name in representations}

    def forward(self, items: Sequence[dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
        """Return the vectors of one forward pass, per molecule and representation.

        The package counts Uni-Mol's [SEP] among the atoms, as the last one; it is left out.
        """
        batch, _ = self.network.batch_collate_fn([(item, 0) for item in items])
        batch = {name: tensor.to(self.device) for name, tensor in batch.items()}
        self._read.clear()
        found = self.network(**batch, return_repr=True, return_atomic_reprs=True)
        vectors = []
        for i, item in enumerate(items):
            count = self.size(item)
            last = found["atomic_reprs"][i][:count]
            rows = [layer[i, 1 : count + 1] for layer in self._read]  # a token is before the atoms
            named = {f"layer-{number}": layer for number, layer in enumerate([*rows, last])}
            named |= {"last_hidden": last, "cls": found["cls_repr"][i]}
            vectors.append({name: tensor.cpu().numpy() for name, tensor in named.items()})
        return vectors


def build(options: Mapping[str, Any], paths: Sequence[Path]) -> torch.nn.Module:
    """Return the network with a checkpoint's weights.

    Args:
        options: The card's options.
        paths: The file of the checkpoint and, for Uni-Mol, that of the vocabulary.
    """
    if "size" in options:
        return UniMolV2Model(
            output_dim=1, model_size=options["size"], pretrained_model_path=str(paths[0])
        )
    return UniMolModel(
        output_dim=1,
        data_type="molecule",
        remove_hs=options["remove_hs"],
        pretrained_model_path=str(paths[0]),
        pretrained_dict_path=str(paths[1]),
    )


def untrained(options: Mapping[str, Any], paths: Sequence[Path], seed: int) -> torch.nn.Module:
    """Return the network with the constructor's weights, from a checkpoint that holds none."""
    with tempfile.TemporaryDirectory() as temporary:
        empty = Path(temporary, "empty.pt")
        torch.save({"model": {}}, empty)
        torch.manual_seed(seed)
        return build(options, [empty, *paths[1:]])
