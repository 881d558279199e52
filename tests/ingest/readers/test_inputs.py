"""Awkward files of every format, each with what it must give: `inputs/` and the table `inputs.csv`.

The table has one row per entry and per remark of a file, or one for a file that is refused.
`python -m tests.ingest.readers.test_inputs` writes it again; look at what changes before you
believe it.
"""

from __future__ import annotations

import csv
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from ase.data import chemical_symbols
from ase.formula import Formula

from ingest.readers.shared.guard import OUR_FAULT
from ingest.sources.shared.discovery import find_dataset
from ingest.systems.entry import DatasetError, Entry, Remark, Unreadable
from ingest.systems.validation import validate

FOLDER = Path(__file__).parent / "inputs"
TABLE = FOLDER.with_suffix(".csv")
LONGEST = 200  # letters of a reason; what a parser adds at its end is its own affair
# The path of the file, which is part of a message, and random ids of ASE are left out.
Row = tuple[str, str]  # id, what it gives


def given(path: Path) -> Iterator[Row]:
    """Yield what the product reads, in words."""
    try:
        for item in find_dataset(str(path)).entries():
            found = validate(item) if isinstance(item, Entry) else item
            if isinstance(found, Remark):
                yield "(remark)", found.text
            elif isinstance(found, Unreadable):
                yield found.source_id, f"refused: {found.reason}"[:LONGEST]
            else:
                yield found.source_id, described(found)
    except DatasetError as error:
        yield "(file)", f"error: {str(error).replace(str(path), path.name)}"[:LONGEST]


def described(entry: Entry) -> str:
    """Describe an entry in one line: formula, cell, charge, spin, SMILES, sequence, labels."""
    words = []
    if entry.numbers is not None:
        words.append(Formula.from_list([chemical_symbols[z] for z in entry.numbers]).format("hill"))
    if entry.pbc is not None:
        words.append("periodic " + "".join("TF"[not along] for along in entry.pbc))
    for name in ("charge", "spin", "smiles", "sequence"):
        value = getattr(entry, name)
        if value is not None:
            words.append(f"{name} {value if len(str(value)) < 100 else len(str(value))}")
    if entry.backbone is not None:
        words.append("N at x = " + " ".join(f"{x:g}" for x in entry.backbone[:, 0, 0].round(3)))
    words += [f"{x.property} {x.value:g} {x.unit} of {x.source}" for x in entry.labels]
    return ", ".join(words)


def expected() -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = defaultdict(list)
    with TABLE.open(encoding="utf-8", newline="") as file:
        for name, entry, gives in list(csv.reader(file))[1:]:
            rows[name].append((entry, gives))
    return rows


EXPECTED = expected() if TABLE.exists() else {}


def test_the_table_has_every_file() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(EXPECTED)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_file_gives_what_it_says_or_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    shutil.copy(FOLDER / name, path)
    content = path.read_bytes()
    found = list(given(path))
    assert found == [row for row in EXPECTED[name] if row != ("(file)", "nothing")]
    assert not [gives for _, gives in found if OUR_FAULT in gives], "an exception of our own code"
    assert [file.name for file in tmp_path.iterdir()] == [name], "reading a file made another"
    assert path.read_bytes() == content, "reading a file changed it"


def write() -> None:
    """Write the table again, from what the product reads now."""
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["file", "entry", "gives"])
        for path in sorted(FOLDER.iterdir()):
            table.writerows(
                (path.name, *row) for row in list(given(path)) or [("(file)", "nothing")]
            )


if __name__ == "__main__":
    sys.exit(write())
