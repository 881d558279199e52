"""Print which models CI checks beside `make test`, one line per family.

    python -m tests.rotation TURN [COUNT]
    python -m tests.rotation TURN --image

They are every model of the demo; every other one that has changed since it was checked; and, of
those that have not, one model each of COUNT families that need no download and of COUNT that do,
through which TURN (a number that grows) goes in order. A model that never passed a check is left
out: `matterzoo list` shows a dash, and nothing of it could break yet. So is a family with packages
from repositories, which CI may not reach. With `--image` it is the one family whose image is built,
of those that the tests of containers do not build, but that bench/RECORD.md says could be built
once, and on any base.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from zoo.cards.discovery import load_families
from zoo.cards.family import Family, Selection
from zoo.verify.records import is_current, read_records

ALWAYS_BUILT = {"controls", "descriptors", "chgnet", "sevennet"}  # as images, by .ci/containers
LARGEST_MB = 2500  # of an environment; the image of a larger one would take CI too long


def chosen(families: Mapping[str, Family], turn: int, count: int = 1) -> dict[str, list[str]]:
    """Return the ids of the models to check, by family."""
    always: dict[str, list[str]] = defaultdict(list)
    found: dict[str, list[str]] = defaultdict(list)
    waiting: dict[bool, dict[str, list[str]]] = {True: defaultdict(list), False: defaultdict(list)}
    for family in families.values():
        kept = {} if family.sources else read_records(family)
        for model in family.models:
            record = kept.get(model.id)
            if model.id in family.demo:
                always[family.name].append(model.id)
            elif record is not None:
                same = is_current(Selection(family=family, model=model, untrained=False), record)
                (waiting[model.bundled] if same else found)[family.name].append(model.id)
    for rest in waiting.values():
        for name in in_turn([name for name in rest if name not in found], turn, count):
            found[name] = in_turn(rest[name], turn // len(rest), 1)
    return {name: always[name] + found[name] for name in families if always[name] or found[name]}


def chosen_image(families: Mapping[str, Family], turn: int, record: str) -> list[str]:
    """Return the family whose image is built in this turn; [] if there is none to choose from.

    `record` is the text of bench/RECORD.md: an image that was never built is left out.
    """
    built = set(re.findall(r"^image of (\S+) / its environment ", record, re.MULTILINE))
    names = [
        family.name
        for family in families.values()
        if family.name in built - ALWAYS_BUILT
        and family.installed_mb <= LARGEST_MB
        and not family.sources
        and not family.system_packages
    ]
    return in_turn(names, turn, 1)


def in_turn(names: list[str], turn: int, count: int) -> list[str]:
    """Return `count` of the names, beginning with the one whose turn it is."""
    start = turn * count
    return [names[(start + i) % len(names)] for i in range(min(count, len(names)))]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.rotation")
    parser.add_argument("turn", type=int)
    parser.add_argument("count", type=int, nargs="?", default=1)
    parser.add_argument("--image", action="store_true")
    options = parser.parse_args()
    families = load_families()
    if options.image:
        record = Path(__file__).with_name("bench") / "RECORD.md"
        print(*chosen_image(families, options.turn, record.read_text()))
        return
    for models in chosen(families, options.turn, options.count).values():
        print(",".join(models))


if __name__ == "__main__":
    main()
