"""Sentence-embedding models that read a system as plain text.

The text is the system's formula, its SMILES, or a list of its atoms.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rdkit import Chem, rdBase
from tokenizers import Tokenizer
from torch.nn.functional import normalize
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoConfig, AutoModel
from transformers.utils.logging import disable_progress_bar

from zoo.encoder import SYMBOLS, Encoder, NotApplicable, System

Options = Mapping[str, Any]
LAYER = "layer-"  # begins the names of layers, which end in their number


def symbols(system: System) -> list[str]:
    """Return the element symbols of the atoms."""
    return [SYMBOLS[z - 1] for z in system.numbers]


def formula(system: System, options: Options) -> str:
    """Return the Hill formula of all atoms: carbon, hydrogen, then the rest in alphabetical order.

    The formula of a periodic system counts the atoms of its cell; it is not reduced.
    """
    counts = Counter(symbols(system))
    first = [s for s in ("C", "H") if "C" in counts and s in counts]
    order = first + sorted(set(counts) - set(first))
    return "".join(f"{s}{counts[s] if counts[s] > 1 else ''}" for s in order)


def smiles(system: System, options: Options) -> str:
    """Return RDKit's canonical SMILES.

    Raises:
        ValueError: RDKit cannot read the SMILES; the message gives RDKit's own diagnosis.
    """
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(system.smiles)
        if molecule is None:
            raise ValueError(
                f"RDKit cannot read the SMILES {system.smiles!r}: {diagnose(system.smiles)}"
            )
    if molecule.GetNumAtoms() == 0:
        raise ValueError(f"the SMILES {system.smiles!r} has no atoms")
    return Chem.MolToSmiles(molecule)


def diagnose(smiles: str) -> str:
    """Return what RDKit finds wrong with a SMILES."""
    raw = Chem.MolFromSmiles(smiles, sanitize=False)
    if raw is None:
        return "its syntax is wrong"
    return "; ".join(problem.Message() for problem in Chem.DetectChemistryProblems(raw))


def cell(system: System, options: Options) -> str:
    """Return one line, 'cell' and the three lattice vectors in Å.

    The text is empty if the system is not periodic.
    """
    if system.pbc is None or not system.pbc.any():
        return ""
    return f"cell {decimal(system.cell, options['decimals'])}\n"


def atoms(system: System, options: Options) -> str:
    """Return one line per atom, in the system's order: symbol and Cartesian position in Å."""
    lines = zip(symbols(system), system.positions, strict=True)
    return "\n".join(
        f"{symbol} {decimal(position, options['decimals'])}" for symbol, position in lines
    )


def decimal(values: np.ndarray, decimals: int) -> str:
    """Return numbers as text with the given count of decimals."""
    rounded = np.round(values, decimals) + 0.0  # adding zero turns -0.0 into 0.0
    return " ".join(f"{value:.{decimals}f}" for value in rounded.ravel())


FIELDS: dict[str, Callable[[System, Options], str]] = {
    "formula": formula,
    "smiles": smiles,
    "cell": cell,
    "atoms": atoms,
}


class FamilyEncoder(Encoder):
    """A sentence-embedding model that reads the card's template, filled in from the system.

    The option `template` has the fields of FIELDS. `max_tokens` is the length at which the text is
    cut; its end is lost. `decimals` is for numbers in Å, where the template holds any.

    The representation `sentence` is the mean of the last hidden states, scaled to length 1.
    `layer-0`, the embedding of the word pieces, and so on are the same of each layer.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        self.options: Options = model["options"]
        self.fields = [
            field for _, field, _, _ in string.Formatter().parse(self.options["template"]) if field
        ]
        folder = (self.weights / model["weights"]["files"][0]["path"]).parent
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        # The file pads to 128 word pieces, but `encode` pads to the longest text of the batch.
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(self.options["max_tokens"])
        self.unknown = self.tokenizer.token_to_id("[UNK]")
        self.network = (
            load(folder, untrained_seed).to(device=device, dtype=getattr(torch, dtype)).eval()
        )

    def prompt(self, system: System) -> str:
        """Return the text that the model reads."""
        return self.options["template"].format(
            **{f: FIELDS[f](system, self.options) for f in self.fields}
        )

    def prepare(self, system: System) -> torch.Tensor:
        text = self.prompt(system)
        tokens = self.tokenizer.encode(text).ids
        if self.unknown in tokens:
            raise NotApplicable(
                f"the tokeniser cannot read all of it (words of over 100 letters): {text[:60]!r}"
            )
        return torch.tensor(tokens)

    def size(self, item: torch.Tensor) -> int:
        return len(item)

    @torch.inference_mode()
    def encode(
        self, items: Sequence[torch.Tensor], representations: Sequence[str]
    ) -> dict[str, list[np.ndarray]]:
        tokens = pad_sequence(list(items), batch_first=True)
        lengths = torch.tensor([len(item) for item in items])
        mask = (torch.arange(tokens.shape[1]) < lengths[:, None]).to(self.device)
        found = self.network(
            input_ids=tokens.to(self.device),
            attention_mask=mask.long(),
            output_hidden_states=any(name.startswith(LAYER) for name in representations),
        )
        vectors = {}
        for name in representations:
            hidden = found.last_hidden_state
            if name.startswith(LAYER):
                hidden = found.hidden_states[int(name.removeprefix(LAYER))]
            mean = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
            vectors[name] = list(normalize(mean, dim=1).float().cpu().numpy())
        return vectors


def load(folder: Path, untrained_seed: int | None) -> torch.nn.Module:
    """Return the transformer with its published weights, or with random weights from the seed."""
    disable_progress_bar()
    if untrained_seed is None:
        return AutoModel.from_pretrained(str(folder), local_files_only=True)
    torch.manual_seed(untrained_seed)
    return AutoModel.from_config(AutoConfig.from_pretrained(str(folder), local_files_only=True))
