"""Small checkpoints in the published formats of this family.

They have the hub's files for the configuration, the tokenizer, the template and the weights.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rdkit import Chem
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM

from zoo.encoder import System

WIDTH, EXPERTS = 64, 4
FP4 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # the values of three bits; a fourth bit is the sign
SIZES = {"head_dim": 16, "hidden_size": WIDTH, "num_attention_heads": 4, "num_key_value_heads": 2}
SIZES |= {
    "hidden_act": "silu",
    "attention_dropout": 0.0,
    "initializer_range": 0.02,
}
SIZES |= {
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "max_position_embeddings": 4096,
}
ROPE = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
YARN = {"rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False}
FORMATS: dict[str, dict[str, Any]] = {
    "llama": {"architectures": ["LlamaForCausalLM"], "intermediate_size": 128, "rms_norm_eps": 1e-5}
    | {
        "rope_theta": 500000.0,
        "rope_scaling": ROPE | {"original_max_position_embeddings": 512, "rope_type": "llama3"},
    },
    "qwen3_moe": {
        "architectures": ["Qwen3MoeForCausalLM"],
        "moe_intermediate_size": 32,
        "num_experts": EXPERTS,
    }
    | {
        "num_experts_per_tok": 2,
        "norm_topk_prob": True,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
    }
    | {"intermediate_size": 128, "rms_norm_eps": 1e-6, "rope_theta": 10000000.0},
    "gpt_oss": {
        "architectures": ["GptOssForCausalLM"],
        "intermediate_size": WIDTH,
        "num_local_experts": EXPERTS,
    }
    | {"num_experts_per_tok": 2, "attention_bias": True, "rms_norm_eps": 1e-5, "sliding_window": 32}
    | {"swiglu_limit": 7.0, "rope_theta": 150000.0}
    | {
        "rope_scaling": YARN | {"original_max_position_embeddings": 128},
        "quantization_config": {"quant_method": "mxfp4"},
    },
}
SYSTEM = "{% for m in messages if m.role == 'system' %}"
USER = "{% endfor %}{% for m in messages if m.role == 'user' %}"
TEMPLATES = {
    "llama": "{{ bos_token }}"
    + SYSTEM
    + "{{ m.content }}"
    + USER
    + "<|User|>{{ m.content }}{% endfor %}<|Assistant|>{{ '\n' }}",
    "qwen3_moe": SYSTEM
    + "<|im_start|>system\n{{ m.content }}<|im_end|>\n"
    + USER
    + "<|im_start|>user\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "<|im_start|>assistant\n<think>{{ '\n' }}",
    "gpt_oss": "{%- macro head() -%}{{ 'Current date: ' + strftime_now('%Y-%m-%d') }}"
    "{%- endmacro -%}<|start|>system<|message|>{{ head() }}<|end|>"
    + SYSTEM
    + "<|start|>developer<|message|>{{ m.content }}<|end|>"
    + USER
    + "<|start|>user<|message|>{{ m.content }}<|end|>{% endfor %}<|start|>assistant",
}
SPECIAL = {
    "llama": ["<|begin of sentence|>", "<|end of sentence|>", "<|User|>", "<|Assistant|>"],
    "qwen3_moe": ["<|endoftext|>", "<|im_end|>", "<|im_start|>", "<think>"],
    "gpt_oss": ["<|startoftext|>", "<|return|>", "<|start|>", "<|message|>", "<|end|>"],
}


def write(folder: Path, model: Mapping[str, Any], seed: int) -> dict[str, int]:
    """Write every file of the card for a network of width 64, with as many layers as the card has.

    Returns:
        The dimension of each representation.
    """
    names = [file["path"] for file in model["weights"]["files"]]
    kind = {"deepseek-ai": "llama", "Qwen": "qwen3_moe", "openai": "gpt_oss"}[
        model["weights"]["repo"].split("/")[0]
    ]
    write_tokenizer(folder, kind, names)
    vocabulary = 256 + len(SPECIAL[kind])
    config = {
        "model_type": kind,
        "vocab_size": vocabulary,
        "bos_token_id": 256,
        "eos_token_id": 257,
        "num_hidden_layers": len(model["layers"]["dimensions"]),
        **SIZES,
        **FORMATS[kind],
    }
    if kind == "gpt_oss":
        types = ["sliding_attention", "full_attention"]
        config["layer_types"] = types * (config["num_hidden_layers"] // 2)
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    # Not the seed of an untrained twin, because the twin's network would be this one.
    torch.manual_seed(1000 + seed)
    plain = {key: value for key, value in config.items() if key != "quantization_config"}
    network = AutoModelForCausalLM.from_config(AutoConfig.for_model(**plain))
    state = dict(network.state_dict())
    state = {"llama": dict, "qwen3_moe": one_by_one, "gpt_oss": in_four_bits}[kind](state)
    write_shards(folder, state, [name for name in names if name.endswith(".safetensors")])
    return dict.fromkeys((r["name"] for r in model["representation"]), WIDTH)


def write_tokenizer(folder: Path, kind: str, names: list[str]) -> None:
    """Write a tokenizer of bytes with the special tokens of the kind, and its chat template.

    The tokenizer has byte pairs, none of them merged. The template is in its usual place.
    """
    ids = {letter: i for i, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL[kind]])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings: dict[str, Any] = {
        "tokenizer_class": "LlamaTokenizerFast" if kind == "llama" else "PreTrainedTokenizerFast"
    }
    settings |= {
        "bos_token": {"__type": "AddedToken", "content": SPECIAL[kind][0]},
        "eos_token": SPECIAL[kind][1],
    }
    if "chat_template.jinja" in names:
        (folder / "chat_template.jinja").write_text(TEMPLATES[kind])
    else:
        settings["chat_template"] = TEMPLATES[kind]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))


def one_by_one(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return Qwen3's state with its experts as they are published.

    Each expert has three matrices, while transformers holds two for all experts.
    """
    found = {key: value for key, value in state.items() if ".experts." not in key}
    for key in [key for key in state if key.endswith(".experts.gate_up_proj")]:
        place = key.removesuffix(".gate_up_proj")
        gate, up = state[f"{place}.gate_up_proj"].chunk(2, dim=1)
        for expert in range(EXPERTS):
            found[f"{place}.{expert}.gate_proj.weight"] = gate[expert]
            found[f"{place}.{expert}.up_proj.weight"] = up[expert]
            found[f"{place}.{expert}.down_proj.weight"] = state[f"{place}.down_proj"][expert]
    return found


