"""One command, then SQL answers known in advance: the controls over crystals, end to end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

import query

ROOT = Path(__file__).resolve().parent.parent
CONTROLS = "reference,reference-shuffled,reference-rotated,reference-scaled,random,constant"
N = 120


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    path = tmp_path_factory.mktemp("controls") / "matter.duckdb"
    command = [sys.executable, "-m", "matterzoo", "ingest", CONTROLS, "aflow", "--limit", str(N)]
    command += ["--store", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return query.connect(path)


@pytest.mark.parametrize("metric", ["cka", "cknna", "mutual_knn"])
@pytest.mark.parametrize("copy", ["reference-rotated", "reference-scaled"])
def test_a_rotated_or_scaled_copy_is_the_same(
    store: duckdb.DuckDBPyConnection, metric: str, copy: str
) -> None:
    value, n = store.execute(
        f"SELECT value, n FROM alignment('reference', '{copy}', dataset := 'aflow', "
        f"metric := '{metric}')"
    ).fetchone()
    assert value == pytest.approx(1, abs=1e-5)
    assert n == N


@pytest.mark.parametrize("metric", ["cka", "cknna", "mutual_knn"])
@pytest.mark.parametrize("other", ["random", "reference-shuffled"])
def test_what_is_unrelated_lies_inside_the_null(
    store: duckdb.DuckDBPyConnection, metric: str, other: str
) -> None:
    value, mean, std, p, calibrated = store.execute(
        "SELECT value, null_mean, null_std, p_value, calibrated FROM alignment('reference', "
        f"'{other}', dataset := 'aflow', metric := '{metric}', permutations := 500)"
    ).fetchone()
    assert abs(value - mean) < 4 * std
    assert p > 0.005
    assert calibrated < 0.05


def test_the_copies_stand_out_from_the_null(store: duckdb.DuckDBPyConnection) -> None:
    p, calibrated = store.execute(
        "SELECT p_value, calibrated "
        "FROM alignment('reference', 'reference-rotated', dataset := 'aflow')"
    ).fetchone()
    assert p == pytest.approx(1 / 101)
    assert calibrated == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("metric", ["cka", "cknna", "mutual_knn"])
def test_the_constant_one_is_null_with_a_reason(
    store: duckdb.DuckDBPyConnection, metric: str
) -> None:
    value, reason = store.execute(
        f"SELECT value, reason FROM alignment('reference', 'constant', dataset := 'aflow', "
        f"metric := '{metric}')"
    ).fetchone()
    assert value is None
    assert "constant" in reason
    assert "same" in reason


def test_every_run_adds_up(store: duckdb.DuckDBPyConnection) -> None:
    runs = store.execute(
        "SELECT model_id, sent, ok, failed, not_applicable FROM runs ORDER BY model_id"
    ).fetchall()
    assert [run[0] for run in runs] == sorted(CONTROLS.split(","))
    assert all(sent == N == ok + failed + na for _, sent, ok, failed, na in runs)
