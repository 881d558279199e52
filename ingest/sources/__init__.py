"""The datasets: those our own dependencies carry or make, one module each, and the files a user brings."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from pathlib import Path

from ingest.readers.discovery import file_dataset, known_suffixes
from ingest.systems.dataset import Dataset
from ingest.systems.entry import DatasetError
from zoo.cards.discovery import nearest

__all__ = ["Dataset", "find_dataset", "load_datasets"]


def load_datasets() -> dict[str, Dataset]:
    """Every embedded dataset, by name. A dataset exists because its module is here and defines DATASET."""
    modules = [
        import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__) if not m.ispkg
    ]
    found = [module.DATASET for module in modules if hasattr(module, "DATASET")]
    return {dataset.name: dataset for dataset in found}


def find_dataset(name_or_path: str) -> Dataset:
    """The embedded dataset of that name, or a user's file as one. DatasetError says what there is instead."""
    datasets = load_datasets()
    if name_or_path in datasets:
        return datasets[name_or_path]
    path = Path(name_or_path).expanduser()
    if not path.exists():
        if path.suffix in known_suffixes() or len(path.parts) > 1:
            raise DatasetError(
                f"there is no file {path.absolute()}. Of datasets, {nearest(name_or_path, datasets)}"
            )
        raise DatasetError(
            f"{name_or_path!r} is neither a dataset nor a file ({', '.join(known_suffixes())});"
            f" {nearest(name_or_path, datasets)}"
        )
    dataset = file_dataset(path)
    if dataset.name in datasets:
        raise DatasetError(
            f"{path} would be called {dataset.name!r}, which is an embedded dataset; rename the file"
        )
    return dataset
