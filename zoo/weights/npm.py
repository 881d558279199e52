"""Files of npm packages, each pinned by its version and the hash that npm's lock files have."""

from __future__ import annotations

import base64
import fnmatch
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

from zoo.places import user_cache
from zoo.terminal import show_download
from zoo.weights.digest import Content
from zoo.weights.download import WAITS, download
from zoo.weights.errors import DownloadError

REGISTRY = "https://registry.npmjs.org"
_TOP = "package/"  # the folder that every package's archive has


def read_npm_package(
    name: str,
    version: str,
    integrity: str,
    patterns: Sequence[str],
    *,
    waits: Sequence[float] = WAITS,
) -> dict[str, bytes]:
    """Return files of a package, which is downloaded once and kept in the user's cache folder.

    Args:
        name: The package's name, such as '@duckdb/duckdb-wasm'.
        version: Its exact version.
        integrity: 'sha512-' and the hash of its archive in base64, as in npm's lock files.
        patterns: Paths in the package; `*` stands for anything.
        waits: Seconds before each further try; see `download`.

    Returns:
        The content of each file by its path in the package.

    Raises:
        DownloadError: The package cannot be downloaded, is another, or has no such file.
    """
    kind, _, hashed = integrity.partition("-")
    if kind != "sha512":
        raise DownloadError(f"{integrity!r} is no hash of a package: expected sha512-…")
    archive = f"{name.rpartition('/')[2]}-{version}.tgz"
    # The variable by which npm itself is told of a mirror.
    registry = os.environ.get("npm_config_registry", REGISTRY).rstrip("/")  # noqa: SIM112
    with show_download(archive) as progress:
        file = download(
            f"{registry}/{name}/-/{archive}",
            user_cache() / "npm" / archive,
            Content(sha512=base64.b64decode(hashed).hex()),
            log=progress.log,
            progress=progress.move,
            waits=waits,
        )
    return _read(file, patterns)


def _read(archive: Path, patterns: Sequence[str]) -> dict[str, bytes]:
    """Return the files that fit a pattern; every pattern has to fit one."""
    found: dict[str, bytes] = {}
    with tarfile.open(archive) as packed:
        for member in packed:
            path = member.name.removeprefix(_TOP)
            if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns):
                content = packed.extractfile(member)
                if content is not None:
                    found[path] = content.read()
    for pattern in patterns:
        if not fnmatch.filter(found, pattern):
            raise DownloadError(f"{archive} has no file {pattern}; expected one of that name")
    return found
