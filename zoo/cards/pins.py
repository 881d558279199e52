"""Pins: the revisions, hashes and sizes of weights that cards leave open.

A family's weights.lock is JSON: {repository of the hub: {revision, files: {path: {sha256, size}}},
url: {sha256, size}}. An installed program carries one, and the user has another for what nobody had
pinned; see `zoo.places.weights_pins`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from zoo.places import weights_pins

Pins = dict[str, Any]
PINS_FILE = "weights.lock"


def read_pins(file: Path) -> Pins:
    """Read a file of pins.

    Args:
        file: The file; if there is none, nothing is pinned.

    Returns:
        Its content.

    Raises:
        TypeError: The file holds something else than pins.
    """
    pins: Pins = json.loads(file.read_text()) if file.exists() else {}
    if not isinstance(pins, dict):
        raise TypeError(f"expected a JSON object, found {pins!r:.60}")
    return pins


def known_pins(family: Path) -> Pins:
    """Return all pins of a family: those that it carries, and what the user's add to them.

    Args:
        family: The family's folder.
    """
    carried, own = family / PINS_FILE, weights_pins(family)
    if own == carried:
        return read_pins(carried)
    result = read_pins(own)
    for key, pin in read_pins(carried).items():
        other = result.get(key, {})
        same = "files" in pin and other.get("revision") == pin["revision"]
        result[key] = pin | {"files": other["files"] | pin["files"]} if same else pin
    return result
