"""Publish finished runs in a dataset repository of a hub, in one commit, with a data card."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ingest.layout import Layout
from ingest.runs.check import STATUSES, check_run
from ingest.runs.folder import Run
from ingest.runs.import_vectors import GIVEN, LONGEST, NOT_STATED
from ingest.runs.store.memory import memory_limit
from ingest.runs.store.tables import runtime_of
from ingest.share.datacard import data_card
from ingest.share.record import (
    INDEX,
    Counts,
    Record,
    Row,
    ShareError,
    Source,
    known,
    license_of,
    path_of,
    read_index,
    resolved,
)
from ingest.systems.dataset import file_hash
from ingest.systems.materialized import MaterializedDataset, read_materialized
from schemas.store import connect
from zoo.cards.licenses import License
from zoo.cards.twins import TWIN
from zoo.encoder import ENERGY
from zoo.weights import hub
from zoo.weights.errors import DownloadError, MissingFileError
from zoo.worker.tables import SHARD, SHARD_OPTIONS

Say = Callable[[str], None]
# Runs of which the store still holds something: what a later run has replaced is not published.
HELD = """
SELECT run_id, representation FROM embeddings WHERE model_id = $model_id AND starts_with(system_id, $dataset || '/')
UNION
SELECT run_id, representation FROM failures WHERE model_id = $model_id AND dataset = $dataset
ORDER BY ALL
"""


def publish(
    layout: Layout, model_id: str, dataset: str, repo: str, names: Sequence[str] | None, say: Say
) -> str:
    """Push what the store holds of a model over a dataset; the repository's commit. ShareError says what to do.

    names: representations, None for all. What was published before stays, but for vectors that another version of the
    model's card made. Twice is once.
    """
    made = read_materialized(layout.dataset(dataset))
    held = _held(layout, model_id, dataset, names)
    if made is None or not held:
        request = f"MODEL={model_id} DATASET={dataset}"
        raise ShareError(
            f"{layout.store} holds no such vectors of {model_id} on {dataset}; first: make ingest {request}"
        )
    _refuse_by_card(held[0][0], model_id)
    _refuse_by_license(held[0][0], made, model_id)
    try:
        return _publish(held, made, repo, say)
    except DownloadError as error:
        raise ShareError(str(error)) from error


def _held(
    layout: Layout, model_id: str, dataset: str, names: Sequence[str] | None
) -> list[tuple[Run, str]]:
    """Runs and representations of them."""
    with connect(layout.store, read_only=True) as connection:
        rows = connection.execute(HELD, {"model_id": model_id, "dataset": dataset}).fetchall()
    return [
        (Run.of(layout, run_id), name) for run_id, name in rows if names is None or name in names
    ]


def _refuse_by_card(run: Run, model_id: str) -> None:
    """Vectors of an earlier version of a card are not published under the name of the present one."""
    selection = known(model_id)
    if selection is not None and selection.card_hash != run.read("job/job.json")["card_hash"]:
        raise ShareError(
            f"the vectors of {model_id} were made by another version of its card than this zoo has; make ingest "
            f"MODEL={model_id} makes them again, then publish"
        )


def _refuse_by_license(run: Run, made: MaterializedDataset, model_id: str) -> None:
    """Refuse what may not be shared: by the license of the dataset, of vectors that were brought, of the weights."""
    if re.search(r"\bND\b|NoDeriv", made.license):
        raise ShareError(
            f"the license of {made.dataset}, {made.license}, forbids to share what is derived from it"
        )
    row = run.read("model.json")["model"]
    if row["family"] == GIVEN and row["license_weights"] == NOT_STATED:
        raise ShareError(
            f"nobody has stated a license for the vectors of {model_id}, so they are not published; make clean "
            f"MODEL={model_id}, then bring them again with make ingest … VECTORS=… LICENSE=CC-BY-4.0 or the like"
        )
    selection = known(model_id)
    card = row["card"] if selection is None else selection.model.model_dump(mode="json")
    learned = card.get("weights", {}).get("source") != "none" and not model_id.endswith(TWIN)
    license = license_of(card)
    if learned and license is not None and not license.shareable:
        raise ShareError(
            f"the vectors of {model_id} are not published: the license of its weights, {_forbids(license)}"
        )


def _forbids(license: License) -> str:
    """Why vectors under a license are not shared, and what to do where it is only that nobody looked."""
    name = f"{license.name} ({license.url or license.no_url_because})"
    if license.share is False:
        return f"{name}, does not let others have what the model gives"
    limits = [
        what
        for what, so in (("gated", license.gated), ("non-commercial", not license.commercial))
        if so
    ]
    return (
        f"{name}, is {' and '.join(limits)}. Who has read there that what the model gives may be shared with others "
        "says so in the card: share = true in license_weights"
    )


def _publish(
    held: Sequence[tuple[Run, str]], made: MaterializedDataset, repo: str, say: Say
) -> str:
    """Add what is new, remove what it makes obsolete, write index and data card anew."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    commit, files = _opened(repo, say)
    if "README.md" in files and INDEX not in files:
        raise ShareError(
            f"{repo} is about something else already, as its README.md says; give a repository of its own"
        )
    there = read_index(repo, commit, files)
    new = [
        (run, name)
        for run, name in held
        if _run_id(run, name) not in {record.run_id for record in there}
    ]
    if not new:
        say(f"{repo} has these vectors already; nothing to do")
        return commit
    with tempfile.TemporaryDirectory(prefix="publish-", dir=made.folder) as folder:
        records = [_record(run, name, made, Path(folder)) for run, name in new]
        obsolete = [record for record in there if _replaced(record, records[0])]
        kept = [record for record in there if record not in obsolete]
        index = sorted([*kept, *records], key=lambda record: record.file)
        lines = "".join(record.model_dump_json() + "\n" for record in index)
        texts = {INDEX: lines, "README.md": data_card(repo, index)}
        for record in obsolete:
            say(f"  {record.file} goes: newer vectors of {record.model_id} take its place")
        for record in records:
            say(f"  {record.file}, {record.size / 1e6:,.2f} MB")
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            *(
                CommitOperationAdd(record.file, Path(folder) / Path(record.file).name)
                for record in records
            ),
            *(CommitOperationAdd(path, text.encode()) for path, text in texts.items()),
            *(CommitOperationDelete(record.file) for record in obsolete),
        ]
        return hub.commit_dataset(
            repo, commit, f"{records[0].model_id} on {made.dataset}", operations
        )


