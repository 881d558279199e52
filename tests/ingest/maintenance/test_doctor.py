"""make doctor: what it finds, and the mend. No test here has seen a GPU: what drivers say is quoted from others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.images.engine import Engine
from ingest.maintenance import doctor
from ingest.maintenance.doctor import Finding, Gpu, diagnose, driver_version, parse_gpus, room, show
from ingest.runtimes import load_runtimes
from ingest.runtimes.base import Runtime
from zoo.cards.discovery import load_families
from zoo.cards.family import Family

# Names, capabilities and driver from triton-inference-server/server#8070, in the order of QUERY; memory is made up.
TITAN = "0, NVIDIA TITAN V, 7.0, GPU-b5169cef-2205-c30e-f2b3-220cfa14bafd, 12288 MiB, 570.86.15"
ADA = "1, NVIDIA RTX 5880 Ada Generation, 8.9, GPU-7518f6b0-991f-ce2b-3d37-c779130d3137, 49140 MiB, 570.86.15"
ENGINE = Engine(
    address="unix:///var/run/docker.sock",
    name="Docker",
    version="20.10.24",
    api="1.41",
    rootless=False,
    memory=16_000_000_000,
    cpus=4,
    root=Path("/"),
    gpus=False,
    lacks=(),
)


@pytest.fixture
def families() -> list[Family]:
    return list(load_families().values())


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a program of that name first on PATH: this shell script."""

    def make(script: str) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    return make


def levels(findings: Sequence[Finding]) -> list[str]:
    return [finding.level for finding in findings]


# --- the whole --------------------------------------------------------------------------------------------------------
def test_without_an_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    findings = diagnose(tmp_path / "matter.duckdb")
    assert show(findings) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(findings)
    assert printed[0].startswith("warning  no container engine answers at unix://")
    assert printed[0].endswith("; until then local environments do (RUNTIME=venv)")
    assert (
        printed[-1]
        == f"ok       models can be run by venv ({len(load_families())} of {len(load_families())} families)"
    )


@pytest.mark.container
def test_with_an_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert show(diagnose(tmp_path / "matter.duckdb")) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("ok ")
    for said in ("answers at", "belongs to user", "images, ", "the engine has"):
        assert said in printed


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
    assert show([doctor.verdict(runtimes, families)]) == 1
    assert capsys.readouterr().out == (
        f"fault    no model can be run here: gone: it went away; lacking: no image of {first}\n"
    )
    runtimes.append(load_runtimes()["venv"])
    assert doctor.verdict(runtimes, families).level == "ok"


# --- the engine -------------------------------------------------------------------------------------------------------
def test_an_engine_that_can_everything() -> None:
    findings = list(doctor.engine_findings(ENGINE, 1000))
    assert levels(findings) == ["ok", "ok", "ok"]
    assert findings[0].what == "Docker 20.10.24 (API 1.41) answers at unix:///var/run/docker.sock"
    assert "as root, containers as user 1000" in findings[2].what


def test_an_engine_elsewhere_that_lacks_limits() -> None:
    engine = replace(
        ENGINE, address="tcp://192.0.2.1:2375", lacks=("memory", "swap"), rootless=True
    )
    findings = list(doctor.engine_findings(engine, 1000))
    assert levels(findings) == ["ok", "warning", "warning", "ok"]
    assert "is another machine, which does not see this one's files; set DOCKER_HOST" in str(
        findings[1]
    )
    assert "cannot limit a container's memory, swap; give it those cgroup controllers" in str(
        findings[2]
    )
    assert "rootless, root in a container is user 1000 outside" in findings[3].what


def test_images_that_cannot_be_seen_from_here(families: list[Family]) -> None:
    for engine in (
        replace(ENGINE, root=Path("/nowhere")),
        replace(ENGINE, address="tcp://192.0.2.1:2375"),
    ):
        assert (
            "whose free disk is not to be seen from here"
            in doctor.images_room(engine, families).what
        )
    assert (
        f"images, {len(families)} of them missing, in /: "
        in doctor.images_room(ENGINE, families).what
    )
    assert "images, all there, in /: " in doctor.images_room(ENGINE, []).what


