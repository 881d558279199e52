"""ESM C (sequence) and ESM3 (sequence, or backbone alone).

The package is that of EvolutionaryScale, now Biohub.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from esm.models.esm3 import ESM3
from esm.models.esmc import ESMC
from esm.models.vqvae import StructureTokenEncoder
from esm.sdk.api import ESMProtein
from esm.tokenization import EsmSequenceTokenizer, StructureTokenizer
from torch.nn.utils.rnn import pad_sequence

from zoo.encoder import Encoder, NotApplicable, System

# The letters of the package's vocabulary that stand for a residue
LETTERS = "LAGVSERTIDPKQNFYMHWCXBUZO"
ATOM37 = [0, 1, 2, 4]  # the places of N, CA, C and O among the package's 37 atoms of a residue


class FamilyEncoder(Encoder):
    """ESM C or ESM3; the option `architecture` ('ESMC' or 'ESM3') chooses the reader."""

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        if dtype != "float32":
            raise ValueError(
                f"dtype {dtype!r}: rotations and distances are float32 in the package; "
                "use DTYPE=float32"
            )
        options, names = model["options"], [file["path"] for file in model["weights"]["files"]]
        if untrained_seed is None:
            files = [self.weights / name for name in names]
            network = load(options, files)
        else:
            torch.manual_seed(untrained_seed)
            network = build(options, options["layers"], options["width"])
        self.reader = READERS[options["architecture"]](
            network.to(device).eval().requires_grad_(False), options
        )

    def prepare(self, system: System) -> Any:
        return self.reader.prepare(system)

    def size(self, item: Any) -> int:
        """Return the number of tokens: the residues, and one token at each end."""
        return len(item)

    @torch.inference_mode()
    def encode(
        self, items: Sequence[Any], representations: Sequence[str]
    ) -> dict[str, list[np.ndarray]]:
        found = self.reader.read(items)
        return {
            name: [rows.float().cpu().numpy() for rows in found[name]] for name in representations
        }


class Reader:
    """A network, and the way in which it reads proteins."""

    def __init__(self, network: ESMC | ESM3, options: Mapping[str, Any]) -> None:
        self.network = network
        self.options = options
        self.layers: list[torch.Tensor] = []  # what the first block reads, then what each gives
        blocks = network.transformer.blocks
        blocks[0].register_forward_pre_hook(lambda _, args: self.layers.append(args[0]))
        for block in blocks:
            block.register_forward_hook(lambda _, __, output: self.layers.append(output))

    @abstractmethod
    def prepare(self, system: System) -> Any: ...

    @abstractmethod
    def read(self, items: Sequence[Any]) -> dict[str, list[torch.Tensor]]:
        """Return the rows of the residues, (residues, d), per representation and item."""


class ESMCReader(Reader):
    """ESM C.

    The representation `last_hidden` is the package's `embeddings`, after the last layer norm;
    `middle` is taken after half of the blocks. `layer-0` holds the embeddings of the letters, and
    `layer-1` and so on what each block gives; the last of them is `last_hidden`.
    """

    def prepare(self, system: System) -> torch.Tensor:
        return self.network._tokenize([letters(system)])[0].cpu()

    def read(self, items: Sequence[torch.Tensor]) -> dict[str, list[torch.Tensor]]:
        """Read the proteins in one padded batch.

        The package recognizes padded tokens by their id and masks them.
        """
        tokens = pad_sequence(
            list(items), batch_first=True, padding_value=self.network.tokenizer.pad_token_id
        )
        self.layers.clear()
        output = self.network(tokens.to(self.network.device))
        layers = [*self.layers[:-1], output.embeddings]
        found = {"last_hidden": output.embeddings, "middle": layers[len(layers) // 2]}
        found |= {f"layer-{i}": states for i, states in enumerate(layers)}
        return {
            name: [rows[i, 1 : len(t) - 1] for i, t in enumerate(items)]
            for name, rows in found.items()
        }


class ESM3Reader(Reader):
    """ESM3.

    The representation `last_hidden` is the package's `embeddings`, after the last block; `normed`
    is taken after the layer norm that follows. `layer-0` holds the sum of the tracks' embeddings,
    and `layer-1` and so on what each block gives; the last of them is `last_hidden`.

    Proteins go through one at a time, because the package's masks for padding cover the sequence
    track only. The option `track` is 'sequence' or 'structure'. With 'structure' every letter is
    masked, and the backbone is given in the package's three forms: as tokens of its structure
    encoder, as frames, and as known with certainty.
    """

    def prepare(self, system: System) -> ESMProtein:
        if self.options["track"] == "sequence":
            return ESMProtein(sequence=letters(system))
        atoms = np.full((len(system.backbone), 37, 3), np.nan, dtype=np.float32)
        atoms[:, ATOM37] = oriented(system.backbone)
        return ESMProtein(sequence="_" * len(atoms), coordinates=torch.from_numpy(atoms))

    def read(self, items: Sequence[ESMProtein]) -> dict[str, list[torch.Tensor]]:
        found: dict[str, list[torch.Tensor]] = defaultdict(list)
        for item in items:
            given = tracks(self.network, item)
            self.layers.clear()
            rows = self.network(**given).embeddings[0, 1:-1]
            found["last_hidden"].append(rows)
            found["normed"].append(self.network.transformer.norm(rows))
            for i, states in enumerate(self.layers):
                found[f"layer-{i}"].append(states[0, 1:-1])
        return found


READERS: dict[str, type[Reader]] = {"ESMC": ESMCReader, "ESM3": ESM3Reader}


def tracks(network: ESM3, protein: ESMProtein) -> dict[str, torch.Tensor]:
    """Return the input tracks of a protein, as `ESM3.logits` assembles them.

    That method is not used because it would round to bfloat16 on a GPU.
    """
    tensor = network.encode(protein)
    given = {"sequence_tokens": tensor.sequence[None]}
    if tensor.coordinates is not None:
        known = tensor.coordinates.isfinite().all(dim=-1).any(dim=-1)
        given |= {
            "structure_tokens": tensor.structure[None],
            "structure_coords": tensor.coordinates[None],
        }
        given["per_res_plddt"] = known.float()[None]
    return given


def letters(system: System) -> str:
    """Return the sequence.

    Raises:
        NotApplicable: The model's vocabulary lacks a letter of the sequence.
    """
    unknown = sorted(set(system.sequence) - set(LETTERS))
    if unknown:
        raise NotApplicable(f"the model's vocabulary lacks {', '.join(unknown)}")
    return system.sequence


def oriented(backbone: np.ndarray) -> np.ndarray:
    """Return a backbone about its center, in the frame of its first residue.

    The x axis points from CA to C, and N lies in the plane of x and y. In float32 the input then no
    longer depends on the orientation. Otherwise, where two residues are equally far (say the 16th
    and the 17th), rounding could choose a different neighbor, and the place would get a different
    token.
    """
    n, alpha, c = backbone[0, :3]
    x = (c - alpha) / np.linalg.norm(c - alpha)
    y = n - alpha - x * (x @ (n - alpha))
    y /= np.linalg.norm(y)
    return (backbone - backbone.mean(axis=(0, 1))) @ np.stack([x, y, np.cross(x, y)], axis=1)


def build(options: Mapping[str, Any], layers: int, width: int) -> ESMC | ESM3:
    """Return the network with random weights.

    The package's classes draw them, with the arguments of its `pretrained` module.
    """
    heads = options["heads"] * width // options["width"]
    if options["architecture"] == "ESMC":
        tokenizer = EsmSequenceTokenizer()
        return ESMC(width, heads, layers, tokenizer=tokenizer, use_flash_attn=False)
    network = ESM3(
        d_model=width,
        n_heads=heads,
        v_heads=options["vector_heads"],
        n_layers=layers,
        structure_encoder_fn=None,
        structure_decoder_fn=None,
        function_decoder_fn=None,
        # Only two of the six tokenizers are used; that of annotations would fetch a table from the
        # hub.
        tokenizers=SimpleNamespace(sequence=EsmSequenceTokenizer(), structure=StructureTokenizer()),
    )
    if options["track"] == "structure":
        network._structure_encoder = StructureTokenEncoder(
            d_model=1024, n_heads=1, v_heads=128, n_layers=2, d_out=128, n_codes=4096
        )
    return network


def load(options: Mapping[str, Any], files: Sequence[Path]) -> ESMC | ESM3:
    """Return the published network.

    The first file tells the number of layers and their width. A second file holds the structure
    encoder.
    """
    weights = torch.load(files[0], map_location="cpu", weights_only=True)
    blocks = {
        int(found[1])
        for name in weights
        if (found := re.match(r"transformer\.blocks\.(\d+)\.", name))
    }
    network = build(options, len(blocks), len(weights["transformer.norm.weight"]))
    if options.get("track") == "structure":
        shapes = torch.load(files[1], map_location="cpu", weights_only=True)
        weights |= {f"_structure_encoder.{name}": value for name, value in shapes.items()}
    network.load_state_dict(weights)
    return network
