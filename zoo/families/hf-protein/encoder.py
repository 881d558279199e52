"""Protein language models of the Hugging Face hub: ESM-2, SaProt, ProtT5, ProstT5 and Ankh.

The first two are ESM networks, the others encoders of T5. Each reads a protein as one token per
residue: its amino acid, its 3Di letter, or both in one. The 3Di letter describes the shape of the
chain around the residue and around its nearest neighbor, as Foldseek writes it. Tokens are looked
up in the published vocabulary. The tokenizers' code is not used, because its reading of these
vocabularies has changed from release to release.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import mini3di
import numpy as np
import torch
from sentencepiece import SentencePieceProcessor
from tokenizers import Tokenizer
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoConfig, EsmModel, T5EncoderModel
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from zoo.encoder import Encoder, NotApplicable, System

LAYER = "layer-"  # begins the names of layers, which end in their number
NETWORKS: dict[str, tuple[type, dict[str, Any]]] = {
    "esm": (EsmModel, {"add_pooling_layer": False}),
    "t5": (T5EncoderModel, {}),
}
SHAPES = mini3di.Encoder()


class FamilyEncoder(Encoder):
    """A protein language model, or its untrained twin.

    The representation `residues` holds the last hidden states of the residues, (n_residues, d),
    without those of special tokens. `layer-0`, the embeddings, and so on are the same of each
    layer; the last of them is `residues`.

    The option `reads` is one of READERS. `before` and `after` are the special tokens around the
    residues. `replace` maps letters to those that the authors use in their place. `max_residues` is
    given where the network was made for no more.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        self.options: Mapping[str, Any] = model["options"]
        self.vocabulary = read_vocabulary(self.weights, model["weights"]["files"])
        self.before = [self.vocabulary[token] for token in self.options["before"]]
        self.after = [self.vocabulary[token] for token in self.options["after"]]
        self.network = (
            load(self.weights, untrained_seed, getattr(torch, dtype))
            .to(device)
            .eval()
            .requires_grad_(False)
        )

    def prepare(self, system: System) -> torch.Tensor:
        """Return the ids of the tokens, (tokens,).

        Raises:
            NotApplicable: The protein is too long, or the vocabulary lacks one of its letters.
        """
        replace = str.maketrans(self.options.get("replace", {}))
        tokens = READERS[self.options["reads"]](system, replace)
        limit = self.options.get("max_residues", len(tokens))
        if len(tokens) > limit:
            raise NotApplicable(f"{len(tokens)} residues; the model was trained on at most {limit}")
        unknown = sorted(set(tokens) - set(self.vocabulary))
        if unknown:
            raise NotApplicable(f"the model's vocabulary lacks {', '.join(unknown)}")
        return torch.tensor(
            [*self.before, *(self.vocabulary[token] for token in tokens), *self.after]
        )

    def size(self, item: torch.Tensor) -> int:
        """Return the number of tokens."""
        return len(item)

    @torch.inference_mode()
    def encode(
        self, items: Sequence[torch.Tensor], representations: Sequence[str]
    ) -> dict[str, list[np.ndarray]]:
        tokens = pad_sequence(
            list(items), batch_first=True, padding_value=self.network.config.pad_token_id
        )
        lengths = torch.tensor([len(item) for item in items])
        mask = torch.arange(tokens.shape[1]) < lengths[:, None]
        output = self.network(
            tokens.to(self.device),
            attention_mask=mask.long().to(self.device),
            output_hidden_states=any(name.startswith(LAYER) for name in representations),
        )
        found = {"residues": output.last_hidden_state}
        found |= {f"{LAYER}{i}": states for i, states in enumerate(output.hidden_states or ())}
        first, last = len(self.before), lengths - len(self.after)
        return {
            name: [
                states[first:end].float().cpu().numpy()
                for states, end in zip(found[name], last, strict=True)
            ]
            for name in representations
        }


def residues(system: System, replace: Mapping[int, str]) -> Sequence[str]:
    """Return the one-letter amino acids."""
    return system.sequence.upper().translate(replace)


def shapes(system: System, replace: Mapping[int, str]) -> Sequence[str]:
    """Return the 3Di letters in lower case.

    A backbone lacks the beta carbons, so they are placed where N, CA and C would have them;
    Foldseek reads them from the file. As in Foldseek, a residue that lacks an atom or a neighbor is
    a 'd', and so are the first and the last residue.
    """
    nitrogen, alpha, carbon = (system.backbone[:, i] for i in range(3))
    states = SHAPES.encode_atoms(ca=alpha, cb=np.full_like(alpha, np.nan), n=nitrogen, c=carbon)
    return SHAPES.build_sequence(states).lower()


def residues_with_shapes(system: System, replace: Mapping[int, str]) -> Sequence[str]:
    """Return the amino acid and 3Di letter of each residue as one token, such as 'Md'."""
    if system.sequence is None:
        raise NotApplicable("has no sequence, and the model reads amino acids beside the backbone")
    if len(system.sequence) != len(system.backbone):
        raise ValueError(
            f"{len(system.sequence)} amino acids but {len(system.backbone)} residues of backbone"
        )
    pairs = zip(residues(system, replace), shapes(system, replace), strict=True)
    return [amino_acid + shape for amino_acid, shape in pairs]


READERS = {"residues": residues, "shapes": shapes, "residues_with_shapes": residues_with_shapes}


def read_vocabulary(folder: Path, files: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return {token: id} of the vocabulary among the card's files.

    The hub has three kinds of vocabulary: vocab.txt, spiece.model and tokenizer.json.
    """
    names = {file["path"] for file in files}
    if "vocab.txt" in names:
        return {token: i for i, token in enumerate((folder / "vocab.txt").read_text().splitlines())}
    if "spiece.model" in names:
        added = (
            json.loads((folder / "added_tokens.json").read_text())
            if "added_tokens.json" in names
            else {}
        )
        return dict(pieces(folder / "spiece.model")) | added
    return {
        token.removeprefix("▁"): i
        for token, i in Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab().items()
    }


def pieces(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the special pieces, and those that are words, with their ids.

    In the file a word begins with '▁', which stands for the blank before it.
    """
    model = SentencePieceProcessor(model_file=str(path))
    for i in range(model.get_piece_size()):
        piece = model.id_to_piece(i)
        if piece.startswith("▁") or model.is_control(i):
            yield piece.removeprefix("▁"), i


def load(folder: Path, untrained_seed: int | None, dtype: torch.dtype) -> torch.nn.Module:
    """Return the network with its published weights, or with random weights from the seed."""
    disable_progress_bar()
    # It would list the parts that are left out, such as the decoder.
    set_verbosity_error()
    config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    network, options = NETWORKS[config.model_type]
    if untrained_seed is not None:
        torch.manual_seed(untrained_seed)
        return network(config, **options).to(dtype)
    source = {"local_files_only": True, "dtype": dtype, "output_loading_info": True}
    loaded, report = network.from_pretrained(str(folder), config=config, **source, **options)
    if report["missing_keys"]:
        raise ValueError(
            f"the file of weights lacks {', '.join(sorted(report['missing_keys'])[:5])}"
        )
    return loaded
