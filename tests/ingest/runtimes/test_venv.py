"""Environments are built from the lock, whole and once; a worker that ends early says why."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from ingest.failures import NoRuntime, RunError
from ingest.layout import Layout
from ingest.limits import Limits
from ingest.runs.folder import Run
from ingest.runs.plan import Plan
from ingest.runtimes import _first_usable, choose_runtime, environment, load_runtimes
from ingest.runtimes.family_worker import run_alone
from ingest.runtimes.venv import ChildProcess, Venv, device_options
from ingest.runtimes.worker import JobPlaces
from ingest.systems.materialized import MaterializedDataset
from zoo.cards.base import CardError
from zoo.cards.discovery import find_family, load_families
from zoo.cards.family import Family
from zoo.cards.faults import find_faults
from zoo.places import environments

Make = Callable[..., MaterializedDataset]
Planned = Callable[..., Plan]


@pytest.fixture
def other(toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Family:
    """The toy family in a zoo of its own, with no environment yet."""
    folder = tmp_path / "zoo" / "toy"
    folder.mkdir(parents=True)
    for file in (toy_folder / "zoo" / "toy").glob("*.*"):
        (folder / file.name).write_bytes(file.read_bytes())
    monkeypatch.setenv("MATTERZOO_FAMILIES", str(tmp_path / "zoo"))
    monkeypatch.setenv("MATTERZOO_ENVS", str(tmp_path / "envs"))
    return find_family("toy")


def do(run: Run) -> None:
    """Have a job of the toy family done by a worker of its own."""
    places = JobPlaces(run.job, run.out)
    run_alone(Venv(), find_family("toy"), places, lambda event: None, Limits(), print)


def test_runtimes_are_found_in_their_folder() -> None:
    names = {
        file.stem
        for file in Path(environment.__file__).parent.glob("*.py")
        if "RUNTIME = " in file.read_text()
    }
    assert set(load_runtimes()) == names
    assert choose_runtime("venv", []) == (load_runtimes()["venv"], "asked for")
    with pytest.raises(NoRuntime, match="no runtime is named 'vnv'; did you mean 'venv'"):
        choose_runtime("vnv", [])


class Elsewhere(Venv):
    """A local environment that an answer of its own may keep from being used."""

    name = "elsewhere"

    def __init__(self, unavailable: str | None = None, lacking: str | None = None) -> None:
        self.answers = unavailable, lacking

    def unavailable(self) -> str | None:
        return self.answers[0]

    def lacking(self, family: Family) -> str | None:
        return self.answers[1] and self.answers[1].format(family.name)


def test_the_first_runtime_that_lacks_nothing_is_taken_and_says_why() -> None:
    families = list(load_families().values())[:3]
    last = Elsewhere()
    assert _first_usable([last], families) == (
        last,
        "the first choice, and this machine can use it",
    )
    calm = "no elsewhere here, which is optional (see `matterzoo doctor`)"
    assert _first_usable([Elsewhere("no engine answers"), last], families) == (last, calm)
    lacks = Elsewhere(lacking="no image of {} is built")
    assert _first_usable([Elsewhere("no engine answers"), lacks, last], families[:1]) == (
        last,
        f"{calm}; elsewhere answers, but no image of {families[0].name} is built",
    )
    reason = (
        f"elsewhere answers, but no image of {families[0].name} is built (and the like for 2 more)"
    )
    assert _first_usable([lacks, last], families) == (last, reason)
    with pytest.raises(NoRuntime, match="no engine answers; elsewhere answers, but no image"):
        _first_usable([Elsewhere("no engine answers"), lacks], families)


def test_the_environment_holds_what_the_lock_says_and_nothing_else(layout: Layout) -> None:
    family = find_family("toy")
    assert environment.ready(family)
    code = (
        "import importlib.metadata as m\n"
        "print(*[d.name + '==' + d.version for d in m.distributions()])"
    )
    python = str(environment.python_of(family))
    found = subprocess.run(
        [python, "-I", "-c", code], capture_output=True, check=True, text=True
    ).stdout.split()
    locked = [
        line.split(" ")[0] for line in family.lock.read_text().splitlines() if line[:1].isalpha()
    ]
    assert sorted(found) == sorted(locked)


def test_an_environment_that_is_there_is_not_built_again(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("nothing is to be run"))
    environment.build(find_family("toy"), lambda text: pytest.fail(text))


def test_a_lock_that_changed_makes_the_environment_stale(layout: Layout, other: Family) -> None:
    environment.build(other, lambda text: None)
    assert environment.ready(other)
    other.lock.write_text("# nothing at all\n")
    assert not environment.ready(other)
    environment.build(other, lambda text: None)
    assert environment.ready(other)
    found = environment.python_of(other).parent.parent.glob("lib/python*/site-packages/numpy")
    assert list(found) == []


def test_a_build_that_fails_leaves_nothing_that_looks_finished(
    layout: Layout, other: Family
) -> None:
    other.lock.write_text("no-such-package-of-matterzoo==1.0 --hash=sha256:" + "0" * 64 + "\n")
    message = (
        r"(?s)environment of toy could not be built. uv pip .*no-such-package.*Check the network"
    )
    with pytest.raises(RunError, match=message):
        environment.build(other, lambda text: None)
    assert not environment.ready(other)
    assert [path.name for path in environments().iterdir()] == [".toy.lock"]


def test_a_wheel_with_another_hash_is_refused(layout: Layout, other: Family) -> None:
    lines = other.lock.read_text().splitlines()
    other.lock.write_text(
        "\n".join(f"{line[:30]}{'0' * 40} \\" if "--hash" in line else line for line in lines)
        + "\n"
    )
    with pytest.raises(RunError, match="could not be built"):
        environment.build(other, lambda text: None)


def repository(folder: Path) -> str:
    """A package in a git repository, as a requirement at its newest commit."""
    folder.mkdir()
    (folder / "nowhere_else.py").write_text("ANSWER = 42\n")
    (folder / "pyproject.toml").write_text('[project]\nname = "nowhere-else"\nversion = "1.0"\n')
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run(
        [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    return f"nowhere-else @ git+file://{folder}@{commit}"


def test_a_package_that_no_index_has_comes_from_its_commit(
    layout: Layout, other: Family, tmp_path: Path
) -> None:
    with (other.path / "requirements.in").open("a") as requirements:
        requirements.write(repository(tmp_path / "package") + "\n")
    assert not find_faults([other.path])
    environment.build(other, lambda text: None)
    outputs = subprocess.run(
        [environment.python_of(other), "-Ic", "import nowhere_else as n; print(n.ANSWER)"],
        capture_output=True,
        check=True,
    )
    assert outputs.stdout == b"42\n"
    assert environment.ready(other)
    text = (other.path / "requirements.in").read_text()
    (other.path / "requirements.in").write_text(text[:-41] + "0" * 40 + "\n")
    assert not environment.ready(other)
    with pytest.raises(RunError, match=r"(?s)environment of toy could not be built. uv pip .*0000"):
        environment.build(other, lambda text: None)


def test_a_family_without_a_lock_is_told_to_lock_before_anything_is_made(
    layout: Layout, other: Family
) -> None:
    other.lock.unlink()
    with pytest.raises(CardError, match="no requirements.lock; `matterzoo lock toy` writes it"):
        environment.build(other, pytest.fail)


def test_two_processes_build_an_environment_once(layout: Layout, other: Family) -> None:
    code = (
        "from ingest.runtimes import environment; from zoo.cards.discovery import find_family\n"
        "environment.build(find_family('toy'), print)"
    )
    command = [sys.executable, "-c", code]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sum("building the environment" in out for out, _ in outputs) == 1
    assert environment.ready(other)


def test_a_family_gets_the_python_that_it_needs(
    layout: Layout, other: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    spec = f">=3.11,!={platform.python_version()}"
    find = [sys.executable, "-m", "uv", "python", "find", "--no-project", "--system", spec]
    found = subprocess.run(find, capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip(f"needs another Python, such as `uv python install 3.12` brings: {spec}")
    other.lock.write_text("# nothing at all\n")
    environment.build(other.model_copy(update={"requires_python": spec}), lambda text: None)
    ask = [
        str(environment.python_of(other)),
        "-Ic",
        "import platform as p;print(p.python_version())",
    ]
    version = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    assert version in SpecifierSet(spec)


def test_a_python_that_is_nowhere(
    layout: Layout, other: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    older = other.model_copy(update={"requires_python": ">=3.4, <3.5"})
    with pytest.raises(
        RunError, match=r"(?s)toy needs Python >=3.4,<3.5, this one is 3.*install one"
    ):
        environment.build(older, lambda text: None)
    assert not environment.python_of(older).exists()


def test_uv_is_told_what_pip_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith(("UV_", "PIP_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    assert environment.uv_variables()["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert environment._torch_backend() == ["--torch-backend", "auto"]
    monkeypatch.setenv("MATTERZOO_TORCH_BACKEND", "cpu")
    assert environment._torch_backend() == ["--torch-backend", "cpu"]
    monkeypatch.delenv("MATTERZOO_TORCH_BACKEND")
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels")
    monkeypatch.setenv("UV_INDEX_URL", "https://own.example/simple")
    assert environment.uv_variables()["UV_FIND_LINKS"] == "/wheels"
    assert "UV_DEFAULT_INDEX" not in environment.uv_variables()
    assert environment._torch_backend() == []


def test_an_environment_that_finds_no_room(
    layout: Layout,
    other: Family,
    small_disk: Path,
    fill: Callable[[Path, int], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other.lock.write_text("# nothing at all\n")
    monkeypatch.setenv("MATTERZOO_ENVS", str(small_disk / "envs"))
    (small_disk / "envs").mkdir()
    fill(small_disk, 8192)
    with pytest.raises(
        RunError, match=r"(?s)could not be built.*No space left on device.*and the free disk"
    ):
        environment.build(other, lambda text: None)
    assert [path.name for path in environments().iterdir()] == [".toy.lock"]


def test_a_worker_that_cannot_start_tells_why(
    layout: Layout, dataset: Make, planned: Planned
) -> None:
    run = planned(dataset(3), model_id="toy-broken").run
    assert run is not None
    with pytest.raises(
        RunError, match="toy-broken could not be loaded: ValueError: broken on purpose"
    ):
        do(run)
    assert "Traceback" in run.log.read_text()
    assert not run.finished


def test_a_gpu_that_is_not_there_is_an_error(
    layout: Layout, dataset: Make, planned: Planned
) -> None:
    run = planned(dataset(3), device="cuda:7").run
    assert run is not None
    with pytest.raises(RunError, match="device 'cuda:7' was asked for"):
        do(run)
    assert run.shards == []


def test_cuda_is_told_the_name_of_a_gpu_and_torch_its_number(
    dataset: Make, planned: Planned
) -> None:
    devices = {
        "cpu": ([], {}),
        "cuda": ([], {}),
        "cuda:1": ([], {}),
        "cuda:MIG-5f-0a": (["--device", "cuda:0"], {"CUDA_VISIBLE_DEVICES": "MIG-5f-0a"}),
    }
    for device, expected in devices.items():
        run = planned(dataset(3), device=device).run
        assert run is not None and device_options(run.job) == expected


def test_a_gpu_goes_by_its_own_name_in_what_is_said(
    layout: Layout, dataset: Make, planned: Planned
) -> None:
    run = planned(dataset(3), device="cuda:GPU-00-11").run
    assert run is not None
    with pytest.raises(
        RunError,
        match="device 'cuda:GPU-00-11' was asked for, but this family computes without torch",
    ):
        do(run)


def test_a_worker_that_vanishes_is_told_with_its_log(
    layout: Layout, dataset: Make, planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = planned(dataset(20)).run
    assert run is not None
    (tmp_path / "kill").write_text("5")
    monkeypatch.setenv("TOY_KILL", str(tmp_path / "kill"))
    with pytest.raises(
        RunError, match=rf"killed by SIGKILL from outside.*its output is in {run.log}"
    ):
        do(run)


def test_nothing_is_sent_to_a_worker_that_another_thread_ends(tmp_path: Path) -> None:
    with subprocess.Popen(
        ["cat"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        worker = ChildProcess(process, Limits(silence=60.0))
        worker.kill()
        with (
            (tmp_path / "store").open("wb"),  # may have the number that the pipe had
            pytest.raises(BrokenPipeError, match="has been told to end"),
        ):
            worker.send(b"an assignment\n")
    assert (tmp_path / "store").read_bytes() == b""