def _opened(repo: str, say: Say) -> tuple[str, list[str]]:
    """The newest commit of the repository and its files; it is created if there is none."""
    try:
        return resolved(repo, None)
    except MissingFileError:
        hub.create_dataset(repo)
        say(f"{repo} is a new dataset repository, to be seen by everybody")
        return resolved(repo, None)


def _replaced(old: Record, new: Record) -> bool:
    """As in a store: vectors by another version of a card go, and so do those of a file brought before."""
    if old.model_id != new.model_id:
        return False
    brought_again = new.model.family == GIVEN and old.dataset.name == new.dataset.name
    return old.card_hash != new.card_hash or brought_again


def _run_id(run: Run, name: str) -> str:
    """Of a run of several representations, each is published as a run of its own."""
    only = run.read("job/job.json")["representations"] == [name]
    return run.run_id if only else f"{run.run_id}--{name}"


def _record(run: Run, name: str, made: MaterializedDataset, folder: Path) -> Record:
    """Check a run, write its rows of one representation to a file in the folder, and describe it."""
    job, said, rows = run.read("job/job.json"), run.read("out/run.json"), run.read("model.json")
    dimension = next(r["dimension"] for r in job["model"]["representation"] if r["name"] == name)
    with duckdb.connect(
        config={"memory_limit": memory_limit(made.n_systems, LONGEST)}
    ) as connection:
        check_run(connection, run)
    run_id = _run_id(run, name)
    path = path_of(made.dataset, job["model_id"], name, run_id)
    file = folder / Path(path).name
    counts = _write(
        run,
        name,
        file,
        {"run_id": run_id, "model_id": job["model_id"], "card_hash": job["card_hash"]},
    )
    model, started = rows["model"], runtime_of(run)
    return Record(
        run_id=run_id,
        dataset=_source(made),
        representation=name,
        dimension=dimension,
        file=path,
        sha256=file_hash(file),
        size=file.stat().st_size,
        counts=Counts(sent=sum(counts.values()), **counts),
        seconds=said["seconds"]["total"],
        runtime=started["runtime"],
        image=started["image"],
        origin=started.get("origin"),
        model=Row(**{key: model[key] for key in Row.model_fields}),
        scores=rows["scores"],
        matterzoo=version("matterzoo"),
        **{
            key: job[key]
            for key in (
                "model_id",
                "untrained_seed",
                "dtype",
                "card_hash",
                "encoder_hash",
                "lock_hash",
            )
        },
        **{
            key: said[key]
            for key in (
                "weights",
                "versions",
                "device",
                "device_name",
                "driver",
                "peak_memory_bytes",
            )
        },
        **{key: said[key] for key in ("started", "finished")},
    )


def _source(made: MaterializedDataset) -> Source:
    """The dataset; of a file of the user's own, its name and not the folder that it lies in."""
    source = Path(made.source).name if Path(made.source).is_absolute() else made.source
    facts = {"title": made.title, "license": made.license, "dataset_hash": made.dataset_hash}
    return Source(name=made.dataset, source=source, systems=made.n_systems, **facts)


def _write(run: Run, name: str, file: Path, metadata: dict[str, str]) -> dict[str, int]:
    """Rows of one representation, a row group a shard. Returns how many there are of each status."""
    counts = dict.fromkeys(STATUSES, 0)
    schema = SHARD.with_metadata(metadata)
    with pq.ParquetWriter(file, schema, compression="zstd", **SHARD_OPTIONS) as writer:
        for shard in run.shards:
            rows = pq.read_table(shard)
            if ENERGY not in rows.column_names:  # of before there were energies
                rows = rows.append_column(ENERGY, pa.nulls(rows.num_rows, pa.float64()))
            rows = rows.select(SHARD.names).cast(SHARD)
            rows = rows.filter(pc.equal(rows["representation"], name))
            for found in pc.value_counts(rows["status"]).to_pylist():
                counts[found["values"]] += found["counts"]
            if rows.num_rows:
                writer.write_table(rows.replace_schema_metadata(schema.metadata))
    return counts
