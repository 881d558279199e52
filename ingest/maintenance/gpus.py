"""What this machine's NVIDIA GPUs can run, and whether containers can use them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.images.engine import Engine
from ingest.maintenance.diagnosis import Finding
from zoo.cards.family import Family

DRIVER = Path("/proc/driver/nvidia/version")
QUERY = "index,name,compute_cap,uuid,memory.total,driver_version"
SMI_SECONDS = 60  # s that nvidia-smi gets; a driver that sleeps takes 10 s to wake
HOOK = "nvidia-container-runtime-hook"  # with it on its PATH, Docker needs no more settings
GUIDE = (
    "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html"
)


@dataclass(frozen=True)
class Gpu:
    """One GPU, as nvidia-smi describes it.

    Attributes:
        index: The GPU's number.
        name: Its product name.
        capability: Its compute capability (major, minor); None if the driver does not tell.
        uuid: Its UUID: `GPU-…`.
        memory: Its memory with the unit, such as `12288 MiB`.
        driver: The version of the driver.
    """

    index: str
    name: str
    capability: tuple[int, int] | None
    uuid: str
    memory: str
    driver: str


def check_gpus(engine: Engine | None, families: Sequence[Family]) -> Iterator[Finding]:
    """Check the driver, the way from the engine to the GPUs, and each GPU.

    Args:
        engine: The container engine; None if there is none.
        families: The families that should run.

    Yields:
        One finding for each of these.
    """
    if shutil.which("nvidia-smi") is None:
        yield _without_nvidia_smi(parse_driver(DRIVER.read_text()) if DRIVER.exists() else None)
        return
    output = _ask_nvidia_smi()
    gpus = parse_gpus(output)
    if not gpus:
        reason = " ".join(output.split()) or "nothing"
        remedy = "update the driver, or reboot if that was just done"
        yield Finding(
            "warning",
            f"nvidia-smi reports no GPU; its output: {reason}",
            f"{remedy}; until then models run on the CPU",
        )
        return
    yield Finding("ok", f"NVIDIA driver {gpus[0].driver}")
    if engine is not None:
        yield check_toolkit(engine, hook=shutil.which(HOOK) is not None)
    for gpu in gpus:
        yield check_capability(gpu, families)


def _ask_nvidia_smi() -> str:
    command = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=SMI_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"no answer in {SMI_SECONDS} s"
    return done.stdout + done.stderr


def _without_nvidia_smi(driver: str | None) -> Finding:
    if driver is None:
        return Finding("ok", "there is no NVIDIA driver: models run on the CPU")
    what = f"NVIDIA driver {driver} is loaded, but nvidia-smi is not on PATH"
    return Finding(
        "warning",
        f"{what}, so nothing is known of the GPUs",
        "install the driver's utilities of the same version",
    )


def parse_driver(text: str) -> str | None:
    """Return the version of the driver, proprietary or open; None if the text names none.

    Args:
        text: The content of /proc/driver/nvidia/version.
    """
    found = re.search(r"Kernel Module\D*?(?:for \S+)?\s+(\d+\.[\d.]+)", text)
    return None if found is None else found[1]


def parse_gpus(text: str) -> list[Gpu]:
    """Return the GPUs that nvidia-smi describes.

    Args:
        text: Its output for QUERY, as CSV without a heading. Other lines, such as errors, are
            passed over.
    """
    rows = [[cell.strip() for cell in line.split(",")] for line in text.splitlines()]
    return [
        Gpu(row[0], row[1], _parse_capability(row[2]), *row[3:])
        for row in rows
        if len(row) == QUERY.count(",") + 1
    ]


def _parse_capability(version: str) -> tuple[int, int] | None:
    found = re.fullmatch(r"(\d+)\.(\d+)", version)
    return None if found is None else (int(found[1]), int(found[2]))


def check_toolkit(engine: Engine, *, hook: bool) -> Finding:
    """Check whether the engine can hand GPUs to containers.

    Args:
        engine: The container engine.
        hook: Whether NVIDIA's hook is installed on this machine.

    Returns:
        A warning if it cannot.
    """
    what = f"there are GPUs, but {engine.name} cannot hand them to containers"
    if engine.name == "Podman":  # containers/podman#22645
        return Finding(
            "warning",
            f"{what} that its Docker socket makes",
            "use Docker for them, or --runtime venv",
        )
    if engine.gpus or (hook and engine.local):
        return Finding("ok", f"{engine.name} can hand GPUs to containers")
    setting = "`sudo nvidia-ctk runtime configure --runtime=docker`, restart Docker"
    return Finding("warning", what, f"install NVIDIA's container toolkit ({GUIDE}), then {setting}")


def check_capability(gpu: Gpu, families: Sequence[Family]) -> Finding:
    """Check whether a GPU is neither too old nor too new for the families.

    Args:
        gpu: The GPU to check.
        families: The families that should run on it. A family without a stated compute capability
            runs on any GPU.

    Returns:
        A warning if it is too old or too new for any of them.
    """
    what = f"GPU {gpu.index}, {gpu.name}, {gpu.memory}, {gpu.uuid}, compute capability "
    if gpu.capability is None:
        return Finding("warning", f"{what}unknown", "update the driver")
    what += ".".join(map(str, gpu.capability))
    old, new = [], []
    for family in families:
        least, most = family.cuda_capability, family.cuda_capability_max
        if least and gpu.capability < (_parse_capability(least) or (0, 0)):
            old.append(f"{family.name} (from {least} on)")
        if most and gpu.capability > (_parse_capability(most) or gpu.capability):
            new.append(f"{family.name} (up to {most})")
    unfit = [f"too old for {', '.join(old)}"] if old else []
    unfit += [f"newer than the torch of {', '.join(new)} was built for"] if new else []
    if unfit:
        remedy = "these run on the CPU: --device cpu"
        return Finding("warning", f"{what}: {'; '.join(unfit)}", remedy)
    return Finding("ok", f"{what}: fits every family")