# --- room -------------------------------------------------------------------------------------------------------------
def test_room(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    enough, little = room("it", folder, 1, "elsewhere"), room("it", folder, 1e18, "elsewhere")
    assert enough.level == "ok"
    assert enough.what.startswith(f"it in {folder}: ")
    assert (little.level, little.mend) == ("warning", "free some; elsewhere")
    assert little.what.endswith("about 1,000,000,000.0 GB needed")


def test_a_virtual_machine_of_2_gb() -> None:
    machine, engine = doctor.memory_findings(16_000_000_000, replace(ENGINE, memory=2_085_000_000))
    assert str(machine) == "ok       this machine has 16.0 GB of memory"
    assert str(engine).startswith(
        "warning  the engine has 4 CPUs and 2.1 GB of memory, which is little; give its virtual"
    )


# --- Python -----------------------------------------------------------------------------------------------------------
def test_python_against_the_locks(families: list[Family]) -> None:
    assert levels(list(doctor.python_findings("3.11.7", families))) == ["ok"]
    unfit = [
        family.model_copy(update={"requires_python": ">=3.12,<3.13"}) for family in families[:1]
    ]
    (finding,) = doctor.python_findings("3.11.7", unfit)
    assert (
        f"Python 3.11.7 does not fit the local environment of {unfit[0].name} (>=3.12,<3.13)"
        in str(finding)
    )


# --- GPUs -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "version"),
    [
        # quoted in nix-community/nixGL#186 and #121, and as NVIDIA's README tells the proprietary module from the open
        (
            "NVIDIA UNIX Open Kernel Module for x86_64  565.57.01  Release Build  (dvs-builder@U16-A24-9-2)",
            "565.57.01",
        ),
        (
            "NVIDIA UNIX Open Kernel Module for x86_64  525.60.11  Release Build  (archlinux-builder@localhost)  ",
            "525.60.11",
        ),
        (
            "NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023",
            "535.104.05",
        ),
        ("something else", None),
    ],
)
def test_driver_version_not_seen_on_a_gpu(text: str, version: str | None) -> None:
    assert (
        driver_version(
            f"NVRM version: {text}\nGCC version:  gcc version 13.3.0 (Ubuntu 13.3.0-6ubuntu2)\n"
        )
        == version
    )


def test_gpus_not_seen_on_a_gpu() -> None:
    titan, ada = parse_gpus(f"{TITAN}\n{ADA}\n")
    assert titan == Gpu(
        index="0",
        name="NVIDIA TITAN V",
        capability=(7, 0),
        uuid="GPU-b5169cef-2205-c30e-f2b3-220cfa14bafd",
        memory="12288 MiB",
        driver="570.86.15",
    )
    assert (ada.index, ada.capability) == ("1", (8, 9))
    assert parse_gpus('Field "compute_cap" is not a valid field to query.\n') == []
    (unknown,) = parse_gpus(ADA.replace("8.9", "[N/A]"))
    assert unknown.capability is None


def test_only_families_that_a_gpu_is_too_old_for_are_named(families: list[Family]) -> None:
    titan, ada = parse_gpus(f"{TITAN}\n{ADA}\n")
    floors = ["7.5", "10.0", None]
    asked = [
        f.model_copy(update={"cuda_capability": floor})
        for f, floor in zip(families, floors, strict=False)
    ]
    old, newer = doctor.against_floors(titan, asked), doctor.against_floors(ada, asked)
    assert (
        f"capability 7.0: too old for {asked[0].name} (7.5), {asked[1].name} (10.0); these run on"
        in str(old)
    )
    assert (
        f"capability 8.9: too old for {asked[1].name} (10.0); these run on the CPU: DEVICE=cpu"
        in str(newer)
    )
    assert doctor.against_floors(ada, asked[2:]).level == "ok"
    assert "unknown; update the driver" in str(
        doctor.against_floors(replace(ada, capability=None), asked)
    )


def test_the_way_from_the_engine_to_the_gpus() -> None:
    assert doctor.toolkit(replace(ENGINE, gpus=True), hook=False).level == "ok"
    assert doctor.toolkit(ENGINE, hook=True).level == "ok"
    assert "`sudo nvidia-ctk runtime configure --runtime=docker`" in str(
        doctor.toolkit(ENGINE, hook=False)
    )
    podman = doctor.toolkit(replace(ENGINE, name="Podman", gpus=True), hook=True)
    assert (
        "Podman cannot hand them to containers that its Docker socket makes; on them use Docker"
        in str(podman)
    )


def test_what_nvidia_smi_tells(
    nvidia_smi: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, families: list[Family]
) -> None:
    monkeypatch.setattr(doctor, "HOOK", "a hook that is not installed")
    nvidia_smi(f'echo "{TITAN}"; echo "{ADA}"')
    asked = [family.model_copy(update={"cuda_capability": "7.5"}) for family in families]
    findings = list(doctor.gpu_findings(ENGINE, asked))
    assert findings[0] == Finding("ok", "NVIDIA driver 570.86.15")
    assert levels(findings[1:]) == ["warning", "warning", "ok"]
    assert len(list(doctor.gpu_findings(None, asked))) == 3


@pytest.mark.parametrize(
    ("script", "said"),
    [
        # a driver of series 470, as quoted in huggingface/candle#733
        (
            "echo 'Field \"compute_cap\" is not a valid field to query.'; exit 2",
            'Field "compute_cap" is not a valid',
        ),
        ("exit 9", "it says: nothing"),
        ("exec sleep 60", "it says: no answer in 1 s"),
    ],
)
def test_an_nvidia_smi_that_fails(
    nvidia_smi: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    monkeypatch.setattr(doctor, "PATIENCE", 1)
    nvidia_smi(script)
    (finding,) = doctor.gpu_findings(ENGINE, [])
    assert finding.level == "warning"
    assert said in finding.what


def test_no_nvidia_smi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(doctor, "DRIVER", tmp_path / "version")
    (finding,) = doctor.gpu_findings(ENGINE, [])
    assert str(finding) == "ok       there is no NVIDIA driver: models run on the CPU"
    (tmp_path / "version").write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19\n"
    )
    (finding,) = doctor.gpu_findings(ENGINE, [])
    assert "NVIDIA driver 535.104.05 is loaded, but nvidia-smi is not on PATH" in finding.what
