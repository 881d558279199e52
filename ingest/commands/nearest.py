"""The part of the command nearest that embeds what a user gives."""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingest.commands.faults import explained
from ingest.executors.embed import embed
from ingest.failures import RunError
from ingest.layout import Layout
from ingest.maintenance.missing_weights import offer_weights
from ingest.readers.folders import expand_home, source_exists
from ingest.readers.shared.discovery import expected_files, known_suffixes
from ingest.runs.errors import RequestError
from ingest.runs.request import Settings
from ingest.systems.entry import DatasetError
from schemas.store import connect
from zoo.cards.discovery import find_model
from zoo.cards.family import Selection

# What the text of a system is, by the input of a model that takes text, and the file it is put in.
WRITTEN = {
    "smiles": ("a SMILES string", ".smi", "{} {}\n"),
    "selfies": ("a SMILES string", ".smi", "{} {}\n"),
    "any": ("a SMILES string", ".smi", "{} {}\n"),
    "sequence": ("a protein's sequence", ".fasta", ">{1}\n{0}\n"),
}
GIVEN = "given"  # the id of a system that is given as text, and the name of what is not kept
_VECTORS = """
SELECT e.system_id, formula, vector FROM embeddings e LEFT JOIN systems USING (system_id)
WHERE model_id = $model AND starts_with(e.system_id, $dataset || '/')
AND representation = coalesce(
    $representation, (SELECT default_representation FROM models WHERE model_id = $model)
) ORDER BY ALL
"""
_REFUSED = """
SELECT DISTINCT system_id, reason FROM failures
WHERE dataset = $dataset AND (model_id IS NULL OR model_id = $model) ORDER BY ALL
"""


@dataclass(frozen=True)
class Embedded:
    """The systems that a user gave, as a model sees them.

    Attributes:
        systems: Their ids.
        formulas: Their formulas, None where they have none.
        vectors: A vector each, (d,).
        refused: Why others have no vector, by their ids.
    """

    systems: list[str]
    formulas: list[str | None]
    vectors: list[NDArray[np.float64]]
    refused: dict[str, str]


def embed_given(options: argparse.Namespace) -> Embedded:
    """Embed the systems of a file, or one that is written, with a model.

    Nothing is stored unless they get a name: else they are embedded into a store that is removed.

    Args:
        options: Those of `matterzoo nearest`.

    Returns:
        What was embedded, at least one system.

    Raises:
        MatterzooError: What is given cannot be read, the model takes none of it, or fails.
    """
    model_id, _, representation = options.model.partition("#")
    selection = find_model(model_id)
    with explained(options), tempfile.TemporaryDirectory(prefix="matterzoo-") as temporary:
        folder = Path(temporary)
        settings = Settings(
            device=options.device,
            dtype=options.dtype,
            runtime=options.runtime,
            representation=representation or None,
            name=options.name or GIVEN,
            numbered=options.numbered,
        )
        store = str(Layout.find(options.store).store if options.name else folder / "given.duckdb")
        _embed(selection, options.system, folder, settings, store, yes=options.yes)
        found = _read(selection, settings, store)
    if not found.systems:
        raise RequestError(_explain(selection, options.system, found.refused))
    return found


def _embed(
    selection: Selection, system: str, folder: Path, settings: Settings, store: str, *, yes: bool
) -> None:
    path = expand_home(system)
    file = path if source_exists(path) else _write(selection, system, folder)
    offer = partial(offer_weights, settings=settings, yes=yes)
    try:
        with redirect_stdout(sys.stderr):  # the answer alone goes to standard output
            failed = embed(selection.model_id, file, settings, store=store, offer=offer)
    except DatasetError as error:
        if file == path:
            raise
        reason = str(error).partition(f"{GIVEN}: ")[2]  # without the file, which is not theirs
        raise RequestError(reason or str(error)) from error
    if failed:
        raise RunError(f"{selection.model_id} failed on {system}; the reason is above")


def _write(selection: Selection, text: str, folder: Path) -> str:
    """Write a system that is given as text to a file, and return its path."""
    kind = selection.model.input
    if kind not in WRITTEN or Path(text).suffix in known_suffixes():
        taken = f"takes a {kind}" if kind not in WRITTEN else f"takes {WRITTEN[kind][0]} or a file"
        raise RequestError(
            f"there is no file {text}; {selection.model_id} {taken}, expected {expected_files()}. "
            "For a system of the store, ask `FROM nearest_systems(…)`"
        )
    _, suffix, form = WRITTEN[kind]
    file = folder / f"{GIVEN}{suffix}"
    file.write_text(form.format(text.strip(), GIVEN), encoding="utf-8")
    return str(file)


def _read(selection: Selection, settings: Settings, store: str) -> Embedded:
    if not Path(store).exists():  # it is made once there is something to compute
        return Embedded([], [], [], {})
    chosen: dict[str, Any] = {"model": selection.model_id, "dataset": settings.name}
    representation = (settings.representation or "").removesuffix(":mean") or None
    with connect(store, read_only=True) as connection:
        rows = connection.execute(_VECTORS, chosen | {"representation": representation}).fetchall()
        refused = dict(connection.execute(_REFUSED, chosen).fetchall())
    return Embedded(
        [row[0] for row in rows],
        [row[1] for row in rows],
        [np.array(row[2], dtype=np.float64) for row in rows],
        refused,
    )


def _explain(selection: Selection, system: str, refused: dict[str, str]) -> str:
    """Return why a model takes nothing of what is given."""
    reasons = [f"{name.partition('/')[2]}: {reason}" for name, reason in refused.items()]
    if not reasons:
        reasons = [f"it takes a {selection.model.input}, and this has none"]
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return f"{selection.model_id} takes nothing of {system}: {reasons[0]}{more}"
