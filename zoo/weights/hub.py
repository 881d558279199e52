"""Files of the Hugging Face hub, at a fixed revision, in the cache of its own client.

The client's settings hold: HF_HOME and HF_HUB_CACHE say where, HF_ENDPOINT from which hub, HF_TOKEN or `hf auth login`
who asks, HF_HUB_OFFLINE that nothing is asked. The bytes come through zoo.weights.download, because the client drops what it
has of a file when its process ends (https://github.com/huggingface/huggingface_hub/issues/4196), and compares no hash.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from huggingface_hub import constants

from zoo.weights.digest import Content, fault
from zoo.weights.download import PASSING, WAITS, DownloadError, Missing, Progress, download

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.hf_api import DatasetInfo, ModelInfo

Say = Callable[[str], None]
Result = TypeVar("Result")
DATASETS = (
    "datasets/"  # before the name of a repository that holds a dataset, as on the hub's pages
)
LOGIN = "then give the token of that account: HF_TOKEN=hf_…, or `hf auth login`"


@dataclass(frozen=True)
class Stated:
    """What the hub says of a file before it is downloaded."""

    commit: str | None
    etag: str
    size: int | None


def repository(repo: str) -> Path:
    """The folder of a repository in the client's cache."""
    return Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"


def snapshot(repo: str, revision: str) -> Path:
    """The folder that holds a revision's files by their names. They are links into the repository's folder."""
    return repository(repo) / "snapshots" / revision


def describe(repo: str, revision: str | None) -> ModelInfo:
    """The commit of a revision (of the main branch, if it is None), and its files with their hashes."""
    from huggingface_hub import HfApi  # a second to import, and most commands do without

    return patiently(
        lambda: HfApi().model_info(repo, revision=revision, files_metadata=True), repo, revision
    )


def describe_dataset(repo: str, revision: str | None) -> DatasetInfo:
    """As describe, of a dataset's repository."""
    from huggingface_hub import HfApi

    api = HfApi()
    return patiently(
        lambda: api.dataset_info(repo, revision=revision, files_metadata=True),
        DATASETS + repo,
        revision,
    )


def address(repo: str, revision: str, path: str) -> str:
    """The URL of a file. repo: 'owner/name', or 'datasets/owner/name'."""
    from huggingface_hub import hf_hub_url

    kind = "dataset" if repo.startswith(DATASETS) else "model"
    return hf_hub_url(repo.removeprefix(DATASETS), path, repo_type=kind, revision=revision)


def ask(repo: str, revision: str, path: str) -> Stated:
    """What the hub says of one file."""
    from huggingface_hub import get_hf_file_metadata

    url = address(repo, revision, path)
    found = patiently(lambda: get_hf_file_metadata(url), repo, revision, path)
    if not re.fullmatch(r"[\w\-]+", found.etag or ""):  # it becomes a file's name
        raise DownloadError(
            f"{url} is answered with the ETag {found.etag!r}, so by no hub; what does HF_ENDPOINT name?"
        )
    return Stated(found.commit_hash, str(found.etag), found.size)


def land(repo: str, revision: str, path: str, known: Content, say: Say, progress: Progress) -> Path:
    """Download a file into the client's cache; the link to it in the snapshot. DownloadError with what to do."""
    from huggingface_hub import hf_hub_download

    stated = ask(repo, revision, path)
    expected = agreed(known, stated, f"{repo}/{path} at revision {revision}", revision)
    blob = repository(repo) / "blobs" / stated.etag
    download(
        address(repo, revision, path),
        blob,
        expected,
        headers=credentials(),
        say=say,
        progress=progress,
    )
    link = Path(
        patiently(lambda: hf_hub_download(repo, path, revision=revision), repo, revision, path)
    )
    if wrong := fault(link, expected):
        raise DownloadError(
            f"{link} is not the file of the hub: {wrong}; remove it, and run this again"
        )
    return link


def bring(
    repo: str, revision: str, path: str, target: Path, known: Content, say: Say, progress: Progress
) -> Path:
    """Download a file of a dataset's repository to a place of one's own. DownloadError with what to do."""
    repo = DATASETS + repo
    stated = ask(repo, revision, path)
    expected = agreed(known, stated, f"{repo}/{path} at revision {revision}", revision)
    url = address(repo, revision, path)
    return download(url, target, expected, headers=credentials(), say=say, progress=progress)


