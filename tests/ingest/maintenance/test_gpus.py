"""What `matterzoo doctor` finds about GPUs.

No test here has seen a GPU: what drivers say is quoted from others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.images.engine import Engine
from ingest.maintenance import gpus
from ingest.maintenance.diagnosis import Finding
from ingest.maintenance.gpus import (
    Gpu,
    check_capability,
    check_gpus,
    check_toolkit,
    parse_driver,
    parse_gpus,
)
from zoo.cards.family import Family

# Names, capabilities and driver are from triton-inference-server/server#8070, in the order of
# QUERY; memory is made up.
TITAN = "0, NVIDIA TITAN V, 7.0, GPU-b5169cef-2205-c30e-f2b3-220cfa14bafd, 12288 MiB, 570.86.15"
ADA = (
    "1, NVIDIA RTX 5880 Ada Generation, 8.9, GPU-7518f6b0-991f-ce2b-3d37-c779130d3137, "
    "49140 MiB, 570.86.15"
)


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a program of that name first on PATH: this shell script."""

    def make(script: str) -> None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    return make


@pytest.mark.parametrize(
    ("text", "version"),
    [
        # Quoted in nix-community/nixGL#186 and #121, and as NVIDIA's README tells the proprietary
        # module from the open one.
        (
            "NVIDIA UNIX Open Kernel Module for x86_64  565.57.01  Release Build  "
            "(dvs-builder@U16-A24-9-2)",
            "565.57.01",
        ),
        (
            "NVIDIA UNIX Open Kernel Module for x86_64  525.60.11  Release Build  "
            "(archlinux-builder@localhost)  ",
            "525.60.11",
        ),
        (
            "NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023",
            "535.104.05",
        ),
        ("something else", None),
    ],
)
def test_parse_driver_not_seen_on_a_gpu(text: str, version: str | None) -> None:
    assert (
        parse_driver(
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


def test_only_families_that_a_gpu_is_too_old_or_too_new_for_are_named(
    families: list[Family],
) -> None:
    titan, ada = parse_gpus(f"{TITAN}\n{ADA}\n")
    bounds: list[tuple[str | None, str | None]] = [("7.5", None), ("10.0", "12.1"), (None, None)]
    asked = [
        f.model_copy(update={"cuda_capability": least, "cuda_capability_max": most})
        for f, (least, most) in zip(families, bounds, strict=False)
    ]
    old, newer = check_capability(titan, asked), check_capability(ada, asked)
    assert (
        f"capability 7.0: too old for {asked[0].name} (from 7.5 on), {asked[1].name} (from 10.0 "
        "on); these run on" in str(old)
    )
    assert (
        f"capability 8.9: too old for {asked[1].name} (from 10.0 on); these run on the CPU: "
        "--device cpu" in str(newer)
    )
    blackwell = str(check_capability(replace(ada, capability=(13, 0)), asked))
    assert f"newer than the torch of {asked[1].name} (up to 12.1) was built for" in blackwell
    assert check_capability(ada, asked[2:]).level == "ok"
    assert "unknown; update the driver" in str(
        check_capability(replace(ada, capability=None), asked)
    )


def test_the_way_from_the_engine_to_the_gpus(engine: Engine) -> None:
    assert check_toolkit(replace(engine, gpus=True), hook=False).level == "ok"
    assert check_toolkit(engine, hook=True).level == "ok"
    assert "`sudo nvidia-ctk runtime configure --runtime=docker`" in str(
        check_toolkit(engine, hook=False)
    )
    podman = check_toolkit(replace(engine, name="Podman", gpus=True), hook=True)
    assert (
        "Podman cannot hand them to containers that its Docker socket makes; use Docker for them"
        in str(podman)
    )


def test_what_nvidia_smi_tells(
    engine: Engine,
    nvidia_smi: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    families: list[Family],
) -> None:
    monkeypatch.setattr(gpus, "HOOK", "a hook that is not installed")
    nvidia_smi(f'echo "{TITAN}"; echo "{ADA}"')
    bounds = {"cuda_capability": "7.5", "cuda_capability_max": "12.1"}
    asked = [family.model_copy(update=bounds) for family in families]
    findings = list(check_gpus(engine, asked))
    assert findings[0] == Finding("ok", "NVIDIA driver 570.86.15")
    assert [finding.level for finding in findings[1:]] == ["warning", "warning", "ok"]
    assert len(list(check_gpus(None, asked))) == 3


@pytest.mark.parametrize(
    ("script", "message"),
    [
        # a driver of series 470, as quoted in huggingface/candle#733
        (
            "echo 'Field \"compute_cap\" is not a valid field to query.'; exit 2",
            'Field "compute_cap" is not a valid',
        ),
        ("exit 9", "its output: nothing"),
        ("exec sleep 60", "its output: no answer in 1 s"),
    ],
)
def test_an_nvidia_smi_that_fails(
    engine: Engine,
    nvidia_smi: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    message: str,
) -> None:
    monkeypatch.setattr(gpus, "SMI_SECONDS", 1)
    nvidia_smi(script)
    (finding,) = check_gpus(engine, [])
    assert finding.level == "warning"
    assert message in finding.what


def test_no_nvidia_smi(engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(gpus, "DRIVER", tmp_path / "version")
    (finding,) = check_gpus(engine, [])
    assert str(finding) == "ok       there is no NVIDIA driver: models run on the CPU"
    (tmp_path / "version").write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19\n"
    )
    (finding,) = check_gpus(engine, [])
    assert "NVIDIA driver 535.104.05 is loaded, but nvidia-smi is not on PATH" in finding.what
