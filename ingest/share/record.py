"""What is published of a run, and where it lies in the repository.

    README.md       the data card, made from the records
    runs.jsonl      a record a line: one run's vectors of one representation, in one file
    data/<dataset>/<model>/<representation>/<run>.parquet

Names in paths have `_` for what is not a letter, a digit, '.' or '-': the vectors of x@untrained lie in x_untrained.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from zoo.cards.base import CardError, Identifier, Sha256
from zoo.cards.discovery import find_model, load_models
from zoo.cards.family import Selection
from zoo.cards.licenses import License
from zoo.cards.twins import TWIN
from zoo.weights import hub
from zoo.weights.digest import Content
from zoo.weights.errors import DownloadError

INDEX = "runs.jsonl"
LARGEST = 64_000_000  # bytes of an index that are read
FETCHED = "fetched"  # the runtime of a run that came from elsewhere

Text = Annotated[
    str, Field(max_length=10_000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")
]  # nothing a terminal obeys
Words = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x1f\x7f]*$")]  # on one line
ModelId = Annotated[str, Field(pattern=rf"^[a-z0-9][a-z0-9.\-]*({TWIN})?$", max_length=200)]
Count = Annotated[int, Field(ge=0)]


class ShareError(Exception):
    """Vectors that cannot be published, or that are refused; the message says why and what to do."""


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Row(Part):
    """The row of table `models`, without its id and the hash of its card."""

    family: Words
    title: Words
    input: Words
    default_representation: Identifier
    untrained_of: Words | None
    parameters: Count | None
    architecture: Text | None
    training_sets: tuple[Words, ...] | None
    license_code: Words
    license_weights: Words
    card: dict[str, Any]


class Score(Part):
    """A row of table `scores`."""

    name: Identifier
    value: float
    unit: Words
    test_set: Words
    source: Words


class Counts(Part):
    sent: Count
    ok: Count
    failed: Count
    not_applicable: Count


class Source(Part):
    """The dataset that was embedded."""

    name: Words
    title: Words
    source: Words
    license: Words
    dataset_hash: Sha256
    systems: Count


class Record(Part):
    """One run's vectors of one representation: the file, and all that is known of how it was made."""

    format: Literal[1] = 1
    run_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.@_\-]*$", max_length=400)
    model_id: ModelId
    dataset: Source
    representation: Identifier
    dimension: int = Field(gt=0)
    file: str
    sha256: Sha256
    size: int = Field(gt=0)
    counts: Counts
    untrained_seed: int | None
    dtype: Words
    card_hash: Sha256
    encoder_hash: Sha256 | None
    lock_hash: Sha256 | None
    weights: dict[Words, Sha256]
    versions: dict[Words, Words]
    device: Words
    device_name: Words | None
    driver: Words | None
    runtime: Words
    image: Words | None
    origin: Words | None = Field(
        description="<repository>@<commit>, where the publisher has fetched it too"
    )
    seconds: float | None
    peak_memory_bytes: Count | None
    started: datetime
    finished: datetime
    model: Row
    scores: tuple[Score, ...]
    matterzoo: Words

    @model_validator(mode="after")
    def _lies_where_it_belongs(self) -> Record:
        place = path_of(self.dataset.name, self.model_id, self.representation, self.run_id)
        if self.file != place:
            raise ValueError(f"its file is {self.file!r}, expected {place!r}")
        return self

    @property
    def content(self) -> Content:
        return Content(size=self.size, sha256=self.sha256)


def license_of(card: dict[str, Any]) -> License | None:
    """Of a model's weights, as its card says; None for vectors that come without a card."""
    stated = card.get("license_weights")
    return None if stated is None else License.model_validate(stated)


def slug(name: str) -> str:
    """A name as part of a path that every reader of the hub takes ('@' begins a revision in hf:// addresses)."""
    return re.sub(r"[^A-Za-z0-9.\-]", "_", name)


def folder_of(dataset: str, model_id: str, representation: str) -> str:
    return f"data/{slug(dataset)}/{slug(model_id)}/{representation}"


def path_of(dataset: str, model_id: str, representation: str, run_id: str) -> str:
    return f"{folder_of(dataset, model_id, representation)}/{slug(run_id)}.parquet"


def known(model_id: str) -> Selection | None:
    """The model, if this zoo has a card of it."""
    try:
        return find_model(model_id)
    except CardError:
        load_models()  # raises where a family has faults: it may be one of its models
        return None


def read_index(repo: str, commit: str, files: Sequence[str]) -> list[Record]:
    """The records of a repository at a commit whose files are there too. ShareError where they are none."""
    if INDEX not in files:
        return []
    with tempfile.TemporaryDirectory() as folder:
        stated = hub.file_metadata(hub.DATASETS + repo, commit, INDEX)
        if stated.size is None or stated.size > LARGEST:
            raise ShareError(
                f"{repo}/{INDEX} has {stated.size} bytes, expected at most {LARGEST:,}; it is not read"
            )
        target = Path(folder) / INDEX
        lines = hub.download_dataset_file(
            repo, commit, INDEX, target, Content(size=stated.size), _quiet, _quiet
        ).read_bytes()
    found = [_parse(repo, number, line) for number, line in enumerate(lines.splitlines(), start=1)]
    file, times = Counter(record.file for record in found).most_common(1)[0] if found else ("", 0)
    if times > 1:
        raise ShareError(
            f"{repo}/{INDEX} names {file} {times} times, expected once; nothing is taken from it"
        )
    return [record for record in found if record.file in files]


def _parse(repo: str, number: int, line: bytes) -> Record:
    try:
        return Record.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the line"
        raise ShareError(
            f"{repo}/{INDEX} is not an index of this version of matterzoo: line {number}, {where}: {first['msg']} "
            f"(got {first['input']!r:.60})"
        ) from error


def _quiet(*told: object) -> None:
    """A small file: nothing to tell."""


def resolved(repo: str, revision: str | None) -> tuple[str, list[str]]:
    """The commit of a revision (of the newest, if it is None), and the files that it has."""
    if not re.fullmatch(r"[\w\-][\w.\-]*/[\w\-][\w.\-]*", repo):
        raise ShareError(f"{repo!r} is no repository of a hub; expected owner/name")
    info = hub.dataset_info(repo, revision)
    if info.sha is None or not re.fullmatch("[0-9a-f]{40}", info.sha):
        raise DownloadError(
            f"{repo}: the hub names no commit for {revision or 'the main branch'}, but {info.sha!r}"
        )
    return info.sha, [file.rfilename for file in info.siblings or []]
