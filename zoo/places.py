"""Where things lie: the program itself, and what it makes on this machine.

The program runs from a checkout of its repository or from an installed wheel. In a checkout, what
it makes lies in the checkout, so that it is found and removed with it. An installed program writes
nothing into the folder of its code: what can be made again goes to the user's cache folder, and
what cannot goes to the user's folder of settings. `ingest.layout` describes where a store and its
data lie.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]  # holds the packages: the checkout, or site-packages
FAMILIES = ROOT / "zoo" / "families"
CARRIED_DIGESTS = ROOT / "zoo" / "images.lock"  # digests of the project's own published images


def is_checkout() -> bool:
    """Return whether the program runs from a checkout of its repository, not from a wheel."""
    return (ROOT / "pyproject.toml").is_file()


def user_cache() -> Path:
    """Return matterzoo's folder among the user's caches: `$XDG_CACHE_HOME`, or `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "matterzoo"


def user_settings() -> Path:
    """Return matterzoo's folder among the user's settings: `$XDG_CONFIG_HOME`, or `~/.config`."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "matterzoo"


def environments() -> Path:
    """Return the folder of the families' local environments.

    Returns:
        `MATTERZOO_ENVS` if it is set; else `.envs` in a checkout, or `environments` in the user's
        cache folder.
    """
    default = ROOT / ".envs" if is_checkout() else user_cache() / "environments"
    return Path(os.environ.get("MATTERZOO_ENVS") or default).absolute()


def wheels() -> Path:
    """Return the folder of the wheels that images are built from where there is no network.

    Returns:
        `MATTERZOO_WHEELS` if it is set; else `wheels` in a checkout or in the user's cache folder.
    """
    default = ROOT / "wheels" if is_checkout() else user_cache() / "wheels"
    return Path(os.environ.get("MATTERZOO_WHEELS") or default).absolute()


def image_digests(families: Path) -> Path:
    """Return the file in which the digests of published images are recorded.

    Args:
        families: The folder in which the family's own folder lies.

    Returns:
        `MATTERZOO_IMAGES` if it is set; `images.lock` beside the families for families of a user's
        own; for the program's families `zoo/images.lock` in a checkout, or `images.lock` in the
        user's folder of settings.
    """
    named = os.environ.get("MATTERZOO_IMAGES")
    if named:
        return Path(named)
    if families.resolve() != FAMILIES:
        return families / "images.lock"
    return CARRIED_DIGESTS if is_checkout() else user_settings() / "images.lock"


def image_files() -> Path:
    """Return the folder of images that are files: archives, and what Apptainer makes of them.

    Returns:
        `MATTERZOO_IMAGE_FOLDER` if it is set; else `.image-files` in a checkout, or `image-files`
        in the user's cache folder.
    """
    default = ROOT / ".image-files" if is_checkout() else user_cache() / "image-files"
    return Path(os.environ.get("MATTERZOO_IMAGE_FOLDER") or default).absolute()


def weights_pins(family: Path) -> Path:
    """Return the file in which the hashes of a family's weights are recorded on this machine.

    Args:
        family: The family's folder.

    Returns:
        `weights.lock` in that folder, in a checkout and for families of a user's own; else
        `weights/<family>.lock` in the user's folder of settings, which adds to what the program
        carries.
    """
    if is_checkout() or family.resolve().parent != FAMILIES:
        return family / "weights.lock"
    return user_settings() / "weights" / f"{family.name}.lock"


def worker_imports() -> Path:
    """Return the folder from which a worker in a local environment imports `zoo`: its PYTHONPATH.

    Returns:
        The checkout; for an installed program a folder in the user's cache that holds only a link
        to `zoo`. The folder site-packages itself would give the worker the packages of the host
        instead of those in its own lock.
    """
    if is_checkout():
        return ROOT
    folder = user_cache() / "imports" / hashlib.sha256(str(ROOT).encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):  # another process was first
        (folder / "zoo").symlink_to(ROOT / "zoo", target_is_directory=True)
    return folder
