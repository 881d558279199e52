"""How matterzoo is started on a node, and the variables that it gets there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ingest.executors.shared.late import VARIABLE as FILE_WAIT
from zoo.variables import requested_variables

# What decides where environments, families and weights are found. The jobs get it as it is now.
CARRIED = (
    *("MATTERZOO_ENVS", "MATTERZOO_FAMILIES", "MATTERZOO_WEIGHTS", "MATTERZOO_WORKER_ENV"),
    *("MATTERZOO_IMAGE_FOLDER", "MATTERZOO_IMAGES", "MATTERZOO_SANDBOX", "MATTERZOO_VECTORS"),
    *("MATTERZOO_SCRATCH", FILE_WAIT, "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "PYTHONPATH"),
)


def program() -> list[str]:
    """Return the words that start this installation of matterzoo on any node that sees it."""
    script = Path(sys.executable).with_name("matterzoo")
    return [str(script)] if script.exists() else [sys.executable, "-m", "matterzoo"]


def carried_variables() -> dict[str, str]:
    """Return the variables of this process that matterzoo gets on a node, too, by name."""
    carried = {name: value for name in CARRIED if (value := os.environ.get(name))}
    return carried | requested_variables()
