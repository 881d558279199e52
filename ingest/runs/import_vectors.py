"""Import a user's vectors: a file of ids and vectors becomes a finished run and is loaded."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import duckdb

from ingest.layout import Layout
from ingest.runs.check import Counts
from ingest.runs.errors import RequestError, VectorsError
from ingest.runs.folder import Run
from ingest.runs.imported import Checked, ImportedVectors, describe, hash_card, write_files
from ingest.runs.job_folder import name_run
from ingest.runs.load import load
from ingest.runs.prepare import prepare_dataset, resolve_datasets, split_datasets
from ingest.runs.request import Settings
from ingest.runs.store.memory_limit import memory_limit
from ingest.runs.user_vectors.ids import give_ids, take_order
from ingest.runs.user_vectors.precision import check_precision
from ingest.runs.user_vectors.reading import read_vectors
from ingest.runs.user_vectors.row_checks import check_rows
from ingest.systems.dataset import Dataset, file_hash
from ingest.systems.materialized import MaterializedDataset
from schemas.store import connect
from zoo.cards.discovery import load_models
from zoo.command_line import print_now

LONGEST = 16_384  # numbers in a vector, as far as memory is planned for
MODEL_LETTERS = 100  # of a model's id; it is part of a folder's name, which may have 255 bytes
# What importing the file removes: this model's vectors on the dataset, and on others if their
# length was another.
REPLACED = """
SELECT DISTINCT system_id FROM embeddings
WHERE model_id = $model_id AND (starts_with(system_id, $dataset || '/')
    OR run_id IN (SELECT run_id FROM runs WHERE card_hash != $card_hash AND model_id = $model_id))
"""
LOSSES = """
SELECT split_part(system_id, '/', 1) AS dataset, count(*)
FROM replaced ANTI JOIN known USING (system_id)
GROUP BY dataset ORDER BY dataset
"""


def import_file(
    layout: Layout,
    imported: ImportedVectors,
    dataset: str,
    settings: Settings,
    agree: Callable[[dict[str, int]], None],
) -> str:
    """Import a file of vectors over a dataset that the user names.

    Args:
        layout: The store and the files beside it.
        imported: What is imported.
        dataset: The name of a dataset, or a file, a folder or a glob of files of systems.
        settings: What the user said on how models are run, which is refused: vectors are imported,
            not computed. A limit says how large a sample of the dataset is, and is refused where
            none is made.
        agree: See `import_vectors`.

    Returns:
        The outcome, as a line to report.

    Raises:
        RequestError: What is asked for makes no sense.
        VectorsError: The file cannot be imported; nothing was stored.
    """
    names = split_datasets(dataset)
    if len(names) > 1:
        raise RequestError(f"--vectors are of one dataset, not of {len(names)}: {dataset}")
    (found,) = resolve_datasets(layout, dataset, settings.name, numbered=settings.numbered)
    _refuse_settings(settings, found)
    _refuse_both(imported, found)
    made = prepare_dataset(layout, found.sampled(settings.limit, print_now))
    return import_over(layout, imported, made, agree, print_now)


def import_over(
    layout: Layout,
    imported: ImportedVectors,
    dataset: MaterializedDataset,
    agree: Callable[[dict[str, int]], None],
    log: Callable[[str], None],
) -> str:
    """Import a file of vectors over a dataset that is on disk.

    Args:
        layout: The store and the files beside it.
        imported: What is imported.
        dataset: The dataset that the vectors are over.
        agree: See `import_vectors`.
        log: Gets which columns are read, and warnings about precision.

    Returns:
        The outcome, as a line to report.

    Raises:
        VectorsError: The file cannot be imported; nothing was stored.
    """
    loaded = import_vectors(layout, imported, dataset, agree, log)
    name = f"{imported.model_id} on {dataset.dataset}"
    if loaded is None:
        return f"{name}: these vectors are stored already; nothing to do"
    _, counts = loaded
    return f"{name}: {counts.ok} of {dataset.n_systems} systems have a vector -> {layout.store}"


def import_vectors(
    layout: Layout,
    imported: ImportedVectors,
    dataset: MaterializedDataset,
    agree: Callable[[dict[str, int]], None] = lambda lost: None,
    log: Callable[[str], None] = print,
) -> tuple[Run, Counts] | None:
    """Check a file of vectors and load it.

    Vectors of an earlier file of the same model on the same dataset are replaced. Systems without
    a vector are simply absent.

    Args:
        layout: The store and the files beside it.
        imported: What is imported.
        dataset: The dataset that the vectors are over.
        agree: Is called with the number of systems, by dataset, that would lose their vectors, if
            any would. What it raises keeps what is stored.
        log: Gets which columns are read, and warnings about precision.

    Returns:
        The run and its counts; None if the store has these vectors already.

    Raises:
        VectorsError: The file cannot be imported; nothing was stored.
    """
    check_model_id(imported.model_id)
    if not imported.file.is_file():
        raise VectorsError(f"there is no file {imported.file}")
    deciding = [file_hash(imported.file), dataset.dataset_hash]
    if imported.ids is not None and imported.ids.is_file():
        deciding.append(file_hash(imported.ids))
    run = Run.of(layout, name_run(imported.model_id, dataset.dataset, deciding))
    if _is_stored(layout, run):
        return None
    started = datetime.now(UTC)
    limit = memory_limit(dataset.n_systems, LONGEST)
    with duckdb.connect(
        config={"memory_limit": limit, "temp_directory": str(layout.spill)}
    ) as connection:
        _read(connection, imported, dataset, log)
        dimension = check_rows(connection, imported.file, dataset)
        rounding = check_precision(connection, imported.file, log)
        if losses := _count_losses(connection, layout, imported, dataset, dimension):
            agree(losses)
        count = _count_known(connection)
        found = Checked(dimension, rounding, count, started)
        files = write_files(connection, run, imported, dataset, found)
    describe(run, imported, dataset, found, files)
    return run, load(layout, run)


def _read(
    connection: duckdb.DuckDBPyConnection,
    imported: ImportedVectors,
    dataset: MaterializedDataset,
    log: Callable[[str], None],
) -> None:
    """Make the table `imported` of the file of vectors, with the ids that the user meant."""
    needs_ids = imported.ids is None and not imported.numbered
    read_vectors(connection, imported.file, dataset.n_systems, needs_ids=needs_ids, log=log)
    if imported.ids is not None:
        give_ids(connection, imported.file, imported.ids, dataset)
    elif imported.numbered:
        take_order(connection, imported.file, dataset)


def check_model_id(model_id: str) -> None:
    """Refuse an id that does not look like one, or that a model of the zoo has.

    Args:
        model_id: The id that a user gave.

    Raises:
        VectorsError: The id cannot be used.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9.\-]*", model_id):
        raise VectorsError(
            f"{model_id!r} cannot be a model's id; expected a-z, 0-9, '.' and '-', such as my-model"
        )
    if len(model_id) > MODEL_LETTERS:
        raise VectorsError(
            f"a model's id of {len(model_id)} letters is too long; expected at most {MODEL_LETTERS}"
        )
    if model_id in load_models():
        raise VectorsError(
            f"{model_id} is a model of the zoo; give your vectors another id, such as my-{model_id}"
        )


