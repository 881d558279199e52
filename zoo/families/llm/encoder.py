"""General language models that read a system as text: a prompt with a SMILES or with the atoms.

The prompt goes through the model's chat template, up to where the answer would begin; nothing is
generated. The published tokenizer.json is used directly, because with releases 5 of transformers
the class that the hub names for one of these models builds a different tokenizer from it.
"""

from __future__ import annotations

import json
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rdkit import Chem, rdBase
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoConfig, AutoModel, Mxfp4Config, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from zoo.encoder import Encoder, NotApplicable, System

Options = Mapping[str, Any]
ROLES = ("system", "user")
LAYER = "layer-"  # begins the names of layers, which end in their number


class FamilyEncoder(Encoder):
    """A language model, or its untrained twin.

    Both representations come from the last hidden states, after the final norm: `last_token` (d,)
    and `mean` (tokens, d). `layer-0` and so on are the hidden states of the last token after each
    layer, (d,); the last of them is `last_token`. Before the first layer this token is the same in
    every prompt, because the chat template ends with it.

    The options `system` and `user` are the two parts of the prompt, with the fields of FIELDS; an
    empty system part is left out. `decimals` rounds numbers in Å. `date` is given to a template
    that asks for today's date.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        self.options: Options = model["options"]
        parts = [part for role in ROLES for part in string.Formatter().parse(self.options[role])]
        self.fields = [field for _, field, _, _ in parts if field]
        self.tokenizer = read_tokenizer(self.weights, self.options["date"])
        network = load(self.weights, untrained_seed, getattr(torch, dtype), device)
        self.network = network.eval().requires_grad_(False)

    def prompt(self, system: System) -> list[dict[str, str]]:
        """Return the conversation that the model reads."""
        fields = {name: FIELDS[name](system, self.options) for name in self.fields}
        parts = {role: self.options[role].format(**fields) for role in ROLES}
        return [{"role": role, "content": text} for role, text in parts.items() if text]

    def prepare(self, system: System) -> torch.Tensor:
        """Return the ids of the tokens of the whole prompt, (tokens,).

        Raises:
            NotApplicable: The prompt is longer than the model reads.
        """
        chat = self.prompt(system)
        ids = self.tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, tokenize=True, return_dict=False
        )
        limit = self.network.config.max_position_embeddings
        if len(ids) > limit:
            raise NotApplicable(f"{len(ids)} tokens; the model reads at most {limit}")
        return torch.tensor(ids)

    def size(self, item: torch.Tensor) -> int:
        """Return the number of tokens."""
        return len(item)

    @torch.inference_mode()
    def encode(
        self, items: Sequence[torch.Tensor], representations: Sequence[str]
    ) -> dict[str, list[np.ndarray]]:
        """Return the vectors of a padded batch.

        Each token sees only the tokens before it, so the padding behind them changes nothing.
        """
        tokens = pad_sequence(list(items), batch_first=True)
        lengths = torch.tensor([len(item) for item in items])
        mask = (torch.arange(tokens.shape[1]) < lengths[:, None]).long().to(self.device)
        output = self.network(
            tokens.to(self.device),
            attention_mask=mask,
            use_cache=False,
            output_hidden_states=any(name.startswith(LAYER) for name in representations),
        )
        rows = [
            states[:n].float().cpu().numpy()
            for states, n in zip(output.last_hidden_state, lengths.tolist(), strict=True)
        ]
        found = {"last_token": [states[-1] for states in rows], "mean": rows}
        ends = (torch.arange(len(items)), lengths - 1)
        for i, states in enumerate((output.hidden_states or ())[1:]):
            found[f"{LAYER}{i}"] = list(states[ends].float().cpu().numpy())
        return {name: found[name] for name in representations}


def smiles(system: System, options: Options) -> str:
    """Return RDKit's canonical SMILES.

    Raises:
        ValueError: RDKit cannot read the given SMILES.
    """
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(system.smiles)
    if molecule is None or molecule.GetNumAtoms() == 0:
        raise ValueError(f"RDKit cannot read the SMILES {system.smiles!r}, or it has no atoms")
    return Chem.MolToSmiles(molecule)


def atoms(system: System, options: Options) -> str:
    """Return the arrays of an ASE Atoms object by their names.

    These are numbers and positions in Å, and for a periodic system cell and pbc.
    """
    arrays: dict[str, Any] = {
        "numbers": system.numbers.tolist(),
        "positions": rounded(system.positions, options),
    }
    if system.pbc is not None and system.pbc.any():
        arrays |= {"cell": rounded(system.cell, options), "pbc": system.pbc.tolist()}
    return "\n".join(f"{name}: {values}" for name, values in arrays.items())


def rounded(values: np.ndarray, options: Options) -> list[list[float]]:
    """Return coordinates rounded to the card's decimals, as lists."""
    return (np.round(values, options["decimals"]) + 0.0).tolist()  # adding zero turns -0.0 into 0.0


FIELDS = {"smiles": smiles, "atoms": atoms}


def read_tokenizer(folder: Path, date: str) -> PreTrainedTokenizerFast:
    """Return the published tokenizer with the published chat template.

    A vector must not depend on the day on which it was computed, so a macro with a fixed date
    replaces the template's function for today's date.
    """
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    template = folder / "chat_template.jinja"
    text = template.read_text() if template.exists() else settings["chat_template"]
    special = {name: settings[name] for name in ("bos_token", "eos_token") if settings.get(name)}
    special = {
        name: token["content"] if isinstance(token, dict) else token
        for name, token in special.items()
    }
    dated = "{%- macro strftime_now(format) -%}" + date + "{%- endmacro %}" + text
    return PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), chat_template=dated, **special
    )


def load(
    folder: Path, untrained_seed: int | None, dtype: torch.dtype, device: str
) -> torch.nn.Module:
    """Return the network without its language-model head.

    It has its published weights, or random weights from the seed. Published weights go tensor by
    tensor from their files to the device, so that the host never holds all of them. Random ones are
    drawn on the host, in the same precision, because each kind of device has a generator of its
    own.
    """
    disable_progress_bar()
    # It would list the parts that are left out.
    set_verbosity_error()
    config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    quantised = getattr(config, "quantization_config", None) is not None
    if untrained_seed is not None:
        torch.manual_seed(untrained_seed)
        return AutoModel.from_config(config, dtype=dtype).to(device)
    source = {"local_files_only": True, "dtype": dtype, "output_loading_info": True}
    source["device_map"] = {"": torch.device(device)}
    # Weights in 4 bits are widened, because kernels that compute with them differ between machines.
    if quantised:
        source["quantization_config"] = Mxfp4Config(dequantize=True)
    loaded, report = AutoModel.from_pretrained(str(folder), config=config, **source)
    if report["missing_keys"]:
        raise ValueError(
            f"the file of weights lacks {', '.join(sorted(report['missing_keys'])[:5])}"
        )
    return loaded
