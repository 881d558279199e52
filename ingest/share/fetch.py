"""Fetching published vectors: each file becomes a finished run, and is loaded like one's own."""

from __future__ import annotations

from contextlib import suppress

from ingest.callbacks import Log
from ingest.layout import Layout
from ingest.runs.folder import Run, list_runs
from ingest.runs.load import load
from ingest.runs.vectors.files import is_whole
from ingest.share.offer import Offer
from ingest.share.permission import find_local_model
from ingest.share.record import PublishedRun, ShareError
from ingest.share.staging import compare_systems, stage_run
from ingest.systems.materialized import MaterializedDataset
from schemas.store import connect
from zoo.cards.base import CardError
from zoo.cards.family import Selection

_STORE_SECONDS = 30.0  # to wait for a store that others use
_STORED_ROWS = """
SELECT count(*)
FROM (
    SELECT run_id FROM embeddings
    UNION ALL SELECT run_id FROM node_embeddings WHERE node = 0
    UNION ALL SELECT run_id FROM failures
)
WHERE run_id = ?
"""


def fetch_vectors(layout: Layout, offer: Offer, dataset: MaterializedDataset, log: Log) -> None:
    """Load what is offered, file by file, in the order in which it was made.

    What is stored already is not loaded again.

    Args:
        layout: The store.
        offer: Files of one model over one dataset.
        dataset: The dataset of the same name on this machine.
        log: Prints one line.

    Raises:
        ShareError: A file is refused; files before it stay loaded.
    """
    selection = find_local_model(offer.records[0].model_id)
    for record in offer.records:
        _refuse_by_card(record, selection, offer)
    if selection is None:
        _refuse_namesake(layout, offer)
    for record in offer.records:
        _fetch(layout, offer, record, selection, dataset, log)


def _refuse_by_card(record: PublishedRun, selection: Selection | None, offer: Offer) -> None:
    """Refuse a record that was not made by this zoo's card, or by one card for all records."""
    expected = offer.records[-1].card_hash if selection is None else selection.card_hash
    if record.card_hash != expected:
        raise ShareError(
            f"the vectors of {record.model_id} in {offer.origin} were made by another version of "
            f"its card ({record.card_hash[:12]}…, expected {expected[:12]}…), with matterzoo "
            f"{record.matterzoo}: they cannot stand beside others of that name. "
            + _card_remedy(selection)
        )
    if selection is not None:
        _refuse_by_facts(record, selection, offer)


def _card_remedy(selection: Selection | None) -> str:
    if selection is not None and not selection.model.weights.pinned(untrained=selection.untrained):
        return (
            "Its weights are not pinned here, and that may be the only difference: "
            f"matterzoo weights {selection.model_id}"
        )
    return "Give another --revision, or use the version of matterzoo that made them"


def _refuse_by_facts(record: PublishedRun, selection: Selection, offer: Offer) -> None:
    files = selection.model.weights.needed(untrained=selection.untrained)
    weights = {file.path: file.sha256 for file in files}
    for what, found, expected in (
        ("dimension", record.dimension, _dimension_of(selection, record.representation)),
        ("weights", record.weights, weights),
        ("seed of the untrained weights", record.untrained_seed, selection.untrained_seed),
    ):
        if found != expected:
            raise ShareError(
                f"{record.file} in {offer.origin} is refused: it says {what} {found}, and the card "
                f"of {record.model_id} says {expected}"
            )


def _dimension_of(selection: Selection, representation: str) -> int | None:
    with suppress(CardError):
        return selection.model.find_representation(representation).dimension
    return None


def _refuse_namesake(layout: Layout, offer: Offer) -> None:
    """Refuse a model without a card if the store has one of the same name from elsewhere.

    Without a card, nothing shows that two models of one name are the same.
    """
    model_id = offer.records[0].model_id
    for run in list_runs(layout):
        if run.model_id != model_id:
            continue
        origin = _origin(run)
        if origin is None or origin.rpartition("@")[0] != offer.repo:
            raise ShareError(
                f"{layout.data} holds vectors of a model named {model_id} that came from "
                f"{origin or 'this machine'}, and nothing shows that {offer.repo} means the same "
                f"model; `matterzoo clean {model_id}` removes them"
            )


def _origin(run: Run) -> str | None:
    """Return where a run was fetched from, None if it was computed here."""
    if not (run.folder / "runtime.json").exists():
        return None
    found: str | None = run.read("runtime.json").get("origin")
    return found


def _fetch(
    layout: Layout,
    offer: Offer,
    record: PublishedRun,
    selection: Selection | None,
    dataset: MaterializedDataset,
    log: Log,
) -> None:
    run = Run.of(layout, record.run_id)
    if run.finished and is_whole(run):
        _refuse_other_content(run, record, offer)
    else:
        stage_run(layout, offer, record, selection, dataset, log)
    name = f"{record.model_id} on {dataset.dataset} ({record.representation})"
    agreement, counts = compare_systems(run, dataset), record.counts
    if _count_stored(layout, run) == agreement.same:
        log(f"{name}: {agreement.same} of {counts.sent} systems already stored; nothing to do")
        return
    load(layout, run, patience=_STORE_SECONDS, log=log)
    log(
        f"{name}: {counts.ok} ok, {counts.failed} failed, {counts.not_applicable} not applicable "
        f"-> {layout.store}"
    )
    for count, what in (
        (agreement.absent, "not in"),
        (agreement.changed, "with other content in"),
    ):
        if count:
            log(
                f"  {count} systems are {what} the {dataset.dataset} on this machine, "
                "so they are left out"
            )


def _refuse_other_content(run: Run, record: PublishedRun, offer: Offer) -> None:
    """Refuse a record if another run has its name; a run of one's own was published as it."""
    origin = _origin(run)
    fetched = run.read("out/run.json").get("shards", {}).values()
    if origin is None or [stamp["sha256"] for stamp in fetched] == [record.sha256]:
        return
    raise ShareError(
        f"{run.folder} is here already, from {origin}, and {offer.origin} has another file of that "
        f"name; `matterzoo clean {record.model_id}` removes the one that is here"
    )


def _count_stored(layout: Layout, run: Run) -> int | None:
    """Return how many rows of a run the store holds, None if there is no store."""
    if not layout.store.exists():
        return None
    with connect(layout.store, read_only=True) as connection:
        rows = connection.execute(_STORED_ROWS, [run.run_id]).fetchall()
    return int(rows[0][0])
