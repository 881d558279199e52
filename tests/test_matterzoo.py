"""The public face: what `import matterzoo` offers, and what the one command does about errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import matterzoo as mz
from zoo.command_line import ExtraMissing, missing_extra
from zoo.places import ROOT

HEAVY = {"torch", "numba", "scipy", "duckdb", "rdkit", "pymatgen", "ase", "altair", "pydantic"}
CRYSTALS = ["Fe", "Cu", "Al", "Si", "Ni", "elements/Au"]


@pytest.fixture
def vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(len(CRYSTALS), 4))


@pytest.fixture
def store(tmp_path: Path, vectors: np.ndarray) -> Path:
    """A store that holds vectors of a user's own."""
    path = tmp_path / "matter.duckdb"
    mz.load_vectors("my-model", "elements", CRYSTALS, vectors, store=path, license="CC0-1.0")
    return path


def test_all_that_is_offered_is_there() -> None:
    assert all(hasattr(mz, name) for name in mz.__all__)
    with pytest.raises(AttributeError, match="'matterzoo' has no attribute 'tables'"):
        _ = mz.tables


def run(program: str) -> str:
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("rest", ["", "; matterzoo._make_parser()"], ids=["import", "help"])
def test_an_import_and_the_help_need_nothing_heavy(rest: str) -> None:
    program = f"import sys, matterzoo{rest}; print(*{{n.split('.')[0] for n in sys.modules}})"
    assert HEAVY & set(run(program).split()) == set()


def test_housekeeping_needs_no_client_of_engines() -> None:
    program = "import sys, ingest.commands.housekeeping; print('docker' in sys.modules)"
    assert run(program) == "False\n"


def test_two_arrays_are_aligned_without_a_store() -> None:
    a = np.random.default_rng(0).normal(size=(40, 6))
    found = mz.align(a, 3 * a[:, ::-1], "mutual_knn", k=5, permutations=19)
    assert (found.value, found.n, found.k, found.p_value) == (1.0, 40, 5, 0.05)
    constant = mz.align(a, np.ones((40, 3)), k=5)
    assert constant.value is None and constant.reason


def test_vectors_of_ones_own_are_asked_for_by_name(store: Path, vectors: np.ndarray) -> None:
    with mz.connect(store) as connection:
        rows = connection.sql("SELECT system_id, vector FROM embeddings ORDER BY ALL").fetchall()
        license = connection.sql("SELECT license_weights FROM models").fetchone()
    expected = sorted(zip(CRYSTALS, vectors.astype(np.float32).tolist(), strict=True))
    expected = [(f"elements/{name.removeprefix('elements/')}", row) for name, row in expected]
    assert rows == sorted(expected)
    assert license == ("CC0-1.0",)


def test_vectors_that_do_not_fit_their_ids_are_refused(tmp_path: Path) -> None:
    with pytest.raises(mz.MatterzooError, match=r"2 ids and vectors of shape \(3, 4\); expected"):
        mz.load_vectors(
            "my-model", "elements", ["Fe", "Cu"], np.zeros((3, 4)), store=tmp_path / "x"
        )


def test_errors_of_functions_are_exceptions(tmp_path: Path) -> None:
    with pytest.raises(mz.MatterzooError, match="no model is named 'chgnt'; did you mean 'chgnet"):
        mz.ingest("chgnt", "elements", store=tmp_path / "x.duckdb")
    with pytest.raises(mz.MatterzooError, match="argument --limit: '0' is not a whole number"):
        mz.plan("chgnet-0.3.0", "elements", limit=0)
    with pytest.raises(mz.MatterzooError, match="argument --limit: '0' is not a whole number"):
        mz.ingest("random", "elements", limit=0, store=tmp_path / "x.duckdb")
    with pytest.raises(mz.MatterzooError, match="'a/b' cannot be a model's id"):
        mz.load_vectors("a/b", "elements", ["Fe"], np.ones((1, 2)), store=tmp_path / "x.duckdb")
    with pytest.raises(mz.MatterzooError, match="there is no store at"):
        mz.connect(tmp_path / "none.duckdb")


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ([], 2, "error: the following arguments are required: COMMAND; see matterzoo --help\n"),
        (["ingst"], 2, "error: no command is named 'ingst'; did you mean 'ingest'"),
        (["ingest", "x"], 2, "the following arguments are required: dataset; see matterzoo ingest"),
        (["info", "no-model"], 2, "error: no model is named 'no-model'"),
        (["info", "@"], 2, "error: no model is named '@'; there are "),
        (["weights", ""], 2, "error: argument MODELS: '' names nothing; see matterzoo weights"),
        (["pin", ","], 2, "error: argument model: ',' names nothing"),
        (["pull", ""], 2, "error: argument family: '' names nothing"),
        (["report", ","], 2, "error: argument dataset: ',' names nothing"),
        (["publish", "", "elements", "a/b"], 2, "error: argument model: '' names nothing"),
        (["check", "--family", ""], 2, "error: argument --family: '' names nothing"),
        (["query", "SELECT 1", "--store", ""], 2, "error: argument --store: '' names nothing"),
        (["query", "SELECT 1", "--out", ""], 2, "error: argument --out: '' names nothing"),
        (["query", "SELECT 1", "--parquet", ""], 2, "error: argument --parquet: '' names nothing"),
        (
            ["query", "FROM nothing", "--store", "/nowhere/x.duckdb"],
            2,
            "error: there is no store at",
        ),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    line: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mz.main(line) == code
    out, err = capsys.readouterr()
    assert out == "" and says in err and err.startswith("error: ") and err.count("\n") == 1


def test_a_missing_package_names_its_extra() -> None:
    error = missing_extra(ModuleNotFoundError("no", name="rdkit.Chem"))
    assert isinstance(error, ExtraMissing) and "pip install 'matterzoo[ingest]'" in str(error)
    other = ModuleNotFoundError("no", name="my_module")
    assert missing_extra(other) is other
