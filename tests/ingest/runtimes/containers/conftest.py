"""The family `boxed` and its image, for the tests of workers in containers."""

from __future__ import annotations

from tests.ingest.boxed import (  # noqa: F401
    base,
    boxed,
    boxed_folder,
    build_options,
    client,
    folder,
    ingest,
    layout,
    meanwhile,
    molecules,
    only_run,
    places,
    relay,
    zoo,
)
