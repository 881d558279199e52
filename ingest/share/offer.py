"""What a repository of vectors has at one commit, and what of it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ingest.share.record import PublishedRun, ShareError
from ingest.share.repository import find_commit, read_index
from zoo.errors import did_you_mean
from zoo.weights.errors import DownloadError


@dataclass(frozen=True)
class Offer:
    """What a repository has at one commit, or a part of it.

    Attributes:
        repo: The repository, owner/name.
        commit: The commit.
        records: The files, in the order in which they were made.
    """

    repo: str
    commit: str
    records: tuple[PublishedRun, ...]

    @property
    def origin(self) -> str:
        """The repository and the commit, as table `runs` has them."""
        return f"{self.repo}@{self.commit}"

    def models(self, dataset: str) -> list[str]:
        """Return the ids of the models that have vectors over a dataset, sorted.

        Args:
            dataset: The name of the dataset.
        """
        mine = (record for record in self.records if record.dataset.name == dataset)
        return sorted({record.model_id for record in mine})

    def choose(self, model_id: str, dataset: str, names: Sequence[str] | None) -> Offer:
        """Return the part about one model over one dataset.

        Args:
            model_id: The id of the model.
            dataset: The name of the dataset.
            names: Representations, None for all that are there.

        Raises:
            ShareError: There is nothing of it; the message names what is there.
        """
        mine = [r for r in self.records if r.model_id == model_id and r.dataset.name == dataset]
        chosen = tuple(r for r in mine if names is None or r.representation in names)
        if chosen:
            return replace(self, records=chosen)
        there = {f"{r.model_id} on {r.dataset.name} ({r.representation})" for r in self.records}
        part = f" ({', '.join(names)})" if names and mine else ""
        request = f"{model_id} on {dataset}{part}"
        hint = did_you_mean(request, there) if there else "there is nothing of matterzoo's in it"
        raise ShareError(f"{self.repo} at {self.commit} has no vectors of {request}; {hint}")


def read_offer(repo: str, revision: str | None) -> Offer:
    """Return what a repository has; no vectors are downloaded yet.

    Args:
        repo: A dataset repository, owner/name.
        revision: A commit, a branch or a tag, None for the newest commit.

    Raises:
        ShareError: There is no such repository or revision, or its index cannot be read.
    """
    try:
        commit, files = find_commit(repo, revision)
        records = read_index(repo, commit, files)
    except DownloadError as error:
        raise ShareError(str(error)) from error
    return Offer(repo, commit, tuple(sorted(records, key=lambda record: record.finished)))
