"""Bring published vectors into the store: each file becomes a finished run, checked and landed like one's own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from ingest.layout import Layout, escape_glob
from ingest.runs.check import inspect_run
from ingest.runs.errors import ShardError
from ingest.runs.folder import Run, list_runs, lock_run
from ingest.runs.import_vectors import GIVEN
from ingest.runs.load import load
from ingest.runs.plan import model_rows
from ingest.runs.store.memory import memory_limit
from ingest.share.record import FETCHED, Record, ShareError, known, read_index, resolved
from ingest.systems.dataset import file_hash
from ingest.systems.materialized import MaterializedDataset
from schemas.message import one_line
from schemas.store import connect
from zoo.cards.discovery import nearest
from zoo.cards.family import Selection
from zoo.encoder import ENERGY
from zoo.files import fsync
from zoo.terminal import show_download
from zoo.weights import hub
from zoo.weights.errors import DownloadError
from zoo.worker.job import JOB_VERSION
from zoo.worker.sealed import stamp
from zoo.worker.tables import SHARD

Say = Callable[[str], None]
JOB = (
    "run_id",
    "model_id",
    "untrained_seed",
    "dtype",
    "card_hash",
    "encoder_hash",
    "lock_hash",
    "device",
)
SAID = (
    "run_id",
    "model_id",
    "device",
    "device_name",
    "driver",
    "dtype",
    "versions",
    "weights",
    "counts",
)
TIMES = ("started", "finished", "peak_memory_bytes")
PATIENCE = 30.0  # s to wait for a store that others use
SENT = """
COPY (
    SELECT DISTINCT system_id, content_hash FROM read_parquet(?, hive_partitioning = false)
    WHERE starts_with(system_id, ?)
) TO '{target}' (FORMAT parquet)
"""
# How many rows have their system here; how many have one of the same name and other content; how many have none.
AGREEMENT = """
SELECT count_if(h.content_hash = s.content_hash), count_if(h.content_hash != s.content_hash),
    count_if(h.system_id IS NULL)
