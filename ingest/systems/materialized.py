"""Datasets on disk: a folder of Parquet files that was written whole, read again and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ingest.integrity import Damaged, check_file, read_json
from schemas.message import one_line

DESCRIPTION = "dataset.json"  # the fields of MaterializedDataset but its folder


@dataclass(frozen=True)
class MaterializedDataset:
    """A dataset's folder: systems.parquet, unreadable.parquet, labels.parquet, dataset.json.

    Attributes:
        folder: Where the files lie.
        dataset: The name of the dataset.
        title: One line about it.
        source: Where its systems come from; an absolute path for a user's own file.
        license: The license of the source.
        n_systems: The number of systems in systems.parquet.
        n_unreadable: The number of entries in unreadable.parquet.
        dataset_hash: The SHA-256 over the content hashes in the order of system ids.
        versions: The version of each package that decided the entries.
        fingerprint: The fingerprint of the `Dataset` that was written.
        sample: How many systems were asked for, None for all.
        numbered: Whether rows without ids were numbered, as the user asked.
        remarks: What the source holds and no reader reads.
        files: Size and SHA-256 of each Parquet file, None in folders of earlier versions.
    """

    folder: Path
    dataset: str
    title: str
    source: str
    license: str
    n_systems: int
    n_unreadable: int
    dataset_hash: str
    versions: dict[str, str]
    fingerprint: str
    sample: int | None = None
    numbered: bool = False
    remarks: Sequence[str] = ()
    files: dict[str, dict[str, Any]] | None = None

    def covers(self, sample: int | None) -> bool:
        """Return whether the folder holds a sample of that size.

        A source that gave fewer systems than were asked for has given all that it has.

        Args:
            sample: The number of systems that are needed, None for all.
        """
        if self.sample is None or self.n_systems < self.sample:
            return True
        return sample is not None and sample <= self.sample

    @property
    def systems(self) -> Path:
        """The file of all systems."""
        return self.folder / "systems.parquet"

    @property
    def unreadable(self) -> Path:
        """The file of the entries that could not be read, with reasons."""
        return self.folder / "unreadable.parquet"

    @property
    def labels(self) -> Path:
        """The file of the properties that the source gives for its systems."""
        return self.folder / "labels.parquet"


def read_materialized(folder: Path) -> MaterializedDataset | None:
    """Read the description of the dataset that was written to a folder.

    Args:
        folder: The folder, which need not exist.

    Returns:
        The dataset; None if there is none, or if another version of this program wrote it, so
        that it has to be written again.

    Raises:
        Damaged: The description is not as it was written.
    """
    file = folder / DESCRIPTION
    if not file.exists():
        return None
    try:
        return MaterializedDataset(folder=folder, **read_json(file))
    except Damaged as error:
        raise Damaged(
            f"{error}. Remove {folder}; `matterzoo ingest` then makes it again, "
            "with the same --limit as before"
        ) from error
    except TypeError:  # other fields: another version wrote it
        return None


def check_materialized(dataset: MaterializedDataset) -> None:
    """Check that every file of a dataset's folder is as it was written.

    Args:
        dataset: The dataset, as `read_materialized` returns it.

    Raises:
        Damaged: A file is missing or changed; the message says what to do.
    """
    try:
        for name, stated in (dataset.files or {}).items():
            check_file(dataset.folder / name, stated)
        if dataset.files is None:
            _check_readable(dataset)
    except Damaged as error:
        raise Damaged(
            f"{error}. Any `matterzoo ingest` over {dataset.dataset} makes it again"
        ) from error


def _check_readable(dataset: MaterializedDataset) -> None:
    """Raise Damaged if a file of the folder is not a whole Parquet file."""
    for file in (dataset.systems, dataset.unreadable, dataset.labels):
        try:
            with pq.ParquetFile(file, page_checksum_verification=True) as table:
                for batch in table.iter_batches():
                    batch.validate(full=True)
        except (OSError, ValueError) as error:
            raise Damaged(f"{file} is damaged: {one_line(error)}") from error
