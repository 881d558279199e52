"""Shards hold what the contract says, and belong to one run."""

from __future__ import annotations

import pyarrow.parquet as pq

from tests.zoo.worker.toy import (
    Toy,
    atoms,
    smiles_system,
)
from zoo.worker.batching import WINDOW
from zoo.worker.tables import SHARD


def test_shard_has_the_contract_s_columns_and_metadata(toy: Toy) -> None:
    # The full disk ends the run before its shards are merged.
    systems = [atoms("a", [1, 8]), smiles_system("late"), smiles_system("full")]
    toy.write(systems, batch=1).run(code=1)
    [path] = toy.shards()
    table = pq.read_table(path)
    assert table.schema.equals(SHARD)
    assert {k.decode(): v.decode() for k, v in table.schema.metadata.items()} == {
        "run_id": "run-1",
        "model_id": "toy-1",
        "card_hash": "c",
        "window": "0",
    }
    assert table.column("representation").to_pylist() == ["first", "first", "second", "second"]
    assert table.column("vector").to_pylist() == [[1.0, 2.5], None, [1.0, 2.5], None]
    assert set(table.column("content_hash").to_pylist()) == {"hash of a", "hash of late"}
    assert pq.ParquetFile(path).num_row_groups == 2


def test_a_shard_holds_at_most_a_window(toy: Toy) -> None:
    systems = [atoms(f"s{i}", [1]) for i in range(2 * WINDOW + 1)]
    toy.write([*systems, smiles_system("full")], batch=1).run(code=1)
    assert [pq.read_metadata(p).num_rows // 2 for p in toy.shards()] == [
        WINDOW,
        WINDOW,
        1,
    ]


def test_shards_of_another_run_are_refused(toy: Toy) -> None:
    systems = [atoms("a", [1]), smiles_system("full")]
    toy.write(systems, batch=1).run(code=1)
    events = toy.write(systems, run_id="run-2").run(code=1)
    assert "shard-00000.parquet is of run 'run-1', not 'run-2'" in events[-1]["message"]
