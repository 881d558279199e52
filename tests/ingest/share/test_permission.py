"""Vectors that may not be shared are refused before anything is uploaded."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ingest.integrity import read_json, write_json
from ingest.layout import Layout
from ingest.runs.import_vectors import import_vectors
from ingest.runs.imported import ImportedVectors
from ingest.share.publish import publish_vectors
from ingest.share.record import ShareError
from ingest.systems.materialized import MaterializedDataset
from tests.hub import Hub
from tests.ingest.share.repositories import REPO, files, quiet

# The hub's client uploads in a way that its own HTTP library has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def set_license(
    toy_folder: Path, folder: Path, license: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Give the model toy weights of a package, under that license."""
    shutil.copytree(toy_folder / "zoo" / "toy", folder / "toy")
    text = (folder / "toy" / "models.toml").read_text()
    file = f'{{ path = "toy.pt", sha256 = "{"0" * 64}", size = 1, twin = false }}'
    weights = (
        f'weights = {{ source = "package", package = "toy", format = "pickle", files = [{file}] }}'
    )
    text = text.replace('weights = { source = "none" }', weights, 1)
    begin = text.index("license_weights")
    text = text[:begin] + f"license_weights = {{ {license} }}" + text[text.index("\n", begin) :]
    (folder / "toy" / "models.toml").write_text(text)
    monkeypatch.setenv("MATTERZOO_FAMILIES", str(folder))


URL = 'name = "Own", url = "https://example.org/own"'
REFUSED = {
    f"{URL}, commercial = false": (
        r"Own \(https://example.org/own\), is non-commercial. If you have read .*: share = true"
    ),
    f"{URL}, commercial = true, gated = true": "is gated. If you have read there",
    f"{URL}, commercial = false, gated = true": "is gated and non-commercial. If you",
    f"{URL}, commercial = true, share = false": "does not allow sharing what the model computes",
}


@pytest.mark.parametrize("license", REFUSED)
def test_licenses_that_forbid_it(
    license: str,
    hub: Hub,
    layout: Layout,
    loaded: Any,
    toy_folder: Path,
    tmp_path: Path,
    monkeypatch: Any,
) -> None:
    set_license(toy_folder, tmp_path / "zoo", license, monkeypatch)
    loaded()
    with pytest.raises(ShareError, match=f"vectors of toy are not published: .*{REFUSED[license]}"):
        publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    assert hub.log == []


def test_twins_of_a_model_that_may_not_be_shared_may_be(
    hub: Hub, layout: Layout, loaded: Any, toy_folder: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    set_license(
        toy_folder, tmp_path / "zoo", f"{URL}, commercial = true, share = false", monkeypatch
    )
    for twin in ("toy@untrained", "toy@untrained-2"):
        loaded(twin)
        publish_vectors(layout, twin, "tiny", REPO, None, quiet)
    assert [path.split("/")[2] for path in files(hub) if path.endswith(".parquet")] == [
        "toy_untrained",
        "toy_untrained-2",
    ]


def test_a_license_that_lets_vectors_be_shared(
    hub: Hub,
    layout: Layout,
    loaded: Any,
    toy_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_license(
        toy_folder, tmp_path / "zoo", f"{URL}, commercial = false, share = true", monkeypatch
    )
    loaded()
    publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    assert "[Own](https://example.org/own), non-commercial" in files(hub)["README.md"].decode()


def test_vectors_without_a_license_and_datasets_that_may_not_be_derived_from(
    hub: Hub,
    layout: Layout,
    dataset: Callable[..., MaterializedDataset],
    loaded: Any,
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.csv").write_text("system_id,a\ns0001,1\n")
    import_vectors(layout, ImportedVectors("mine", tmp_path / "mine.csv"), dataset(20))
    with pytest.raises(
        ShareError,
        match="nobody has stated a license for the vectors of mine, .*--license CC-BY-4.0",
    ):
        publish_vectors(layout, "mine", "tiny", REPO, None, quiet)
    loaded()
    about = layout.dataset("tiny") / "dataset.json"
    write_json(about, read_json(about) | {"license": "CC-BY-NC-ND-4.0"})
    with pytest.raises(
        ShareError, match="the license of tiny, CC-BY-NC-ND-4.0, forbids sharing what is derived"
    ):
        publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    assert hub.log == []