FROM read_parquet(?, hive_partitioning = false) AS s
LEFT JOIN read_parquet(?, hive_partitioning = false) AS h USING (system_id)
"""

STORED = "SELECT count(*) FROM (SELECT run_id FROM embeddings UNION ALL SELECT run_id FROM failures) WHERE run_id = ?"


@dataclass(frozen=True)
class Offer:
    """What a repository has at one commit, or what is wished for of it, in the order in which it was made."""

    repo: str
    commit: str
    records: tuple[Record, ...]

    @property
    def origin(self) -> str:
        return f"{self.repo}@{self.commit}"

    def models(self, dataset: str) -> list[str]:
        """The models whose vectors over a dataset it has."""
        return sorted(
            {record.model_id for record in self.records if record.dataset.name == dataset}
        )

    def choose(self, model_id: str, dataset: str, names: Sequence[str] | None) -> Offer:
        """That of one model over one dataset. names: representations, None for all that are there."""
        mine = [r for r in self.records if r.model_id == model_id and r.dataset.name == dataset]
        chosen = tuple(r for r in mine if names is None or r.representation in names)
        if not chosen:
            there = {f"{r.model_id} on {r.dataset.name} ({r.representation})" for r in self.records}
            request = f"{model_id} on {dataset}" + (
                f" ({', '.join(names)})" if names and mine else ""
            )
            hint = nearest(request, there) if there else "there is nothing of matterzoo's in it"
            raise ShareError(f"{self.repo} at {self.commit} has no vectors of {request}; {hint}")
        return replace(self, records=chosen)


def look(repo: str, revision: str | None) -> Offer:
    """What is published in a repository, at a commit or the newest of a branch. No vectors are downloaded yet."""
    try:
        commit, files = resolved(repo, revision)
        records = read_index(repo, commit, files)
    except DownloadError as error:
        raise ShareError(str(error)) from error
    return Offer(repo, commit, tuple(sorted(records, key=lambda record: record.finished)))


def fetch(layout: Layout, offer: Offer, made: MaterializedDataset, say: Say) -> None:
    """Land what is offered, file by file, in the order in which it was made. Twice is once. Raises ShareError."""
    selection = known(offer.records[0].model_id)
    for record in offer.records:
        _refuse_by_card(record, selection, offer)
    if selection is None:
        _refuse_namesake(layout, offer)
    for record in offer.records:
        _fetch(layout, offer, record, selection, made, say)


def _refuse_by_card(record: Record, selection: Selection | None, offer: Offer) -> None:
    """A record of a model that this zoo has is of the same card; of one that it has not, of one card throughout."""
    expected = offer.records[-1].card_hash if selection is None else selection.card_hash
    if record.card_hash != expected:
        mend = "Give another REVISION, or use the version of matterzoo that made them"
        if selection is not None and not selection.model.weights.pinned(
            untrained=selection.untrained
        ):
            mend = f"Its weights are not pinned here, so it may be that alone: make pin MODEL={selection.model.id}"
        raise ShareError(
            f"the vectors of {record.model_id} in {offer.origin} were made by another version of its card "
            f"({record.card_hash[:12]}…, expected {expected[:12]}…), with matterzoo {record.matterzoo}: they cannot "
            f"stand beside others of that name. {mend}"
        )
    if selection is None:
        return
    dimensions = {r.name: r.dimension for r in selection.model.representation}
    weights = {
        f.path: f.sha256 for f in selection.model.weights.needed(untrained=selection.untrained)
    }
    for what, found, wanted in (
        ("dimension", record.dimension, dimensions.get(record.representation)),
        ("weights", record.weights, weights),
        ("seed of the untrained weights", record.untrained_seed, selection.untrained_seed),
    ):
        if found != wanted:
            raise ShareError(
                f"{record.file} in {offer.origin} is refused: it says {what} {found}, and the card of "
                f"{record.model_id} says {wanted}"
            )


def _refuse_namesake(layout: Layout, offer: Offer) -> None:
    """Without a card, nothing tells that two models of one name are one; those of another origin stay what they are."""
    model_id = offer.records[0].model_id
    for run in list_runs(layout):
        origin = _origin(run)
        mine = run.model_id == model_id
        if mine and (origin is None or origin.rpartition("@")[0] != offer.repo):
            raise ShareError(
                f"{layout.data} holds vectors of a model named {model_id} that came from {origin or 'this machine'}, "
                f"and nothing tells that {offer.repo} means the same; make clean MODEL={model_id} removes them"
            )


def _origin(run: Run) -> str | None:
    """Where a run was fetched from, None if it was computed here."""
    if not (run.folder / "runtime.json").exists():
        return None
    found: str | None = run.read("runtime.json").get("origin")
    return found


def _fetch(
    layout: Layout,
    offer: Offer,
    record: Record,
    selection: Selection | None,
    made: MaterializedDataset,
    say: Say,
) -> None:
    run = Run.of(layout, record.run_id)
    name = f"{record.model_id} on {made.dataset} ({record.representation})"
    if run.finished:
        _recognize(run, record, offer)
    else:
        _stage(layout, offer, record, selection, made, say)
    agreeing, moved, absent = _agreement(run, made)
    if _stored(layout, run) == agreeing:
        say(f"{name}: {agreeing} of {record.counts.sent} systems already stored; nothing to do")
        return
    load(layout, run, patience=PATIENCE, log=say)
    counts = record.counts
    say(
        f"{name}: {counts.ok} ok, {counts.failed} failed, {counts.not_applicable} not applicable -> {layout.store}"
    )
    for count, what in ((absent, "not in"), (moved, "with other content in")):
        if count:
            say(f"  {count} systems are {what} the {made.dataset} that is here, so they stay out")


def _stage(
    layout: Layout,
    offer: Offer,
    record: Record,
    selection: Selection | None,
    made: MaterializedDataset,
    say: Say,
) -> None:
    """Make the run's folder beside the others, and put it among them once it is checked."""
    staged, run = Run(layout.data / "fetched" / record.run_id), Run.of(layout, record.run_id)
    staged.out.mkdir(parents=True, exist_ok=True)
    with lock_run(staged):
        try:
            _bring(staged, offer, record, say)
        except DownloadError as error:
            raise ShareError(str(error)) from error
        _describe(staged, offer, record, selection)
        _check(staged, offer, record, made)
        if run.folder.exists():
            shutil.rmtree(run.folder)  # of a run that never ended; this is the whole of it
        run.folder.parent.mkdir(exist_ok=True)
        staged.folder.replace(run.folder)
        fsync(run.folder.parent)


def _recognize(run: Run, record: Record, offer: Offer) -> None:
    """A run of that name is here: this one, or one's own of which it was made. Anything else is refused."""
    origin = _origin(run)
    if origin is None or file_hash(run.shards[0]) == record.sha256:
        return
    raise ShareError(
        f"{run.folder} is here already, from {origin}, and {offer.origin} has another file of that name; "
        f"make clean MODEL={record.model_id} removes the one that is here"
    )


