"""The stand-in for Apptainer on PATH, and archives of images."""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.images.recipe import FAMILY, RECIPE, recipe
from ingest.layout import Layout
from ingest.runtimes import environment
from zoo.cards.discovery import find_family
from zoo.cards.family import Family
from zoo.places import image_files

STAND_IN = Path(__file__).with_name("stand_in.py")


def write_archive(path: Path, labels: dict[str, str], *, oci: bool = False) -> Path:
    """Write the archive of an image without layers, in one of the two forms."""
    configuration = json.dumps({"config": {"Labels": labels}}).encode()
    if oci:
        content = {
            "index.json": {"manifests": [{"digest": "sha256:a"}]},
            "blobs/sha256/a": {
                "manifests": [
                    {"digest": "sha256:z", "platform": {"architecture": "unknown"}},
                    {"digest": "sha256:b", "platform": {"architecture": "amd64"}},
                ]
            },
            "blobs/sha256/b": {"config": {"digest": "sha256:c"}},
        }
        files = {name: json.dumps(said).encode() for name, said in content.items()}
        files["blobs/sha256/c"] = configuration
    else:
        manifest = [{"Config": "c.json", "RepoTags": None, "Layers": []}]
        files = {"c.json": configuration, "manifest.json": json.dumps(manifest).encode()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def labels_of(family: Family) -> dict[str, str]:
    return {FAMILY: family.name, RECIPE: recipe(family)}


@pytest.fixture
def toy(layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Family:
    """The toy family, no image of which is anywhere."""
    monkeypatch.setenv("MATTERZOO_IMAGE_FOLDER", str(tmp_path / "images"))
    monkeypatch.setenv("MATTERZOO_IMAGES", str(tmp_path / "images.lock"))
    monkeypatch.setenv("MATTERZOO_SANDBOX", "0")
    return find_family("toy")


@pytest.fixture
def archive(toy: Family) -> Path:
    """Its image, in an archive in the folder of image files."""
    return write_archive(image_files() / "toy-1.tar", labels_of(toy))


def put_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch, **variables: str) -> Path:
    """Put the stand-in first on PATH; return the file that takes its command lines."""
    folder.mkdir()
    program = folder / "apptainer"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{STAND_IN}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("MATTERZOO_WORKER_ENV", "STAND_IN_*,TOY_*")
    variables["STAND_IN_LOG"] = str(folder / "log")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return folder / "log"


@pytest.fixture
def calls(
    toy: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], list[list[str]]]:
    """Put the stand-in on PATH; return a function that tells its calls of a command."""
    python, family = str(environment.python_of(toy)), str(toy.path)
    named = {"STAND_IN_PYTHON": python, "STAND_IN_FAMILY": family}
    log = put_on_path(tmp_path / "bin", monkeypatch, **named)

    def read(command: str) -> list[list[str]]:
        lines = log.read_text().splitlines() if log.exists() else []
        return [words for words in map(json.loads, lines) if words[0] == command]

    return read
