"""A family's card, and a model as a user names it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from zoo.cards.base import Card, CardError, Name
from zoo.cards.licenses import License
from zoo.cards.schema import Model
from zoo.cards.twins import split_twin, twin_id, twin_seed
from zoo.code import code_hash, requirements_hash
from zoo.places import weights_pins

# A line of requirements.in that no index can satisfy: a repository at a commit.
SOURCE = r"^[\w.\-]+ *@ *git\+(?:https|file)://\S+@[0-9a-f]{40}(?=\s|$)"

SystemPackage = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]+$")]  # as Debian's policy says


class Family(Card):
    """Models that share one environment: one lock, one image, one encoder.

    Attributes:
        name: The name of its folder.
        title: Its name in words.
        homepage: Where its code is published.
        license_code: The license of that code.
        requires_python: The versions of Python that its lock is resolved for, as in PEP 440.
        cuda_capability: The compute capability of the oldest GPU that runs it, such as '7.5'.
        cuda_capability_max: The compute capability of the newest GPU that its build of torch is
            known to run on.
        installed_mb: The size of the installed environment with torch's CPU build, in MB.
        system_packages: Packages of Debian that its packages need and a small base image lacks,
            such as 'libxrender1'.
        path: Its folder.
        models: The cards of its models.
        demo: Ids of those of its models, and of untrained twins, that `make demo` embeds with. None
            of them needs a download.
    """

    name: Name
    title: str
    homepage: str = Field(pattern=r"^https://")
    license_code: License
    requires_python: str
    cuda_capability: str | None = Field(default=None, pattern=r"^\d+\.\d$")
    cuda_capability_max: str | None = Field(default=None, pattern=r"^\d+\.\d$")
    installed_mb: int = Field(gt=0)
    system_packages: tuple[SystemPackage, ...] = ()
    path: Path = Field(exclude=True)
    models: tuple[Model, ...] = Field(min_length=1)
    demo: tuple[str, ...] = ()

    @field_validator("demo")
    @classmethod
    def _demo_needs_no_download(
        cls, names: tuple[str, ...], info: ValidationInfo
    ) -> tuple[str, ...]:
        found = {model.id: model for model in info.data.get("models", ()) if model.bundled}
        for name in names:
            base, draw = split_twin(name)
            if base not in found or (draw is not None and not found[base].trainable):
                raise ValueError(
                    f"{name!r} is neither a model of this family that needs no download, nor an "
                    "untrained twin of one"
                )
        return names

    @property
    def bundled(self) -> bool:
        """Whether any of its models needs no download of its own."""
        return any(model.bundled for model in self.models)

    @property
    def lock(self) -> Path:
        """The file of its locked requirements."""
        return self.path / "requirements.lock"

    @property
    def pins(self) -> Path:
        """The file that takes revisions and hashes of weights that its cards leave open."""
        return weights_pins(self.path)

    @property
    def lock_hash(self) -> str:
        """The hash of its requirements.lock without comments; CardError if there is none."""
        if not self.lock.exists():
            remedy = f"`matterzoo lock {self.name}` writes it"
            raise CardError(f"family {self.name} has no {self.lock.name}; {remedy}")
        return requirements_hash(self.lock.read_text())

    @property
    def torch(self) -> str | None:
        """The requirement 'torch==2.13.0' of requirements.in; None if the family needs no torch.

        The lock leaves torch out because its build depends on the machine.
        """
        requirements = (self.path / "requirements.in").read_text()
        found = re.search(r"^torch(?![\w.\-\[]) *(==[^\s;#]+)?", requirements, re.MULTILINE)
        return None if found is None else f"torch{found[1] or ''}"

    @property
    def sources(self) -> tuple[str, ...]:
        """The requirements that no index has: 'name@git+https://…@<40 hex>'.

        The lock leaves them out, as it does torch; their commit serves as their hash.
        """
        requirements = (self.path / "requirements.in").read_text()
        found = re.findall(SOURCE, requirements, re.MULTILINE)
        return tuple(line.replace(" ", "") for line in found)

    @property
    def encoder_hash(self) -> str:
        """The hash of the encoder's code, without its comments, docstrings and layout."""
        return code_hash((self.path / "encoder.py").read_bytes())


class Selection(BaseModel):
    """A model as a user names it.

    Attributes:
        family: The family of the model.
        model: The card of the model.
        untrained: Whether an untrained twin of the model is meant.
        draw: Which of its twins, from 1.
    """

    model_config = ConfigDict(frozen=True)

    family: Family
    model: Model
    untrained: bool
    draw: int = Field(default=1, ge=1)

    @property
    def model_id(self) -> str:
        """The id by which the store knows it, such as 'a', 'a@untrained' or 'a@untrained-2'."""
        return twin_id(self.model.id, self.draw) if self.untrained else self.model.id

    def twin(self, draw: int = 1) -> Selection:
        """Return the selection of an untrained twin of the model.

        Args:
            draw: Which of its twins, from 1.

        Raises:
            CardError: The model has nothing to train.
        """
        if not self.model.trainable:
            raise CardError(
                f"{self.model.id} has no weights to draw at random, so it has no untrained twin"
            )
        return self.model_copy(update={"untrained": True, "draw": draw})

    @property
    def card_hash(self) -> str:
        """The SHA-256 of what decides the vectors."""
        return self.model.card_hash(untrained=self.untrained, draw=self.draw)

    @property
    def untrained_seed(self) -> int | None:
        """The seed of an untrained twin; None for a trained model."""
        return twin_seed(self.model.id, self.draw) if self.untrained else None
