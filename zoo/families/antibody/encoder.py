"""Language models of antibodies: AntiBERTy (Ruffolo et al. 2021), Sapiens (Prihoda et al. 2022).

AntiBERTy is a BERT, and Sapiens a RoBERTa for each kind of chain. All read one token per residue.
The files of Sapiens are those of fairseq, which no current Python runs; transformers has the same
network under other names.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import BertConfig, BertModel, RobertaConfig, RobertaModel

from zoo.encoder import Encoder, NotApplicable, System

Tensors = Mapping[str, torch.Tensor]
# fairseq puts these before the words of a dictionary, and the mask after them.
FAIRSEQ_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")
FAIRSEQ_MASK = "<mask>"
# A part of a tensor's name in a file of fairseq, and what transformers calls it.
FAIRSEQ_NAMES = {
    "embed_tokens": "embeddings.word_embeddings",
    "embed_positions": "embeddings.position_embeddings",
    "emb_layer_norm": "embeddings.LayerNorm",
    "layers": "encoder.layer",
    "self_attn.q_proj": "attention.self.query",
    "self_attn.k_proj": "attention.self.key",
    "self_attn.v_proj": "attention.self.value",
    "self_attn.out_proj": "attention.output.dense",
    "self_attn_layer_norm": "attention.output.LayerNorm",
    "fc1": "intermediate.dense",
    "fc2": "output.dense",
    "final_layer_norm": "output.LayerNorm",
}


class FamilyEncoder(Encoder):
    """A language model of antibodies, or its untrained twin.

    The representation `residues` holds the last hidden states of the residues, (n_residues, d),
    without those of the two special tokens. `layer-0`, the embeddings, and so on are the same of
    each layer, so that the last of them is `residues`.

    The option `network` is one of NETWORKS, and `config` its shape, in the words of transformers.
    `weights` and `vocabulary` name their files among those of the card, `before` and `after` the
    special tokens, and `unknown` the one that stands for X. `max_residues` is what the network has
    positions for.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        self.options: Mapping[str, Any] = model["options"]
        self.vocabulary = read_vocabulary(self.weights / self.options["vocabulary"])
        self.before, self.after, unknown = (
            self.vocabulary[self.options[name]] for name in ("before", "after", "unknown")
        )
        self.letters = {t: i for t, i in self.vocabulary.items() if len(t) == 1} | {"X": unknown}
        make, read = NETWORKS[self.options["network"]]
        torch.manual_seed(0 if untrained_seed is None else untrained_seed)
        network = make(self.options["config"])
        if untrained_seed is None:
            network.load_state_dict(read(self.weights / self.options["weights"]))
        self.network = network.to(device, getattr(torch, dtype)).eval().requires_grad_(False)

    def prepare(self, system: System) -> torch.Tensor:
        """Return the ids of the tokens, (residues + 2,).

        Raises:
            NotApplicable: The sequence is too long, or has a letter that no token stands for.
        """
        length, limit = len(system.sequence), self.options["max_residues"]
        if length > limit:
            raise NotApplicable(f"{length} residues; the model has positions for {limit}")
        unknown = sorted(set(system.sequence) - set(self.letters))
        if unknown:
            raise NotApplicable(f"the sequence has letters that have no token: {' '.join(unknown)}")
        residues = (self.letters[letter] for letter in system.sequence)
        return torch.tensor([self.before, *residues, self.after])

    def size(self, item: torch.Tensor) -> int:
        """Return the number of tokens."""
        return len(item)

    @torch.inference_mode()
    def encode(
        self, items: Sequence[torch.Tensor], representations: Sequence[str]
    ) -> dict[str, list[np.ndarray]]:
        padding = self.network.config.pad_token_id
        tokens = pad_sequence(list(items), batch_first=True, padding_value=padding)
        lengths = torch.tensor([len(item) for item in items])
        mask = torch.arange(tokens.shape[1]) < lengths[:, None]
        states = self.network(
            tokens.to(self.device),
            attention_mask=mask.long().to(self.device),
            output_hidden_states=True,
        ).hidden_states
        found = {"residues": states[-1]} | {f"layer-{i}": rows for i, rows in enumerate(states)}
        return {
            name: [
                rows[1 : length - 1].float().cpu().numpy()
                for rows, length in zip(found[name], lengths, strict=True)
            ]
            for name in representations
        }


def read_vocabulary(path: Path) -> dict[str, int]:
    """Return {token: id} of a file that has a token per line.

    A `dict.txt` of fairseq has each word with its count, and no special tokens.
    """
    lines = path.read_text().splitlines()
    if path.name == "dict.txt":
        lines = [*FAIRSEQ_TOKENS, *(line.split()[0] for line in lines), FAIRSEQ_MASK]
    return {token: i for i, token in enumerate(lines)}


def make_bert(config: Mapping[str, Any]) -> torch.nn.Module:
    """Return a BERT of that shape with random weights, without the pooler."""
    return BertModel(BertConfig(**config), add_pooling_layer=False)


def read_bert(path: Path) -> Tensors:
    """Return the tensors of the network from a file of transformers, without pooler and heads."""
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    names = {name: name.removeprefix("bert.") for name in tensors if name.startswith("bert.")}
    return {
        ours: tensors[theirs]
        for theirs, ours in names.items()
        if not ours.startswith("pooler.") and ours != "embeddings.position_ids"
    }


def make_roberta(config: Mapping[str, Any]) -> torch.nn.Module:
    """Return a RoBERTa of that shape with random weights, without what fairseq's has not."""
    network = RobertaModel(RobertaConfig(type_vocab_size=1, **config), add_pooling_layer=False)
    # It adds a vector for the kind of sentence to every token.
    torch.nn.init.zeros_(network.embeddings.token_type_embeddings.weight)
    return network


def read_fairseq(path: Path) -> Tensors:
    """Return the tensors of the network from a file of fairseq, without the head, as RoBERTa's."""
    with torch.serialization.safe_globals([argparse.Namespace]):
        tensors = torch.load(path, map_location="cpu", weights_only=True)["model"]
    prefix = "decoder.sentence_encoder."
    found = {
        _renamed(name.removeprefix(prefix)): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
    width = found["embeddings.LayerNorm.weight"].shape
    return found | {"embeddings.token_type_embeddings.weight": torch.zeros(1, *width)}


def _renamed(name: str) -> str:
    for theirs, ours in FAIRSEQ_NAMES.items():
        name = name.replace(theirs, ours)
    return name


NETWORKS = {"bert": (make_bert, read_bert), "fairseq": (make_roberta, read_fairseq)}
