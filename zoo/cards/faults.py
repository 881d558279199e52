"""What is wrong with a family's folder, as far as that shows without its environment."""

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

NEEDED = {"numpy", "pyarrow"}  # packages that the worker imports


def find_faults(folders: list[Path]) -> list[str]:
    """Find every fault of families: in their cards, encoders and locks.

    Args:
        folders: The folders of the families.

    Returns:
        One line per fault, with its family's name. Without other faults, names that two families
        on the search path share are faults.
    """
    faults = []
    for folder in folders:
        try:
            family = load_family(folder)
        except CardError as error:
            faults.append(str(error))
        else:
            found = (*_find_encoder_faults(folder), *find_lock_faults(family))
            faults += [f"family {family.name}: {fault}" for fault in found]
    if not faults:
        try:
            load_families()
        except CardError as error:
            faults.append(str(error))
    return faults


def _find_encoder_faults(folder: Path) -> Iterator[str]:
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


def find_lock_faults(family: Family) -> Iterator[str]:
    """Find what a family's requirements.lock lacks.

    It must hold every direct requirement in its version, with hashes. torch is not in it, because
    its build depends on the machine, but requirements.in must pin its version.

    Args:
        family: The family.

    Yields:
        One line per fault.
    """
    direct = read_requirements(family.path / "requirements.in")
    for name in sorted(NEEDED - set(direct)):
        yield f"requirements.in does not name {name}, which the worker needs"
    remedy = f"run `matterzoo lock {family.name}`"
    if not family.lock.exists():
        yield f"there is no requirements.lock; {remedy}"
        return
    blocks = {_normalize(block.name): block for block in read_blocks(family.lock)[1]}
    outside = {"torch", *(_normalize(source.partition("@")[0]) for source in family.sources)}
    for name, pin in direct.items():
        locked = name in blocks and (not pin or pin in blocks[name].lines[0])
        if name not in outside and not locked:
            yield f"requirements.lock does not hold {name}{pin}; {remedy}"
    for name, block in blocks.items():
        if not _is_hashed(block):
            yield f"requirements.lock has no hash for {name}"
    if "torch" in direct and not direct["torch"]:
        yield "requirements.in must pin torch as torch==X.Y.Z, because the lock leaves it out"


def _is_hashed(block: Block) -> bool:
    return any("--hash=sha256:" in line for line in block.lines)


def read_requirements(path: Path) -> dict[str, str]:
    """Read the packages that a requirements.in names.

    Args:
        path: The file. It need not exist.

    Returns:
        {normalized name: '==version', or '' if it is not pinned}.
    """
    found = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        match = re.match(r"\s*([A-Za-z0-9][\w.\-]*)(?:\[.*?\])?\s*(==\s*[^\s;#]+)?", line)
        if match:
            found[_normalize(match[1])] = (match[2] or "").replace(" ", "")
    return found


def _normalize(name: str) -> str:
    """Return a package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
