"""Ctrl-C while a question runs, sent to real processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import query
from query.sql.interrupt import INTERRUPTED
from tests.query import stores

ROOT = Path(__file__).resolve().parents[3]
MODELS, N, DIMENSION = 7, 4000, 64
ASK = (
    "SELECT count(value) AS n FROM alignment_matrix(metric := 'cknna, "
    "distance_correlation', permutations := 0)"
)
IN_PYTHON = f"""
import sys, duckdb, query
con = query.connect(sys.argv[1])
try:
    con.sql("{ASK}").fetchall()
except duckdb.Error as error:
    print(str(error).splitlines()[0])
print(con.sql("SELECT 41 + 1").fetchall())
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stores.make(
        tmp_path_factory.mktemp("many") / "matter.duckdb", stores.tables(MODELS, N, DIMENSION)
    )


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "matter.duckdb"
    copy.write_bytes(made.read_bytes())
    return copy


def kept(path: Path) -> dict[Path, int]:
    """What the cache holds, each file with its number: one that is written again has another."""
    return {file: file.stat().st_ino for file in cache(path).glob("*")}


def cache(path: Path) -> Path:
    return path.with_suffix(".data") / "cache"


def interrupted(command: list[str], path: Path, text: str = "") -> tuple[int, str, str, float]:
    """Send Ctrl-C as soon as lists of two models are kept.

    Returns the exit code, the output, the errors but for the progress that a slow machine has time
    to report, and the seconds to the end.
    """
    typed = path.with_name("typed")
    typed.write_text(text)
    with (
        typed.open() as stdin,
        subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            text=True,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process,
    ):
        end = time.monotonic() + 120
        while len(list(cache(path).glob("*.lists"))) < 2 and time.monotonic() < end:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        out, err = process.communicate()
    errors = [line for line in err.splitlines(keepends=True) if not line.endswith(" done\n")]
    return process.returncode, out, "".join(errors), time.monotonic() - sent


def assert_goes_on(path: Path) -> None:
    """What is kept is whole and not found again."""
    before = kept(path)
    assert 2 <= len(before) < MODELS
    assert {file.suffix for file in before} == {".lists"}
    with query.connect(path) as con:
        assert con.sql(ASK).fetchall() == [(2 * MODELS**2,)]
    after = kept(path)
    assert len(after) == MODELS
    assert before.items() <= after.items()


def test_the_command_ends_and_the_next_one_goes_on(path: Path) -> None:
    code, out, err, seconds = interrupted(
        ["-m", "matterzoo", "query", "--store", str(path), ASK], path
    )
    # A machine that is slow has shown how far it got before.
    assert (code, out, err.splitlines()[-1]) == (130, "", INTERRUPTED)
    assert seconds < 10
    assert_goes_on(path)


@pytest.mark.parametrize("threads", [1, 4])
def test_the_shell_stays(path: Path, threads: int) -> None:
    text = f"SET threads = {threads};\n{ASK};\nSELECT 41 + 1 AS answer;\n"
    code, out, err, _ = interrupted(["-m", "matterzoo", "shell", "--store", str(path)], path, text)
    assert (code, err.splitlines()[0]) == (0, "interrupted")
    assert "42" in out
    if threads == 1:  # else what was asked goes on behind the scenes; see query/sql/interrupt.py
        assert_goes_on(path)


def test_a_connection_in_python_stays_usable(path: Path) -> None:
    code, out, err, _ = interrupted(["-c", IN_PYTHON, str(path)], path)
    assert (code, err) == (0, "")
    error, answer = out.splitlines()
    assert "KeyboardInterrupt: interrupted; the neighbors of models that are done are kept" in error
    assert answer == "[(42,)]"
    assert_goes_on(path)


@pytest.mark.parametrize("module", ["_duckdb", "numpy", "pyarrow.lib"])
@pytest.mark.parametrize("words", [["query", "SELECT 1"], ["du"], ["doctor"]])
def test_a_program_that_still_imports_ends_without_a_traceback(
    words: list[str], module: str, tmp_path: Path
) -> None:
    command = [
        sys.executable,
        "-X",
        "importtime",
        "-m",
        "matterzoo",
        *words,
        "--store",
        str(tmp_path / "matter.duckdb"),
    ]
    with subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.rstrip().endswith(f" {module}"):
                break
        process.send_signal(signal.SIGINT)
        left = [line for line in process.stderr if not line.startswith("import time:")]
    assert len(left) == 1 and left[0].startswith("interrupted; ")
    assert process.returncode in (130, -signal.SIGINT)  # a shell reports both as 130
