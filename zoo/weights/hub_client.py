"""Calls of the Hugging Face hub's own client, with its refusals explained."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from huggingface_hub import constants

from zoo.weights.addresses import no_network
from zoo.weights.download import WAITS
from zoo.weights.errors import DownloadError, MissingFileError
from zoo.weights.refusals import explain_refusal
from zoo.weights.transfer import TEMPORARY

Result = TypeVar("Result")
_CONNECT = (
    "connect this machine, or name the proxy of its network in HTTPS_PROXY, or a mirror of the hub "
    "in HF_ENDPOINT"
)


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
        MissingFileError: There is no such repository.
        NoNetworkError: The hub cannot be reached.
        DownloadError: The hub refuses or stays busy; the message says what to do.
    """
    # With httpx2 the client speaks HTTP.
    from httpx2 import ConnectError, HTTPError, ProxyError, TimeoutException
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
                raise kind(explain_refusal(error, repo, revision, path)) from error
            time.sleep(waits.pop(0))
        except OfflineModeIsEnabled as error:
            what = f"{path} of {repo}" if path else repo
            raise DownloadError(
                f"{what} is not on this machine, and HF_HUB_OFFLINE forbids asking the hub; unset "
                f"it, or copy the file into {constants.HF_HUB_CACHE} from elsewhere"
            ) from error
        except (ConnectError, TimeoutException, ProxyError, LocalEntryNotFoundError) as error:
            raise no_network(f"the hub at {constants.ENDPOINT}", error, _CONNECT) from error
        except HTTPError as error:
            raise DownloadError(
                f"the hub at {constants.ENDPOINT} broke off its answer ({error}); try again later"
            ) from error
