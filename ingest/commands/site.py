"""The part of the command site that needs to know models and the network."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from ingest.share.permission import why_not_shared
from zoo.weights.npm import read_npm_package


def prompt_sources(
    options: argparse.Namespace,
) -> tuple[Callable[..., dict[str, bytes]], Callable[..., str | None]]:
    """Return what reads npm packages, and what says why vectors may not be shared.

    Args:
        options: Those of `matterzoo site`.
    """
    return read_npm_package, why_not_shared
