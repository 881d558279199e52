"""Why the Hugging Face hub refuses something, and what opens it: token, license, approval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from huggingface_hub import constants

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

# The hub itself, also where HF_ENDPOINT names a mirror: accounts are there.
_HUB = "https://huggingface.co"
_GIVE = "HF_TOKEN=hf_…, or `hf auth login`"
_LOGIN = f"make a token at {_HUB}/settings/tokens and give it: {_GIVE}"
_BY_HAND = ", which its owners decide on by hand and may refuse"


def explain_refusal(
    error: HfHubHTTPError, repo: str, revision: str | None = None, path: str = ""
) -> str:
    """Say in a sentence why the hub refuses, and what to do.

    Args:
        error: What the hub's client raised.
        repo: The repository, 'owner/name', or 'datasets/owner/name'.
        revision: The commit that was asked for; None for the main branch.
        path: The file that was asked for, if any.
    """
    from huggingface_hub import errors, get_token

    hub, status = f"the hub at {constants.ENDPOINT}", error.response.status_code
    at = f" at revision {revision}" if revision else ""
    match error:
        case errors.GatedRepoError():
            by_hand = _is_decided_by_hand(repo)
            return explain_gate(repo, has_token=get_token() is not None, by_hand=by_hand)
        case errors.RepositoryNotFoundError():
            members = f"{hub} has no repository {repo}, or shows it to its members only"
            return f"{members}: as one of them, {_LOGIN}"
        case errors.RevisionNotFoundError():
            return f"{repo} has no revision {revision}: it was moved or removed"
        case errors.RemoteEntryNotFoundError():
            return f"{repo} has no file {path}{at}: it was moved or removed"
        case _ if status == 412:  # Precondition Failed
            return f"{repo} was changed by somebody else meanwhile: run this again"
        case _ if status == 401:
            answer = error.server_message or "no"
            return f"{repo}: the hub answers {answer!r} to the token that is set here: {_LOGIN}"
        case _ if status == 403:
            answer = error.server_message or "no"
            return f"{repo}: the hub answers {answer!r} to this account: choose another, {_GIVE}"
        case _:
            answer = f"{status} {error.server_message or error.response.reason_phrase}"
            return f"{repo}{at}: {hub} answered {answer}"


def explain_gate(repo: str, *, has_token: bool, by_hand: bool = False) -> str:
    """Say what a gated repository lacks: a token, or that the account of the token is let in.

    Args:
        repo: The repository.
        has_token: Whether this machine has a token.
        by_hand: Whether the owners decide on each request.
    """
    approval = f" and ask for access{_BY_HAND}," if by_hand else ""
    accept = f"accept its license{approval} at {_HUB}/{repo}"
    if not has_token:
        return f"{repo} is gated, and no token is set here: {accept}, then {_LOGIN}"
    return (
        f"{repo} is gated, and the account of the token that is set here has not been let in: "
        f"{accept}; or give a token of an account that has been, which may read gated "
        f"repositories: {_GIVE}"
    )


def _is_decided_by_hand(repo: str) -> bool:
    """Ask the hub who decides on requests; it tells everybody. If it does not answer, nobody."""
    from httpx2 import HTTPError
    from huggingface_hub import HfApi, errors

    kind, _, name = repo.rpartition("datasets/")
    ask = HfApi().dataset_info if repo.startswith("datasets/") else HfApi().model_info
    try:
        return ask(name).gated == "manual"
    except (HTTPError, errors.HfHubHTTPError):
        return False
