"""A published dataset whose files are small ones of the test's own making, served on loopback."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ingest.sources.files import SourceFile
from ingest.sources.published import Published
from ingest.systems.entry import Entry, Unreadable
from tests.hub import Blob, Hub


def served(
    dataset: Published, hub: Hub, contents: Mapping[str, bytes], **options: Any
) -> Published:
    """The dataset with these files in the place of its own, and these of its options."""
    files = []
    for path, content in contents.items():
        hub.files[path] = Blob(content)
        known = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        files.append(SourceFile(path=path, url=f"{hub.url}/files/{path}", **known))
    return changed(
        dataset, file=tuple(files), options={**dataset.loader.files.about.options, **options}
    )


def changed(dataset: Published, **facts: Any) -> Published:
    """The dataset with other facts."""
    files = dataset.loader.files
    about = files.about.model_copy(update=facts)
    return replace(dataset, loader=replace(dataset.loader, files=replace(files, about=about)))


def read(dataset: Published, limit: int | None = None) -> dict[str, Entry | Unreadable]:
    """What a dataset gives where so many systems are asked for, by its id in the source."""
    return {entry.source_id: entry for entry in dataset.sampled(limit, lambda text: None).entries()}
