"""Print which models CI checks beside `make test`, one line per family.

    python -m tests.rotation TURN [COUNT]

They are every model of the demo; every other one that has changed since it was checked; and, of
those that have not, one model each of COUNT families that need no download and of COUNT that do,
through which TURN (a number that grows) goes in order. A model that never passed a check is left
out: `matterzoo list` shows a dash, and nothing of it could break yet.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping

from zoo.cards.discovery import load_families
from zoo.cards.family import Family, Selection
from zoo.verify.records import is_current, read_records


def chosen(families: Mapping[str, Family], turn: int, count: int = 1) -> dict[str, list[str]]:
    """Return the ids of the models to check, by family."""
    always: dict[str, list[str]] = defaultdict(list)
    found: dict[str, list[str]] = defaultdict(list)
    waiting: dict[bool, dict[str, list[str]]] = {True: defaultdict(list), False: defaultdict(list)}
    for family in families.values():
        kept = read_records(family)
        for model in family.models:
            record = kept.get(model.id)
            if model.bundled and family.demo:
                always[family.name].append(model.id)
            elif record is not None:
                same = is_current(Selection(family=family, model=model, untrained=False), record)
                (waiting[model.bundled] if same else found)[family.name].append(model.id)
    for rest in waiting.values():
        for name in in_turn([name for name in rest if name not in found], turn, count):
            found[name] = in_turn(rest[name], turn // len(rest), 1)
    return {name: always[name] + found[name] for name in families if always[name] or found[name]}


def in_turn(names: list[str], turn: int, count: int) -> list[str]:
    """Return `count` of the names, beginning with the one whose turn it is."""
    start = turn * count
    return [names[(start + i) % len(names)] for i in range(min(count, len(names)))]


def main() -> None:
    turn, count = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    for models in chosen(load_families(), turn, count).values():
        print(",".join(models))


if __name__ == "__main__":
    main()
