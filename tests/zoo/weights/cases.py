"""Models with weights on a hub or behind a URL, which the tests of weights share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from tests.hub import Hub
from zoo.cards.discovery import find_model
from zoo.cards.family import Selection

ROOT = Path(__file__).resolve().parents[3]
CONFIG = b'{"width": 4}'
NET = bytes(range(256)) * 1024
FILES = {"config.json": CONFIG, "nets/model.safetensors": NET}
FREE = 'name = "MIT", url = "https://example.org/license", commercial = true'
HUB = """
[model.weights]
source = "hub"
repo = "owner/net"
format = "safetensors"
files = [{ path = "config.json" }, { path = "nets/model.safetensors", twin = false }]
"""
Card = Callable[..., Selection]  # writes a family with models of these weights


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def twin(selection: Selection) -> Selection:
    return find_model(f"{selection.model.id}@untrained")


def again(selection: Selection) -> Selection:
    """The selection as it is after weights.lock has changed."""
    return find_model(selection.model_id)


def quiet(text: str) -> None:
    """Nobody listens."""


def by_url(site: Hub, **facts: str) -> str:
    """Weights that are one file behind a URL."""
    more = "".join(f', {name} = "{value}"' for name, value in facts.items())
    file = f'{{ path = "net.pt", url = "{site.url}/files/v1/net.pt"{more}, twin = false }}'
    return f'\n[model.weights]\nsource = "url"\nformat = "pickle"\nfiles = [{file}]\n'
