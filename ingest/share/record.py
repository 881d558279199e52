"""What is published about a run, and where its file lies in the repository.

    README.md       the data card, made from the records
    runs.jsonl      one record per line: one run's vectors of one representation, in one file
    data/<dataset>/<model>/<representation>/<run>.parquet

In paths, `_` replaces what is not a letter, a digit, '.' or '-': the vectors of x@untrained lie in
x_untrained, and those of last_hidden:std in last_hidden_std.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from zoo.cards.base import Identifier, Sha256
from zoo.cards.licenses import License
from zoo.cards.representations import FullName, RepresentationName
from zoo.cards.twins import TWIN_SUFFIX
from zoo.errors import MatterzooError
from zoo.weights.digest import Content

INDEX = "runs.jsonl"
FETCHED = "fetched"  # the runtime of a run that came from elsewhere

# Without control characters, which a terminal would obey.
_Text = Annotated[str, Field(max_length=10_000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")]
_Line = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x1f\x7f]*$")]
_NAME = r"[a-z0-9][a-z0-9.\-]*"
_ModelId = Annotated[str, Field(pattern=f"^{_NAME}({TWIN_SUFFIX})?$", max_length=200)]
_Count = Annotated[int, Field(ge=0)]


class ShareError(MatterzooError):
    """Vectors cannot be published or are refused; the message says why and what to do."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelRow(_Part):
    """The row of table `models`, without its id and the hash of its card."""

    family: _Line
    title: _Line
    input: _Line
    default_representation: RepresentationName
    untrained_of: _Line | None
    parameters: _Count | None
    architecture: _Text | None
    training_sets: tuple[_Line, ...] | None
    license_code: _Line
    license_weights: _Line
    card: dict[str, Any]


class ScoreRow(_Part):
    """A row of table `scores`, without the model."""

    name: Identifier
    value: float
    unit: _Line
    test_set: _Line
    source: _Line


class StatusCounts(_Part):
    """How many systems were sent to the model, and how many have each status."""

    sent: _Count
    ok: _Count
    failed: _Count
    not_applicable: _Count


class EmbeddedDataset(_Part):
    """The dataset that was embedded.

    Attributes:
        name: Its name.
        title: One line about it.
        source: Where its systems come from; of a user's own file, only the name.
        license: The license of the source.
        dataset_hash: The SHA-256 over the content hashes of its systems.
        systems: How many systems it has.
    """

    name: _Line
    title: _Line
    source: _Line
    license: _Line
    dataset_hash: Sha256
    systems: _Count


class PublishedRun(_Part):
    """One run's vectors of one representation: the file, and how it was made.

    Attributes:
        format: The version of this record.
        run_id: The id of the run; one per representation.
        model_id: The id of the model.
        dataset: The dataset that was embedded.
        representation: Where in the model the vectors were read.
        dimension: The length of a vector.
        file: The path of the file in the repository.
        sha256: The SHA-256 of the file.
        size: The size of the file in bytes.
        counts: How many systems have each status.
        untrained_seed: The seed of an untrained twin's weights.
        dtype: The precision in which the model ran.
        card_hash: The hash of the model's card.
        encoder_hash: The hash of the encoder's code.
        lock_hash: The hash of the environment's lock.
        weights: The SHA-256 of each file of weights.
        versions: The version of each installed package.
        device: `cpu` or `cuda:N`.
        device_name: The name of the processor.
        driver: The version of the GPU's driver.
        runtime: How the worker was started.
        image: The image in which it ran.
        origin: `<repository>@<commit>`, if the publisher fetched it, too.
        seconds: The duration of the run.
        peak_memory_bytes: The peak resident memory of the worker.
        started: When the run started (UTC).
        finished: When it finished (UTC).
        model: The model's row.
        scores: The model's published scores.
        matterzoo: The version that published the file.
    """

    format: Literal[1] = 1
    run_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.@_\-]*$", max_length=400)
    model_id: _ModelId
    dataset: EmbeddedDataset
    representation: FullName
    dimension: int = Field(gt=0)
    file: str
    sha256: Sha256
    size: int = Field(gt=0)
    counts: StatusCounts
    untrained_seed: int | None
    dtype: _Line
    card_hash: Sha256
    encoder_hash: Sha256 | None
    lock_hash: Sha256 | None
    weights: dict[_Line, Sha256]
    versions: dict[_Line, _Line]
    device: _Line
    device_name: _Line | None
    driver: _Line | None
    runtime: _Line
    image: _Line | None
    origin: _Line | None
    seconds: float | None
    peak_memory_bytes: _Count | None
    started: datetime
    finished: datetime
    model: ModelRow
    scores: tuple[ScoreRow, ...]
    matterzoo: _Line

    @model_validator(mode="after")
    def _lies_where_it_belongs(self) -> PublishedRun:
        expected = path_of(self.dataset.name, self.model_id, self.representation, self.run_id)
        if self.file != expected:
            raise ValueError(f"its file is {self.file!r}, expected {expected!r}")
        return self

    @property
    def content(self) -> Content:
        """What is known of the file's content."""
        return Content(size=self.size, sha256=self.sha256)

    @property
    def folder(self) -> str:
        """The folder of the file in the repository."""
        return folder_of(self.dataset.name, self.model_id, self.representation)


def license_of(card: dict[str, Any]) -> License | None:
    """Return the license of a model's weights.

    Args:
        card: The model's card, as table `models` has it.

    Returns:
        The license, None for vectors without a card.
    """
    stated = card.get("license_weights")
    return None if stated is None else License.model_validate(stated)


def slug(name: str) -> str:
    """Return a name as part of a path that every reader of the hub accepts.

    Args:
        name: Any name; '@', for example, begins a revision in hf:// addresses.
    """
    return re.sub(r"[^A-Za-z0-9.\-]", "_", name)


def folder_of(dataset: str, model_id: str, representation: str) -> str:
    """Return the folder of the vectors of one representation in a repository.

    Args:
        dataset: The name of the dataset.
        model_id: The id of the model.
        representation: The name of the representation.
    """
    return f"data/{slug(dataset)}/{slug(model_id)}/{slug(representation)}"


def path_of(dataset: str, model_id: str, representation: str, run_id: str) -> str:
    """Return the path of the file of one run in a repository.

    Args:
        dataset: The name of the dataset.
        model_id: The id of the model.
        representation: The name of the representation.
        run_id: The id of the run.
    """
    return f"{folder_of(dataset, model_id, representation)}/{slug(run_id)}.parquet"
