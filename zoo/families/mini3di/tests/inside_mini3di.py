"""Runs inside the environment of mini3di: the package's own letters, and ours.

Standard input also has "backbones", {name: (residues, 4, 3)}. Standard output is one JSON object:
{"letters": {name: the package's and ours}, "spread of twins": […], "refused": an error}.
"""

from __future__ import annotations

import json
from typing import Any

import mini3di
import numpy as np
from inside import build, encoder, fault, given

from zoo.encoder import System

BACKBONES = {name: np.array(backbone) for name, backbone in given["backbones"].items()}


def system(backbone: np.ndarray) -> System:
    return System("x/1", "0" * 64, backbone=backbone)


def rows(model: Any, name: str) -> list[np.ndarray]:
    items = [model.prepare(system(backbone)) for backbone in BACKBONES.values()]
    found: list[np.ndarray] = model.encode(items, [name])[name]
    return found


ours = rows(encoder("foldseek-3di"), "letters")
package, letters = mini3di.Encoder(), {}
for (name, backbone), one_hot in zip(BACKBONES.items(), ours, strict=True):
    nitrogen, alpha, carbon = (backbone[:, i] for i in range(3))
    beta = np.full_like(alpha, np.nan)
    states = package.encode_atoms(ca=alpha, cb=beta, n=nitrogen, c=carbon)
    alphabet = np.array(list(mini3di.encoder.ALPHABET))
    letters[name] = [package.build_sequence(states), "".join(alphabet[one_hot.argmax(axis=1)])]
twins = [np.array(rows(build("foldseek-3di", seed), "hidden")[0]) for seed in (1, 2)]
result = {
    "letters": letters,
    "spread of twins": [float(twin.std(axis=0).max()) for twin in twins],
    "refused": fault(lambda: encoder("foldseek-3di").prepare(system(np.zeros((3, 4, 3))))),
}
print(json.dumps(result))
