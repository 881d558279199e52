"""RUNTIME=apptainer on a cluster: images are had before a job is submitted, and tasks start them.

The workers are started by the stand-in for Apptainer; Slurm is a real one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.images.files.archive import read_archive
from ingest.runtimes import environment
from schemas.store import connect
from tests.ingest.cluster.conftest import Cluster, vectors
from tests.ingest.runtimes.apptainer.conftest import labels_of, put_on_path, write_archive
from zoo.cards.discovery import find_family
from zoo.places import image_files

pytestmark = pytest.mark.cluster


def have_images(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have a folder for images and the stand-in that starts those of the toy; return its log."""
    toy = find_family("toy")
    monkeypatch.setenv("MATTERZOO_IMAGE_FOLDER", str(folder / "images"))
    monkeypatch.setenv("MATTERZOO_IMAGES", str(folder / "images.lock"))
    monkeypatch.setenv("MATTERZOO_SANDBOX", "0")
    variables = {"PYTHON": environment.python_of(toy), "FAMILY": toy.path}
    named = {f"STAND_IN_{name}": str(value) for name, value in variables.items()}
    return put_on_path(folder / "bin", monkeypatch, **named)


def test_a_task_starts_the_image_that_was_made_where_it_was_submitted(
    cluster: Cluster,
    molecules: Callable[[int], str],
    local_vectors: Callable[..., list[tuple[object, ...]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    toy = find_family("toy")
    log = have_images(tmp_path, monkeypatch)
    line = ["toy,toy-potential", molecules(20), "--runtime", "apptainer"]
    cluster.ingest(*line, code=1)
    said = capfd.readouterr()
    assert "`matterzoo save toy` on a machine with Docker" in said.err
    assert "nothing to submit" in said.out and cluster.submissions == []

    archive = read_archive(write_archive(image_files() / "toy-1.tar", labels_of(toy)))
    cluster.ingest(*line)
    assert f"export MATTERZOO_IMAGE_FOLDER={image_files()}\n" in capfd.readouterr().out
    archive.path.unlink()
    cluster.wait()
    assert "2 loaded" in cluster.log("load")
    assert cluster.lines("task-0", "runtime apptainer") == 1
    assert log.read_text().count('["build", ') == 1
    with connect(cluster.layout.store, read_only=True) as connection:
        query = "SELECT DISTINCT runtime, image FROM runs"
        assert connection.execute(query).fetchall() == [("apptainer", archive.image_id)]
    assert vectors(cluster.layout.store) == local_vectors(line[0], line[1], "--runtime", "venv")
