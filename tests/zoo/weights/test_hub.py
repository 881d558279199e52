"""The hub of the tests is one: the real client finds in it what it looks for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from tests.hub import Fault, Hub, serving, set_client

FILES = {
    "README.md": b"# Vectors",
    "data/a.parquet": bytes(100_000),
    "data/b.parquet": b"b" * 70_000,
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving() as hub:
        set_client(monkeypatch, hub.url, tmp_path / "hf")
        yield hub


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_what_the_client_reads(hub: Hub, kind: str) -> None:
    repo = hub.repository("owner/vectors", kind=f"{kind}s")
    first = repo.commit(FILES)
    repo.commit({"data/c.parquet": b"c"})
    api = HfApi()
    assert api.repo_info("owner/vectors", repo_type=kind).sha == repo.branches["main"] != first
    info = api.repo_info("owner/vectors", repo_type=kind, revision=first, files_metadata=True)
    facts = {
        file.rfilename: (file.size, file.blob_id, file.lfs and file.lfs.sha256)
        for file in info.siblings or []
    }
    blobs = repo.commits[first]
    assert facts == {
        p: (len(b.data), b.git_blob, b.sha256 if b.lfs else None) for p, b in blobs.items()
    }
    assert set(api.list_repo_files("owner/vectors", repo_type=kind, revision=first)) == set(FILES)
    entries = api.list_repo_tree(
        "owner/vectors", "data", repo_type=kind, revision=first, recursive=True
    )
    assert {entry.path for entry in entries} == {"data/a.parquet", "data/b.parquet"}
    folder = Path(
        snapshot_download("owner/vectors", repo_type=kind, revision=first, allow_patterns="data/*")
    )
    found = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert found == {path: data for path, data in FILES.items() if path.startswith("data/")}


def test_what_the_client_is_refused(hub: Hub) -> None:
    hub.repository("owner/gated", gated=True, members={"hf_member"}).commit(FILES)
    with pytest.raises(GatedRepoError, match="restricted"):
        HfApi(token=False).hf_hub_download("owner/gated", "README.md")
    assert HfApi(token="hf_member").hf_hub_download("owner/gated", "README.md")
    with pytest.raises(RepositoryNotFoundError, match="Repository Not Found"):
        HfApi().model_info("owner/unknown")
    hub.faults = [Fault("/api/models", status=500)]
    with pytest.raises(HfHubHTTPError, match="500 Internal Server Error"):
        HfApi().model_info("owner/gated")
    assert HfApi().model_info("owner/gated").gated == "auto"
