"""A small ESM-IF1 in the published format.

The file holds the arguments of its training, and the weights under their names of that time.
"""

from __future__ import annotations

import importlib.util
import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from zoo.encoder import System

SMALL = {  # The width stays as it is, because it is the width of the untrained twin.
    **dict.fromkeys(("decoder_layers", "gvp_num_encoder_layers"), 2),
    **dict.fromkeys(("encoder_ffn_embed_dim", "decoder_ffn_embed_dim"), 64),
    **{
        "gvp_node_hidden_dim_scalar": 24,
        "gvp_node_hidden_dim_vector": 8,
        "gvp_edge_hidden_dim_scalar": 16,
    },
}
# The reverse of the translation in the package's loader; longer names come first.
PUBLISHED_NAMES = {
    "embed_graph.embed_confidence.": "embed_score.",
    "embed_graph.embed_node": "W_v",
    "embed_graph.embed_edge": "W_e",
    "embed_confidence": "embed_scores.0",
    "embed_dihedrals": "embed_ingraham_features",
    "embed_gvp_output": "embed_gvp_in_local_frame.0",
    "embed_gvp_input_features": "embed_features_in_local_frame.0",
}


def encoder() -> ModuleType:
    """Return the module of the family's encoder.py."""
    spec = importlib.util.spec_from_file_location(
        "family_encoder", Path(__file__).with_name("encoder.py")
    )
    module = sys.modules["family_encoder"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def published_name(name: str) -> str:
    """Return the name that a weight had when ESM-IF1 was published."""
    for now, then in PUBLISHED_NAMES.items():
        name = name.replace(now, then)
    return name


def write(folder: Path, model: Mapping[str, Any], seed: int) -> dict[str, int]:
    """Write a small checkpoint with the card's arguments and random weights."""
    module = encoder()
    args = Namespace(**{**model["options"], **SMALL})
    torch.manual_seed(seed)
    network = module.GVPTransformerModel(args, module.Alphabet.from_architecture(args.arch))
    weights = {published_name(name): value for name, value in network.state_dict().items()}
    torch.save({"args": args, "model": weights}, folder / model["weights"]["files"][0]["path"])
    names = ["last_hidden", *(f"layer-{i}" for i in range(args.encoder_layers + 1))]
    return dict.fromkeys(names, args.encoder_embed_dim)


@torch.inference_mode()
def reference(folder: Path, model: Mapping[str, Any], system: System) -> dict[str, np.ndarray]:
    """Return the encoder's output of one protein from the package's own function."""
    module = encoder()
    from esm.inverse_folding.util import get_encoder_output

    network, alphabet = module.load(folder / model["weights"]["files"][0]["path"])
    positions = module.oriented(system.backbone)[:, :3].astype(np.float32)
    return {
        "last_hidden": get_encoder_output(network.eval(), alphabet, positions).numpy().mean(axis=0)
    }