def _refuse_settings(settings: Settings, dataset: Dataset) -> None:
    """Refuse what would be ignored, as imported vectors are not computed and all are taken."""
    options = settings.options
    for said_of_the_dataset in ("--name", "--numbered"):
        options.pop(said_of_the_dataset, None)
    if dataset.is_sampled:
        options.pop("--limit", None)  # how large a sample of the dataset is
    if options:
        raise RequestError(
            f"--vectors are taken as they are, and all of them: leave out {', '.join(options)}"
        )


def _refuse_both(imported: ImportedVectors, dataset: Dataset) -> None:
    """Refuse to be told the ids twice, unless the second time is of the dataset's own rows."""
    if imported.ids is not None and imported.numbered and not dataset.numbered:
        raise RequestError(
            f"--ids {imported.ids} and --numbered both say whose the vectors are: leave out one"
        )


def _is_stored(layout: Layout, run: Run) -> bool:
    if not (run.finished and layout.store.exists()):
        return False
    with connect(layout.store, read_only=True) as connection:
        query = "SELECT count(*) FROM embeddings WHERE run_id = ?"
        ((stored,),) = connection.execute(query, [run.run_id]).fetchall()
    return bool(stored == run.read("out/run.json")["counts"]["ok"])


def _count_known(connection: duckdb.DuckDBPyConnection) -> int:
    ((count,),) = connection.execute("SELECT count(*) FROM known").fetchall()
    return int(count)


def _count_losses(
    connection: duckdb.DuckDBPyConnection,
    layout: Layout,
    imported: ImportedVectors,
    dataset: MaterializedDataset,
    dimension: int,
) -> dict[str, int]:
    """Count, by dataset, the systems with a stored vector that would go without a new one."""
    if not layout.store.exists():
        return {}
    values = {
        "model_id": imported.model_id,
        "dataset": dataset.dataset,
        "card_hash": hash_card(imported.model_id, dimension),
    }
    with connect(layout.store, read_only=True) as store:
        stored = store.execute(REPLACED, values).to_arrow_table()
    connection.register("replaced", stored)
    return dict(connection.execute(LOSSES).fetchall())