def credentials() -> dict[str, str]:
    """What tells the hub who asks."""
    from huggingface_hub import get_token

    token = get_token()
    return {"Authorization": f"Bearer {token}"} if token else {}


def create_dataset(repo: str) -> None:
    """Create a public repository for a dataset, if there is none."""
    from huggingface_hub import HfApi

    patiently(
        lambda: HfApi().create_repo(repo, repo_type="dataset", exist_ok=True), DATASETS + repo, None
    )


def commit(
    repo: str,
    parent: str,
    message: str,
    operations: Sequence[CommitOperationAdd | CommitOperationDelete],
) -> str:
    """Commit to the main branch of a dataset's repository, after `parent` and after nothing else; the new commit."""
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
        return patiently(push, DATASETS + repo, None)
    except (RuntimeError, ValueError) as error:  # of the client, while it uploads
        why = f" ({error.__cause__})" if error.__cause__ else ""
        raise DownloadError(f"nothing was published in {repo}: {error}{why}") from error


def agreed(known: Content, stated: Stated, name: str, revision: str) -> Content:
    """What a file has to be: by its pin, and by what the hub says of it. DownloadError if these are two things."""
    if stated.commit != revision:
        raise DownloadError(
            f"{name} is refused: the hub answered with that of commit {stated.commit}"
        )
    sha256 = stated.etag if re.fullmatch("[0-9a-f]{64}", stated.etag) else None
    git_blob = stated.etag if re.fullmatch("[0-9a-f]{40}", stated.etag) else None
    if known.sha256 and sha256 and known.sha256 != sha256:
        raise DownloadError(
            f"{name} is refused: the hub has one with sha256 {sha256}, expected {known.sha256}"
        )
    if known.size and stated.size and known.size != stated.size:
        raise DownloadError(
            f"{name} is refused: the hub has {stated.size:,} bytes, expected {known.size:,}"
        )
    return Content(size=known.size or stated.size, sha256=known.sha256 or sha256, git_blob=git_blob)


def patiently(
    call: Callable[[], Result], repo: str, revision: str | None, path: str = ""
) -> Result:
    """Call the hub's client; again while the hub is busy. Its errors become a DownloadError that says what to do."""
    from httpx2 import HTTPError  # with which the client speaks HTTP
    from huggingface_hub.errors import (
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    waits = list(WAITS)
    while True:
        try:
            return call()
        except HfHubHTTPError as error:
            if error.response.status_code not in PASSING or not waits:
                kind = Missing if isinstance(error, RepositoryNotFoundError) else DownloadError
                raise kind(explain(error, repo, revision, path)) from error
            time.sleep(waits.pop(0))
        except OfflineModeIsEnabled as error:
            what = f"{path} of {repo}" if path else repo
            raise DownloadError(
                f"{what} is not at hand, and HF_HUB_OFFLINE forbids asking the hub; unset it, or bring the file into "
                f"{constants.HF_HUB_CACHE} from elsewhere"
            ) from error
        except (HTTPError, LocalEntryNotFoundError) as error:
            raise DownloadError(
                f"the hub at {constants.ENDPOINT} cannot be reached ({error}); try again later, or name a mirror in "
                "HF_ENDPOINT"
            ) from error


def explain(error: HfHubHTTPError, repo: str, revision: str | None, path: str) -> str:
    """A refusal of the hub in one line."""
    from huggingface_hub import errors

    at = f" at revision {revision}" if revision else ""
    match error:
        case errors.GatedRepoError():
            unknown = error.response.status_code == 401
            found = "" if unknown else " and the account that asks has not been let in"
            return f"{repo} is gated{found}: accept its license at https://huggingface.co/{repo}, {LOGIN}"
        case errors.RepositoryNotFoundError():
            return f"the hub at {constants.ENDPOINT} has no repository {repo}, or shows it to its members only: {LOGIN}"
        case errors.RevisionNotFoundError():
            return f"{repo} has no revision {revision}: it was moved or removed"
        case errors.RemoteEntryNotFoundError():
            return f"{repo} has no file {path}{at}: it was moved or removed"
        case _ if error.response.status_code == 412:
            return f"{repo} was changed meanwhile by somebody else: run this again"
        case _ if error.response.status_code in (401, 403):
            return f"{repo}: the hub says {error.server_message or 'no'} to the account that asks: choose another, {LOGIN}"
        case _:
            answer = f"{error.response.status_code} {error.server_message or error.response.reason_phrase}"
            return f"{repo}{at}: the hub at {constants.ENDPOINT} answered {answer}"
