"""Families in containers: an image against the local environment, one family after another."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError

from ingest.images import wheels
from ingest.images.build import BuildOptions, build
from ingest.images.engine import connected
from ingest.images.operations import STEP_SECONDS
from ingest.images.recipe import PART
from ingest.limits import Limits
from ingest.runtimes import environment, load_runtimes
from ingest.runtimes.family_worker import run_alone
from ingest.runtimes.worker import JobPlaces
from tests.bench.report import NotMeasured, Row
from zoo.cards.discovery import find_family
from zoo.cards.family import Family, Selection
from zoo.cards.schema import Model
from zoo.errors import MatterzooError
from zoo.places import environments
from zoo.verify.comparison import compare_vectors, relative_distance
from zoo.verify.dummy_weights import write_dummy_checkpoint
from zoo.verify.embedding import Vectors, embed, to_vectors
from zoo.verify.errors import VerificationError
from zoo.verify.sample_systems import default_systems
from zoo.weights.local import LocalWeights, find_weights, needed_files

TOLERANCE = 1e-6  # of a vector's norm, by which the image's may differ from the environment's
EXCERPT = 400  # letters that a row shows of how an error begins, and of how it ends
TORCH_STEP = "/built/torch"  # in the command of the step that images with the same torch share


def run(names: Sequence[str], base: str | None) -> Iterator[Row]:
    """Yield two rows per family: what it takes on disk, and how long a few systems take.

    Its wheels are downloaded, its image is built from them without a network, and one of its models
    embeds a few systems in it and in the local environment. The vectors must agree. Afterwards the
    image goes, and wheels and environment if they were not here before. Nothing else may be built
    on the engine meanwhile.

    Args:
        names: The families.
        base: The base image; None for the Dockerfile's.
    """
    with connected(timeout=STEP_SECONDS) as client:
        for name in names:
            family = find_family(name)
            taken = Taken()
            with _without_new_images(client):
                try:
                    yield from _measure(client, family, base, taken)
                except MatterzooError as error:
                    yield NotMeasured.because(f"image of {name}", _shorten(str(error)))


@dataclass
class Taken:
    """What each step took."""

    seconds: dict[str, float] = field(default_factory=dict)

    def time(self, step: str, act: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        done = act()
        self.seconds[step] = time.perf_counter() - start
        return done

    def __str__(self) -> str:
        return ", ".join(f"{step} {seconds:.0f} s" for step, seconds in self.seconds.items())


def _measure(
    client: docker.DockerClient, family: Family, base: str | None, taken: Taken
) -> Iterator[Row]:
    own, place = wheels.family_wheels(family), environments() / family.name
    with _removed_afterwards(own, place), tempfile.TemporaryDirectory() as temporary:
        if not environment.ready(family):
            taken.time("environment", lambda: environment.build(family, print))
        taken.time("wheels", lambda: wheels.fetch_wheels(family, print))
        options = BuildOptions(base=base, offline=True)
        image = taken.time("image", lambda: build(client, family, options, print))
        model, weights, what = _subject(family, Path(temporary))
        found = {
            name: taken.time(name, lambda name=name: _vectors(name, family, model, weights))
            for name in ("venv", "docker")
        }
        faults = compare_vectors(found["venv"], found["docker"], TOLERANCE)
        if faults or not found["venv"]:
            raise VerificationError("; ".join(faults or [f"{model.id} takes none of the systems"]))
        distance = max(
            relative_distance(vector, found["docker"][key]) for key, vector in found["venv"].items()
        )
        yield Row(
            f"image of {family.name} / its environment",
            image.attrs["Size"] / 1e6, _megabytes(place), "MB", None, str(taken),
        )  # fmt: skip
        note = (
            f"{what}; {len(found['venv'])} vectors differ by at most {distance:.1e} of their norm"
        )
        yield Row(
            f"{model.id} in it, without a network / there",
            taken.seconds["docker"], taken.seconds["venv"], "s", None, note,
        )  # fmt: skip


def _subject(family: Family, folder: Path) -> tuple[Model, LocalWeights | None, str]:
    """Return the smallest model that can run here: with weights if there are any, else dummies."""
    models = sorted(family.models, key=lambda model: model.compute.parameters)
    selections = [Selection(family=family, model=model, untrained=False) for model in models]
    for selection in selections:
        if not needed_files(selection):
            return selection.model, None, "what the package carries"
    for selection in selections:
        local = find_weights(selection)
        if local is not None:
            return selection.model, local, "the published weights"
    if not (family.path / "dummy_checkpoint.py").exists():
        raise VerificationError("there are no weights here, and no code for a dummy checkpoint")
    model = write_dummy_checkpoint(family, models[0], environment.python_of(family), folder)
    return model, LocalWeights(folder, folder), "a dummy checkpoint"


def _vectors(name: str, family: Family, model: Model, weights: LocalWeights | None) -> Vectors:
    runtime = load_runtimes()[name]
    runtime.ensure(family, print)

    def start(family: Family, job: Path, out: Path) -> None:
        places = JobPlaces(job, out, weights)
        run_alone(runtime, family, places, lambda event: None, Limits(), print)

    return to_vectors(embed(model, family, default_systems(), start))


@contextmanager
def _removed_afterwards(*folders: Path) -> Iterator[None]:
    """Remove those of the folders that were not here before."""
    new = [folder for folder in folders if not folder.exists()]
    try:
        yield
    finally:
        for folder in new:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _without_new_images(client: docker.DockerClient) -> Iterator[None]:
    """Remove the images that a build has made, but for the step that installs torch.

    The next family with the same torch begins with it. `noprune` keeps what an image was made from,
    which the next turn of the loop looks at. What somebody else builds on meanwhile stays, too.
    """
    staying = {image.id for image in client.images.list(all=True)}
    try:
        yield
    finally:
        while new := [
            image.id
            for image in client.images.list(filters={"label": PART})
            if image.id not in staying and TORCH_STEP not in image.history()[0]["CreatedBy"]
        ]:
            for number in new:
                try:
                    client.api.remove_image(number, force=True, noprune=True)
                except APIError:
                    staying.add(number)


def _shorten(text: str) -> str:
    """Return a text in one line: all of it, or how it begins and ends."""
    line = " ".join(text.split())
    return line if len(line) <= 2 * EXCERPT else f"{line[:EXCERPT]} … {line[-EXCERPT:]}"


def _megabytes(folder: Path) -> float:
    return sum(file.lstat().st_size for file in folder.rglob("*")) / 1e6
