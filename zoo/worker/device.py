"""The device and the precision of a run, and what is recorded of the machine."""

from __future__ import annotations

import ctypes
import gc
import importlib.metadata
import importlib.util
import platform
import re
import resource
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from zoo.worker.errors import WorkerError
from zoo.worker.job import Job


def check_device(device: str, requested: str) -> None:
    """Make sure that a device is there: who asks for a GPU never gets a CPU.

    Args:
        device: 'cpu', 'cuda', 'cuda:1', as it is called in this process.
        requested: What the job calls it.

    Raises:
        WorkerError: There is no such device, or torch cannot use it.
    """
    match = re.fullmatch(r"cpu|cuda(?::(\d+))?", device)
    if match is None:
        raise WorkerError(f"device {device!r} is not one of cpu, cuda, cuda:0, cuda:1, …")
    if device == "cpu":
        return
    request = f"device {requested!r} was asked for"
    if importlib.util.find_spec("torch") is None:
        raise WorkerError(f"{request}, but this family computes without torch, on the CPU only")
    import torch

    if torch.version.cuda is None and torch.version.hip is None:
        raise WorkerError(
            f"{request}, but torch {torch.__version__} is a build for the CPU only; make the "
            "family's image again with a CUDA build (`matterzoo build FAMILY --torch cu126`), or "
            "its environment (`matterzoo clean --env FAMILY`, then MATTERZOO_TORCH_BACKEND=cu126)"
        )
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(match[1] or 0) >= count:
        raise WorkerError(f"{request}, but torch finds {count} GPUs; try nvidia-smi")
    if torch.version.cuda is not None:
        capability, built_for = torch.cuda.get_device_capability(device), torch.cuda.get_arch_list()
        if not runs_on(capability, built_for):
            raise WorkerError(
                f"{request}, a GPU of compute capability {'.'.join(map(str, capability))}, but "
                f"torch {torch.__version__} was built for {', '.join(built_for)}; take another "
                "GPU, or --device cpu"
            )


def runs_on(capability: tuple[int, int], architectures: Sequence[str]) -> bool:
    """Return whether a GPU can run code that was compiled for some architectures.

    Machine code ('sm_86') runs on GPUs of the same major version that are no older. Intermediate
    code ('compute_120') is compiled for any newer GPU when it is loaded.

    Args:
        capability: The compute capability of the GPU, (major, minor).
        architectures: The architectures, as `torch.cuda.get_arch_list` names them.
    """
    for architecture in architectures:
        found = re.fullmatch(r"(sm|compute)_(\d+)(\d)[a-z]*", architecture)
        if found is None:
            continue
        built = int(found[2]), int(found[3])
        if built <= capability and (found[1] == "compute" or built[0] == capability[0]):
            return True
    return False


def check_dtype(job: Job) -> None:
    """Make sure that a model's package computes in the precision that is asked for.

    Args:
        job: The job. A card that names no precisions leaves the check to the encoder.

    Raises:
        WorkerError: It does not; the message names those that it computes in.
    """
    known = job.model.get("dtypes")
    if known is not None and job.dtype not in known:
        raise WorkerError(
            f"{job.model_id} computes in {' or '.join(known)}, not in {job.dtype!r}; use "
            f"--dtype {known[0]}"
        )


def describe_device(device: str) -> dict[str, Any]:
    """Return 'device_name' and 'driver' of a device; the driver of a CPU is None.

    Args:
        device: 'cpu', 'cuda', 'cuda:1', as it is called in this process.
    """
    if device == "cpu":
        return {"device_name": cpu_name(), "driver": None}
    import torch

    driver = _search(Path("/proc/driver/nvidia/version"), r"(\d+\.\d+(?:\.\d+)?)")
    return {"device_name": torch.cuda.get_device_name(device), "driver": driver}


def cpu_name() -> str:
    """Return the name of this machine's processor."""
    name = _search(Path("/proc/cpuinfo"), r"^model name\s*:\s*(.+)$")
    return name or platform.processor() or platform.machine()


def peak_memory() -> int:
    """Return the peak resident memory of this process in bytes.

    On Linux it is read from /proc, because ru_maxrss is inherited from the process that started
    this one.
    """
    found = _search(Path("/proc/self/status"), r"^VmHWM:\s+(\d+) kB$")
    return int(found) * 1024 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def reset_peak_memory() -> None:
    """Begin a new peak, where the kernel allows it: a process may have run other models before."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def release_memory() -> None:
    """Give back what the models of earlier jobs took, on the host and on GPUs."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    pa.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):  # glibc keeps freed memory for itself; others do not
        ctypes.CDLL(None).malloc_trim(0)


@cache
def package_versions() -> dict[str, str]:
    """Return the version of every distribution that is installed, sorted by name.

    Of one that is there twice, the first that is found counts, as when it is imported.
    """
    found: dict[str, tuple[str, str]] = {}
    for distribution in importlib.metadata.distributions():
        name, version = _name_and_version(distribution)
        if name and version:
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), (name, version))
    return dict(sorted(found.values()))


def _name_and_version(distribution: importlib.metadata.Distribution) -> list[str | None]:
    """Return the name and version of a distribution, None for what its files do not say.

    They are searched for in the header. The library parses the whole text as an email, once for
    each of the two, which takes 0.1 s in an environment of a hundred packages and not 0.007 s.
    """
    texts = (distribution.read_text(name) for name in ("METADATA", "PKG-INFO", ""))
    header = next(filter(None, texts), "").partition("\n\n")[0]
    fields = [re.search(rf"(?mi)^{name}:[ \t]*(.*\S)", header) for name in ("Name", "Version")]
    return [field and field[1] for field in fields]


def _search(path: Path, pattern: str) -> str | None:
    """Return the first group of a pattern in a file that only some systems have."""
    found = re.search(pattern, path.read_text(), re.MULTILINE) if path.exists() else None
    return found[1] if found else None
