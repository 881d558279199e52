"""Files of the Hugging Face hub, at a fixed revision, in the cache of its own client.

The client's settings hold: HF_HOME and HF_HUB_CACHE name the cache, HF_ENDPOINT the hub, HF_TOKEN
or `hf auth login` the account, and HF_HUB_OFFLINE forbids asking. The bytes come through
`zoo.weights.download`, because the client drops what it has of a file when its process ends
(https://github.com/huggingface/huggingface_hub/issues/4196), and compares no hash.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import constants

from zoo.weights.digest import Content, describe_mismatch
from zoo.weights.download import Log, download
from zoo.weights.errors import DownloadError
from zoo.weights.hub_client import call_hub
from zoo.weights.transfer import Progress

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete
    from huggingface_hub.hf_api import DatasetInfo, ModelInfo

DATASETS = "datasets/"  # before the name of a dataset's repository, as on the hub's pages


@dataclass(frozen=True)
class HubFile:
    """What the hub says of a file before it is downloaded.

    Attributes:
        commit: The commit that the answer is about.
        etag: The SHA-256 of a large file, or git's SHA-1 of a small one.
        size: Its size in bytes.
    """

    commit: str | None
    etag: str
    size: int | None


def repository_folder(repo: str) -> Path:
    """Return the folder of a repository in the client's cache.

    Args:
        repo: The repository of a model, 'owner/name'.
    """
    return Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"


def snapshot_folder(repo: str, revision: str) -> Path:
    """Return the folder that holds a revision's files by name: links into the repository's folder.

    Args:
        repo: The repository of a model, 'owner/name'.
        revision: The commit.
    """
    return repository_folder(repo) / "snapshots" / revision


def model_info(repo: str, revision: str | None) -> ModelInfo:
    """Ask for the commit of a revision, and for its files with their hashes.

    Args:
        repo: The repository of a model, 'owner/name'.
        revision: The commit; None for the main branch.

    Returns:
        The answer of the hub.
    """
    from huggingface_hub import HfApi  # a second to import, and most commands do without

    return call_hub(
        lambda: HfApi().model_info(repo, revision=revision, files_metadata=True), repo, revision
    )


def dataset_info(repo: str, revision: str | None) -> DatasetInfo:
    """Ask for the commit of a revision, and for its files with their hashes.

    Args:
        repo: The repository of a dataset, 'owner/name'.
        revision: The commit; None for the main branch.

    Returns:
        The answer of the hub.
    """
    from huggingface_hub import HfApi

    return call_hub(
        lambda: HfApi().dataset_info(repo, revision=revision, files_metadata=True),
        DATASETS + repo,
        revision,
    )


def file_metadata(repo: str, revision: str, path: str) -> HubFile:
    """Ask what the hub knows of one file.

    Args:
        repo: The repository, 'owner/name', or 'datasets/owner/name'.
        revision: The commit.
        path: The path of the file in the repository.

    Returns:
        The answer of the hub.

    Raises:
        DownloadError: The hub refuses or cannot be reached, or no hub answers.
    """
    from huggingface_hub import get_hf_file_metadata

    url = _file_url(repo, revision, path)
    found = call_hub(lambda: get_hf_file_metadata(url), repo, revision, path)
    if not re.fullmatch(r"[\w\-]+", found.etag or ""):  # it becomes a file's name
        raise DownloadError(
            f"{url} is answered with the ETag {found.etag!r}, so by no hub; check HF_ENDPOINT"
        )
    return HubFile(found.commit_hash, str(found.etag), found.size)


def download_to_cache(
    repo: str, revision: str, path: str, known: Content, log: Log, progress: Progress
) -> Path:
    """Download a file of a model's repository into the client's cache.

    Args:
        repo: The repository, 'owner/name'.
        revision: The commit.
        path: The path of the file in the repository.
        known: What is known of its content.
        log: Called with one line when the download waits or is tried again.
        progress: Called with (bytes so far, bytes in all or None).

    Returns:
        The link to the file in the snapshot's folder.

    Raises:
        DownloadError: The file cannot be downloaded, or is not the file expected.
    """
    from huggingface_hub import hf_hub_download

    offered = file_metadata(repo, revision, path)
    expected = _expected_content(known, offered, f"{repo}/{path} at revision {revision}", revision)
    blob = repository_folder(repo) / "blobs" / offered.etag
    url = _file_url(repo, revision, path)
    download(url, blob, expected, headers=_credentials(), log=log, progress=progress)
    link = Path(
        call_hub(lambda: hf_hub_download(repo, path, revision=revision), repo, revision, path)
    )
    if wrong := describe_mismatch(link, expected):
        raise DownloadError(
            f"{link} is not the file of the hub: {wrong}; remove it, and run this again"
        )
    return link


def download_dataset_file(
    repo: str, revision: str, path: str, target: Path, known: Content, log: Log, progress: Progress
) -> Path:
    """Download a file of a dataset's repository to any place.

    Args:
        repo: The repository, 'owner/name'.
        revision: The commit.
        path: The path of the file in the repository.
        target: The path of the file on this machine.
        known: What is known of its content.
        log: Called with one line when the download waits or is tried again.
        progress: Called with (bytes so far, bytes in all or None).

    Returns:
        `target`.
    """
    repo = DATASETS + repo
    offered = file_metadata(repo, revision, path)
    expected = _expected_content(known, offered, f"{repo}/{path} at revision {revision}", revision)
    url = _file_url(repo, revision, path)
    return download(url, target, expected, headers=_credentials(), log=log, progress=progress)


def create_dataset(repo: str) -> None:
    """Create a public repository for a dataset, if there is none.

    Args:
        repo: The repository, 'owner/name'.
    """
    from huggingface_hub import HfApi

    call_hub(
        lambda: HfApi().create_repo(repo, repo_type="dataset", exist_ok=True), DATASETS + repo, None
    )


def commit_dataset(
    repo: str,
    parent: str,
    message: str,
    operations: Sequence[CommitOperationAdd | CommitOperationDelete],
) -> str:
    """Commit to the main branch of a dataset's repository.

    Args:
        repo: The repository, 'owner/name'.
        parent: The commit that the main branch must be at.
        message: The message of the commit.
        operations: The files to add and to delete.

    Returns:
        The new commit.

    Raises:
        DownloadError: The hub refuses, or the branch is at another commit; nothing was changed.
    """
    from huggingface_hub import HfApi

    def push() -> str:
        made = HfApi().create_commit(
            repo,
            operations,
            commit_message=message,
            repo_type="dataset",
            revision="main",
            parent_commit=parent,
        )
        return str(made.oid)

    try:
        return call_hub(push, DATASETS + repo, None)
    except (RuntimeError, ValueError) as error:  # of the client, while it uploads
        why = f" ({error.__cause__})" if error.__cause__ else ""
        raise DownloadError(f"nothing was published in {repo}: {error}{why}") from error


def _file_url(repo: str, revision: str, path: str) -> str:
    from huggingface_hub import hf_hub_url

    kind = "dataset" if repo.startswith(DATASETS) else "model"
    return hf_hub_url(repo.removeprefix(DATASETS), path, repo_type=kind, revision=revision)


def has_token() -> bool:
    """Return whether this machine has a token of an account."""
    return bool(_credentials())


def _credentials() -> dict[str, str]:
    from huggingface_hub import get_token

    token = get_token()
    return {"Authorization": f"Bearer {token}"} if token else {}


def _expected_content(known: Content, offered: HubFile, name: str, revision: str) -> Content:
    """Return what a file has to be by its pin and by the hub; DownloadError if these differ."""
    if offered.commit != revision:
        raise DownloadError(
            f"{name} is refused: the hub answered with that of commit {offered.commit}"
        )
    sha256 = offered.etag if re.fullmatch("[0-9a-f]{64}", offered.etag) else None
    git_blob = offered.etag if re.fullmatch("[0-9a-f]{40}", offered.etag) else None
    if known.sha256 and sha256 and known.sha256 != sha256:
        raise DownloadError(
            f"{name} is refused: the hub has one with sha256 {sha256}, expected {known.sha256}"
        )
    if known.size and offered.size and known.size != offered.size:
        raise DownloadError(
            f"{name} is refused: the hub has {offered.size:,} bytes, expected {known.size:,}"
        )
    return Content(
        size=known.size or offered.size, sha256=known.sha256 or sha256, git_blob=git_blob
    )
