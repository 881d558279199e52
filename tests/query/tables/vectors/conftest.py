"""Labels that vectors of the small store hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray

import query
from schemas import store
from tests.query.conftest import system_ids

IDS = system_ids("crystals")


@pytest.fixture(scope="session")
def labeled(
    energies_path: Path,
    vectors: dict[str, NDArray[np.float32]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """The store with energies, and with labels that 'base' holds.

    'seen' is linear in it, 'high' says which are above the middle, 'split' half of 'seen' by each
    of two sources, 'kind' has six values. 'near' has the untrained twin 'noise'.
    """
    path = tmp_path_factory.mktemp("labeled") / "matter.duckdb"
    path.write_bytes(energies_path.read_bytes())
    base = vectors["base"].astype(np.float64)
    seen = base[:, 0] + base[:, 1]
    rows = [(i, "seen", v, "eV", "lab") for i, v in zip(IDS, seen, strict=True)]
    rows += [(i, "high", float(v > 0), "1", "lab") for i, v in zip(IDS, seen, strict=True)]
    rows += [(i, "kind", k % 6, "1", "lab") for k, i in enumerate(IDS[3:])]
    rows += [(i, "split", v, "eV", f"lab {i > IDS[30]}") for i, v in zip(IDS, seen, strict=True)]
    rows += [(i, "few", v, "eV", "lab") for i, v in zip(IDS[:8], seen, strict=False)]
    with store.connect(path) as connection:
        connection.executemany("INSERT INTO labels VALUES (?, ?, ?, ?, ?)", rows)
        connection.execute("UPDATE models SET untrained_of = 'near' WHERE model_id = 'noise'")
        connection.execute("UPDATE models SET parameters = 0 WHERE model_id = 'far'")
    with query.connect(path) as connection:
        yield connection
