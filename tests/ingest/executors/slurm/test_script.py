"""The scripts hold what was asked for, and nothing that a shell could misread."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from ingest.executors.protocol import Where
from ingest.executors.shared.submission import Submission
from ingest.executors.slurm.script import array_script, load_script, to_slurm_time
from ingest.integrity import write_json
from ingest.layout import Layout
from ingest.runs.errors import RequestError
from matterzoo import main


@pytest.fixture
def submission(layout: Layout) -> Submission:
    """A submission of three chunks in two tasks."""
    found = Submission(layout, "20260101-000000-abcd")
    content = {"tasks": [["a", "b"], ["c"]], "load": [], "command": "", "runtime": "venv"}
    write_json(found.folder / "submission.json", content)
    return found


def options(script: str) -> list[str]:
    return re.findall(r"^#SBATCH (.*)$", script, re.MULTILINE)


def test_options_of_the_scheduler_are_in_both_scripts_and_gpus_in_the_array_s(
    submission: Submission,
) -> None:
    where = Where("slurm", "gpu", "abc", "4h", 8, None, "--constraint=a100 --gres=gpu:a100:1")
    array = options(array_script(submission, where, "cuda", "matterzoo ingest …"))
    load = options(load_script(submission, where))
    shared = ["--partition=gpu", "--account=abc", "--time=4:00:00", "--constraint=a100"]
    assert [option for option in shared if option not in array] == []
    assert [option for option in shared if option not in load] == []
    assert "--array=0-1%8" in array
    assert [option for option in array + load if "gres" in option] == ["--gres=gpu:a100:1"]


def test_a_model_on_a_gpu_gets_one(submission: Submission) -> None:
    assert "--gres=gpu:1" in options(array_script(submission, Where("slurm"), "cuda", ""))
    assert "--gres=gpu:1" not in options(array_script(submission, Where("slurm"), "cpu", ""))


@pytest.mark.parametrize("seconds, time", [(120, "4h"), (120, None), (12, "1"), (60, "5:00")])
def test_the_signal_comes_in_time(submission: Submission, seconds: int, time: str | None) -> None:
    found = options(array_script(submission, Where("slurm", time=time), "cpu", ""))
    assert f"--signal=B:USR1@{seconds}" in found


def test_odd_places_survive_the_shell(
    submission: Submission, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    odd = "/a folder/with $HOME and 'quotes'"
    monkeypatch.setenv("MATTERZOO_ENVS", odd)
    script = array_script(submission, Where("slurm"), "cpu", "")
    lines = [line for line in script.splitlines() if not line.startswith("exec ")]
    (tmp_path / "script").write_text("\n".join([*lines, 'printf %s "$MATTERZOO_ENVS"']))
    done = subprocess.run(["bash", tmp_path / "script"], capture_output=True, text=True, check=True)
    assert done.stdout == odd


def test_no_secret_is_written(submission: Submission, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATTERZOO_WORKER_ENV", "SITE_*")
    monkeypatch.setenv("SITE_LICENSE", "27000@host")
    monkeypatch.setenv("SITE_API_KEY", "hush")
    script = array_script(submission, Where("slurm"), "cpu", "")
    assert "export SITE_LICENSE=27000@host\n" in script
    assert "# SITE_API_KEY is not written here" in script and "hush" not in script


@pytest.mark.parametrize(
    "text, slurm",
    [("30m", "0:30:00"), ("2d", "48:00:00"), ("90", "90"), ("1-12:00:00", "1-12:00:00")],
)
def test_times(text: str, slurm: str) -> None:
    assert to_slurm_time(text) == slurm


@pytest.mark.parametrize(
    "given, message",
    [
        (["--on", "slurm", "--time", "soon"], "--time is 'soon'; expected a time such as 30m"),
        (["--on", "slurm", "--runtime", "docker"], "runtime docker cannot be used on slurm"),
        (["--on", "slurm", "--memory", "1g"], "--memory and --cpus are the scheduler's"),
        (["--on", "slurm", "--device", "cuda:1"], "Slurm chooses the GPU: give cuda"),
        (["--on", "slurm", "--sbatch=--comment='a"], "no closing quotation; end each quote"),
        (["--on", "slurm", "--sbatch=--job-name=x"], "--job-name is set by matterzoo: leave"),
        (["--on", "slurm", "--sbatch=--arr=0-9"], "--array is set by matterzoo: leave --arr=0-9"),
        (["--on", "slurm", "--partition", "a\nrm"], "--partition is 'a\\nrm'; expected one line"),
        (["--partition", "gpu"], "--partition is for --on slurm, not local: leave it out"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_before_anything_is_staged(
    layout: Layout, given: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["ingest", "toy", "elements", *given]) == 2
    assert message in capfd.readouterr().err
    assert not layout.data.exists()
    if "docker" not in given and "--memory" not in given:
        assert main(["plan", "toy", "elements", *given]) == 2
        assert message in capfd.readouterr().err


def test_no_line_of_a_script_is_anything_but_what_it_is_meant_to_be(layout: Layout) -> None:
    odd = Layout(layout.store.parent / 'My #1 "100%" Project' / "a.duckdb")
    submission = Submission(odd, "20260101-000000-abcd")
    content = {"tasks": [["a"]], "load": [], "command": "", "runtime": "venv"}
    write_json(submission.folder / "submission.json", content)
    where = Where("slurm", sbatch="--comment='two words' --constraint='a100|h100'")
    script = array_script(submission, where, "cpu", "matterzoo ingest 'a\nrm -r b'")
    lines = script.splitlines()
    start = [line[0] for line in lines].index("e")
    assert all(line.startswith("#") for line in lines[:start])
    assert '#SBATCH --comment="two words"' in lines
    folder = str(submission.folder).replace('"', '\\"').replace("%", "%%")
    assert f'#SBATCH --output="{folder}/logs/task-%a.log"' in lines


@pytest.mark.parametrize(
    "given, array, load",
    [
        ("--gpus=2 --mem-per-gpu=8G --gpu-bind=none", "--gpus=2", ""),
        ("--gres=lscratch:100", "--gres=lscratch:100,gpu:1", "--gres=lscratch:100"),
        ("--tres-per-task=gres/gpu:1", "--tres-per-task=gres/gpu:1", ""),
        ("--gpu-freq=low", "--gres=gpu:1", ""),
    ],
)
def test_only_tasks_ask_for_gpus(submission: Submission, given: str, array: str, load: str) -> None:
    where = Where("slurm", sbatch=given)
    asks = re.compile(r"--[\w-]*(gpu|gres|tres)")
    found = list(filter(asks.match, options(array_script(submission, where, "cuda", ""))))
    assert array in found
    assert sum(option.startswith(("--gres", "--gpus", "--tres")) for option in found) == 1
    assert list(filter(asks.match, options(load_script(submission, where)))) == load.split()


def test_options_for_sbatch_are_long_ones(submission: Submission) -> None:
    with pytest.raises(RequestError, match="--sbatch is '-w n1'; expected long options"):
        load_script(submission, Where("slurm", sbatch="-w n1"))
