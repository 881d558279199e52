"""A family with a package that no index has: it comes from a repository at a commit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import docker
import pytest

from ingest.images import wheels
from ingest.images.build import BuildOptions, build
from zoo.cards.loading import load_family

pytestmark = pytest.mark.container
# A build backend that needs no other package, so that the test needs no network.
BACKEND = """
import zipfile

FILES = {
    "sourced.py": "WHENCE = 'a commit'",
    "sourced-1.0.dist-info/METADATA": "Metadata-Version: 2.1; Name: sourced; Version: 1.0",
    "sourced-1.0.dist-info/WHEEL": "Wheel-Version: 1.0; Root-Is-Purelib: true; Tag: py3-none-any",
    "sourced-1.0.dist-info/RECORD": "",
}


def build_wheel(folder, settings=None, metadata=None):
    name = "sourced-1.0-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        for path, text in FILES.items():
            wheel.writestr(path, text.replace("; ", chr(10)) + chr(10) * bool(text))
    return name
"""
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "sourced"
version = "1.0"
"""


@pytest.fixture
def repository(tmp_path: Path) -> str:
    """A repository with a package, as a requirement names it: at its one commit."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "backend.py").write_text(BACKEND)
    (folder / "pyproject.toml").write_text(PROJECT)
    name = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init"], ["add", "."], [*name, "commit", "--message", "A package"]):
        git = ["git", *command]
        subprocess.run(git, cwd=folder, check=True, capture_output=True)
    head = ["git", "rev-parse", "HEAD"]
    done = subprocess.run(head, cwd=folder, check=True, capture_output=True, text=True)
    return f"sourced @ git+file://{folder}@{done.stdout.strip()}"


def test_the_package_of_a_commit_is_in_the_image(
    repository: str,
    boxed_folder: Path,
    places: dict[str, str],
    base: str,
    client: docker.DockerClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    boxed = load_family(boxed_folder / "zoo" / "boxed")
    fetched = [wheels.family_wheels(boxed), wheels.shared_wheels(boxed)]
    if not all(folder.is_dir() for folder in fetched):
        pytest.skip("needs what the family's image is built from: make wheels FAMILY=controls")
    folder = tmp_path / "sourced"
    shutil.copytree(boxed.path, folder)
    for file in folder.glob("*.toml"):
        file.write_text(file.read_text().replace("boxed", "sourced"))
    with (folder / "requirements.in").open("a") as file:
        file.write(f"{repository}\n")
    family = load_family(folder)
    assert family.sources == (repository.replace(" ", ""),)

    monkeypatch.setenv("MATTERZOO_WHEELS", str(tmp_path / "wheels"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", " ".join(map(str, fetched)))
    wheels.fetch_wheels(family, print)
    image = build(client, family, BuildOptions(base=base, offline=True), print)
    try:
        said = client.containers.run(
            image.id,
            ["-c", "import sourced; print(sourced.WHENCE)"],
            entrypoint="python",
            remove=True,
            network_mode="none",
        )
        assert said == b"a commit\n"
    finally:
        client.api.remove_image(image.id, force=True)
