"""A downloaded dataset with small files that the test makes and serves on loopback."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ingest.sources.shared.downloaded import DownloadedDataset
from ingest.sources.shared.source import SourceFile
from ingest.systems.entry import Entry, Unreadable
from tests.hub import Blob, Hub


def served(
    dataset: DownloadedDataset, hub: Hub, contents: Mapping[str, bytes], **options: Any
) -> DownloadedDataset:
    """Return the dataset with these files instead of its own, and some of its options changed."""
    files = []
    for path, content in contents.items():
        hub.files[path] = Blob(content)
        known = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        files.append(SourceFile(path=path, url=f"{hub.url}/files/{path}", **known))
    return changed(
        dataset, file=tuple(files), options={**dataset.loader.source.facts.options, **options}
    )


def changed(dataset: DownloadedDataset, **facts: Any) -> DownloadedDataset:
    """Return the dataset with some of its facts changed."""
    source = dataset.loader.source
    source = replace(source, facts=source.facts.model_copy(update=facts))
    return replace(dataset, loader=replace(dataset.loader, source=source))


def read(dataset: DownloadedDataset, limit: int | None = None) -> dict[str, Entry | Unreadable]:
    """Read a sample of a dataset, by source id."""
    return {entry.source_id: entry for entry in dataset.sampled(limit, lambda text: None).entries()}
