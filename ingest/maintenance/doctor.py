"""make doctor: what this machine can run models with, and the mend for what it cannot; a sentence each."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packaging.specifiers import SpecifierSet

from ingest.images.engine import Engine, EngineError, connected
from ingest.images.local import find_image
from ingest.runtimes import environment, load_runtimes
from ingest.runtimes.base import Runtime
from zoo.cards.discovery import load_families
from zoo.cards.family import Family
from zoo.places import environments

DRIVER = Path("/proc/driver/nvidia/version")
QUERY = "index,name,compute_cap,uuid,memory.total,driver_version"
PATIENCE = 60  # s for nvidia-smi; a driver that sleeps takes 10 to wake
HOOK = "nvidia-container-runtime-hook"  # with it on its PATH Docker hands out GPUs without further settings
GUIDE = (
    "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html"
)
ENOUGH_MEMORY = (
    3e9  # bytes; the largest model of `make demo` takes 1.2 GB, and the images' files want caching
)
ENOUGH_STORE = 1e9  # bytes; 10,000 systems by ten models are 0.4 GB, as shards and in the store, at 500 numbers each


@dataclass(frozen=True)
class Finding:
    """fault: nothing can be run. warning: something cannot, or not well; mend: what to do about it."""

    level: Literal["ok", "warning", "fault"]
    what: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.level:7}  {self.what}" + (f"; {self.mend}" if self.mend else "")


@dataclass(frozen=True)
class Gpu:
    """One line of nvidia-smi. capability: None where it tells none; memory: in its words."""

    index: str
    name: str
    capability: tuple[int, int] | None
    uuid: str
    memory: str
    driver: str


def diagnose(store: Path) -> list[Finding]:
    """Everything that decides what can be run here. Nothing is changed or started."""
    families = list(load_families().values())
    engine = None
    findings = []
    try:
        with connected() as client:
            engine = Engine.ask(client)
            missing = [family for family in families if find_image(client, family) is None]
        findings += [*engine_findings(engine, os.getuid()), images_room(engine, missing)]
    except EngineError as error:
        findings.append(
            Finding("warning", str(error), "until then local environments do (RUNTIME=venv)")
        )
    findings += gpu_findings(engine, families)
    findings.append(environments_room(families))
    findings.append(room("the store", store.parent, ENOUGH_STORE, "STORE=… takes another place"))
    findings += memory_findings(_machine_memory(), engine)
    findings += python_findings(platform.python_version(), families)
    return [*findings, verdict(load_runtimes().values(), families)]


def show(findings: Iterable[Finding]) -> int:
    """A line each. 1 where nothing can be run, otherwise 0."""
    levels = set()
    for finding in findings:
        print(finding)
        levels.add(finding.level)
    return 1 if "fault" in levels else 0


def verdict(runtimes: Iterable[Runtime], families: Sequence[Family]) -> Finding:
    """Which runtimes can run how many of the families; a fault where none can run any."""
    can, cannot = [], []
    for runtime in runtimes:
        gone = runtime.unavailable()
        reasons = [gone or runtime.lacking(family) for family in families]
        if None in reasons:
            can.append(f"{runtime.name} ({reasons.count(None)} of {len(families)} families)")
        else:
            cannot.append(f"{runtime.name}: {reasons[0]}")
    if can:
        return Finding("ok", f"models can be run by {', '.join(can)}")
    return Finding("fault", f"no model can be run here: {'; '.join(cannot)}")


def engine_findings(engine: Engine, uid: int) -> Iterator[Finding]:
    yield Finding(
        "ok", f"{engine.name} {engine.version} (API {engine.api}) answers at {engine.address}"
    )
    if not engine.local:
        yield Finding(
            "warning",
            f"{engine.address} is another machine, which does not see this one's files",
            "set DOCKER_HOST to an engine that runs here, unix://…",
        )
    if engine.lacks:
        yield Finding(
            "warning",
            f"the engine cannot limit a container's {', '.join(engine.lacks)}",
            "give it those cgroup controllers (`docker info` ends with what is missing), "
            "or run nothing beside that needs the machine",
        )
    else:
        yield Finding("ok", "the engine can limit a container's memory, swap, CPU and processes")
    rootless = f"is rootless, root in a container is user {uid} outside"
    how = rootless if engine.rootless else f"runs as root, containers as user {uid}"
    yield Finding(
        "ok", f"the engine {how}: what a container writes belongs to user {uid}, who started it"
    )


def gpu_findings(engine: Engine | None, families: Sequence[Family]) -> Iterator[Finding]:
    """The driver, the way from the engine to the GPUs, and each GPU against the families' floors."""
    if shutil.which("nvidia-smi") is None:
        yield _no_nvidia_smi(driver_version(DRIVER.read_text()) if DRIVER.exists() else None)
        return
    try:
        command = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader"]
        asked = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
        said = asked.stdout + asked.stderr
    except subprocess.TimeoutExpired:
        said = f"no answer in {PATIENCE} s"
    gpus = parse_gpus(said)
    if not gpus:
        reason = " ".join(said.split()) or "nothing"
        mend = (
            "update the driver, or reboot if that was just done; until then models run on the CPU"
        )
        yield Finding("warning", f"nvidia-smi tells of no GPU, it says: {reason}", mend)
        return
    yield Finding("ok", f"NVIDIA driver {gpus[0].driver}")
    if engine is not None:
        yield toolkit(engine, hook=shutil.which(HOOK) is not None)
    for gpu in gpus:
        yield against_floors(gpu, families)


