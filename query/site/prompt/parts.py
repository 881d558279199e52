"""All that the prompt adds to a site: files, tables, and what its page says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from query.site.prompt.catalog import describe_prompt
from query.site.prompt.packages import Read, prompt_files
from query.site.prompt.vectors import WhyNotShared, read_vectors
from query.site.results import Results


@dataclass(frozen=True)
class Sources:
    """What a prompt is made from besides the store.

    Attributes:
        files: The files of the prompt; see `prompt_files`.
        why_not_shared: Says which vectors may not be shared.
    """

    files: Mapping[str, bytes]
    why_not_shared: WhyNotShared

    @classmethod
    def read(cls, read: Read, why_not_shared: WhyNotShared) -> Sources:
        """Read the npm packages, before anything else is computed.

        Args:
            read: Reads files of npm packages.
            why_not_shared: Says which vectors may not be shared.

        Returns:
            Both.

        Raises:
            MatterzooError: A package cannot be had.
        """
        return cls(prompt_files(read), why_not_shared)


@dataclass(frozen=True)
class Prompt:
    """What the prompt adds to a site.

    Attributes:
        files: Its files by their paths below `assets/prompt/`.
        tables: All tables of the site by their paths without `.parquet`.
        about: What the template of its page shows.
    """

    files: Mapping[str, bytes]
    tables: Mapping[str, pa.Table]
    about: Mapping[str, Any]


def make_prompt(
    connection: duckdb.DuckDBPyConnection, results: Results, sources: Sources
) -> Prompt:
    """Return the prompt of a site.

    Args:
        connection: A connection to a store.
        results: What the site shows.
        sources: What it is made from.
    """
    vectors = read_vectors(connection, results, sources.why_not_shared)
    tables = {f"results/{name}": table for name, table in results.tables.items()}
    tables["results/vector_sets"] = vectors.pop("vector_sets")
    tables |= vectors
    return Prompt(sources.files, tables, describe_prompt(results, tables, sources.files))