def _bring(staged: Run, offer: Offer, record: Record, say: Say) -> None:
    """The file, verified, where a worker would have put its shard. A download that broke off is gone on with."""
    target = staged.out / "shard-00000.parquet"
    if target.exists() and file_hash(target) != record.sha256:
        target.unlink()
    with show_download(Path(record.file).name) as bar:
        hub.download_dataset_file(
            offer.repo, offer.commit, record.file, target, record.content, say, bar.move
        )


def _describe(staged: Run, offer: Offer, record: Record, selection: Selection | None) -> None:
    """The JSON files of a run. What decides is this zoo's own card, where it has one."""
    rows = _rows(record) if selection is None else model_rows(selection)
    card: Any = {"representation": [{"name": record.representation, "dimension": record.dimension}]}
    card[ENERGY] = record.model.card.get(ENERGY)
    facts = record.model_dump(mode="json")
    job = {name: facts[name] for name in JOB} | {
        "job_version": JOB_VERSION,
        "family": rows["model"]["family"],
        "model": card if selection is None else selection.model.for_worker(),
        "representations": [record.representation],
        "dataset": record.dataset.name,
        "replaces_all": rows["model"]["family"] == GIVEN,
    }
    said = {name: facts[name] for name in SAID + TIMES} | {
        "status": "ok",
        "seconds": {"total": record.seconds},
    }
    said["shards"] = {staged.shards[0].name: {"size": record.size, "sha256": record.sha256}}
    staged.write("model.json", rows)
    staged.write(
        "runtime.json", {"runtime": FETCHED, "image": record.image, "origin": offer.origin}
    )
    staged.write("job/job.json", job)
    staged.write("out/run.json", said)


def _rows(record: Record) -> dict[str, Any]:
    """The rows of a model that this zoo has no card of, as they were published."""
    facts = record.model_dump(mode="json")
    model = {"model_id": record.model_id} | facts["model"] | {"card_hash": record.card_hash}
    return {"model": model, "scores": facts["scores"]}


def _check(staged: Run, offer: Offer, record: Record, made: MaterializedDataset) -> None:
    """As a run's own shards are checked. What does not pass is removed, and nothing has landed."""
    try:
        _check_schema(staged.shards[0])
        limit = memory_limit(made.n_systems + record.counts.sent, record.dimension)
        with duckdb.connect(
            config={"memory_limit": limit, "temp_directory": str(staged.folder / "tmp")}
        ) as connection:
            _write_sent(connection, staged, record)
            inspect_run(connection, staged)
        fsync(staged.shards[0])
        fsync(staged.systems)
        staged.write("job/job.json", staged.read("job/job.json") | {"sent": stamp(staged.systems)})
        if not _agreement(staged, made)[0]:
            raise ShardError(
                f"none of its systems is in the {made.dataset} that is here, with the same content"
            )
    except (ShardError, duckdb.Error, OSError, ValueError) as error:
        shutil.rmtree(staged.folder)
        reason = one_line(error)
        raise ShareError(
            f"{record.file} in {offer.origin} is refused: {reason}. Nothing of it is stored"
        ) from error
    shutil.rmtree(staged.folder / "tmp", ignore_errors=True)


def _check_schema(file: Path) -> None:
    found = pq.read_schema(file).remove_metadata()
    before = SHARD.remove(
        SHARD.get_field_index(ENERGY)
    )  # files of before there were energies lack them
    if not found.equals(SHARD) and not found.equals(before):
        kinds = [
            ", ".join(f"{field.name} {field.type}" for field in schema) for schema in (found, SHARD)
        ]
        raise ShardError(f"its columns are {kinds[0]}, expected {kinds[1]}")


def _write_sent(connection: duckdb.DuckDBPyConnection, staged: Run, record: Record) -> None:
    """systems.parquet of the job: the names and hashes, which is all that is looked at once a run is finished."""
    target = str(staged.systems).replace("'", "''")
    connection.execute(
        SENT.format(target=target), [escape_glob(staged.shards[0]), f"{record.dataset.name}/"]
    )


def _agreement(run: Run, made: MaterializedDataset) -> tuple[int, int, int]:
    """How many systems of a run are in the dataset here, how many with other content, and how many are not."""
    with duckdb.connect() as connection:
        files = [escape_glob(run.systems), escape_glob(made.systems)]
        same, moved, absent = connection.execute(AGREEMENT, files).fetchall()[0]
    return same, moved, absent


def _stored(layout: Layout, run: Run) -> int | None:
    """How many rows of a run the store holds."""
    if not layout.store.exists():
        return None
    with connect(layout.store, read_only=True) as connection:
        rows = connection.execute(STORED, [run.run_id]).fetchall()
    return int(rows[0][0])
