"""What `--on ray` foresees and refuses where no Ray is; tests/ingest/cluster/ray has one."""

from __future__ import annotations

import re
from importlib.util import find_spec

import pytest

from ingest.executors.ray.dispatch import has_room
from ingest.executors.ray.engine import explain_no_room
from ingest.layout import Layout
from matterzoo import main
from zoo.places import ROOT

Said = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    "given, message",
    [
        (["--on", "ray", "--device", "cuda:1"], "Ray chooses the GPU: give cuda"),
        (["--on", "ray", "--runtime", "docker"], "runtime docker cannot be used on ray"),
        (["--on", "ray", "--partition", "gpu"], "--partition is for --on slurm, not ray"),
        (["--on", "ray", "--address", "ray://head:10001"], "expected host:port or auto"),
        (["--on", "ray", "--cpus", "4096"], "--cpus is 4096; expected at most"),
        (["--on", "ray", "--memory", "4096g"], "expected less than the"),
        (["--on", "slurm", "--address", "head:6379"], "--address is for --on ray, not slurm"),
        (["--at-once", "2"], "--at-once is for --on ray or slurm, not local"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_before_anything_is_made(
    layout: Layout, given: list[str], message: str, capfd: Said
) -> None:
    assert main(["ingest", "toy", "elements", *given]) == 2
    assert message in capfd.readouterr().err
    assert not layout.data.exists()


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is here; without it, this would run")
def test_without_ray_the_command_names_what_to_install(layout: Layout, capfd: Said) -> None:
    assert main(["ingest", "toy", "elements", "--on", "ray"]) == 1
    assert "error: --on ray needs Ray, which is not installed: pip install 'matterzoo[ray]'" in (
        capfd.readouterr().err
    )
    assert not layout.data.exists()


def test_plan_needs_no_ray(layout: Layout, capfd: Said) -> None:
    assert main(["plan", "toy,toy-picky", "elements", "--on", "ray", "--per-task", "1"]) == 0
    said = capfd.readouterr().out
    assert "tasks: 2 chunks in 2 tasks" in said
    assert "Slurm" not in said


def test_a_task_that_no_node_is_large_enough_for_is_explained() -> None:
    nodes = [{"node": f"n{i}", "CPU": 8.0, "GPU": i, "memory": 4e9} for i in range(5)]
    assert has_room(nodes, {"num_cpus": 8, "num_gpus": 4})
    takes = {"num_cpus": 1, "num_gpus": 1, "memory": 8e9}
    assert not has_room(nodes, takes)
    said = explain_no_room(nodes, takes)
    assert "takes 1 CPU, 1 GPU and 8,000.0 MB of memory: n0 has 8 CPUs, 0 GPUs and 4,0" in said
    assert "; 2 more have no room either. Tasks wait until such a node comes" in said
    assert said.endswith("same command with a smaller --cpus or --memory, or --device cpu")
    alone = explain_no_room([], {"num_cpus": 2.5})
    assert "takes 2.5 CPUs: there is none. Tasks" in alone and alone.endswith("a smaller --cpus")


def test_one_module_imports_ray_and_only_when_it_runs() -> None:
    imports = re.compile(r"^( *)(?:import|from) ray\b", re.MULTILINE)
    found = {
        path.relative_to(ROOT).as_posix(): imports.findall(path.read_text())
        for folder in ("ingest", "query", "schemas", "zoo")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {path: indents for path, indents in found.items() if indents} == {
        "ingest/executors/ray/dispatch.py": ["        "]
    }
