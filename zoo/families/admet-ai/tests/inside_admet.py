"""Runs inside the environment of admet-ai: our vectors, read out, beside the package's record.

Standard input also has "smiles", spellings of one molecule each. Standard output is one JSON
object: for each model "ours" and "theirs", {drug: {task: prediction}}, of some drugs in the
package's own table of predictions; "spellings", the vectors of `smiles`; "twins" of two seeds;
"atoms", the mean of that representation; and "fault" for a SMILES that cannot be read.
"""

from __future__ import annotations

import csv
import json
import sysconfig
from pathlib import Path
from typing import Any

import torch
from chemprop.models.utils import load_output_columns
from inside import build, encoder, fault, given

from zoo.encoder import System

TABLE = Path(sysconfig.get_paths()["purelib"], "admet_ai/resources/data/drugbank_approved.csv")
COUNT = 20


def drugs() -> list[dict[str, str]]:
    """Return rows of the table; no mirror images, whose tags depend on the order of the atoms."""
    with TABLE.open() as file:
        return [row for row in csv.DictReader(file) if "@" not in row["smiles"]][:COUNT]


def vectors(model: Any, smiles: list[str], name: str = "last_hidden") -> list[list[float]]:
    items = [model.prepare(System("x/1", "0" * 64, smiles=one)) for one in smiles]
    return [vector.tolist() for vector in model.encode(items, [name])[name]]


def read_out(model_id: str, rows: list[dict[str, str]]) -> list[dict[str, float]]:
    """Return the predictions that the package's own last layers make of our vectors."""
    model = encoder(model_id)
    hidden = torch.tensor(vectors(model, [row["smiles"] for row in rows]))
    parts = hidden.split(300, dim=1)
    found = []
    for network, part in zip(model.networks, parts, strict=True):
        last = network.predictor.ffn[-1](part)
        scaled = network.predictor.output_transform(last)
        found.append(last.sigmoid() if "classification" in model_id else scaled)
    path = model.weights / model.model["weights"]["files"][0]["path"]
    tasks = load_output_columns(path)
    return [dict(zip(tasks, row.tolist(), strict=True)) for row in torch.stack(found).mean(0)]


rows = drugs()
result: dict[str, Any] = {}
for model_id in given["models"]:
    ours = read_out(model_id, rows)
    result[model_id] = {
        "ours": ours,
        "theirs": [
            {task: float(row[task]) for task in values}
            for row, values in zip(rows, ours, strict=True)
        ],
    }
first = "admet-ai-classification"
result |= {
    "spellings": vectors(encoder(first), given["smiles"]),
    "twins": [vectors(build(first, seed), given["smiles"]) for seed in (1, 2, 1)],
    "atoms": vectors(encoder(first), given["smiles"], "atoms"),
    "fault": fault(lambda: vectors(encoder(first), ["C1CC"])),
}
print(json.dumps(result))
