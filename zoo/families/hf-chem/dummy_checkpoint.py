"""Small checkpoints in the published formats of this family.

They have the hub's files for the configuration, the tokenizer and the weights.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import selfies
import torch
from rdkit import Chem
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from transformers import (
    GPTNeoConfig,
    GPTNeoForCausalLM,
    PreTrainedModel,
    RobertaConfig,
    RobertaForMaskedLM,
)

from zoo.encoder import System

STAND_IN = Path(__file__).with_name("stand_in")  # for code that is published beside weights
sys.path.insert(0, str(STAND_IN.parent))

from stand_in.configuration_molformer import MolformerConfig  # noqa: E402
from stand_in.modeling_molformer import MolformerForMaskedLM  # noqa: E402

WIDTH = 48
SPECIAL = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]"]
ATOMS = [f"[{bond}{atom}]" for bond in ("", "=", "#") for atom in ("C", "N", "O", "F", "S", "Cl")]
BRANCHES = [f"[Branch{size}_{order}]" for size in (1, 2, 3) for order in (1, 2, 3)]
RINGS = [f"[{form}{size}]" for size in (1, 2, 3) for form in ("Ring", "Expl=Ring", "Expl#Ring")]


def write(folder: Path, model: Mapping[str, Any], seed: int) -> dict[str, int]:
    """Write every file of the card for a network of width 48, with as many layers as the card has.

    Returns:
        The dimension of each representation.
    """
    # Not the seed of an untrained twin, because the twin's network would be this one.
    torch.manual_seed(1000 + seed)
    make = {"selfies": chemgpt, "smiles": chemberta, "flat_smiles": molformer}
    layers = len(model["layers"]["dimensions"]) - 1
    widths = {"tokens": WIDTH} | {f"layer-{i}": WIDTH for i in range(layers + 1)}
    network, config = make[model["options"]["notation"]](folder, model["id"], layers)
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    if isinstance(network, MolformerForMaskedLM):
        save_file(network.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
        return widths
    state = {key: value.clone() for key, value in network.state_dict().items()} | leftovers(
        network, model["id"]
    )
    torch.save(state, folder / "pytorch_model.bin")
    return widths


def chemberta(folder: Path, name: str, layers: int) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Write the tokenizer of ChemBERTa-2, and return the network and its configuration.

    The network is RoBERTa. The tokenizer of byte pairs merges nothing, so it skips most words.
    """
    special = [
        "[PAD]",
        *(f"[unused{i}]" for i in range(1, 11)),
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
    ]
    tokens = [*special, *"cC()O12=N.n3F", "Cl", "-", "[C@H]", "S", "[O-]", "Br", *"#/s5oP", "[Na+]"]
    ids = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"])
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "architectures": ["RobertaForRegression" if name.endswith("mtr") else "RobertaForMaskedLM"]
    }
    config |= {
        "attention_probs_dropout_prob": 0.109,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "hidden_act": "gelu",
    }
    config |= {
        "hidden_dropout_prob": 0.144,
        "hidden_size": WIDTH,
        "initializer_range": 0.02,
        "intermediate_size": 64,
    }
    config |= {
        "is_gpu": True,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 515,
        "model_type": "roberta",
    }
    config |= {
        "num_attention_heads": 12,
        "num_hidden_layers": layers,
        "pad_token_id": 1,
        "type_vocab_size": 1,
    }
    config |= {"position_embedding_type": "absolute", "vocab_size": len(tokens)}
    return RobertaForMaskedLM(RobertaConfig(**config)), config


