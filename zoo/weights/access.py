"""Whether missing weights can be had from here: their server is asked, nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.cards.family import Selection
from zoo.weights import hub
from zoo.weights.addresses import check_served
from zoo.weights.errors import DownloadError, NoNetworkError
from zoo.weights.local import missing_files
from zoo.weights.refusals import explain_gate


@dataclass(frozen=True)
class Access:
    """What a server says of weights before they are downloaded.

    Attributes:
        size: Bytes in all that are missing; None if nobody knows.
        obstacle: What keeps them from being downloaded, and what to do; None if nothing does.
    """

    size: int | None
    obstacle: str | None = None


def is_missing(selection: Selection) -> bool:
    """Return whether a model needs files that are not here.

    Args:
        selection: The model.
    """
    return bool(missing_files(selection))


def find_access(selection: Selection) -> Access:
    """Ask the server of a model's weights whether it would give them.

    One or two requests are made, and no file is downloaded.

    Args:
        selection: A model whose weights are missing.

    Returns:
        Their size, and what is in the way: a token, a license, an approval, a network.
    """
    weights, files = selection.model.weights, missing_files(selection)
    known = [file.size for file in files]
    size = None if None in known else sum(filter(None, known))
    try:
        if weights.source == "url":
            check_served(str(files[0].url))
            return Access(size)
        repo, revision = str(weights.repo), weights.revision
        if revision is None or size is None:
            info = hub.model_info(repo, revision)
            sizes = {sibling.rfilename: sibling.size for sibling in info.siblings or []}
            known = [sizes.get(file.path) for file in files]
            size = None if None in known else sum(filter(None, known))
            revision = revision or str(info.sha)
        hub.file_metadata(repo, revision, files[0].path)
    except NoNetworkError as error:
        return Access(size, str(error) + _also_gated(selection))
    except DownloadError as error:
        return Access(size, str(error))
    return Access(size)


def _also_gated(selection: Selection) -> str:
    """Say what gated weights lack besides a network, as the end of a message."""
    license, repo = selection.model.license_weights, str(selection.model.weights.repo)
    if not license.gated or hub.has_token():
        return ""
    return f". Besides, {explain_gate(repo, has_token=False, by_hand=license.approval == 'manual')}"
