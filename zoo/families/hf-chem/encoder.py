"""Chemical language models of the Hugging Face hub: MoLFormer, ChemBERTa and ChemGPT.

A molecule is written as RDKit's canonical SMILES, which ChemBERTa reads; without stereochemistry,
as MoLFormer was trained; and for ChemGPT from that as SELFIES. ChemGPT knows only the symbols of
SELFIES 1, such as [Branch1_2], so the package is held at that version: of 1,500 molecules of
RDKit's NCI sample, its vocabulary knows all symbols of 1,440 in SELFIES 1 and of 36 in SELFIES 2.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import selfies
import torch
from rdkit import Chem, rdBase
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoConfig, GPTNeoModel, PretrainedConfig, RobertaModel
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from zoo.encoder import Encoder, NotApplicable, System

PUBLISHED = "published_code"  # the package that the Python files among the weights are read into
LAYER = "layer-"  # begins the names of layers, which end in their number
NETWORKS: dict[str, tuple[type, dict[str, Any]]] = {
    "roberta": (RobertaModel, {"add_pooling_layer": False}),
    "gpt_neo": (GPTNeoModel, {}),
}


class FamilyEncoder(Encoder):
    """A chemical language model, or its untrained twin.

    The representation `tokens` holds the last hidden states of the molecule's tokens, (n_tokens,
    d), without special tokens. `layer-0`, the embeddings, and so on are the same of each layer; the
    last of them is `tokens`.

    The option `notation` is 'smiles', 'flat_smiles' or 'selfies'. Molecules of more than
    `max_tokens` tokens, special ones included, are not applicable. `partial` tells whether a
    molecule is read if the vocabulary lacks a part of it. `config` holds changes of the published
    configuration.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        self.options: Mapping[str, Any] = model["options"]
        self.tokenizer = Tokenizer.from_file(str(self.weights / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.unknown = self.tokenizer.token_to_id(self.tokenizer.model.unk_token or "")
        network = load(self.weights, self.options, untrained_seed, getattr(torch, dtype))
        self.network = network.to(device).eval().requires_grad_(False)

    def prepare(self, system: System) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the ids of the tokens, (tokens,), and a mask of those of the molecule.

        Raises:
            NotApplicable: The vocabulary lacks a part of the molecule, or it has too many tokens.
        """
        text = NOTATIONS[self.options["notation"]](system.smiles)
        encoded = self.tokenizer.encode(text)
        known = [
            place
            for i, place in zip(encoded.ids, encoded.offsets, strict=True)
            if i != self.unknown
        ]
        lacking = set(range(len(text))).difference(*(range(*place) for place in known))
        if lacking and not (self.options.get("partial") and len(lacking) < len(text)):
            raise NotApplicable(
                f"the model's vocabulary lacks what begins with {text[min(lacking) :][:12]!r} "
                f"in {text}"
            )
        if len(encoded.ids) > self.options["max_tokens"]:
            raise NotApplicable(
                f"{len(encoded.ids)} tokens; the model was trained on {self.options['max_tokens']}"
            )
        return torch.tensor(encoded.ids), torch.tensor(encoded.special_tokens_mask) == 0

    def size(self, item: tuple[torch.Tensor, torch.Tensor]) -> int:
        """Return the number of tokens."""
        return len(item[0])

    @torch.inference_mode()
    def encode(
        self, items: Sequence[tuple[torch.Tensor, torch.Tensor]], representations: Sequence[str]
    ) -> dict[str, list[np.ndarray]]:
        # ChemGPT names no padding token; padded places are not attended to.
        padding = self.network.config.pad_token_id or 0
        tokens = pad_sequence([ids for ids, _ in items], batch_first=True, padding_value=padding)
        lengths = torch.tensor([len(ids) for ids, _ in items])
        mask = (torch.arange(tokens.shape[1]) < lengths[:, None]).long().to(self.device)
        output = self.network(
            tokens.to(self.device),
            attention_mask=mask,
            output_hidden_states=any(name.startswith(LAYER) for name in representations),
        )
        found = {"tokens": output.last_hidden_state}
        # Not every network counts its final norm to the last layer.
        layers = (*(output.hidden_states or ())[:-1], output.last_hidden_state)
        found |= {f"{LAYER}{i}": states for i, states in enumerate(layers)}
        vectors = {}
        for name in representations:
            hidden = found[name].float().cpu()
            vectors[name] = [
                states[: len(own)][own].numpy()
                for states, (_, own) in zip(hidden, items, strict=True)
            ]
        return vectors


def read_molecule(smiles: str) -> Chem.Mol:
    """Return the molecule of a SMILES.

    Raises:
        ValueError: RDKit cannot read the SMILES, or it has no atoms.
    """
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or molecule.GetNumAtoms() == 0:
        raise ValueError(f"RDKit cannot read the SMILES {smiles!r}, or it has no atoms")
    return molecule


def write_smiles(smiles: str) -> str:
    """Return RDKit's canonical SMILES, with stereochemistry."""
    return Chem.MolToSmiles(read_molecule(smiles))


def write_flat_smiles(smiles: str) -> str:
    """Return RDKit's canonical SMILES, without stereochemistry and isotopes."""
    return Chem.MolToSmiles(read_molecule(smiles), isomericSmiles=False)


def write_selfies(smiles: str) -> str:
    """Return the SELFIES 1 of the canonical SMILES, without stereochemistry.

    ChemGPT's vocabulary has no symbols for stereochemistry.

    Raises:
        NotApplicable: SELFIES 1 cannot express the molecule.
    """
    text = selfies.encoder(write_flat_smiles(smiles))
    if text is None:
        raise NotApplicable(f"SELFIES 1 cannot express {smiles}")
    return text


NOTATIONS = {"smiles": write_smiles, "flat_smiles": write_flat_smiles, "selfies": write_selfies}


def load(
    folder: Path, options: Mapping[str, Any], untrained_seed: int | None, dtype: torch.dtype
) -> torch.nn.Module:
    """Return the network with its published weights, or with random weights from the seed."""
    disable_progress_bar()
    # It would list the parts that are left out, such as the language-model head.
    set_verbosity_error()
    network, config, arguments = architecture(folder, options)
    if untrained_seed is not None:
        torch.manual_seed(untrained_seed)
        return network(config, **arguments).to(dtype)
    if network.__module__.startswith(PUBLISHED):
        return fill(network(config, **arguments), folder / "model.safetensors").to(dtype)
    source = {"local_files_only": True, "dtype": dtype, "output_loading_info": True}
    loaded, report = network.from_pretrained(str(folder), config=config, **source, **arguments)
    if report["missing_keys"]:
        raise ValueError(
            f"the file of weights lacks {', '.join(sorted(report['missing_keys'])[:5])}"
        )
    return loaded


def fill(network: torch.nn.Module, path: Path) -> torch.nn.Module:
    """Put the weights of a file into a network that its own constructor has made.

    `from_pretrained` makes a network without computing anything, so that tables which are in no
    file, such as those of rotary positions, hold whatever was in memory unless the published code
    fills them again.

    Raises:
        ValueError: The file lacks weights of the network.
    """
    prefix = f"{network.base_model_prefix}."
    state = {key.removeprefix(prefix): value for key, value in load_file(path).items()}
    missing, _ = network.load_state_dict(state, strict=False)  # what is left over is of the head
    if missing:
        raise ValueError(f"the file of weights lacks {', '.join(sorted(missing)[:5])}")
    return network


def architecture(
    folder: Path, options: Mapping[str, Any]
) -> tuple[Any, PretrainedConfig, dict[str, Any]]:
    """Return the network's class, its configuration and further arguments of the class.

    The configuration is the published one with the card's changes.
    """
    published = json.loads((folder / "config.json").read_text()).get("auto_map", {})
    source = {"local_files_only": True, **options.get("config", {})}
    if published:
        config = read_code(folder, published["AutoConfig"]).from_pretrained(str(folder), **source)
        return read_code(folder, published["AutoModel"]), config, {}
    config = AutoConfig.from_pretrained(str(folder), **source)
    network, arguments = NETWORKS[config.model_type]
    return network, config, arguments


def read_code(folder: Path, reference: str) -> Any:
    """Return a class, 'module.Name', of the Python files among the weights.

    The hashes of these files are pinned like those of the weights. As with trust_remote_code,
    published code runs, but exactly these bytes: no copy of them lies in a cache, and no bytecode
    beside them.
    """
    name, member = reference.split(".")
    package = sys.modules.setdefault(PUBLISHED, ModuleType(PUBLISHED))
    package.__path__ = []
    if f"{PUBLISHED}.{name}" not in sys.modules:
        module = sys.modules[f"{PUBLISHED}.{name}"] = ModuleType(f"{PUBLISHED}.{name}")
        module.__package__, module.__file__ = PUBLISHED, str(folder / f"{name}.py")
        exec(compile((folder / f"{name}.py").read_text(), module.__file__, "exec"), module.__dict__)
    return getattr(sys.modules[f"{PUBLISHED}.{name}"], member)
