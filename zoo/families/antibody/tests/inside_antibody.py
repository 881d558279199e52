"""Runs inside the environment of antibody: the package's own embeddings, and ours.

Standard input also has "sequences", {model id: sequences}. Standard output is one JSON object:
{"rows": {model id: the encoder's rows of each sequence}, "antiberty": the package's rows of these
and of one with X, "unknown": ours of that one, "refused": errors}.
"""

from __future__ import annotations

import json
from typing import Any

from antiberty import AntiBERTyRunner
from inside import encoder, fault, given

from zoo.encoder import System

SEQUENCES: dict[str, list[str]] = given["sequences"]


def system(sequence: str) -> System:
    return System("x/1", "0" * 64, sequence=sequence)


def rows(model_id: str, sequences: list[str]) -> list[Any]:
    model = encoder(model_id)
    items = [model.prepare(system(sequence)) for sequence in sequences]
    return [found.tolist() for found in model.encode(items, ["residues"])["residues"]]


theirs = AntiBERTyRunner().embed([*SEQUENCES["antiberty"], "EVQLX"])
too_long = {"antiberty": 511, "sapiens-heavy": 143, "sapiens-light": 127}
result = {
    "rows": {model_id: rows(model_id, sequences) for model_id, sequences in SEQUENCES.items()},
    "antiberty": [found[1:-1].tolist() for found in theirs],
    "unknown": rows("antiberty", ["EVQLX"]),
    "refused": [
        *(fault(lambda m=m, n=n: encoder(m).prepare(system("A" * n))) for m, n in too_long.items()),
        *(fault(lambda m=m: encoder(m).prepare(system("EVUB*"))) for m in too_long),
    ],
}
print(json.dumps(result))
