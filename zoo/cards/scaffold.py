"""A new family: a folder that runs once it is locked, to be filled in."""

from __future__ import annotations

import re
from pathlib import Path

from zoo.cards.base import CardError
from zoo.cards.discovery import family_folders

FAMILY = """\
# What its models share: one environment, one encoder. `matterzoo check` lists what is wrong.
name = "{name}"
title = "{name}: composition of a system, the fraction of each element"
homepage = "https://example.org/{name}"
requires_python = ">=3.11"
installed_mb = 250  # of the installed environment, in MB
# cuda_capability = "7.5"  # the oldest GPU that its torch runs on, if it has one
# cuda_capability_max = "12.1"  # the newest that it was built for

[license_code]  # of the code that requirements.in installs: SPDX identifier, and where you read it
name = "MIT"
no_url_because = "it is written in this folder"
commercial = true
"""

MODELS = """\
# One [[model]] per checkpoint. What several share may stand once, under [defaults].
[[model]]
id = "{name}-composition"
title = "Fraction of each element"
input = "structure"  # structure, smiles, selfies, sequence, backbone, text, any
elements = "H-Og"  # a system with others is not applicable; leave it out for any
default_representation = "composition"
# source = "package": package, format, files = [{{ path, sha256, size }}]
# source = "hub": repo, format, files = [{{ path }}]
# source = "url": format, files = [{{ path, url }}]
# `matterzoo weights MODEL` records what nobody knows yet of the last two: revision, sha256, size.
weights = {{ source = "none" }}
license_weights = {{ name = "none", no_url_because = "there are no weights", commercial = true }}
# batch: how much goes into one batch on a CPU, in the unit of scales_with
compute = {{ parameters = 0, scales_with = "atoms", batch = 10000 }}
tolerance = {{ batch = 1e-6, rotation = 1e-6 }}  # relative to the vector's norm

[[model.representation]]
name = "composition"
layer = "fraction of the atoms, by atomic number"  # hook or API call that gives it
level = "system"  # or "node": the worker takes the mean, pooling = "mean"
pooling = "none"
channels = "invariant"
dimension = 118

[model.provenance]
architecture = "counting"
training_sets = []
citation = "none"
"""

ENCODER = '''\
"""{name}: systems in, vectors out. It runs in the family's own environment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo.encoder import SYMBOLS, Encoder, System


class FamilyEncoder(Encoder):
    """Load the model in __init__ (device, dtype, untrained_seed) if there is one."""

    def prepare(self, system: System) -> np.ndarray:
        """Return a system as the model takes it; NotApplicable, with a reason, if it cannot."""
        assert system.numbers is not None  # the card's input is 'structure'
        return system.numbers

    def size(self, item: np.ndarray) -> int:
        """Return how much an item adds to a batch, in the unit of the card's scales_with."""
        return len(item)

    def encode(
        self, items: Sequence[np.ndarray], representations: Sequence[str]
    ) -> dict[str, list[np.ndarray]]:
        """Return the vectors of each representation, one array per item."""
        counts = [np.bincount(numbers - 1, minlength=len(SYMBOLS)) for numbers in items]
        return {{name: [count / count.sum() for count in counts] for name in representations}}
'''

REQUIREMENTS = """\
# What the encoder imports; `matterzoo lock {name}` pins it. If you need torch: torch==2.13.0
numpy
pyarrow
"""

TESTS = '''\
"""Run with pytest, once the family has an environment: `matterzoo env {name}`."""

from __future__ import annotations

from zoo.verify.suite import FamilySuite


class TestFamily(FamilySuite):
    """Every model behaves as its card says: batches, rotated copies, golden vectors."""

    family = "{name}"
'''

FILES = {
    "family.toml": FAMILY,
    "models.toml": MODELS,
    "encoder.py": ENCODER,
    "requirements.in": REQUIREMENTS,
    "tests/test_{name}.py": TESTS,
}


def write_family(name: str, parent: Path) -> Path:
    """Write the skeleton of a family.

    Args:
        name: The family's name: lower-case letters, digits, dots and dashes.
        parent: The folder in which the family's folder is made.

    Returns:
        The family's folder.

    Raises:
        CardError: The name is not allowed, there is a family or folder of that name, or the folder
            cannot be written.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9.\-]*", name):
        raise CardError(
            f"a family's name has lower-case letters, digits, dots and dashes, unlike {name!r}"
        )
    folder = parent / name
    if folder.exists() or name in {other.name for other in family_folders()}:
        raise CardError(f"a family named {name!r} is there already; choose another name")
    try:
        (folder / "tests").mkdir(parents=True)
        for file, text in FILES.items():
            (folder / file.format(name=name)).write_text(text.format(name=name))
    except OSError as error:
        raise CardError(
            f"{folder} cannot be written ({error.strerror}); name another folder with --folder"
        ) from error
    return folder
