"""What `matterzoo doctor` finds about engine, disk, memory and Python, and its remedies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.images.engine import Engine
from ingest.maintenance.diagnosis import Finding, check_room
from ingest.maintenance.doctor import (
    check_engine,
    check_image_room,
    check_memory,
    check_python,
    diagnose,
    show,
    verdict,
)
from ingest.runtimes import load_runtimes
from ingest.runtimes.protocol import Runtime
from zoo.cards.discovery import load_families
from zoo.cards.family import Family


def levels(findings: Sequence[Finding]) -> list[str]:
    return [finding.level for finding in findings]


# --- the whole
def test_without_an_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    findings = diagnose(tmp_path / "matter.duckdb")
    assert show(findings) == 0
    printed = capsys.readouterr().out.splitlines()
    number = len(load_families())
    assert len(printed) == len(findings)
    assert printed[0].startswith("warning  no container engine answers at unix://")
    assert printed[0].endswith("; until then use local environments (--runtime venv)")
    assert printed[-1] == f"ok       models can be run by venv ({number} of {number} families)"


@pytest.mark.container
def test_with_an_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(diagnose(tmp_path / "matter.duckdb")) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("ok ")
    for message in ("answers at", "belongs to user", "images (", "the engine has"):
        assert message in printed


def test_nothing_to_run_with_is_a_fault(
    families: list[Family], capsys: pytest.CaptureFixture[str]
) -> None:
    class Gone:
        name = "gone"

        def unavailable(self) -> str:
            return "it went away"

    class Lacking(Gone):
        name = "lacking"

        def unavailable(self) -> None:
            return None

        def lacking(self, family: Family) -> str | None:
            return f"no image of {family.name}"

    runtimes: list[Runtime] = [Gone(), Lacking()]
    first = families[0].name
    assert show([verdict(runtimes, families)]) == 1
    assert capsys.readouterr().out == (
        f"fault    no model can be run here: gone: it went away; lacking: no image of {first}\n"
    )
    runtimes.append(load_runtimes()["venv"])
    assert verdict(runtimes, families).level == "ok"


# --- the engine
def test_an_engine_that_can_everything(engine: Engine) -> None:
    findings = list(check_engine(engine, 1000))
    assert levels(findings) == ["ok", "ok", "ok"]
    assert findings[0].what == "Docker 20.10.24 (API 1.41) answers at unix:///var/run/docker.sock"
    assert "as root, containers as user 1000" in findings[2].what


def test_an_engine_elsewhere_that_lacks_limits(engine: Engine) -> None:
    engine = replace(
        engine, address="tcp://192.0.2.1:2375", lacks=("memory", "swap"), rootless=True
    )
    findings = list(check_engine(engine, 1000))
    assert levels(findings) == ["ok", "warning", "warning", "ok"]
    assert "is another machine, which does not see this one's files; set DOCKER_HOST" in str(
        findings[1]
    )
    assert "cannot limit a container's memory, swap; give it those cgroup controllers" in str(
        findings[2]
    )
    assert "rootless, root in a container is user 1000 outside" in findings[3].what


def test_images_that_cannot_be_seen_from_here(engine: Engine, families: list[Family]) -> None:
    for unseen in (
        replace(engine, root=Path("/nowhere")),
        replace(engine, address="tcp://192.0.2.1:2375"),
    ):
        assert "its free disk cannot be seen from here" in check_image_room(unseen, families).what
    assert f"images ({len(families)} are missing) in /: " in check_image_room(engine, families).what
    assert "images (all are here) in /: " in check_image_room(engine, []).what


# --- room
def test_room(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    enough, little = (
        check_room("it", folder, 1, "elsewhere"),
        check_room("it", folder, 1e18, "elsewhere"),
    )
    assert enough.level == "ok"
    assert enough.what.startswith(f"it in {folder}: ")
    assert (little.level, little.remedy) == ("warning", "free some; elsewhere")
    assert little.what.endswith("about 1,000,000,000.0 GB needed")


def test_a_virtual_machine_of_2_gb(engine: Engine) -> None:
    machine, virtual = check_memory(16_000_000_000, replace(engine, memory=2_085_000_000))
    assert str(machine) == "ok       this machine has 16.0 GB of memory"
    assert str(virtual).startswith(
        "warning  the engine has 4 CPUs and 2.1 GB of memory, which is little; give its virtual"
    )


# --- Python
def test_python_against_the_locks(families: list[Family]) -> None:
    assert levels(list(check_python("3.11.7", families))) == ["ok"]
    unfit = [
        family.model_copy(update={"requires_python": ">=3.12,<3.13"}) for family in families[:1]
    ]
    (finding,) = check_python("3.11.7", unfit)
    assert str(finding).endswith(
        f"every family but {unfit[0].name} (>=3.12,<3.13), for which uv finds or downloads one "
        "that does"
    )
