"""The accounts in docs: their SQL prints their numbers, on the systems and models they name."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import query
from tests.documents import ROOT, assert_prints, sql_blocks
from tests.query.embed_accounts import LAYERED, MODELS, NODES

ACCOUNTS = [
    ROOT / "docs" / name for name in ("account.md", "modalities.md", "inside.md", "worth.md")
]
SHOWN = [*ACCOUNTS, ROOT / "query" / "README.md"]
BLOCKS = [block for document in SHOWN for block in sql_blocks(document)]
STORE = Path(os.environ.get("MATTERZOO_STORE") or ROOT / "matter.duckdb")
# In SQL that needs more than the default representations.
INSIDE = re.compile("layer|depth|pooling|node")
# The systems of each dataset, from lines such as | `nci` | 500 | …
SYSTEMS = {
    name: int(n)
    for account in ACCOUNTS
    for name, n in re.findall(r"^\| `(\w+)` \| (\d+) \|", account.read_text(), re.MULTILINE)
}


def test_the_accounts_name_their_systems_and_show_sql() -> None:
    assert set(MODELS) == set(SYSTEMS)
    assert all(f"'{name}'" in "".join(sql for sql, _ in BLOCKS) for name in SYSTEMS)


@pytest.fixture(scope="module")
def sent() -> dict[str, int]:
    """Return, by dataset, how many systems each of an account's models was run on."""
    if not STORE.exists():
        return {}
    with query.connect(STORE) as connection:
        rows = connection.execute(
            "SELECT dataset, model_id, max(sent) FROM runs WHERE status = 'ok' GROUP BY ALL"
        ).fetchall()
    found = {(dataset, model_id): sent for dataset, model_id, sent in rows}
    return {
        dataset: min(found.get((dataset, model_id), 0) for model_id in models.split(","))
        for dataset, models in MODELS.items()
    }


@pytest.fixture(scope="module")
def layered() -> set[str]:
    """Return the datasets on which an account's models have their layers and atoms."""
    if not STORE.exists():
        return set()
    with query.connect(STORE) as connection:
        rows = connection.execute("SELECT dataset, model_id, representation FROM vector_files")
        stored = set(rows.fetchall())
    wanted = {
        dataset: {
            (dataset, model_id, name.replace("layers", "layer-1"))
            for names, models in some.items()
            for name in names.split(",")
            for model_id in models.split(",")
        }
        for dataset, some in LAYERED.items()
    }
    for dataset, some in NODES.items():
        wanted[dataset] |= {
            (dataset, model_id, f"{name}:nodes")
            for name, models in some.items()
            for model_id in models.split(",")
        }
    return {dataset for dataset, its in wanted.items() if its <= stored}


@pytest.mark.parametrize(("sql", "printed"), BLOCKS, ids=range(len(BLOCKS)))
def test_its_numbers_are_what_its_sql_gives(
    sent: dict[str, int], layered: set[str], sql: str, printed: str
) -> None:
    missing = [name for name, n in SYSTEMS.items() if f"'{name}'" in sql and sent.get(name) != n]
    if INSIDE.search(sql):
        missing += [name for name in LAYERED if f"'{name}'" in sql and name not in layered]
    if missing:
        pytest.skip(
            f"needs all models of {', '.join(dict.fromkeys(missing))} in {STORE.name}: "
            "run `make account`, which takes about three quarters of an hour"
        )
    assert_prints(STORE, sql, printed)
