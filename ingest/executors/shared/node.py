"""The name of the node that this process runs on."""

from __future__ import annotations

import os


def node_name() -> str:
    """Return the name of the node that this process runs on."""
    return os.environ.get("SLURMD_NODENAME") or os.uname().nodename
