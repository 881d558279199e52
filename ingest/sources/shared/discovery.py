"""Finding a dataset by its name, or a user's files by their path."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from pathlib import Path

import ingest.sources
from ingest.readers.folders import expand_home, is_glob, source_exists
from ingest.readers.own import own_dataset
from ingest.readers.shared.discovery import known_suffixes
from ingest.systems.dataset import Dataset
from ingest.systems.entry import DatasetError
from zoo.errors import did_you_mean


def load_datasets() -> dict[str, Dataset]:
    """Return every dataset by name: the modules of `ingest.sources` that define DATASET."""
    package = ingest.sources
    modules = [
        import_module(f"{package.__name__}.{found.name}")
        for found in pkgutil.iter_modules(package.__path__)
        if not found.ispkg
    ]
    datasets = [module.DATASET for module in modules if hasattr(module, "DATASET")]
    return {dataset.name: dataset for dataset in datasets}


def find_dataset(
    name_or_path: str, called: str | None = None, *, numbered: bool = False
) -> Dataset:
    """Return the dataset of that name, or a user's files as a dataset.

    Args:
        name_or_path: A name, as `load_datasets` has it, or a file, a folder, or a glob of files.
        called: What a user's files are to be called; None takes the name of the file or folder.
        numbered: Whether rows of tables that have no ids are numbered from 0.

    Raises:
        DatasetError: It is neither, or the files cannot be a dataset; the message names what there
            is instead.
    """
    datasets = load_datasets()
    if name_or_path in datasets:
        if called is not None:
            raise DatasetError(
                f"{name_or_path} has its name; --name {called} is for your own files"
            )
        return datasets[name_or_path]
    path = Path(expand_home(name_or_path))
    if not source_exists(str(path)):
        if is_glob(str(path)):
            raise DatasetError(f"no file matches {str(path.absolute())!r}")
        hint = did_you_mean(name_or_path, datasets)
        if path.suffix in known_suffixes() or len(path.parts) > 1:
            raise DatasetError(f"there is no file {path.absolute()}. Of datasets, {hint}")
        raise DatasetError(
            f"{name_or_path!r} is neither a dataset nor a file ({', '.join(known_suffixes())}); "
            f"{hint}"
        )
    dataset = own_dataset(str(path), called, numbered=numbered)
    if dataset.name in datasets:
        raise DatasetError(
            f"{path} would be called {dataset.name!r}, which is a known dataset; "
            "rename it, or give it another --name"
        )
    return dataset
