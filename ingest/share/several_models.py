"""Publish and fetch the vectors of several models, as a user names them."""

from __future__ import annotations

from collections.abc import Callable, Collection

from ingest.layout import Layout
from ingest.runs.prepare import prepare_dataset, resolve_dataset
from ingest.runs.reporting import report_error
from ingest.share.fetch import fetch_vectors
from ingest.share.offer import read_offer
from ingest.share.publish import publish_vectors
from ingest.share.record import ShareError
from schemas.store import update
from zoo.command_line import print_now, split_names


def publish_models(
    layout: Layout, models: str, dataset: str, repo: str, representations: str | None
) -> int:
    """Publish the vectors of some models over a dataset.

    Args:
        layout: The store and the files beside it.
        models: Ids of models separated by commas.
        dataset: The name of a dataset, or the path of a file of systems.
        repo: A dataset repository of the hub, owner/name.
        representations: Names separated by commas; None is all that there are.

    Returns:
        How many models were refused; why has been reported.

    Raises:
        ShareError: The only model was refused.
    """
    update(layout.store)
    name = resolve_dataset(layout, dataset).name
    names = _split(representations)

    def publish_one(model_id: str) -> None:
        commit = publish_vectors(layout, model_id, name, repo, names, print_now)
        print_now(f"matterzoo fetch {model_id} {name} {repo} --revision {commit}")

    return _for_each(split_names(models), publish_one)


def fetch_models(
    layout: Layout,
    models: str,
    dataset: str,
    repo: str,
    *,
    revision: str | None = None,
    representations: str | None = None,
    limit: int | None = None,
) -> int:
    """Load the vectors of some models over a dataset that others have published.

    Args:
        layout: The store and the files beside it.
        models: Ids of models separated by commas, or all: every model over that dataset.
        dataset: The name of a dataset, or the path of a file of systems.
        repo: A dataset repository of the hub, owner/name.
        revision: 40 hexadecimal digits, a branch or a tag; None is the newest.
        representations: Names separated by commas; None is all that there are.
        limit: How many systems of a dataset that is not here yet.

    Returns:
        How many models were refused; why has been reported.

    Raises:
        ShareError: The only model was refused, or there is nothing over that dataset.
    """
    offer = read_offer(repo, revision)
    print_now(f"{offer.repo} at {offer.commit}")
    found = resolve_dataset(layout, dataset).sampled(limit, print_now)
    ids = offer.models(found.name) if models == "all" else split_names(models)
    names = _split(representations)
    offers = {model_id: offer.choose(model_id, found.name, names) for model_id in ids}
    if not offers:
        raise ShareError(f"{offer.repo} has no vectors over {found.name}")
    made = prepare_dataset(layout, found)
    return _for_each(
        offers, lambda model_id: fetch_vectors(layout, offers[model_id], made, print_now)
    )


def _split(text: str | None) -> list[str] | None:
    return None if text is None else split_names(text)


def _for_each(names: Collection[str], act: Callable[[str], None]) -> int:
    """Act for each name; a refusal does not stop the others. Return how many were refused."""
    refused = 0
    for name in names:
        try:
            act(name)
        except ShareError as error:
            if len(names) == 1:
                raise
            refused += 1
            report_error(str(error))
    return refused
