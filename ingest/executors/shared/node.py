"""The name of the node that this process runs on."""

from __future__ import annotations

import os

VARIABLE = (
    "MATTERZOO_NODE"  # the name that an executor gives to a node, where it knows a better one
)


def node_name() -> str:
    """Return the name of the node that this process runs on."""
    named = os.environ.get(VARIABLE) or os.environ.get("SLURMD_NODENAME")
    return named or os.uname().nodename
