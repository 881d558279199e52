"""An image holds a family's lock, the worker and the family's folder, and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from ingest.failures import RunError
from ingest.images import wheels
from ingest.images.build import KEPT, BuildOptions, build
from ingest.images.context import build_context
from ingest.images.engine import Engine
from ingest.images.local_images import find_built, find_image
from ingest.images.recipe import (
    FAMILY,
    LOCK,
    PART,
    RECIPE,
    default_base,
    dockerfile,
    family_files,
    labels,
    recipe,
    worker_files,
)
from ingest.images.status import COPIES
from zoo.cards.discovery import load_families
from zoo.cards.family import Family
from zoo.cards.loading import load_family
from zoo.cards.requirements import read_blocks
from zoo.places import ROOT

PROBE = """
import importlib.metadata, json, os, pathlib, sys
import numpy.testing  # imports some of NumPy's own tests
parts = ("torch", "env", "matterzoo")
unwanted = ("/root/.cache", "/tmp/requirements.lock", "/wheels", "/opt/uv")
tools = ("uv", "pip", "cc", "gcc")
walks = [os.walk(f"/{part}") for part in parts]
walk = [pathlib.Path(folder, name) for part in walks for folder, _, names in part for name in names]
print(json.dumps({
    "packages": sorted(f"{d.name}=={d.version}" for d in importlib.metadata.distributions()),
    "files": sorted(str(path) for path in walk if "matterzoo" in path.parts),
    "caches": [path for path in unwanted if os.path.lexists(path)],
    "tools": [name for name in tools if any(os.path.exists(f"/{p}/bin/{name}") for p in parts)],
    "bytecode": len([p for p in walk if p.suffix == ".pyc"]),
}))
"""


@pytest.mark.container
def test_an_image_holds_the_lock_the_worker_and_the_family(
    boxed: Family, client: docker.DockerClient
) -> None:
    image = find_built(client, boxed)
    assert image is not None
    output = client.containers.run(
        image.id,
        ["-c", PROBE],
        entrypoint="python",
        remove=True,
        network_mode="none",
        mem_limit="512m",
    )
    found = json.loads(output)
    locked = [block.lines[0].split(" ")[0] for block in read_blocks(boxed.lock)[1]]
    assert found["packages"] == sorted(locked)
    names = [
        "family/encoder.py",
        "family/family.toml",
        "family/models.toml",
        "family/requirements.in",
    ]
    names += [
        "family/requirements.lock",
        *(file.relative_to(ROOT).as_posix() for file in worker_files()),
    ]
    assert found["files"] == [f"/matterzoo/{name}" for name in names]
    assert (found["caches"], found["tools"]) == ([], [])
    assert found["bytecode"] > 100  # without it every start of a large family takes seconds longer
    assert image.attrs["Config"]["User"] == "65532:65532"
    assert "Healthcheck" not in image.attrs["Config"] or not image.attrs["Config"]["Healthcheck"]


@pytest.mark.container
def test_an_image_says_what_it_is(
    boxed: Family, build_options: BuildOptions, client: docker.DockerClient
) -> None:
    image = find_built(client, boxed)
    assert image is not None
    ours = {FAMILY: "boxed", RECIPE: recipe(boxed), LOCK: boxed.lock_hash, PART: "family"}
    assert ours.items() <= image.labels.items()
    oci = {
        name.removeprefix("org.opencontainers.image."): value
        for name, value in image.labels.items()
    }
    assert (
        oci["licenses"] == "MIT"
        and oci["title"] == "matterzoo boxed"
        and oci["base.name"] == build_options.base
    )
    assert len(oci["revision"].removesuffix("-dirty")) == 40
    found = find_image(client, boxed)
    assert found is not None and found == image.id


@pytest.mark.container
def test_a_second_build_takes_its_layers_from_the_first(
    boxed: Family, build_options: BuildOptions, client: docker.DockerClient
) -> None:
    first = find_built(client, boxed)
    assert first is not None
    second = build(client, boxed, build_options, lambda text: None)
    assert second.attrs["RootFS"] == first.attrs["RootFS"]


@pytest.mark.container
def test_the_environment_is_the_same_layer_whoever_builds_it(
    boxed: Family, build_options: BuildOptions, client: docker.DockerClient
) -> None:
    if Engine.ask(client).name == "Podman":
        pytest.skip("Podman gives the folders that it copies the date of the copy; run with Docker")
    first = find_built(client, boxed)
    assert first is not None
    second = build(client, boxed, replace(build_options, cache=False), lambda text: None)
    assert second.id != first.id
    torch_and_environment = slice(-COPIES, -COPIES + 2)
    layers = [image.attrs["RootFS"]["Layers"] for image in (first, second)]
    assert layers[0][torch_and_environment] == layers[1][torch_and_environment]


@pytest.mark.container
def test_a_wheel_that_is_not_the_locks_fails_the_build(
    boxed: Family,
    build_options: BuildOptions,
    client: docker.DockerClient,
    other: Callable[[str], Family],
) -> None:
    family = other("forged")
    text = family.lock.read_text()
    lines = [
        line[: line.index("sha256:") + 7] + "0" * 64 + " \\" if "sha256:" in line else line
        for line in text.splitlines()
    ]
    family.lock.write_text("\n".join(lines).rstrip("\\ ") + "\n")
    with pytest.raises(
        RunError, match=r"(?s)^the image of forged could not be built: .*RUN .*Hash mismatch"
    ):
        build(client, family, build_options, lambda text: None)
    assert find_built(client, family) is None


@pytest.mark.container
def test_a_build_that_fails_leaves_nothing_without_a_name(
    boxed: Family,
    build_options: BuildOptions,
    client: docker.DockerClient,
    other: Callable[[str], Family],
) -> None:
    """What it leaves is named, since the next build begins with it: here all but the last step."""
    family = other("broken")
    text = family.lock.read_text()
    family.lock.write_text(text.replace("sha256:", "sha256:0000", 1))
    nameless, containers = _nameless(client), client.containers.list(all=True)
    kept = _kept(client)
    with pytest.raises(RunError, match=r"^the image of broken could not be built: "):
        build(client, family, build_options, lambda text: None)
    assert _nameless(client) <= nameless
    assert client.containers.list(all=True) == containers
    left = _kept(client) - kept
    assert left != set()
    for image in left:
        client.api.remove_image(image, force=True)


@pytest.mark.container
def test_a_build_without_a_network_takes_the_systems_libraries_from_its_base(
    boxed: Family,
    build_options: BuildOptions,
    client: docker.DockerClient,
    other: Callable[[str], Family],
) -> None:
    kept = _kept(client)
    family = other("linked").model_copy(update={"system_packages": ("libc6",)})
    image = build(client, family, build_options, lambda text: None)
    client.images.remove(image.id, force=True)
    family = family.model_copy(update={"system_packages": ("libc6", "libxrender1")})
    # Podman's error has the command, and Docker's what the command prints.
    lacks = r"(?s)lacks one of Debian's packages (libc6 libxrender1|\$).*--base IMAGE .*bookworm$"
    with pytest.raises(RunError, match=lacks):
        build(client, family, build_options, lambda text: None)
    for left in _kept(client) - kept:
        client.api.remove_image(left, force=True)


def _kept(client: docker.DockerClient) -> set[str]:
    images = client.images.list(filters={"label": PART})
    return {image.id for image in images if any(KEPT in name for name in image.tags)}


def _nameless(client: docker.DockerClient) -> set[str]:
    return {image.id for image in client.images.list() if not image.tags}


@pytest.mark.container
def test_an_index_that_is_not_to_be_reached(
    client: docker.DockerClient, boxed: Family, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if Engine.ask(client).name == "Podman":
        pytest.skip("Podman prints what pip prints, as Docker does; run with Docker")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    options = BuildOptions(base=base, cache=False)
    with pytest.raises(
        RunError, match=r"(?s)Connection refused.*BUILDER=.*`matterzoo wheels boxed` .*OFFLINE=1"
    ):
        build(client, boxed, options, lambda text: None)


@pytest.fixture
def other(boxed_folder: Path, tmp_path: Path) -> Callable[[str], Family]:
    """The family of the tests under another name."""

    def make(name: str) -> Family:
        folder = tmp_path / name
        folder.mkdir()
        for file in (boxed_folder / "zoo" / "boxed").glob("*.*"):
            (folder / file.name).write_text(
                file.read_text().replace('name = "boxed"', f'name = "{name}"')
            )
        (boxed_folder / "wheels" / name).symlink_to(
            wheels.family_wheels(load_family(boxed_folder / "zoo" / "boxed"))
        )
        return load_family(folder)

    return make


@pytest.mark.container
def test_without_wheels_a_build_without_a_network_says_how_to_get_them(
    boxed: Family, client: docker.DockerClient, base: str
) -> None:
    lost = boxed.model_copy(update={"name": "lost"})
    with pytest.raises(
        RunError, match=r"there are no wheels in .*/lost; `matterzoo wheels lost` fetches them"
    ):
        build(client, lost, BuildOptions(base=base, offline=True), print)


@pytest.mark.container
def test_a_base_and_a_builder_that_are_not_to_be_had(
    boxed: Family, client: docker.DockerClient, base: str
) -> None:
    with pytest.raises(
        RunError, match=r"the pull of 127.0.0.1:9/nothing:1 failed: .*--base names another base"
    ):
        build(client, boxed, BuildOptions(base="127.0.0.1:9/nothing:1"), lambda text: None)
    with pytest.raises(
        RunError, match=r"the pull of 127.0.0.1:9/tools:1 failed: .*--builder names another builder"
    ):
        options = BuildOptions(base=base, builder="127.0.0.1:9/tools:1")
        build(client, boxed, options, lambda text: None)


def test_a_context_holds_what_the_dockerfile_copies_and_nothing_else() -> None:
    for family in load_families().values():
        with build_context(family, offline=False) as file, tarfile.open(fileobj=file) as tar:
            members = tar.getmembers()
        names = {member.name for member in members}
        folder = f"zoo/families/{family.name}/"
        assert {n for n in names if not n.startswith(folder)} == {
            "Dockerfile",
            "wheels/shared",
            "wheels/family",
            *(file.relative_to(ROOT).as_posix() for file in worker_files()),
        }
        own = {n.removeprefix(folder) for n in names if n.startswith(folder)}
        assert {"family.toml", "models.toml", "encoder.py", "requirements.lock"} <= own
        assert not any("__pycache__" in name or "/." in name for name in names)
        assert {(member.mtime, member.uid) for member in members} == {(0, 0)}


def test_the_dockerfile_copies_every_file_that_the_worker_needs() -> None:
    text = (ROOT / "Dockerfile").read_text()
    copied = " ".join(re.findall(r"^COPY (zoo/[^$\n]*) zoo/\S*$", text, re.MULTILINE)).split()
    files = [file for name in copied for file in (ROOT / name, *(ROOT / name).glob("*.py"))]
    assert sorted(file for file in files if file.is_file()) == worker_files()


def test_the_layers_that_an_image_adds_are_the_copies_of_the_last_stage() -> None:
    last = dockerfile().read_text().partition("FROM base AS family")[2]
    assert len(re.findall("^COPY ", last, re.MULTILINE)) == COPIES


def test_equal_content_is_an_equal_context() -> None:
    family = next(iter(load_families().values()))
    with (
        build_context(family, offline=False) as first,
        build_context(family, offline=False) as second,
    ):
        assert first.read() == second.read()


def test_the_recipe_changes_with_what_decides_the_vectors_and_with_nothing_else(
    tmp_path: Path,
) -> None:
    original = next(family for family in load_families().values() if family.torch)
    folder = tmp_path / original.name
    folder.mkdir()
    for file in original.path.glob("*.*"):
        (folder / file.name).write_bytes(file.read_bytes())
    family = load_family(folder)
    before = recipe(family)
    assert before == recipe(original)
    for name in ("golden.parquet", "checked.lock", "dummy_checkpoint.py"):
        (folder / name).write_bytes(b"")
        assert folder / name not in family_files(family)
    (folder / "models.toml").write_text((folder / "models.toml").read_text() + "\n# a remark\n")
    assert recipe(family) == before
    for name in ("encoder.py", "requirements.lock"):
        (folder / name).write_text((folder / name).read_text() + "# a remark\n")
        assert recipe(family) == before
    for name, line in (("requirements.lock", "another==1\n"), ("encoder.py", "ANOTHER = 1\n")):
        text = (folder / name).read_text()
        (folder / name).write_text(text + line)
        assert recipe(family) != before
        (folder / name).write_text(text)
    requirements = (folder / "requirements.in").read_text()
    (folder / "requirements.in").write_text(requirements.replace("torch==2", "torch==1"))
    assert recipe(family) != before


def test_images_are_built_with_the_uv_that_environments_are() -> None:
    command = [sys.executable, "-m", "uv", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert wheels.uv_requirement() == f"uv=={done.stdout.split()[1]}"


def test_the_dockerfile_is_one_that_every_builder_reads() -> None:
    text = dockerfile().read_text()
    assert default_base().startswith("python:3.11")
    for instruction in ("--mount", "<<", "# syntax", "--chmod", "ADD ", "HEALTHCHECK"):
        assert instruction not in text, instruction


def test_the_revision_tells_of_files_that_no_commit_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = tmp_path / "clone"
    command = ["git", "clone", "--quiet", "--shared", "--no-checkout", str(ROOT), str(clone)]
    subprocess.run(command, check=True)
    parts = ["Dockerfile", "zoo", "ingest/images"]
    subprocess.run(["git", "checkout", "--quiet", "HEAD", "--", *parts], cwd=clone, check=True)
    monkeypatch.setattr("ingest.images.recipe.ROOT", clone)
    family = load_family(clone / "zoo" / "families" / "controls")

    def revision() -> str:
        return labels(family, "base", None)["org.opencontainers.image.revision"]

    commit = revision()
    assert re.fullmatch("[0-9a-f]{40}", commit)
    (clone / "zoo" / "images.lock").write_text("{}\n")
    (family.path / "tests" / "test_more.py").write_text("")
    (family.path / "checked.lock").write_text("{}\n")
    assert revision() == commit
    for name in ("Dockerfile", "zoo/worker/new.py", "zoo/families/controls/encoder.py"):
        file = clone / name
        before = file.read_bytes() if file.exists() else None
        file.write_bytes((before or b"") + b"# changed\n")
        assert revision() == f"{commit}-dirty"
        file.unlink() if before is None else file.write_bytes(before)
        assert revision() == commit
    (clone / "zoo" / "worker" / "merge.py").unlink()
    assert revision() == f"{commit}-dirty"


def test_labels_hold_no_password_of_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    family = next(iter(load_families().values()))
    monkeypatch.setattr(
        "ingest.images.recipe.git", lambda *a: "https://user:secret@example.org/zoo.git"
    )
    assert "org.opencontainers.image.source" not in labels(family, "base", None)
    monkeypatch.setattr("ingest.images.recipe.git", lambda *a: "https://example.org/zoo.git")
    assert (
        labels(family, "base", None)["org.opencontainers.image.source"]
        == "https://example.org/zoo.git"
    )
