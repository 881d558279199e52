"""What a cluster will be asked for is said before anything starts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ingest.layout import Layout
from ingest.runs.load import load
from ingest.runs.plan import Plan, count_chunks
from ingest.runs.request import Request
from ingest.systems.materialized import MaterializedDataset
from matterzoo import main
from zoo.cards.discovery import find_model

Make = Callable[..., MaterializedDataset]
XYZ = '2\nid={i} pbc="F F F" Properties=species:S:1:pos:R:3\nH 0 0 0\nF 0 0 0.{length}\n'


def test_chunks_are_those_that_a_plan_makes(
    layout: Layout,
    dataset: Make,
    planned: Callable[..., Plan],
    finish: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = dataset(20)
    load(layout, finish(planned(made, limit=5).run))  # type: ignore[arg-type]
    models = ["toy", "toy-picky", "toy"]
    requests = [Request(find_model(name), made, ("nodes",)) for name in models]
    assert count_chunks(layout, requests) == [[15], [20], [15]]
    assert count_chunks(layout, []) == []


def test_a_plan_names_chunks_tasks_hours_bytes_and_what_is_to_be_staged(
    layout: Layout, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    file = layout.store.with_name("molecules.extxyz")
    file.write_text("".join(XYZ.format(i=i, length=i + 7) for i in range(3)))
    line = ["plan", "toy,toy-picky", str(file), "--on", "slurm", "--device", "cuda"]
    assert main(line) == 0
    said = capfd.readouterr().out
    assert "jobs: " not in said
    assert "  toy: a number of systems that nobody knows yet" in said
    assert "jobs, time and disk of molecules are not known until it is made" in said
    assert "dataset molecules: to be made first" in said
    assert "to stage from here: dataset molecules" in said
    assert main(["ingest", "toy", str(file)]) == 0
    capfd.readouterr()
    assert main(line) == 0
    said = capfd.readouterr().out
    assert "  toy: 0 systems to embed in 0 chunks" in said
    assert "  toy-picky: 3 systems to embed in 1 chunk" in said
    assert "jobs: 1 chunk in 1 task, " in said
    assert "of at most 1,001 (Slurm's default, since Slurm does not answer here)" in said
    assert "time: the GPU-hours of toy-picky, which nobody has measured on cuda" in said
    assert "to stage from here: nothing, all of it is here" in said
