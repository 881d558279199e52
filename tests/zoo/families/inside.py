"""What scripts share that run inside a family's environment: the encoder, and its errors.

Standard input is one JSON object: {"folder": the family's folder, "models": {model id: its card
for the worker}, …}. A script prints one JSON object on its last line.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import sysconfig
from collections.abc import Callable
from functools import cache
from typing import Any

given = json.load(sys.stdin)
for card in given["models"].values():
    card["weights"]["folder"] = sysconfig.get_paths()["purelib"]  # as the worker does
spec = importlib.util.spec_from_file_location("family_encoder", f"{given['folder']}/encoder.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)


def build(model_id: str, seed: int | None = None, dtype: str = "float32") -> Any:
    """Return a new encoder of a model, or of its untrained twin."""
    return module.FamilyEncoder(
        given["models"][model_id], device="cpu", dtype=dtype, untrained_seed=seed
    )


encoder = cache(build)


def fault(action: Callable[[], Any]) -> str:
    """Return the error that an action raises."""
    try:
        action()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"