def in_four_bits(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the state of gpt-oss with its experts as they are published.

    Their numbers have 4 bits, two per byte, and 32 numbers of a row share one scale. The scales are
    small: where bfloat16 rounds the router to another expert, all layers after it would differ.
    """
    found = {}
    for key, value in state.items():
        if key.endswith(("gate_up_proj", "down_proj")):
            experts, columns, rows = value.shape
            found[f"{key}_blocks"] = torch.randint(
                256, (experts, rows, columns // 32, 16), dtype=torch.uint8
            )
            found[f"{key}_scales"] = torch.randint(
                114, 119, (experts, rows, columns // 32), dtype=torch.uint8
            )
        else:
            found[key] = value
    return found


def widened(state: dict[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the state with numbers of 4 bits widened, by the definition of the format.

    The low half of a byte comes first, and a scale is a power of 2 with a bias of 127.
    """
    values = torch.tensor([*FP4, *(-number for number in FP4)])
    for key, value in state.items():
        if not key.endswith(("_blocks", "_scales")):
            yield key, value
    for key in [key for key in state if key.endswith("_blocks")]:
        blocks, name = state[key].long(), key.removesuffix("_blocks")
        numbers = torch.stack([values[blocks & 15], values[blocks >> 4]], dim=-1).flatten(-2)
        scales = torch.exp2(state[f"{name}_scales"].float() - 127)
        yield name, (numbers * scales[..., None]).flatten(-2).transpose(1, 2)


def write_shards(folder: Path, state: dict[str, torch.Tensor], names: list[str]) -> None:
    """Write the weights as on the hub.

    They are in bfloat16, in as many files as the card names, with an index of the files.
    """
    half = {
        k: (v.bfloat16() if v.is_floating_point() else v).contiguous().clone()
        for k, v in state.items()
    }
    shard = {key: names[i % len(names)] for i, key in enumerate(half)}
    for name in names:
        part = {key: value for key, value in half.items() if shard[key] == name}
        save_file(part, folder / name, metadata={"format": "pt"})
    total = sum(value.numel() * value.element_size() for value in half.values())
    index = {"metadata": {"total_size": total}, "weight_map": shard}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))


