"""What an image is made of, and how an image says so: its recipe, its labels."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from zoo.cards.family import Family
from zoo.code import code_hash
from zoo.places import ROOT

REPOSITORY = ROOT
DOCKERFILE = REPOSITORY / "Dockerfile"
LEFT_OUT = (
    "tests",
    "dummy_checkpoint.py",
    "golden.parquet",
    "checked.lock",
    "weights.lock",
)  # of a family's folder
PREFIX = "org.matterzoo."
FAMILY, RECIPE, LOCK, RUN, HOST, PART = (
    PREFIX + n for n in ("family", "recipe", "lock", "run", "host", "part")
)


def recipe(family: Family) -> str:
    """sha256 of what decides an image's vectors: lock, torch's version, sources, worker, the family's own code."""
    digest = hashlib.sha256()
    for name, content in _ingredients(family):
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _ingredients(family: Family) -> Iterator[tuple[str, bytes]]:
    yield "torch", (family.torch or "").encode()
    yield family.lock.name, family.lock.read_bytes()
    for source in family.sources:
        yield "source", source.encode()
    for file in worker_files():
        yield file.relative_to(ROOT).as_posix(), _code(file)
    for file in files_of(family):
        if file.suffix == ".py":
            yield file.relative_to(family.path).as_posix(), _code(file)


def _code(file: Path) -> bytes:
    """What a module does, without its comments, docstrings and layout, which decide no vector."""
    return code_hash(file.read_bytes()).encode()


def worker_files() -> list[Path]:
    """All of ours that an image holds besides its family: the worker, the contract, and what both are built on."""
    return [
        *(ROOT / "zoo" / name for name in ("__init__.py", "encoder.py", "errors.py", "files.py")),
        *sorted((ROOT / "zoo" / "worker").glob("*.py")),
    ]


def files_of(family: Family) -> list[Path]:
    """The files of a family's folder that its image holds: not what is only for tests and records of them."""
    files = {
        path.relative_to(family.path): path for path in family.path.rglob("*") if path.is_file()
    }
    kept = [name for name in files if not any(map(_is_left_out, name.parts))]
    return [files[name] for name in sorted(kept)]


def _is_left_out(part: str) -> bool:
    return part in LEFT_OUT or part.startswith((".", "__pycache__"))


def labels(family: Family, base: str, base_digest: str | None) -> dict[str, str]:
    """What an image tells about itself: ours, and those that the OCI image specification names."""
    oci = {
        "title": f"matterzoo {family.name}",
        "description": family.title,
        "url": family.homepage,
        "licenses": family.license_code.name,
        "base.name": base,
        "base.digest": base_digest,
        "revision": git("describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*"),
        "source": _source(),
    }
    ours = {FAMILY: family.name, RECIPE: recipe(family), LOCK: family.lock_hash, PART: "family"}
    return ours | {
        f"org.opencontainers.image.{name}": value for name, value in oci.items() if value
    }


def default_base() -> str:
    """The base image that the Dockerfile names."""
    found = re.search(r"^ARG BASE=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert found is not None, DOCKERFILE
    return found[1]


def git(*arguments: str) -> str | None:
    """What git says in this repository; None where there is no git or no repository."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _source() -> str | None:
    """The repository's address, without what a password may stand in."""
    url = git("remote", "get-url", "origin")
    return url if url and re.fullmatch(r"https://[^@]+", url) else None
