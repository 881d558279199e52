"""`matterzoo doctor`: what this machine can run models with, and what to do about the rest."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ingest.failures import RunError
from ingest.images.engine import Engine, EngineError, connected
from ingest.images.files.program import UNTRIED, explain_unpacking, find_program
from ingest.images.local_images import find_image
from ingest.maintenance.diagnosis import Finding, check_room
from ingest.maintenance.gpus import check_gpus
from ingest.runtimes import environment, load_runtimes
from ingest.runtimes.environment import suits
from ingest.runtimes.protocol import Runtime
from zoo.cards.discovery import load_families
from zoo.cards.family import Family
from zoo.places import environments
from zoo.terminal import gigabytes

# The largest model that needs no download takes 1.2 GB, and the files of images are best cached.
ENOUGH_MEMORY = 3e9  # bytes
# Ten models of 500 numbers per vector over 10,000 systems take 0.2 GB, and twice that in between.
ENOUGH_STORE = 1e9  # bytes


def diagnose(store: Path) -> list[Finding]:
    """Find everything that decides what can be run here; nothing is changed or started.

    Args:
        store: The DuckDB file that results would go to; it need not exist.

    Returns:
        One finding per thing, and last the verdict.
    """
    families = list(load_families().values())
    engine = None
    findings = []
    try:
        with connected() as client:
            engine = Engine.ask(client)
            missing = [family for family in families if find_image(client, family) is None]
        findings += [*check_engine(engine, os.getuid()), check_image_room(engine, missing)]
    except EngineError as error:
        remedy = "until then use local environments (--runtime venv)"
        findings.append(Finding("warning", str(error), remedy))
    findings.append(check_apptainer())
    findings += check_gpus(engine, families)
    findings.append(check_environment_room(families))
    remedy = "--store takes another place"
    findings.append(check_room("the store", store.parent, ENOUGH_STORE, remedy))
    findings += check_memory(_machine_memory(), engine)
    findings += check_python(platform.python_version(), families)
    return [*findings, verdict(load_runtimes().values(), families)]


def show(findings: Iterable[Finding]) -> int:
    """Print one line per finding.

    Args:
        findings: What was found.

    Returns:
        The exit code: 1 if nothing can be run, otherwise 0.
    """
    levels = set()
    for finding in findings:
        print(finding)
        levels.add(finding.level)
    return 1 if "fault" in levels else 0


def verdict(runtimes: Iterable[Runtime], families: Sequence[Family]) -> Finding:
    """Return which runtimes can run how many of the families.

    Args:
        runtimes: The runtimes to ask.
        families: The families that should run.

    Returns:
        A fault if no runtime can run any of them.
    """
    can, cannot = [], []
    for runtime in runtimes:
        unavailable = runtime.unavailable()
        reasons = [unavailable or runtime.lacking(family) for family in families]
        if None in reasons:
            can.append(f"{runtime.name} ({reasons.count(None)} of {len(families)} families)")
        else:
            cannot.append(f"{runtime.name}: {reasons[0]}")
    if can:
        return Finding("ok", f"models can be run by {', '.join(can)}")
    return Finding("fault", f"no model can be run here: {'; '.join(cannot)}")


def check_engine(engine: Engine, uid: int) -> Iterator[Finding]:
    """Check where the engine runs, which limits it keeps, and who owns what containers write.

    Args:
        engine: The container engine.
        uid: The number of the user who starts containers.

    Yields:
        One finding for each of these.
    """
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
            "or run nothing else on the machine meanwhile",
        )
    else:
        yield Finding("ok", "the engine can limit a container's memory, swap, CPU and processes")
    rootless = f"is rootless, root in a container is user {uid} outside"
    rights = rootless if engine.rootless else f"runs as root, containers as user {uid}"
    yield Finding(
        "ok", f"the engine {rights}: what a container writes belongs to user {uid}, who started it"
    )


def check_image_room(engine: Engine, missing: Sequence[Family]) -> Finding:
    """Compare the engine's free disk with the size of the images that are missing.

    Args:
        engine: The container engine.
        missing: The families without an image.

    Returns:
        A warning if the disk is too small.
    """
    what = f"images ({len(missing)} are missing)" if missing else "images (all are here)"
    if engine.local and os.access(engine.root, os.F_OK):
        remedy = "`docker system df` shows what takes it"
        return check_room(what, engine.root, _installed_size(missing), remedy)
    return Finding(
        "ok",
        f"{what} in {engine.root} of the engine's machine; its free disk cannot be seen from here",
    )


def check_apptainer() -> Finding:
    """Return whether Apptainer or Singularity is here, and which version; most machines have none.

    It also says how images are started, and that matterzoo was never run with a real one.
    """
    try:
        program = find_program()
    except RunError as error:
        return Finding("ok", f"{error}; nothing but --runtime apptainer needs it")
    reason = explain_unpacking()
    how = "starts images as files" if reason is None else f"starts images unpacked, since {reason}"
    what = f"{program.name} {program.version} is at {program.path} and {how}"
    return Finding("ok", f"{what}; {UNTRIED}")


def check_environment_room(families: Sequence[Family]) -> Finding:
    """Compare the free disk with the size of the local environments that are missing.

    Args:
        families: The families that should run.

    Returns:
        A warning if the disk is too small.
    """
    missing = [family for family in families if not environment.ready(family)]
    built = ", ".join(sorted(family.name for family in families if family not in missing)) or "none"
    what = f"local environments (built: {built})"
    remedy = "MATTERZOO_ENVS names another folder"
    return check_room(what, environments(), _installed_size(missing), remedy)


def check_memory(machine: int, engine: Engine | None) -> Iterator[Finding]:
    """Check the memory of this machine and of the engine.

    An engine often runs in a virtual machine that has little of the machine's memory.

    Args:
        machine: Bytes of this machine's memory.
        engine: The container engine; None if there is none.

    Yields:
        One finding for each of them.
    """
    yield _check_one_memory("this machine has", machine, "a smaller --batch needs less")
    if engine is not None:
        remedy = (
            "give its virtual machine more (Docker Desktop: Settings, Resources), or take a "
            "smaller --batch"
        )
        what = f"the engine has {engine.cpus} CPUs and"
        yield _check_one_memory(what, engine.memory, remedy)


def _check_one_memory(what: str, size: int, remedy: str) -> Finding:
    text = f"{what} {gigabytes(size)} of memory"
    if size >= ENOUGH_MEMORY:
        return Finding("ok", text)
    return Finding("warning", f"{text}, which is little", remedy)


def check_python(version: str, families: Sequence[Family]) -> Iterator[Finding]:
    """Check for which local environments uv has to find or download another Python.

    Args:
        version: The version of this Python, such as `3.11.7`.
        families: The families that should run.

    Yields:
        One finding.
    """
    unfit = [f"{f.name} ({f.requires_python})" for f in families if not suits(f, version)]
    what = f"Python {version} fits the local environment of every family"
    if unfit:
        what += f" but {', '.join(unfit)}, for which uv finds or downloads one that does"
    yield Finding("ok", what)


def _machine_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _installed_size(families: Sequence[Family]) -> float:
    """Return roughly how many bytes the environments of these families take, without CUDA."""
    return sum(family.installed_mb for family in families) * 1e6
