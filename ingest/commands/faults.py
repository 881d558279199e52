"""What the operating system and DuckDB raise, as errors that say what to do."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from ingest.layout import Layout
from ingest.runs.errors import explain_disk_error
from schemas.paths import write_for_group
from zoo.errors import MatterzooError


class DiskError(MatterzooError):
    """A disk is full, or nothing may be written to it."""

    exit_code = 1


@contextmanager
def explained(options: argparse.Namespace) -> Iterator[None]:
    """Turn an interrupted statement and a disk that cannot be written to into their errors.

    Where users share a store's folder, what the command makes is the group's, too.

    Args:
        options: Store, where the command has one.

    Raises:
        DiskError: A disk is full, or read-only.
        KeyboardInterrupt: Ctrl-C ended a statement of DuckDB.
    """
    stated = vars(options).get("store")
    try:
        write_for_group(stated)
        yield
    except duckdb.InterruptException as error:
        raise KeyboardInterrupt from error
    except BrokenPipeError:
        raise
    except OSError as error:
        fault = explain_disk_error(error, Layout.find(stated))
        if fault is None:
            raise
        raise DiskError(fault) from error
