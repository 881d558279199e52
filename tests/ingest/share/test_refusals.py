"""Published files that are not what they should be are refused, and nothing is stored."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ingest.layout import Layout
from ingest.runs.folder import list_runs
from ingest.share.publish import publish_vectors
from ingest.share.record import INDEX, ShareError
from tests.hub import Hub
from tests.ingest.share.repositories import (
    REPO,
    Tables,
    as_rows,
    changed,
    fetch_all,
    files,
    quiet,
    records,
    repository,
    with_bytes,
    with_table,
)

# The hub's client uploads in a way that its own HTTP library has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def altered(hub: Hub) -> None:
    """Other bytes, and a record of those that were."""
    (record,) = records(hub)
    repository(hub).commit({record["file"]: files(hub)[record["file"]][::-1]})


def nameless(hub: Hub) -> None:
    repository(hub).commit({INDEX: b"{]\n"})


def twice(hub: Hub) -> None:
    repository(hub).commit({INDEX: files(hub)[INDEX] * 2})


def of_run(table: pa.Table) -> pa.Table:
    return table.replace_schema_metadata(
        {**table.schema.metadata, b"run_id": b"toy--tiny--000000000000"}
    )


def as_doubles(table: pa.Table) -> pa.Table:
    wide = table["vector"].cast(pa.list_(pa.float64()))
    return table.set_column(table.schema.get_field_index("vector"), "vector", wide)


HARM: dict[str, tuple[Callable[[Hub], None], str]] = {
    "altered": (altered, "is refused: the hub has one with sha256 [0-9a-f]{64}, expected"),
    "truncated": (changed(size=17), r"is refused: the hub has [\d,]+ bytes, expected 17"),
    "no index": (
        nameless,
        f"{REPO}/{INDEX} is not an index of this version of matterzoo: line 1, ",
    ),
    "named twice": (twice, f"{REPO}/{INDEX} names data/tiny/toy/nodes/.* 2 times, expected once"),
    "unknown field": (changed(more=1), "line 1, more: Extra inputs are not permitted"),
    "later format": (changed(format=2), "line 1, format: Input should be 1"),
    "another place": (
        changed(file="../../etc/passwd"),
        "its file is '../../etc/passwd', expected 'data/tiny/toy/",
    ),
    "another folder": (changed(run_id="../../../x"), "line 1, run_id: String should match"),
    "a terminal's order": (
        changed(model__title="\x1b[2J"),
        "line 1, model.title: String should match",
    ),
    "not Parquet": (
        with_bytes(b"PAR1 and no more"),
        r"nodes/.*is refused: .*Nothing of it is stored",
    ),
    "another schema": (
        with_table(as_doubles),
        r"is refused: its columns are .*vector list<.*double>, .*expected",
    ),
    "a column less": (
        with_table(lambda t: t.drop_columns(["reason"])),
        "is refused: its columns are",
    ),
    "an energy": (
        as_rows(lambda r: r[3].update(energy=1.0)),
        "s0003 has an energy, and its model's card promises none",
    ),
    "another run's": (
        with_table(of_run),
        "written with run_id 'toy--tiny--000000000000', expected",
    ),
    "not a number": (
        as_rows(lambda r: r[3].update(vector=[1, np.nan, 2])),
        "toy--tiny--.* has a vector that is not finite",
    ),
    "infinite": (
        as_rows(lambda r: r[3].update(vector=[1, np.inf, 2])),
        "toy--tiny--.* has a vector that is not finite",
    ),
    "longer": (
        as_rows(lambda r: r[3].update(vector=[1.0] * 4)),
        "it has vectors of another length than the card says, 3",
    ),
    "a number missing": (
        as_rows(lambda r: r[3].update(vector=[1.0, None, 2.0])),
        "it has vectors of another length than the card says, 3",
    ),
    "twice a row": (as_rows(lambda r: r.append(r[3])), "tiny/s0003 after tiny/s0003"),
    "fewer rows": (with_table(lambda t: t.slice(0, 9)), "its files hold .*but its run.json says"),
    "another dataset's": (
        as_rows(lambda r: r[3].update(system_id="g2/x")),
        "g2/x was not sent, or not with this",
    ),
    "another representation": (
        as_rows(lambda r: r[3].update(representation="whole")),
        "s0003 was sent and is not there|s0003 was not sent",
    ),
    "no reason": (
        as_rows(lambda r: r[19].update(reason="")),
        "s0019 is not ok and gives no reason",
    ),
    "another status": (
        as_rows(lambda r: r[19].update(status="gone")),
        "s0019 has a status other than",
    ),
    "other counts": (
        changed(counts__ok=20, counts__failed=0),
        "its files hold .*, but its run.json says",
    ),
    "another card": (
        changed(card_hash="0" * 64),
        "made by another version of its card .0{12}…, expected",
    ),
    "another length": (
        changed(dimension=4),
        "is refused: it says dimension 4, and the card of toy says 3",
    ),
    "other weights": (
        changed(weights={"a": "0" * 64}),
        "is refused: it says weights .*, and the card of toy says {}",
    ),
    "a seed": (
        changed(untrained_seed=5),
        "says seed of the untrained weights 5, and the card of toy says None",
    ),
}


def test_what_may_not_land(
    hub: Hub,
    layout: Layout,
    loaded: Any,
    other: Callable[[], Layout],
    contents: Tables,
    subtests: pytest.Subtests,
) -> None:
    loaded()
    publish_vectors(layout, "toy", "tiny", REPO, None, quiet)
    published = repository(hub).branches["main"]
    for harm, (act, message) in HARM.items():
        with subtests.test(harm):
            act(hub)
            place = other()
            with pytest.raises(ShareError, match=message):
                fetch_all(place)
            assert not place.store.exists() and list_runs(place) == []
            assert not [path for path in (place.data / "fetched").rglob("shard-*.parquet")]
        repository(hub).branches["main"] = published
        shutil.rmtree(place.store.parent)
