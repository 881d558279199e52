"""What is said of submissions, and claimed by them, is what their jobs are still going to do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ingest.executors.shared.submission import LOADED, MISSING, Submission
from ingest.executors.slurm.claims import find_claims
from ingest.executors.slurm.engine import SlurmError
from ingest.executors.slurm.overview import cancel_submissions, describe_submissions
from ingest.executors.slurm.strips import cancel_matrices
from ingest.integrity import write_json
from ingest.layout import Layout
from ingest.maintenance.clean_submissions import clean_submissions
from ingest.runs.errors import RequestError
from ingest.runs.folder import Run
from ingest.runs.plan import Plan
from ingest.systems.materialized import MaterializedDataset
from schemas.errors import StoreError
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
