"""What can be told to be wrong with a family's folder without its environment."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from zoo.cards.base import CardError
from zoo.cards.discovery import load_families
from zoo.cards.family import Family
from zoo.cards.loading import load_family
from zoo.cards.requirements import Block, read_blocks

NEEDED = {"numpy", "pyarrow"}  # by the worker


def find_faults(folders: list[Path]) -> list[str]:
    """Every fault of these families, each with its family's name; and names that two families share."""
    faults = []
    for folder in folders:
        try:
            family = load_family(folder)
        except CardError as error:
            faults.append(str(error))
        else:
            faults += [
                f"family {family.name}: {fault}"
                for fault in (*encoder_faults(folder), *lock_faults(family))
            ]
    if not faults:
        try:
            load_families()
        except CardError as error:
            faults.append(str(error))
    return faults


def encoder_faults(folder: Path) -> Iterator[str]:
    path = folder / "encoder.py"
    if not path.exists():
        yield "there is no encoder.py"
        return
    try:
        tree = ast.parse(path.read_text())
    except SyntaxError as error:
        yield f"encoder.py: {error}"
        return
    if "FamilyEncoder" not in {node.name for node in tree.body if isinstance(node, ast.ClassDef)}:
        yield "encoder.py defines no class FamilyEncoder"


def lock_faults(family: Family) -> Iterator[str]:
    """The lock holds every direct requirement in its version, with hashes; torch alone is left to the machine."""
    direct = read_requirements(family.path / "requirements.in")
    for name in sorted(NEEDED - set(direct)):
        yield f"requirements.in does not name {name}, which the worker needs"
    if not family.lock.exists():
        yield f"there is no requirements.lock; run `matterzoo lock {family.name}`"
        return
    blocks = {normalize(block.name): block for block in read_blocks(family.lock)[1]}
    outside = {"torch", *(normalize(source.partition("@")[0]) for source in family.sources)}
    for name, pin in direct.items():
        if name not in outside and (
            name not in blocks or (pin and pin not in blocks[name].lines[0])
        ):
            yield f"requirements.lock does not hold {name}{pin}; run `matterzoo lock {family.name}`"
    yield from (
        f"requirements.lock has no hash for {name}"
        for name, block in blocks.items()
        if not is_hashed(block)
    )
    if "torch" in direct and not direct["torch"]:
        yield "requirements.in must pin torch as torch==X.Y.Z, because the lock leaves it out"


def is_hashed(block: Block) -> bool:
    return any("--hash=sha256:" in line for line in block.lines)


def read_requirements(path: Path) -> dict[str, str]:
    """{normalized name: '==version', or '' where it is not pinned} of a requirements.in; nothing if there is none."""
    found = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        match = re.match(r"\s*([A-Za-z0-9][\w.\-]*)(?:\[.*?\])?\s*(==\s*[^\s;#]+)?", line)
        if match:
            found[normalize(match[1])] = (match[2] or "").replace(" ", "")
    return found


def normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
