"""Small checkpoints in the published formats of this family.

They have the hub's files for the configuration, the vocabulary and the weights.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mini3di
import numpy as np
import torch
from safetensors.torch import save_file
from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    EsmConfig,
    EsmForMaskedLM,
    EsmTokenizer,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)

from zoo.encoder import System

WIDTH = 32
ESM_TOKENS = [
    "<cls>",
    "<pad>",
    "<eos>",
    "<unk>",
    *"LAGVSERTIDPKQNFYMHWCXBUZO.-",
    "<null_1>",
    "<mask>",
]
PAIRS = [a + s for a, s in itertools.product("ACDEFGHIKLMNPQRSTVWY#", "pynwrqhgdlvtmfsaeikc#")]
T5_LETTERS = "ALGVSREDTIPKFQNYMHWCXBOUZ"
SHAPES = "algvsredtipkfqnymhwc"


def write(folder: Path, model: Mapping[str, Any], seed: int) -> dict[str, int]:
    """Write every file of the card for a network of width 32, with as many layers as the card has.

    Returns:
        The dimension of each representation.
    """
    # Not the seed of an untrained twin, because the twin's network would be this one.
    torch.manual_seed(1000 + seed)
    names = [file["path"] for file in model["weights"]["files"]]
    layers = len(model["layers"]["dimensions"]) - 1
    network = (esm if "vocab.txt" in names else t5)(folder, names, layers)
    write_weights(
        network, folder, [name for name in names if name.endswith((".bin", ".safetensors"))]
    )
    return {"residues": WIDTH} | {f"layer-{i}": WIDTH for i in range(layers + 1)}


def esm(folder: Path, names: list[str], layers: int) -> PreTrainedModel:
    """Write the configuration and vocabulary of ESM-2 or SaProt, and return the network.

    The two differ in their vocabularies.
    """
    saprot = not any(name.endswith(("safetensors", "index.json")) for name in names)
    tokens = ["<cls>", "<pad>", "<eos>", "<unk>", "<mask>", *PAIRS] if saprot else ESM_TOKENS
    (folder / "vocab.txt").write_text("\n".join(tokens))
    sizes = {
        "hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "num_attention_heads": 4,
        "num_hidden_layers": layers,
    }
    config = {
        "architectures": ["EsmForMaskedLM"],
        "attention_probs_dropout_prob": 0.0,
        "classifier_dropout": None,
    }
    config |= {
        "emb_layer_norm_before": False,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "layer_norm_eps": 1e-5,
    }
    config |= {
        "mask_token_id": tokens.index("<mask>"),
        "max_position_embeddings": 1026,
        "model_type": "esm",
    }
    config |= {
        "pad_token_id": 1,
        "position_embedding_type": "rotary",
        "token_dropout": True,
        "torch_dtype": "float32",
    }
    config |= {"initializer_range": 0.02, "use_cache": True, "vocab_size": len(tokens), **sizes}
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    return EsmForMaskedLM(EsmConfig(**config))


def t5(folder: Path, names: list[str], layers: int) -> PreTrainedModel:
    """Write the configuration and vocabulary of an encoder of T5, and return the network.

    It is ProtT5, ProstT5 (with 3Di letters and prefixes as added tokens), or Ankh (gated, with its
    vocabulary in one file).
    """
    vocabulary = [
        "<pad>",
        "</s>",
        "<unk>",
        *T5_LETTERS,
        *(f"<extra_id_{i}>" for i in reversed(range(100))),
    ]
    ankh = "tokenizer.json" in names
    if ankh:
        write_tokenizer(folder / "tokenizer.json", vocabulary)
    else:
        write_pieces(folder / "spiece.model", vocabulary[: 3 + len(T5_LETTERS)])
    if "added_tokens.json" in names:
        added = [*SHAPES, "<fold2AA>", "<AA2fold>"]
        ids = {token: len(vocabulary) + i for i, token in enumerate(added)}
        (folder / "added_tokens.json").write_text(json.dumps(dict(sorted(ids.items())), indent=2))
        vocabulary += added
    config = {
        "architectures": ["T5ForConditionalGeneration"],
        "d_ff": 4 * WIDTH,
        "d_kv": 16,
        "d_model": WIDTH,
    }
    config |= {
        "decoder_start_token_id": 0,
        "eos_token_id": 1,
        "feed_forward_proj": "gated-gelu" if ankh else "relu",
    }
    config |= {
        "is_encoder_decoder": True,
        "layer_norm_epsilon": 1e-6,
        "model_type": "t5",
        "num_decoder_layers": 2,
    }
    config |= {"num_heads": 4, "num_layers": layers, "pad_token_id": 0}
    config |= {"tie_word_embeddings": not ankh}
    config |= {"relative_attention_num_buckets": 64 if ankh else 32, "vocab_size": len(vocabulary)}
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    return T5ForConditionalGeneration(T5Config(**config))


def write_pieces(path: Path, tokens: list[str]) -> None:
    """Write a model of sentencepiece: the special tokens, and one word per letter."""
    proto = sentencepiece_model_pb2.ModelProto()
    kinds = {"<pad>": 3, "</s>": 3, "<unk>": 2}  # control, control, unknown
    for token in tokens:
        special = token in kinds
        proto.pieces.add(
            piece=token if special else f"▁{token}", score=-1.0, type=kinds.get(token, 1)
        )
    proto.trainer_spec.model_type = 1  # unigram
    for i, name in enumerate(("pad", "eos", "unk")):
        setattr(proto.trainer_spec, f"{name}_id", i)
        setattr(proto.trainer_spec, f"{name}_piece", tokens[i])
    proto.trainer_spec.bos_id = -1
    proto.normalizer_spec.add_dummy_prefix = True
    path.write_bytes(proto.SerializeToString())


def write_tokenizer(path: Path, tokens: list[str]) -> None:
    """Write a tokenizer.json that splits at blanks."""
    tokenizer = Tokenizer(models.Unigram([(token, -1.0) for token in tokens], unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer.save(str(path))


def as_published(network: PreTrainedModel, *, pickled: bool) -> dict[str, torch.Tensor]:
    """Return the state of a network under the names that the published files have.

    Earlier releases of transformers wrote them. ESM's had the frequencies of rotary positions in
    every layer, and positions that nothing reads; T5's a bias of the decoder that is gone. What is
    tied to another tensor is in pickles alone.
    """
    state = {key: value.clone() for key, value in network.state_dict().items()}
    if isinstance(network, T5ForConditionalGeneration):
        bias = state["decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
        gone = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
        return state | {gone: bias.clone()}
    frequencies, width = state.pop("esm.rotary_embeddings.inv_freq"), network.config.hidden_size
    for layer in range(network.config.num_hidden_layers):
        place = f"esm.encoder.layer.{layer}.attention.self.rotary_embeddings"
        state[f"{place}.inv_freq"] = frequencies.clone()
    positions = network.config.max_position_embeddings
    state["esm.embeddings.position_ids"] = torch.arange(positions)[None]
    state["esm.embeddings.position_embeddings.weight"] = torch.randn(positions, width)
    if not pickled:
        del state["lm_head.decoder.weight"]
    return state


def write_weights(network: PreTrainedModel, folder: Path, names: list[str]) -> None:
    """Write the state of the network in as many files as the card names.

    The format is PyTorch's pickle or safetensors.
    """
    state = as_published(network, pickled=names != ["model.safetensors"])
    if names == ["model.safetensors"]:
        save_file(state, folder / names[0], metadata={"format": "pt"})
        return
    shard = {key: names[i % len(names)] for i, key in enumerate(state)}
    for name in names:
        torch.save(
            {key: value for key, value in state.items() if shard[key] == name}, folder / name
        )
    if len(names) > 1:
        total = sum(value.numel() * value.element_size() for value in state.values())
        index = {"metadata": {"total_size": total}, "weight_map": shard}
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2))


def reference(folder: Path, model: Mapping[str, Any], system: System) -> dict[str, np.ndarray]:
    """Return the means over residues, of each layer, from the whole published network.

    The vocabulary's own tokenizer reads the system.
    """
    letters = spell(model["options"], system)
    if (folder / "vocab.txt").exists():
        network = EsmForMaskedLM.from_pretrained(folder).eval()
        tokens = EsmTokenizer(str(folder / "vocab.txt"))("".join(letters))["input_ids"]
    else:
        network = T5ForConditionalGeneration.from_pretrained(folder).eval().get_encoder()
        tokens = tokenize(folder, model["options"]["before"], letters)
    with torch.inference_mode():
        states = network(torch.tensor([tokens]), output_hidden_states=True).hidden_states
    layers = [hidden[0, -1 - len(letters) : -1].mean(0).numpy() for hidden in states]
    return {"residues": layers[-1]} | {f"layer-{i}": mean for i, mean in enumerate(layers)}


def spell(options: Mapping[str, Any], system: System) -> list[str]:
    """Return amino acids, 3Di letters or both, one string per residue."""
    sequence = (system.sequence or "").translate(str.maketrans(options.get("replace", {})))
    if options["reads"] == "residues":
        return list(sequence)
    encoder, (n, ca, c, _) = mini3di.Encoder(), system.backbone.swapaxes(0, 1)
    shapes = encoder.build_sequence(encoder.encode_atoms(ca=ca, cb=ca * np.nan, n=n, c=c)).lower()
    return (
        [a + s for a, s in zip(sequence, shapes, strict=True)]
        if "with" in options["reads"]
        else list(shapes)
    )


def tokenize(folder: Path, before: list[str], letters: list[str]) -> list[int]:
    """Return the ids that the published tokenizer makes of letters separated by blanks.

    The prefix and the end are included.
    """
    if (folder / "tokenizer.json").exists():
        return (
            Tokenizer.from_file(str(folder / "tokenizer.json"))
            .encode(letters, is_pretokenized=True)
            .ids
        )
    pieces = SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    added = json.loads((folder / "added_tokens.json").read_text()) if before else {}
    words = (
        [added[letter] for letter in letters]
        if letters[0] in added
        else pieces.encode(" ".join(letters))
    )
    return [*(added[token] for token in before), *words, pieces.eos_id()]
