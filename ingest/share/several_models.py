"""Publish and fetch the vectors of several models over datasets, as a user names them."""

from __future__ import annotations

from collections.abc import Callable, Collection

from ingest.layout import Layout
from ingest.runs.prepare import prepare_dataset, resolve_datasets
from ingest.runs.reporting import report_error
from ingest.share.fetch import fetch_vectors
from ingest.share.offer import Offer, read_offer
from ingest.share.publish import publish_vectors
from ingest.share.record import ShareError
from schemas.store import update
from zoo.command_line import print_now, split_names


def publish_models(
    layout: Layout, models: str, datasets: str, repo: str, representations: str | None
) -> int:
    """Publish the vectors of some models over some datasets.

    Args:
        layout: The store and the files beside it.
        models: Ids of models separated by commas.
        datasets: Names of datasets separated by commas, or a file, a folder or a glob of files.
        repo: A dataset repository of the hub, owner/name.
        representations: Names separated by commas; None is all that there are.

    Returns:
        How many were refused, of each model over each dataset; why has been reported.

    Raises:
        ShareError: The only model was refused.
    """
    update(layout.store)
    names = _split(representations)

    def publish_one(model_id: str, dataset: str) -> None:
        commit = publish_vectors(layout, model_id, dataset, repo, names, print_now)
        print_now(f"matterzoo fetch {model_id} {dataset} {repo} --revision {commit}")

    found = resolve_datasets(layout, datasets)
    pairs = [(model_id, dataset.name) for dataset in found for model_id in split_names(models)]
    return _for_each(pairs, publish_one)


def fetch_models(
    layout: Layout,
    models: str,
    datasets: str,
    repo: str,
    *,
    revision: str | None = None,
    representations: str | None = None,
    limit: int | None = None,
) -> int:
    """Load the vectors of some models over some datasets that others have published.

    Args:
        layout: The store and the files beside it.
        models: Ids of models separated by commas, or all: every model over a dataset.
        datasets: Names of datasets separated by commas, or a file, a folder or a glob of files.
        repo: A dataset repository of the hub, owner/name.
        revision: 40 hexadecimal digits, a branch or a tag; None is the newest.
        representations: Names separated by commas; None is all that there are.
        limit: How many systems of a dataset that is not here yet.

    Returns:
        How many were refused, of each model over each dataset; why has been reported.

    Raises:
        ShareError: The only model was refused, or there is nothing over a dataset.
    """
    offer = read_offer(repo, revision)
    print_now(f"{offer.repo} at {offer.commit}")
    names = _split(representations)
    found = [dataset.sampled(limit, print_now) for dataset in resolve_datasets(layout, datasets)]
    offers: dict[tuple[str, str], Offer] = {}
    for name in (dataset.name for dataset in found):
        ids = offer.models(name) if models == "all" else split_names(models)
        if not ids:
            raise ShareError(f"{offer.repo} has no vectors over {name}")
        offers |= {(model_id, name): offer.choose(model_id, name, names) for model_id in ids}
    made = {dataset.name: prepare_dataset(layout, dataset) for dataset in found}

    def fetch_one(model_id: str, dataset: str) -> None:
        fetch_vectors(layout, offers[model_id, dataset], made[dataset], print_now)

    return _for_each(offers, fetch_one)


def _split(text: str | None) -> list[str] | None:
    return None if text is None else split_names(text)


def _for_each(pairs: Collection[tuple[str, str]], act: Callable[[str, str], None]) -> int:
    """Act for each model and dataset; a refusal does not stop the others. Return how many were."""
    refused = 0
    for model_id, dataset in pairs:
        try:
            act(model_id, dataset)
        except ShareError as error:
            if len(pairs) == 1:
                raise
            refused += 1
            report_error(str(error))
    return refused
