"""Finding the reader of a file, by its suffix or its name."""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import ingest.readers
from ingest.readers.shared.reader import Reader


def load_readers() -> list[Reader]:
    """Return the reader of every format: the modules of `ingest.readers` that define READER."""
    package = ingest.readers
    modules = [
        import_module(f"{package.__name__}.{found.name}")
        for found in pkgutil.iter_modules(package.__path__)
    ]
    return [module.READER for module in modules if hasattr(module, "READER")]


def known_suffixes() -> list[str]:
    """Return how names of files that can be read end or begin, sorted, for messages."""
    return sorted({name for known in load_readers() for name in (*known.suffixes, *known.names)})


def expected_files() -> str:
    """Return which files can be read, as the end of a message."""
    return f"{', '.join(known_suffixes())}, each also compressed (.gz)"


def reader_of(path: Path, readers: Sequence[Reader]) -> Reader | None:
    """Find the reader by suffix, or else by how the name begins (POSCAR_1.csv is a table).

    Args:
        path: A file.
        readers: What `load_readers` returned.

    Returns:
        The reader, None if the format is not known.
    """
    by_suffix = (known for known in readers if known.suffix_of(path))
    by_name = (known for known in readers if known.knows_name(path))
    return next(by_suffix, None) or next(by_name, None)
