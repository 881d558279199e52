"""A run computes where it was asked to, and says on what."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.zoo.worker.toy import FULL_PYTHON, Toy, smiles_system
from zoo.worker.device import runs_on


def test_peak_memory_is_its_own_and_not_that_of_who_started_it() -> None:
    ballast = np.ones(30_000_000)
    printed = subprocess.run(
        [sys.executable, "-c", "from zoo.worker.device import peak_memory; print(peak_memory())"],
        cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert 10**7 < int(printed.stdout) < ballast.nbytes


def test_of_a_distribution_that_is_there_twice_the_one_that_is_imported_counts(toy: Toy) -> None:
    for folder, name, version in (("first", "two_of_it", "2.0"), ("second", "Two.of-it", "1.0")):
        about = toy.folder / folder / f"{name}-{version}.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
    toy.write([]).run(path=f"{toy.folder / 'first'}:{toy.folder / 'second'}")
    found = {
        name: version
        for name, version in toy.record()["versions"].items()
        if name.lower().startswith("two")
    }
    assert found == {"two_of_it": "2.0"}


def test_a_device_goes_by_the_name_that_it_has_here(toy: Toy) -> None:
    toy.write([smiles_system("a")], device="cuda:GPU-1-2").run("--device", "cpu")
    assert toy.record()["device"] == "cuda:GPU-1-2"
    (toy.out / "run.json").unlink()
    message = toy.run("--device", "cuda:99", code=1, python=FULL_PYTHON)[-1]["message"]
    assert message.startswith("device 'cuda:GPU-1-2' was asked for, but torch ")


PASCAL_TO_HOPPER = ["sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"]  # torch 2.4.1
TURING_TO_BLACKWELL = ["sm_75", "sm_80", "sm_90a", "sm_100", "sm_120", "compute_120"]


@pytest.mark.parametrize(
    ("capability", "architectures", "runs"),
    [
        ((9, 0), PASCAL_TO_HOPPER, True),
        ((8, 9), PASCAL_TO_HOPPER, True),  # the code for 8.6
        ((10, 0), PASCAL_TO_HOPPER, False),
        ((12, 0), PASCAL_TO_HOPPER, False),
        ((7, 0), TURING_TO_BLACKWELL, False),
        ((12, 1), TURING_TO_BLACKWELL, True),
        ((13, 0), TURING_TO_BLACKWELL, True),  # compiled when it is loaded
        ((13, 0), TURING_TO_BLACKWELL[:-1], False),
        ((9, 0), ["gfx90a"], False),
    ],
)
def test_which_gpus_run_what_was_compiled(
    capability: tuple[int, int], architectures: list[str], runs: bool
) -> None:
    assert runs_on(capability, architectures) == runs


@pytest.mark.skipif(
    torch.version.cuda is not None, reason="needs a build of torch for the CPU only"
)
def test_a_build_of_torch_without_cuda_says_so(toy: Toy) -> None:
    message = toy.write([], device="cuda").run(code=1, python=FULL_PYTHON)[-1]["message"]
    assert (
        f"'cuda' was asked for, but torch {torch.__version__} is a build for the CPU only; make the"
        in message
    )
