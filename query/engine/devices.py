"""Devices, and where vectors are held during a pass over all pairs of systems."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from zoo.machine import free_memory

# Vectors of so few bytes are held without asking how much memory is free, which takes longer.
SMALL = 2**16
ASSUMED_MEMORY = 8 * 2**30  # bytes, where the machine does not say how many are free

_sharers = 1  # processes that share the free memory


class Scratch:
    """A context manager that holds centered vectors during a pass, and frees them afterwards.

    They are held on the GPU if there is one, else in memory; what exceeds a third of either goes
    to temporary files.
    """

    def __init__(self, device: torch.device) -> None:
        """Take stock of the free memory of the device.

        Args:
            device: Where products are computed.
        """
        self._device = device
        self._on_device, self._in_memory = _free_on(device) // 3, -1
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files = 0

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def hold(self, z: Tensor) -> Tensor:
        """Return the same numbers, held where there is room for them.

        Args:
            z: Vectors, (n, d), on the CPU.
        """
        if z.nbytes < self._on_device:
            self._on_device -= z.nbytes
            return z.to(self._device)
        if z.nbytes < SMALL:
            return z
        if self._in_memory < 0:
            self._in_memory = _free_memory() // 3
        if z.nbytes < self._in_memory:
            self._in_memory -= z.nbytes
            return z
        return self._on_disk(z)

    def _on_disk(self, z: Tensor) -> Tensor:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="matterzoo-")
        self._files += 1
        file = Path(self._folder.name) / str(self._files)
        stored = np.memmap(file, z.numpy().dtype, "w+", shape=tuple(z.shape))
        stored[:] = z.numpy()
        return torch.from_numpy(stored)


def share_memory(processes: int) -> None:
    """Take no more of the free memory than one of several processes that work at once.

    Args:
        processes: How many they are, this one among them.
    """
    global _sharers
    _sharers = processes


def find_device(device: str | torch.device) -> torch.device:
    """Return the device of this name.

    Args:
        device: 'cpu', 'cuda' or 'cuda:1'.

    Raises:
        ValueError: There is no such name.
        RuntimeError: This machine does not have the device.
    """
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ValueError(
            f"unknown device '{device}', expected 'cpu', 'cuda' or 'cuda:1'"
        ) from error
    if found.type not in ("cpu", "cuda"):
        raise ValueError(f"unknown device '{device}', expected 'cpu', 'cuda' or 'cuda:1'")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise RuntimeError(
            f"no device '{device}': torch sees {torch.cuda.device_count()} NVIDIA GPUs; use 'cpu'"
        )
    return found


def _free_on(device: torch.device) -> int:
    """Return the bytes of free memory on a GPU; 0 for the CPU."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0


def _free_memory() -> int:
    """Return the bytes of memory that this process could still take."""
    free = free_memory()
    return (ASSUMED_MEMORY if free is None else free) // _sharers
