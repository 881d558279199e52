"""Calls of the Hugging Face hub's own client, with its refusals explained."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from huggingface_hub import constants

from zoo.weights.download import WAITS
from zoo.weights.errors import DownloadError, MissingFileError
from zoo.weights.transfer import TEMPORARY

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

Result = TypeVar("Result")
_LOGIN = "then give the token of that account: HF_TOKEN=hf_…, or `hf auth login`"


def call_hub(call: Callable[[], Result], repo: str, revision: str | None, path: str = "") -> Result:
    """Call the hub's client, and again while the hub is busy.

    Args:
        call: The call.
        repo: The repository that it asks for, for messages.
        revision: The commit that it asks for; None for the main branch.
        path: The file that it asks for, if it asks for one.

    Returns:
        What the call returns.

    Raises:
        DownloadError: The hub refuses, stays busy, or cannot be reached; the message says what to
            do. A repository that does not exist is a MissingFileError.
    """
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
            if error.response.status_code not in TEMPORARY or not waits:
                missing = isinstance(error, RepositoryNotFoundError)
                kind = MissingFileError if missing else DownloadError
                raise kind(_explain_refusal(error, repo, revision, path)) from error
            time.sleep(waits.pop(0))
        except OfflineModeIsEnabled as error:
            what = f"{path} of {repo}" if path else repo
            raise DownloadError(
                f"{what} is not on this machine, and HF_HUB_OFFLINE forbids asking the hub; unset "
                f"it, or copy the file into {constants.HF_HUB_CACHE} from elsewhere"
            ) from error
        except (HTTPError, LocalEntryNotFoundError) as error:
            raise DownloadError(
                f"the hub at {constants.ENDPOINT} cannot be reached ({error}); try again later, "
                "or name a mirror in HF_ENDPOINT"
            ) from error


def _explain_refusal(error: HfHubHTTPError, repo: str, revision: str | None, path: str) -> str:
    from huggingface_hub import errors

    hub, status = f"the hub at {constants.ENDPOINT}", error.response.status_code
    at = f" at revision {revision}" if revision else ""
    match error:
        case errors.GatedRepoError():
            known = "" if status == 401 else " and this account has not been let in"
            page = f"https://huggingface.co/{repo}"
            return f"{repo} is gated{known}: accept its license at {page}, {_LOGIN}"
        case errors.RepositoryNotFoundError():
            return f"{hub} has no repository {repo}, or shows it to its members only: {_LOGIN}"
        case errors.RevisionNotFoundError():
            return f"{repo} has no revision {revision}: it was moved or removed"
        case errors.RemoteEntryNotFoundError():
            return f"{repo} has no file {path}{at}: it was moved or removed"
        case _ if status == 412:  # Precondition Failed
            return f"{repo} was changed by somebody else meanwhile: run this again"
        case _ if status in (401, 403):
            answer = error.server_message or "no"
            return f"{repo}: the hub answers {answer!r} to this account: choose another, {_LOGIN}"
        case _:
            answer = f"{status} {error.server_message or error.response.reason_phrase}"
            return f"{repo}{at}: {hub} answered {answer}"
