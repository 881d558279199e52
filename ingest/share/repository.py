"""A repository of vectors on a hub: its commits, and the index of what it holds."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from ingest.share.record import INDEX, PublishedRun, ShareError
from zoo.weights import hub
from zoo.weights.digest import Content
from zoo.weights.errors import DownloadError

_MAX_INDEX = 64_000_000  # bytes; a larger index is not read


def find_commit(repo: str, revision: str | None) -> tuple[str, list[str]]:
    """Ask the hub for the commit of a revision.

    Args:
        repo: A dataset repository, owner/name.
        revision: A commit, a branch or a tag, None for the newest commit.

    Returns:
        The commit (40 hexadecimal digits), and the paths of the files that it has.

    Raises:
        ShareError: The name is not one of a repository.
        DownloadError: The hub cannot be asked, or has no such revision.
    """
    if not re.fullmatch(r"[\w\-][\w.\-]*/[\w\-][\w.\-]*", repo):
        raise ShareError(f"{repo!r} is not a repository of a hub; expected owner/name")
    info = hub.dataset_info(repo, revision)
    if info.sha is None or not re.fullmatch("[0-9a-f]{40}", info.sha):
        raise DownloadError(
            f"{repo}: the hub names no commit for {revision or 'the main branch'}, but {info.sha!r}"
        )
    return info.sha, [file.rfilename for file in info.siblings or []]


def read_index(repo: str, commit: str, files: Sequence[str]) -> list[PublishedRun]:
    """Read the index of a repository.

    Args:
        repo: A dataset repository, owner/name.
        commit: One of its commits.
        files: The paths of the files that the commit has.

    Returns:
        The records of the files that are there, none if there is no index.

    Raises:
        ShareError: The index is too large, of another version, or names a file twice.
        DownloadError: The index cannot be downloaded.
    """
    if INDEX not in files:
        return []
    lines = _download_index(repo, commit).splitlines()
    found = [_parse(repo, number, line) for number, line in enumerate(lines, start=1)]
    file, times = Counter(record.file for record in found).most_common(1)[0] if found else ("", 0)
    if times > 1:
        raise ShareError(
            f"{repo}/{INDEX} names {file} {times} times, expected once; nothing is taken from it"
        )
    return [record for record in found if record.file in files]


def _download_index(repo: str, commit: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        stated = hub.file_metadata(hub.DATASETS + repo, commit, INDEX)
        if stated.size is None or stated.size > _MAX_INDEX:
            raise ShareError(
                f"{repo}/{INDEX} has {stated.size} bytes, expected at most {_MAX_INDEX:,}; "
                "it is not read"
            )
        content = Content(size=stated.size)
        target = Path(folder) / INDEX
        path = hub.download_dataset_file(repo, commit, INDEX, target, content, _quiet, _quiet)
        return path.read_bytes()


def _parse(repo: str, number: int, line: bytes) -> PublishedRun:
    try:
        return PublishedRun.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the line"
        raise ShareError(
            f"{repo}/{INDEX} is not an index of this version of matterzoo: line {number}, "
            f"{where}: {first['msg']} (got {first['input']!r:.60})"
        ) from error


def _quiet(*_: object) -> None:
    """Log nothing: the index is a small file."""
