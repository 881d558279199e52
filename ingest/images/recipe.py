"""What an image is made of, and the labels that record it."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from zoo.cards.family import Family
from zoo.code import code_hash
from zoo.places import ROOT, is_checkout

# Files of a family's folder that no worker reads, so that no image needs them.
LEFT_OUT = (
    *("tests", "dummy_checkpoint.py", "stand_in", "golden.parquet"),
    *("checked.lock", "weights.lock"),
)

# Labels of images: the family, the recipe, the hash of its requirements.lock, and which stage of
# the Dockerfile it is ("family" for the whole image). Labels of containers: the run's folder, and
# the process that started it.
FAMILY, RECIPE, LOCK, PART = (f"org.matterzoo.{n}" for n in ("family", "recipe", "lock", "part"))
RUN, HOST = (f"org.matterzoo.{name}" for name in ("run", "host"))
REVISION = "org.opencontainers.image.revision"
UNCOMMITTED = "-dirty"  # ends the revision of an image with files that no commit holds, as git does


def dockerfile() -> Path:
    """Return the Dockerfile: that of the checkout, or the copy that the wheel carries."""
    own = ROOT / "Dockerfile"
    return own if is_checkout() else Path(__file__).with_name("Dockerfile")


def default_base() -> str:
    """Return the name of the base image that the Dockerfile gives."""
    found = re.search(r"^ARG BASE=(\S+)$", dockerfile().read_text(), re.MULTILINE)
    assert found is not None, dockerfile()
    return found[1]


def recipe(family: Family) -> str:
    """Return the SHA-256 of all that decides an image's vectors, in hexadecimal.

    Args:
        family: The family of the image. Its lock, its version of torch, its packages that come
            from repositories and from Debian, the worker's code and the family's own code count;
            comments, docstrings and the layout of code do not.
    """
    digest = hashlib.sha256()
    for name, content in _ingredients(family):
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _ingredients(family: Family) -> Iterator[tuple[str, bytes]]:
    yield "torch", (family.torch or "").encode()
    yield family.lock.name, family.lock_hash.encode()
    for source in family.sources:
        yield "source", source.encode()
    for package in family.system_packages:
        yield "system", package.encode()
    for file in worker_files():
        yield file.relative_to(ROOT).as_posix(), code_hash(file.read_bytes()).encode()
    for file in family_files(family):
        if file.suffix == ".py":
            name = file.relative_to(family.path).as_posix()
            yield name, code_hash(file.read_bytes()).encode()


def worker_files() -> list[Path]:
    """Return the files of the program that every image holds: the worker and what it imports."""
    names = ("__init__.py", "encoder.py", "errors.py", "files.py")
    modules = sorted((ROOT / "zoo" / "worker").glob("*.py"))
    return [*(ROOT / "zoo" / name for name in names), *modules]


def common_files() -> tuple[str, ...]:
    """Return the files on which every image depends, by their names in the repository."""
    recipes = ("Dockerfile", "ingest/images/build.py", "ingest/images/context.py")
    return (*recipes, *(str(file.relative_to(ROOT)) for file in worker_files()))


def family_files(family: Family) -> list[Path]:
    """Return the files of a family's folder that its image holds, sorted by their names.

    Args:
        family: The family of the image. Its tests and records of tests are left out.
    """
    files = {
        path.relative_to(family.path): path for path in family.path.rglob("*") if path.is_file()
    }
    kept = [name for name in files if not any(map(_is_left_out, name.parts))]
    return [files[name] for name in sorted(kept)]


def _is_left_out(part: str) -> bool:
    return part in LEFT_OUT or part.startswith((".", "__pycache__"))


def labels(family: Family, base: str, base_digest: str | None) -> dict[str, str]:
    """Return the labels of a family's image: our own, and those of the OCI image specification.

    Args:
        family: The family of the image.
        base: The name of the base image.
        base_digest: The registry's digest of the base image; None for one made on this machine.
    """
    oci = {
        "title": f"matterzoo {family.name}",
        "description": family.title,
        "url": family.homepage,
        "licenses": family.license_code.name,
        "base.name": base,
        "base.digest": base_digest,
        "revision": _revision(family),
        "source": _repository_url(),
    }
    own = {FAMILY: family.name, RECIPE: recipe(family), LOCK: family.lock_hash, PART: "family"}
    return own | {f"org.opencontainers.image.{key}": text for key, text in oci.items() if text}


def _revision(family: Family) -> str | None:
    """Return the commit of the program's repository, marked if an image would hold other files.

    Only what is copied into the image, or decides how it is built, counts. Files of a family
    elsewhere are in no commit of this repository, and do not count.
    """
    commit = git("rev-parse", "HEAD")
    if commit is None:
        return None
    places = [*common_files(), "zoo/worker"]  # the folder for what is no longer in it
    if family.path.resolve().is_relative_to(ROOT):
        places.append(str(family.path.resolve()))
    left_out = [f":(exclude,glob)**/{name}" for name in (*LEFT_OUT, "tests/**")]
    changed = git("status", "--porcelain", "--untracked-files=all", "--", *places, *left_out)
    return commit + (UNCOMMITTED if changed else "")


def git(*arguments: str) -> str | None:
    """Return what a git command prints in the program's repository.

    Args:
        arguments: The command and its options, without `git`.

    Returns:
        The printed text without surrounding space. None if it is empty, the command fails, git is
        not installed, or the program does not run from a checkout.
    """
    if not is_checkout():  # git would answer for whatever repository surrounds site-packages
        return None
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _repository_url() -> str | None:
    """Return the repository's address, unless it may hold a password."""
    url = git("remote", "get-url", "origin")
    return url if url and re.fullmatch(r"https://[^@]+", url) else None