def _no_nvidia_smi(driver: str | None) -> Finding:
    if driver is None:
        return Finding("ok", "there is no NVIDIA driver: models run on the CPU")
    what = f"NVIDIA driver {driver} is loaded, but nvidia-smi is not on PATH, so nothing is known of the GPUs"
    return Finding("warning", what, "install the driver's utilities of the same version")


def driver_version(text: str) -> str | None:
    """From /proc/driver/nvidia/version, of the proprietary and of the open module."""
    found = re.search(r"Kernel Module\D*?(?:for \S+)?\s+(\d+\.[\d.]+)", text)
    return None if found is None else found[1]


def parse_gpus(text: str) -> list[Gpu]:
    """From nvidia-smi's CSV of QUERY; other lines, such as its errors, are passed over."""
    rows = [[cell.strip() for cell in line.split(",")] for line in text.splitlines()]
    return [
        Gpu(row[0], row[1], _numbers(row[2]), *row[3:])
        for row in rows
        if len(row) == QUERY.count(",") + 1
    ]


def _numbers(version: str) -> tuple[int, int] | None:
    found = re.fullmatch(r"(\d+)\.(\d+)", version)
    return None if found is None else (int(found[1]), int(found[2]))


def toolkit(engine: Engine, *, hook: bool) -> Finding:
    """Whether the engine can hand GPUs to containers. hook: NVIDIA's is installed on this machine."""
    what = f"there are GPUs, but {engine.name} cannot hand them to containers"
    if engine.name == "Podman":  # containers/podman#22645
        return Finding(
            "warning", f"{what} that its Docker socket makes", "on them use Docker, or RUNTIME=venv"
        )
    if engine.gpus or (hook and engine.local):
        return Finding("ok", f"{engine.name} can hand GPUs to containers")
    setting = "`sudo nvidia-ctk runtime configure --runtime=docker`, restart Docker"
    return Finding("warning", what, f"install NVIDIA's container toolkit ({GUIDE}), then {setting}")


def against_floors(gpu: Gpu, families: Sequence[Family]) -> Finding:
    """Which families the GPU is too old for."""
    what = f"GPU {gpu.index}, {gpu.name}, {gpu.memory}, {gpu.uuid}, compute capability "
    if gpu.capability is None:
        return Finding("warning", f"{what}unknown", "update the driver")
    floors = {
        family.name: _numbers(family.cuda_capability)
        for family in families
        if family.cuda_capability
    }
    old = [
        f"{name} ({floor[0]}.{floor[1]})"
        for name, floor in floors.items()
        if floor and gpu.capability < floor
    ]
    what += ".".join(map(str, gpu.capability))
    if old:
        return Finding(
            "warning", f"{what}: too old for {', '.join(old)}", "these run on the CPU: DEVICE=cpu"
        )
    return Finding("ok", f"{what}: enough for every family")


def images_room(engine: Engine, missing: Sequence[Family]) -> Finding:
    what = f"images, {len(missing)} of them missing," if missing else "images, all there,"
    if engine.local and os.access(engine.root, os.F_OK):
        return room(what, engine.root, _size(missing), "`docker system df` tells what takes it")
    return Finding(
        "ok",
        f"{what} in {engine.root} of the engine's machine, whose free disk is not to be seen from here",
    )


def environments_room(families: Sequence[Family]) -> Finding:
    missing = [family for family in families if not environment.ready(family)]
    built = ", ".join(sorted(family.name for family in families if family not in missing)) or "none"
    what = f"local environments (built: {built})"
    return room(what, environments(), _size(missing), "MATTERZOO_ENVS names another folder")


def room(what: str, folder: Path, needed: float, mend: str) -> Finding:
    """Free disk against what will be needed, in bytes."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    said = f"{what} in {folder}: {_gb(free)} free" + (
        f", about {_gb(needed)} needed" if needed else ""
    )
    return Finding("ok", said) if free >= needed else Finding("warning", said, f"free some; {mend}")


def memory_findings(machine: int, engine: Engine | None) -> Iterator[Finding]:
    """A virtual machine that holds the engine often has little of the machine's."""
    yield _memory("this machine has", machine, "a smaller BATCH needs less")
    if engine is not None:
        mend = "give its virtual machine more (Docker Desktop: Settings, Resources), or take a smaller BATCH"
        yield _memory(f"the engine has {engine.cpus} CPUs and", engine.memory, mend)


def _memory(what: str, size: int, mend: str) -> Finding:
    said = f"{what} {_gb(size)} of memory"
    return (
        Finding("ok", said)
        if size >= ENOUGH_MEMORY
        else Finding("warning", f"{said}, which is little", mend)
    )


def python_findings(version: str, families: Sequence[Family]) -> Iterator[Finding]:
    """Local environments are made with this Python."""
    unfit = [f for f in families if not SpecifierSet(f.requires_python).contains(version)]
    if not unfit:
        yield Finding("ok", f"Python {version} fits the local environment of every family")
    for family in unfit:
        what = f"Python {version} does not fit the local environment of {family.name} ({family.requires_python})"
        yield Finding(
            "warning",
            what,
            "run it in a container, or remove .venv and `make install PYTHON=python3.x`",
        )


def _machine_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _size(families: Sequence[Family]) -> float:
    """Bytes, roughly: of the CPU builds."""
    return sum(family.installed_mb for family in families) * 1e6


def _gb(size: float) -> str:
    return f"{size / 1e9:,.1f} GB"
