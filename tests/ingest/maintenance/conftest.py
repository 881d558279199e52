"""Fixtures for what keeps a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.images.engine import Engine
from zoo.cards.discovery import load_families
from zoo.cards.family import Family


@pytest.fixture
def families() -> list[Family]:
    return list(load_families().values())


@pytest.fixture
def engine() -> Engine:
    """A local Docker engine that keeps every limit and has no GPUs."""
    return Engine(
        address="unix:///var/run/docker.sock",
        name="Docker",
        version="20.10.24",
        api="1.41",
        rootless=False,
        memory=16_000_000_000,
        cpus=4,
        root=Path("/"),
        gpus=False,
        lacks=(),
    )