def reference(folder: Path, model: Mapping[str, Any], system: System) -> dict[str, np.ndarray]:
    """Return the hidden states of one prompt from the whole network, without padding.

    The prompt is assembled here, one byte per token.
    """
    text = model["options"]["user"]
    if "{smiles}" in text:
        text = text.format(smiles=Chem.MolToSmiles(Chem.MolFromSmiles(system.smiles)))
    else:
        places = [[round(x, 4) + 0.0 for x in row] for row in system.positions.tolist()]
        atoms = f"numbers: {[int(z) for z in system.numbers]}\npositions: {places}"
        if system.pbc is not None and any(system.pbc):
            cell = [[round(x, 4) + 0.0 for x in row] for row in system.cell.tolist()]
            atoms += f"\ncell: {cell}\npbc: {[bool(p) for p in system.pbc]}"
        text = text.format(atoms=atoms)
    kind = json.loads((folder / "config.json").read_text())["model_type"]
    tokens = torch.tensor([spell(kind, model["options"], text)])
    network = whole_network(folder, kind, getattr(torch, model["dtype"]))
    with torch.inference_mode():
        states = network(tokens, output_hidden_states=True).hidden_states
    layers = [hidden[0, -1].float().numpy() for hidden in states[1:]]
    found = {"last_token": layers[-1], "mean": states[-1][0].float().mean(0).numpy()}
    return found | {f"layer-{i}": vector for i, vector in enumerate(layers)}


@functools.lru_cache(maxsize=1)
def whole_network(folder: Path, kind: str, dtype: torch.dtype) -> torch.nn.Module:
    """Return the network with its head, read by transformers; numbers of 4 bits are read here."""
    if kind != "gpt_oss":
        return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    config = json.loads((folder / "config.json").read_text())
    plain = {key: value for key, value in config.items() if key != "quantization_config"}
    network = AutoModelForCausalLM.from_config(AutoConfig.for_model(**plain), dtype=dtype)
    files = [load_file(path) for path in sorted(folder.glob("*.safetensors"))]
    own = network.state_dict()
    for name, value in widened({key: value for file in files for key, value in file.items()}):
        own.pop(name).copy_(value)
    if own:
        raise ValueError(f"the files of weights lack {', '.join(sorted(own)[:5])}")
    return network.eval()


def spell(kind: str, options: Mapping[str, Any], user: str) -> list[int]:
    """Return the ids of the whole prompt.

    Special tokens have ids from 256 on; each byte has its place in the alphabet.
    """
    system = options["system"]
    parts: list[Any] = {
        "llama": [0, system, 2, user, 3, "\n"],
        "qwen3_moe": [
            *([2, "system\n" + system, 1, "\n"] if system else []),
            2,
            "user\n" + user,
            1,
            "\n",
            2,
        ]
        + ["assistant\n", 3, "\n"],
        "gpt_oss": [2, "system", 3, f"Current date: {options['date']}", 4]
        + ([2, "developer", 3, system, 4] if system else [])
        + [2, "user", 3, user, 4, 2, "assistant"],
    }[kind]
    alphabet = {letter: i for i, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    ids = []
    for part in parts:
        written = "" if isinstance(part, int) or not part else level.pre_tokenize_str(part)[0][0]
        ids += [256 + part] if isinstance(part, int) else [alphabet[letter] for letter in written]
    return ids
