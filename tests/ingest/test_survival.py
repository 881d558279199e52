"""No kill, disk or folder's name loses a row of the store, or changes one silently."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ingest.layout import Layout
from ingest.runs import load as loading
from ingest.runs.folder import Run, list_runs, lock_run
from ingest.runs.import_vectors import import_vectors
from ingest.runs.imported import ImportedVectors
from ingest.runs.load import finish_interrupted_loads
from ingest.runs.plan import Plan
from ingest.runs.store.access import lock_store
from ingest.systems.materialize import materialize
from ingest.systems.materialized import MaterializedDataset
from schemas.store import connect
from tests.ingest.stores import IDS, first_number, molecules
from zoo.places import ROOT

Make = Callable[..., MaterializedDataset]


Planned = Callable[..., Plan]


Finish = Callable[..., Run]


Contents = Callable[[Path], dict[str, list[str]]]


Fill = Callable[[Path, int], Path]


Said = pytest.CaptureFixture[str]


def run_module(*arguments: str) -> str:
    """Return what a program of the tests prints, once it has ended well."""
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_kills_leave_every_row() -> None:
    # Here one of each kind, for the time they take; more: python -m tests.ingest.soak --kills 500
    assert run_module("tests.ingest.soak", "--kills", "7").splitlines()[-1] == "7 kills, 0 faults"


def test_no_flipped_bit_is_silent() -> None:
    said = run_module("tests.ingest.flips", "--flips", "14")
    found = dict(line.split(": ", 1) for line in said.splitlines())
    assert (
        set(found) == {"vectors", "outcomes", "systems", "json", "store", "wal", "note"}
        and "found" in found["vectors"]
    )


def test_a_load_cut_off_after_its_commit_is_completed(
    layout: Layout, import_mine: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    import_mine("mine")
    with monkeypatch.context() as patch:
        patch.setattr(
            loading, "note_loaded", lambda run: (_ for _ in ()).throw(KeyboardInterrupt("now"))
        )
        with pytest.raises(KeyboardInterrupt, match="now"):
            import_mine("mine", 2.0)
    (run,) = [run for run in list_runs(layout) if not run.loaded]
    said: list[str] = []
    with lock_store(layout):
        finish_interrupted_loads(layout, said.append)
    assert said == [] and not run.loaded  # somebody is at work
    finish_interrupted_loads(layout, said.append)
    assert said == [f"loading {run.run_id}, which was cut off"]
    assert run.read("landed.json")["sequence"] == 2 and not (run.folder / "landing.json").exists()
    assert first_number(layout, "mine") == {2.0}
    finish_interrupted_loads(layout, said.append)
    assert len(said) == 1


def test_what_a_kill_left_half_written_is_removed(
    layout: Layout, import_mine: Callable[..., Run]
) -> None:
    run = import_mine("mine")
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    gone, lives = int(done.stdout), os.getpid()
    for pid in (gone, lives):
        (run.job / f".job.json.{pid}.tmp").write_text("{")
        (run.folder / f".model.json.{pid}.tmp").write_text("{")
    with lock_run(run):
        left = sorted(file.name for file in run.folder.rglob(".*.tmp"))
    assert left == [f".job.json.{lives}.tmp", f".model.json.{lives}.tmp"]


def test_what_a_kill_left_of_a_dataset_is_removed(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from zoo.files import write_folder_atomically\n"
        "with write_folder_atomically(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'systems.parquet').write_bytes(b'half')\n"
        "    print('there', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "many")]
    start = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "cwd": ROOT}
    with subprocess.Popen(command, **start) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == b"there\n"
        (left,) = tmp_path.glob(".many.*.tmp")
        materialize(molecules(3), tmp_path / "many")
        assert left.exists()  # its process lives
        process.kill()
    materialize(molecules(3), tmp_path / "other")
    assert left.exists()  # of another dataset
    (tmp_path / "many" / "dataset.json").unlink()
    materialize(molecules(3), tmp_path / "many")
    assert not left.exists()


def test_zero_has_one_sign(layout: Layout, dataset: Make) -> None:
    made = dataset(20)
    file = layout.store.with_name("zeros.npz")
    vectors = np.array([[-0.0, 1.0], [0.0, 1.0]] * 10)
    np.savez(file, system_id=np.array(IDS), vector=vectors)
    import_vectors(layout, ImportedVectors("zeros", file), made)
    with connect(layout.store, read_only=True) as connection:
        found = connection.execute("SELECT DISTINCT vector[1]::VARCHAR FROM embeddings").fetchall()
        assert found == [("0.0",)]
        places = connection.execute("SELECT positions FROM systems").fetchnumpy()["positions"]
    assert not any(np.signbit(np.array(place.tolist())).any() for place in places)