def chemgpt(folder: Path, name: str, layers: int) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Write the tokenizer of ChemGPT, and return the network and its configuration.

    The network is GPT-Neo with alternating global and local attention over symbols of SELFIES 1.
    """
    ids = {token: i for i, token in enumerate([*SPECIAL, *ATOMS, *BRANCHES, *RINGS])}
    tokenizer = Tokenizer(
        models.WordPiece(vocab=ids, unk_token="[UNK]", max_input_chars_per_word=100)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\[(.*?)\]"), "isolated")
    ends = [(token, ids[token]) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=ends
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "activation_function": "gelu_new",
        "architectures": ["GPTNeoForCausalLM"],
        "attention_dropout": 0,
    }
    config |= {
        "attention_types": [[["global", "local"], layers // 2]],
        "bos_token_id": 50256,
        "eos_token_id": 50256,
    }
    config |= {
        "attention_layers": ["global", "local"] * (layers // 2),
        "embed_dropout": 0,
        "hidden_size": WIDTH,
    }
    config |= {
        "initializer_range": 0.02,
        "intermediate_size": None,
        "layer_norm_epsilon": 1e-5,
        "max_length": 512,
    }
    config |= {
        "max_position_embeddings": 2048,
        "model_type": "gpt_neo",
        "num_heads": 16,
        "num_layers": layers,
    }
    config |= {"resid_dropout": 0, "vocab_size": len(ids), "window_size": 256}
    return GPTNeoForCausalLM(GPTNeoConfig(**config)), config


def molformer(folder: Path, name: str, layers: int) -> tuple[PreTrainedModel, dict[str, Any]]:
    """Write code, tokenizer and configuration as MoLFormer's are published.

    The published code may not be copied here, so the network is that of stand_in.
    """
    for file in STAND_IN.glob("*_molformer.py"):
        shutil.copy(file, folder)
    special = ["<bos>", "<eos>", "<pad>", "<mask>", "<unk>"]
    tokens = [*special, *"cC()O12=Nn3F", "Cl", "-", "[C@H]", "[C@@H]", "S", "Br", *"#/s5oP", "[nH]"]
    ids = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordLevel(vocab=ids, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\[[^\]]*\]|Br|Cl|."), "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[(token, ids[token]) for token in special[:2]]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    maps = {"AutoConfig": "configuration_molformer.MolformerConfig"}
    maps |= {"AutoModel": "modeling_molformer.MolformerModel"}
    config = {"auto_map": maps, "model_type": "molformer", "vocab_size": len(tokens)}
    config |= {"hidden_size": WIDTH, "num_hidden_layers": layers}
    return MolformerForMaskedLM(MolformerConfig(**config)), config


def leftovers(network: PreTrainedModel, name: str) -> dict[str, torch.Tensor]:
    """Return what the published files hold beside the weights.

    These are buffers of older releases, and the other head of ChemBERTa-MTR.
    """
    if isinstance(network, GPTNeoForCausalLM):
        causal = torch.tril(torch.ones(1, 1, 2048, 2048, dtype=torch.uint8))
        return {
            "transformer.h.0.attn.attention.bias": causal,
            "transformer.h.0.attn.attention.masked_bias": -torch.ones(()),
        }
    kept = {"roberta.embeddings.position_ids": torch.arange(515)[None]}
    return kept | (
        {"norm_mean": torch.zeros(200), "norm_std": torch.ones(200)} if name.endswith("mtr") else {}
    )


def reference(folder: Path, model: Mapping[str, Any], system: System) -> dict[str, np.ndarray]:
    """Return the hidden states of one molecule from the whole published network.

    There is no padding, and the tokens are looked up one by one.
    """
    config = json.loads((folder / "config.json").read_text())
    if config["model_type"] == "molformer":
        return reference_molformer(folder, config, system)
    ids = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    causal = config["model_type"] == "gpt_neo"
    text = Chem.MolToSmiles(Chem.MolFromSmiles(system.smiles), isomericSmiles=not causal)
    symbols = (
        list(selfies.split_selfies(selfies.encoder(text)))
        if causal
        else [c for c in text if c in ids]
    )
    if not symbols or any(symbol not in ids for symbol in symbols):
        return {}  # not applicable
    tokens = torch.tensor([[ids[symbol] for symbol in ("[CLS]", *symbols, "[SEP]")]])
    network = (GPTNeoForCausalLM if causal else RobertaForMaskedLM).from_pretrained(folder).eval()
    with torch.inference_mode():
        hidden = network(tokens, output_hidden_states=True).hidden_states
    return named(hidden)


def reference_molformer(
    folder: Path, config: dict[str, Any], system: System
) -> dict[str, np.ndarray]:
    """Return the same of the stand-in, which its own constructor makes, head included."""
    plain = Chem.MolFromSmiles(system.smiles)
    Chem.RemoveStereochemistry(plain)
    text = Chem.MolToSmiles(plain)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = tokenizer.encode(text).ids
    if tokenizer.token_to_id("<unk>") in ids:
        return {}  # not applicable
    network = MolformerForMaskedLM(MolformerConfig(**config | {"deterministic_eval": True})).eval()
    network.load_state_dict(load_file(folder / "model.safetensors"))
    tokens = torch.tensor([ids])
    with torch.inference_mode():
        found = network.molformer(tokens, torch.ones_like(tokens), output_hidden_states=True)
    return named((*found.hidden_states[:-1], found.last_hidden_state))


def named(states: Sequence[torch.Tensor]) -> dict[str, np.ndarray]:
    """Return the means over the tokens of the molecule, of each layer and of the last one."""
    layers = [hidden[0, 1:-1].mean(0).numpy() for hidden in states]
    return {"tokens": layers[-1]} | {f"layer-{i}": mean for i, mean in enumerate(layers)}
