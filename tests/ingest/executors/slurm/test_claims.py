"""What is said of submissions, and claimed by them, is what their jobs are still going to do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ingest.executors.shared.claims import Claims, claims_of_commands
from ingest.executors.shared.staging import Staging
from ingest.executors.shared.submission import LOADED, MISSING, Submission
from ingest.executors.shared.work import compute_task
from ingest.executors.shared.work_left import find_work
from ingest.executors.slurm.claims import find_claims, find_claims_elsewhere
from ingest.executors.slurm.engine import SlurmError
from ingest.executors.slurm.overview import cancel_submissions, describe_submissions
from ingest.executors.slurm.strips import cancel_matrices, describe_matrices
from ingest.integrity import Damaged, write_json
from ingest.layout import Layout
from ingest.maintenance.clean_submissions import clean_submissions
from ingest.runs.errors import RequestError
from ingest.runs.folder import Run
from ingest.runs.plan import Plan
from ingest.runs.request import Request
from ingest.runtimes.venv import RUNTIME
from ingest.systems.materialized import MaterializedDataset
from matterzoo import main
from schemas.errors import StoreError
from zoo.cards.discovery import find_model
from zoo.files import file_lock


def submit(layout: Layout, name: str, run: Run, outcome: str | None) -> Submission:
    """Leave what a submission of one chunk has left."""
    found = Submission(layout, name)
    content = {
        "tasks": [[run.run_id]],
        "load": [],
        "command": "matterzoo ingest",
        "runtime": "venv",
    }
    write_json(found.folder / "submission.json", content)
    if outcome is not None:
        found.note_outcome(run, outcome)
    return found


def test_a_submission_is_open_until_all_of_it_is_loaded(
    layout: Layout,
    dataset: Callable[..., MaterializedDataset],
    planned: Callable[..., Plan],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    run = planned(dataset(3)).run
    assert run is not None
    for day, outcome in enumerate((LOADED, MISSING, None, LOADED), start=1):
        submit(layout, f"2026010{day}-000000-abcd", run, outcome)
    said = "\n".join(describe_submissions(layout))
    assert "20260101" not in said
    assert "20260102-000000-abcd: no load job was submitted\n  1 chunk: 1 missing" in said
    assert "20260103-000000-abcd: no load job was submitted\n  1 chunk: 1 not begun" in said
    assert "20260104-000000-abcd" in said  # the latest
    run.write("landed.json", {})  # by whatever came later
    assert "20260102" not in "\n".join(describe_submissions(layout))


def test_what_is_damaged_is_named_and_the_rest_is_shown(
    layout: Layout,
    dataset: Callable[..., MaterializedDataset],
    planned: Callable[..., Plan],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    run = planned(dataset(3)).run
    assert run is not None
    days = [f"2026010{day}-000000-abcd" for day in range(1, 5)]
    found = [submit(layout, name, run, None) for name in days]
    (found[1].folder / "submission.json").write_text('{"tasks": [], "sha')
    (found[2].folder / "jobs.json").write_text("[]")
    (layout.strips / "lost").mkdir(parents=True)
    write_json(layout.strips / "key" / "question.json", {"total": 3, "command": "again"})
    said = "\n".join([*describe_matrices(layout), *describe_submissions(layout)])
    named = f"{days[1]}: {found[1].folder / 'submission.json'} is damaged: it is not JSON"
    assert named in said
    assert f"is lost: `matterzoo clean --submissions {days[1]}` removes the submission" in said
    assert f"{found[2].folder / 'jobs.json'} is damaged" in said and "alone: remove it" in said
    assert "matrix key: 0 of 3 strips found\n  `again` goes on" in said
    assert f"matrix lost: {layout.strips / 'lost' / 'question.json'} cannot be read" in said
    assert all(f"{name}: no load job was submitted" in said for name in (days[0], days[3]))
    with pytest.raises(Damaged, match="is damaged: .*; nothing that was computed is lost: `mat"):
        compute_task(found[1], 0)
    assert main(["clean", "--submissions", days[1]]) == 0  # no script of Slurm's: none is asked
    assert "submission.json is damaged" in capfd.readouterr().out
    assert not found[1].folder.exists() and found[0].folder.exists()


def test_what_a_command_has_ray_compute_is_claimed_while_it_lives(
    layout: Layout,
    dataset: Callable[..., MaterializedDataset],
    planned: Callable[..., Plan],
    finish: Callable[..., Run],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    made = dataset(3)
    first, second = (planned(made, name).runs[0] for name in ("toy", "toy-picky"))
    submission = Submission(layout, "20260101-000000-abcd")
    content = {"engine": "ray", "tasks": [[first.run_id, second.run_id]], "load": []}
    write_json(submission.folder / "submission.json", content)
    assert claims_of_commands(layout) == Claims()
    with file_lock(submission.lock):
        assert set(claims_of_commands(layout).computing) == {first, second}
        finish(first)
        claims = claims_of_commands(layout)
        assert (set(claims.computing), set(claims.loading)) == ({second}, {first, second})
        work = find_work(
            Staging(layout, RUNTIME), [Request(find_model("toy"), made, ("nodes",))], claims
        )
        assert (work[0].chunks, work[0].load, work[1]) == ([], [], [])
        submission.note_outcome(first, LOADED)
        assert set(claims_of_commands(layout).loading) == {second}
    monkeypatch.setenv("PATH", "/nowhere")
    assert find_claims_elsewhere(layout) == Claims()
    assert capfd.readouterr().out.count("Slurm") == 0
    later = submit(layout, "20260102-000000-abcd", second, None)
    assert find_claims_elsewhere(layout) == Claims()
    assert "jobs of Slurm may be at some chunks" in capfd.readouterr().out
    (later.folder / "load.sbatch").touch()
    (later.folder / "submission.json").write_text("{")  # what its jobs compute is not known
    assert find_claims_elsewhere(layout) == Claims()
    assert "jobs of Slurm may be at some chunks" in capfd.readouterr().out


def test_where_there_is_no_slurm_nothing_is_taken_for_unclaimed(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SlurmError, match="there is no squeue here"):
        find_claims(layout)
    nothing = f"nothing was submitted for {layout.store}"
    assert list(describe_submissions(layout)) == [nothing]
    with pytest.raises(RequestError, match="nothing was submitted for"):
        clean_submissions(layout, "all", yes=True)
    submission = Submission(layout, "20260101-000000-abcd")
    write_json(submission.folder / "submission.json", {"tasks": [], "load": []})
    for names in ("all", submission.name):
        with pytest.raises(SlurmError, match="is not known, so nothing was removed: there is no"):
            clean_submissions(layout, names, yes=True)
    for path in (f"{submission.name}/", f"./{submission.name}"):  # no job has such a name
        with pytest.raises(StoreError, match="is a path; expected the name of a submission"):
            clean_submissions(layout, path, yes=True)
    assert submission.folder.exists()
    theirs = {"engine": "ray", "user": "somebody", "tasks": [], "load": []}
    write_json(submission.folder / "submission.json", theirs)
    with pytest.raises(RequestError, match="no submission of yours for .* has all its jobs over"):
        clean_submissions(layout, "all", yes=True)
    write_json(layout.strips / "key" / "question.json", {})  # of a matrix that is found here
    with file_lock(submission.lock):
        said = [*cancel_matrices(layout), *cancel_submissions(layout)]
    assert f"{submission.name} ends with its command: process " in said[0]
