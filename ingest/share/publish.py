"""Publishing finished runs in a dataset repository of a hub, in one commit, with a data card."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.callbacks import Log
from ingest.layout import Layout
from ingest.runs.folder import Run
from ingest.runs.imported import IMPORTED
from ingest.share.datacard import data_card
from ingest.share.permission import require_current_card, require_license
from ingest.share.record import INDEX, PublishedRun, ShareError
from ingest.share.repository import find_commit, read_index
from ingest.share.vector_file import published_run_id, write_vector_file
from ingest.systems.materialized import MaterializedDataset, read_materialized
from schemas.store import connect
from zoo.terminal import megabytes
from zoo.weights import hub
from zoo.weights.errors import DownloadError, MissingFileError

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

# Runs of which the store still holds something: what a later run has replaced is not published.
_HELD = """
SELECT run_id, representation FROM vector_files
WHERE model_id = $model_id AND dataset = $dataset
UNION
SELECT run_id, representation FROM failures
WHERE model_id = $model_id AND dataset = $dataset
ORDER BY ALL
"""


def publish_vectors(
    layout: Layout, model_id: str, dataset: str, repo: str, names: Sequence[str] | None, log: Log
) -> str:
    """Publish what the store holds of a model over a dataset.

    What was published before stays, except for vectors that another version of the model's card
    made. What is there already is not published again.

    Args:
        layout: The store.
        model_id: The id of the model.
        dataset: The name of the dataset.
        repo: A dataset repository, owner/name; it is created if there is none.
        names: Representations, None for all.
        log: Prints one line.

    Returns:
        The commit of the repository.

    Raises:
        ShareError: There is nothing to publish, it may not be published, or the hub refuses it; the
            message says what to do.
    """
    made = read_materialized(layout.dataset(dataset))
    held = _held_runs(layout, model_id, dataset, names)
    if made is None or not held:
        raise ShareError(
            f"{layout.store} holds no such vectors of {model_id} on {dataset}; "
            f"first: matterzoo ingest {model_id} {dataset}"
        )
    require_current_card(held[0][0], model_id, dataset)
    require_license(held[0][0], made, model_id)
    try:
        return _publish(held, made, repo, log)
    except DownloadError as error:
        raise ShareError(str(error)) from error


def _held_runs(
    layout: Layout, model_id: str, dataset: str, names: Sequence[str] | None
) -> list[tuple[Run, str]]:
    """Return runs, each with one of its representations."""
    with connect(layout.store, read_only=True) as connection:
        rows = connection.execute(_HELD, {"model_id": model_id, "dataset": dataset}).fetchall()
    return [
        (Run.of(layout, run_id), name) for run_id, name in rows if names is None or name in names
    ]


def _publish(
    held: Sequence[tuple[Run, str]], dataset: MaterializedDataset, repo: str, log: Log
) -> str:
    """Add what is new, remove what it replaces, and write index and data card again."""
    commit, files = _open_repository(repo, log)
    if "README.md" in files and INDEX not in files:
        raise ShareError(
            f"{repo} is about something else already, as its README.md says; "
            "give a repository of its own"
        )
    there = read_index(repo, commit, files)
    published = {record.run_id for record in there}
    new = [(run, name) for run, name in held if published_run_id(run, name) not in published]
    if not new:
        log(f"{repo} has these vectors already; nothing to do")
        return commit
    with tempfile.TemporaryDirectory(prefix="publish-", dir=dataset.folder) as temporary:
        folder = Path(temporary)
        records = [write_vector_file(run, name, dataset, folder) for run, name in new]
        replaced = [record for record in there if _is_replaced(record, records[0])]
        kept = [record for record in there if record not in replaced]
        for record in replaced:
            log(f"  {record.file} goes: newer vectors of {record.model_id} take its place")
        for record in records:
            log(f"  {record.file}, {megabytes(record.size, 2)}")
        message = f"{records[0].model_id} on {dataset.dataset}"
        operations = _operations(repo, folder, records, kept, replaced)
        return hub.commit_dataset(repo, commit, message, operations)


def _operations(
    repo: str,
    folder: Path,
    new: Sequence[PublishedRun],
    kept: Sequence[PublishedRun],
    replaced: Sequence[PublishedRun],
) -> list[CommitOperationAdd | CommitOperationDelete]:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    index = sorted([*kept, *new], key=lambda record: record.file)
    lines = "".join(record.model_dump_json() + "\n" for record in index)
    texts = {INDEX: lines, "README.md": data_card(repo, index)}
    return [
        *(CommitOperationAdd(record.file, folder / Path(record.file).name) for record in new),
        *(CommitOperationAdd(path, text.encode()) for path, text in texts.items()),
        *(CommitOperationDelete(record.file) for record in replaced),
    ]


def _open_repository(repo: str, log: Log) -> tuple[str, list[str]]:
    """Return the newest commit of a repository and its files; create it if there is none."""
    try:
        return find_commit(repo, None)
    except MissingFileError:
        hub.create_dataset(repo)
        log(f"{repo} is a new dataset repository, which everybody can see")
        return find_commit(repo, None)


def _is_replaced(old: PublishedRun, new: PublishedRun) -> bool:
    """Return whether new vectors replace old ones, as in a store.

    Vectors of another version of a card go, and so do vectors that were imported before.
    """
    if old.model_id != new.model_id:
        return False
    imported_again = new.model.family == IMPORTED and old.dataset.name == new.dataset.name
    return old.card_hash != new.card_hash or imported_again
