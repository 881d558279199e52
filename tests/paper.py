"""Print which rows of the paper's Table 1 are here, and how far each was tried.

    python -m tests.paper

    card         a representation of a card says that it is this row
    environment  the family's environment was built from its lock as it is, and a worker ran in it
    encoder      the model passed `matterzoo check`, at least with a dummy checkpoint
    real         and with the published weights (for a random row: with what was drawn at random)

The rows whose weights a publisher gives by hand are also counted apart: no work here opens that
gate. The evidence is in the families' checked.lock files, where lock, encoder and card are still
those that were tried. paper.csv beside this file holds the labels as printed and, where a person
has to say it, why a row was not tried further.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from zoo.cards.base import CardError
from zoo.cards.discovery import find_model, load_models
from zoo.cards.family import Selection
from zoo.cards.twins import TWIN
from zoo.terminal import print_table
from zoo.verify.records import is_current, read_records
from zoo.weights.local import needed_files, weights_status

PAPER = Path(__file__).with_name("paper.csv")
QUESTIONS = ("card", "environment", "encoder", "real")


@dataclass(frozen=True)
class Row:
    number: int
    label: str
    told: str  # why it was not tried further, by a person
    selection: Selection | None
    representation: str | None

    @cached_property
    def answers(self) -> dict[str, bool]:
        if self.selection is None:
            return dict.fromkeys(QUESTIONS, False)
        family = self.selection.family
        found = read_records(family)
        mine = found.get(self.selection.model_id)
        well = mine is not None and is_current(self.selection, mine)
        environment = any(record["lock_hash"] == family.lock_hash for record in found.values())
        real = well and mine is not None and mine["weights"] == "real"
        return {"card": True, "environment": environment, "encoder": well, "real": real}

    @property
    def gated(self) -> bool:
        """Whether somebody at the publisher decides who may download the weights."""
        if self.selection is None or not needed_files(self.selection):
            return False
        return self.selection.model.license_weights.approval == "manual"

    @property
    def reason(self) -> str:
        """Why it was not tried further; empty where all was."""
        if all(self.answers.values()):
            return ""
        if self.selection is None:
            return self.told
        weights = (
            f"weights {weights_status(self.selection)}" if needed_files(self.selection) else ""
        )
        gate = self.selection.model.license_weights.gate if self.gated else None
        return "; ".join(filter(None, (self.told, weights, gate)))


def rows() -> list[Row]:
    """The 59 rows, in the paper's order."""
    places = dict(_places())
    with PAPER.open(encoding="utf-8", newline="") as file:
        return [
            Row(
                int(line["row"]),
                line["label"],
                line["reason"],
                *places.get(int(line["row"]), (None, None)),
            )
            for line in csv.DictReader(file)
        ]


def _places() -> list[tuple[int, tuple[Selection, str]]]:
    found = []
    for selection in load_models().values():
        for representation in selection.model.representation:
            if representation.paper_row is not None:
                found.append((representation.paper_row, (selection, representation.name)))
            if representation.paper_row_of_twin is not None:
                twin = find_model(selection.model_id + TWIN)
                found.append((representation.paper_row_of_twin, (twin, representation.name)))
    numbers = [number for number, _ in found]
    twice = sorted({number for number in numbers if numbers.count(number) > 1})
    if twice:
        raise CardError(f"rows of the paper that two representations claim to be: {twice}")
    return found


def main() -> None:
    table = [("row", "label", "model", *QUESTIONS, "why not further")]
    found = rows()
    for row in found:
        name = f"{row.selection.model_id} {row.representation}" if row.selection else "-"
        answers = ("yes" if row.answers[question] else "-" for question in QUESTIONS)
        table.append((str(row.number), row.label, name, *answers, row.reason))
    print_table(table)
    apart = [row for row in found if row.gated]
    print(f"\n{count(apart, 'rows that a publisher opens by hand')}")
    print(count([row for row in found if not row.gated], "other rows"))
    print(count(found, "rows"))


def count(found: list[Row], what: str) -> str:
    """Say how many of some rows are here, and how far they were tried."""
    totals = (f"{question} {sum(row.answers[question] for row in found)}" for question in QUESTIONS)
    return f"of {len(found)} {what}: {', '.join(totals)}"


if __name__ == "__main__":
    main()
