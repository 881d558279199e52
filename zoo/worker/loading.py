"""Load a family's encoder with the weights that its card names, and with no network."""

from __future__ import annotations

import ctypes
import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import random
import socket
import stat
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from zoo.encoder import Encoder, System
from zoo.worker.applicability import reason_to_skip
from zoo.worker.errors import WorkerError, describe, explain_missing_library
from zoo.worker.job import Job

# What a model may set in torch for the whole process: the function that sets it, and that asks.
TORCH_SETTINGS = {
    "set_default_dtype": "get_default_dtype",
    "set_float32_matmul_precision": "get_float32_matmul_precision",
    "set_grad_enabled": "is_grad_enabled",
    "set_num_threads": "get_num_threads",
    "use_deterministic_algorithms": "are_deterministic_algorithms_enabled",
}
DRAWING = "rdkit.Chem.Draw"
# Of X11. RDKit's wheels for Linux expect them of the system, and small images have none of them.
LIBRARIES = ("libXrender.so.1", "libXext.so.6", "libX11.so.6")
_of_first_job: dict[str, Any] = {}


@cache
def refuse_network() -> None:
    """Make every attempt of this process to reach a network fail; nothing in a run needs one."""
    sys.addaudithook(_refuse_connection)


def _refuse_connection(event: str, args: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto"):
        target = args[1] if args[0].family in (socket.AF_INET, socket.AF_INET6) else None
    else:
        target = args[0] if event == "socket.getaddrinfo" else None
    if target is not None:
        raise ConnectionRefusedError(
            f"a run has no network, but something tried to reach {target!r}"
        )


@cache
def do_without_drawing() -> None:
    """Let an empty module stand for `rdkit.Chem.Draw` if this machine could not import it.

    Nothing in a run draws. But packages import the module along with what a run needs of them.
    """
    if sys.platform == "linux" and not all(map(_is_there, LIBRARIES)):
        sys.meta_path.insert(0, _Finder())


class Undrawn(ModuleType):
    """An empty module, or anything that it is asked for."""

    def __getattr__(self, name: str) -> Undrawn:
        """Return something else that is empty, whatever is asked for."""
        if name.startswith("__"):
            raise AttributeError(name)
        return Undrawn(f"{self.__name__}.{name}")

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Refuse to draw.

        Raises:
            ImportError: Always.
        """
        raise ImportError(f"{self.__name__} needs the system's libraries {', '.join(LIBRARIES)}")


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.startswith(f"{DRAWING}."):  # as a missing library is told, with what to do
            lacking = next(each for each in LIBRARIES if not _is_there(each))
            raise ModuleNotFoundError(
                f"{fullname} needs {lacking}: cannot open shared object file", name=fullname
            )
        if fullname != DRAWING:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return Undrawn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Leave the module empty."""


def _is_there(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def find_weights(job: Job, given: Path | None, otherwise: Path) -> Path:
    """Return the folder of the files that the card names.

    Args:
        job: The job.
        given: The folder that the host has verified and given, if any.
        otherwise: Any folder, for a model without files.

    Returns:
        site-packages if the family's package carries the files.
    """
    if job.model["weights"]["source"] == "package":
        return Path(sysconfig.get_paths()["purelib"])
    return given or otherwise


def check_weights(job: Job, folder: Path, shared: bool = False) -> dict[str, str]:
    """Compare the files that are going to be loaded with the card.

    What the family's package carries is read and hashed here. Other files the host has hashed. They
    are hashed again if others can change them, as their content decides what code runs here; else
    their size is compared.

    Args:
        job: The job.
        folder: The folder of the files.
        shared: Whether the host says that others can change them. A container cannot tell: it does
            not see the folders above the one that is mounted.

    Returns:
        {path: sha256} of the files.

    Raises:
        WorkerError: A file is missing, is not pinned, or is not what the card says.
    """
    found = {}
    for file in job.model["weights"]["files"]:
        if job.untrained_seed is not None and not file["twin"]:
            continue
        path = folder / file["path"]
        if file["sha256"] is None:
            raise WorkerError(
                f"weights {path} are not pinned; `matterzoo weights {job.model_id}` pins them"
            )
        if not path.is_file():
            raise WorkerError(
                f"weights {path} are not there; install the environment of the family again, or "
                "see `matterzoo weights`"
            )
        size, sha256 = path.stat().st_size, file["sha256"]
        if job.model["weights"]["source"] == "package" or shared or others_can_change(path):
            with path.open("rb") as content:
                sha256 = hashlib.file_digest(content, "sha256").hexdigest()
        expected = size if file["size"] is None else file["size"]  # a hash alone is a pin, too
        if (size, sha256) != (expected, file["sha256"]):
            raise WorkerError(
                f"weights {path}: expected {expected} bytes with sha256 {file['sha256']}, "
                f"found {size} bytes with {sha256}"
            )
        found[file["path"]] = sha256
    return found


def others_can_change(path: Path) -> bool:
    """Return whether a user other than this one and root could replace a file's content.

    They can if they own the file or a folder above it, or may write to one. In a sticky folder,
    such as /tmp, only owners replace what is theirs.

    Args:
        path: An existing file. If it is a link, the file that it leads to counts, too.
    """
    path = path.absolute()
    for place in {path, *path.parents, path.resolve(), *path.resolve().parents}:
        status = place.stat()
        writable = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
        if status.st_uid not in (0, os.geteuid()) or (writable and not sticky):
            return True
    return False


def load_encoder(family: Path, job: Job, device: str, weights: Path) -> Encoder:
    """Construct the FamilyEncoder of a family, with every generator seeded.

    Args:
        family: The family's folder, with encoder.py.
        job: The job.
        device: 'cpu', 'cuda', 'cuda:1', as it is called in this process.
        weights: The folder of the files that the card names.

    Returns:
        The encoder, with its model loaded.

    Raises:
        WorkerError: There is none, or it cannot load its model.
    """
    card = {**job.model, "weights": {**job.model["weights"], "folder": str(weights)}}
    path = family / "encoder.py"
    do_without_drawing()
    try:
        module = _import_encoder(path)
        _restore_torch()
        seed_everything(job.seed)  # after the imports, so that torch is there if the family uses it
        encoder = module.FamilyEncoder(
            card, device=device, dtype=job.dtype, untrained_seed=job.untrained_seed
        )
    except WorkerError:
        raise
    except Exception as error:
        traceback.print_exc()
        told = [f"{job.model_id} could not be loaded: {describe(error)}"]
        told += filter(None, [explain_missing_library(error)])
        raise WorkerError(". ".join(told)) from error
    if not isinstance(encoder, Encoder):
        raise WorkerError(f"{path}: FamilyEncoder is not an Encoder")
    return encoder


def _import_encoder(path: Path) -> Any:
    """Import a family's encoder.py, or return it if this process has done so for an earlier job."""
    there = sys.modules.get("family_encoder")
    if there is not None and there.__file__ == str(path):
        return there
    spec = importlib.util.spec_from_file_location("family_encoder", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise WorkerError(f"{path.parent} holds no encoder.py")
    module = sys.modules["family_encoder"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _restore_torch() -> None:
    """Set torch as it was for the first job, whatever the models since then have set."""
    torch = sys.modules.get("torch")
    if torch is None:
        return
    for name, ask in TORCH_SETTINGS.items():
        if name in _of_first_job:
            getattr(torch, name)(_of_first_job[name])
        else:
            _of_first_job[name] = getattr(torch, ask)()


def seed_everything(seed: int) -> None:
    """Seed every generator that is there; torch only if the family has imported it.

    Args:
        seed: The seed.
    """
    random.seed(seed)
    np.random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def show_systems(encoder: Encoder, job: Job, systems: Iterable[System]) -> None:
    """Let an encoder that defines `survey` see every system that it may be given.

    Args:
        encoder: The encoder.
        job: The job.
        systems: The systems of the job.
    """

    def applicable() -> Iterator[System]:
        for system in systems:
            if reason_to_skip(system, job.model) is None:
                yield system

    if type(encoder).survey is not Encoder.survey:
        encoder.survey(applicable())
