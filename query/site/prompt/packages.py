"""The npm packages that answer SQL in a browser, and how they become files of a site.

DuckDB-WASM itself reads no Parquet: it would load that extension from a server of DuckDB's, which a
page of ours does not do. hyparquet reads the files instead, and hands them over as Arrow.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from query.site.prompt import PAGE

_PARTS = (
    *("prompt.css", "macros.sql", "prompt.js", "chart.js"),
    *("start.js", "worker.js", "in_browser.js"),
)


@dataclass(frozen=True)
class Package:
    """An npm package, pinned as npm's lock files pin it.

    Attributes:
        name: Its name.
        version: Its exact version.
        integrity: The SHA-512 of its archive.
        license: Its license, by SPDX.
        folder: Below which folder of the site's `assets/prompt/` its files are.
        files: The paths in it that are taken.
    """

    name: str
    version: str
    integrity: str
    license: str
    folder: str
    files: tuple[str, ...]


# Of DuckDB's three builds the one with exceptions, which every browser since 2022 has.
DUCKDB = Package(
    "@duckdb/duckdb-wasm",
    "1.32.0",  # DuckDB 1.4.3
    "sha512-IewXTNYEjsZCPE9weUWgtjGxUlMRo7qhX0GF6tq/"
    "KjK8bnY+RAl4cyUdYUfcdzbyb4b9ZxPC+FOsCcxgaKFWMg==",
    "MIT",
    "duckdb",
    ("dist/duckdb-browser.mjs", "dist/duckdb-browser-eh.worker.js", "dist/duckdb-eh.wasm"),
)
ARROW = Package(
    "apache-arrow",
    "17.0.0",  # the one that DuckDB-WASM asks for
    "sha512-X0p7auzdnGuhYMVKYINdQssS4EcKec9TCXyez/qt"
    "Jt32DrIMGbzqiaMiQ0X6fQlQpw8Fl0Qygcv4dfRAr5Gu9Q==",
    "Apache-2.0",
    "",
    ("Arrow.es2015.min.js",),
)
HYPARQUET = Package(
    "hyparquet",
    "1.33.0",
    "sha512-8EKLe73vRIMEKVEOe5y+kIzFxo6AvbLvd5ukd7P+"
    "yv3RvG0+TZM4qO8imbqxU6zds5pV+OeWRTMwy95mhHUheg==",
    "MIT",
    "hyparquet",
    ("src/*.js",),
)
PACKAGES = (DUCKDB, ARROW, HYPARQUET)
_NAMES = {
    "duckdb-browser.mjs": "duckdb-browser.js",
    "Arrow.es2015.min.js": "arrow.js",
    # Many hosts send WebAssembly as it is, 34 MB. An ending that none of them knows keeps them
    # from unpacking the file, which the page does.
    "duckdb-eh.wasm": "duckdb-eh.wasm.packed",
}
_LEVEL = 6  # of gzip: 9 takes twice as long for 0.06 MB of 7.7


class Read(Protocol):
    """Reads files of an npm package; see `zoo.weights.npm.read_npm_package`."""

    def __call__(
        self, name: str, version: str, integrity: str, patterns: Sequence[str]
    ) -> dict[str, bytes]:
        """Return the content of each file by its path in the package."""
        ...


def prompt_files(read: Read) -> dict[str, bytes]:
    """Return the files of the prompt by their paths below the site's `assets/prompt/`.

    Args:
        read: Reads files of npm packages.

    Raises:
        MatterzooError: A package cannot be had.
    """
    found = {name: (PAGE / name).read_bytes() for name in _PARTS}
    for package in PACKAGES:
        files = read(package.name, package.version, package.integrity, package.files)
        for path, content in files.items():
            name = Path(path).name
            content = _without_source_map(content) if path.endswith("js") else content
            if name == "duckdb-browser.mjs":
                content = _with_global_arrow(content)
            if name == "duckdb-eh.wasm":
                content = gzip.compress(content, _LEVEL, mtime=0)
            found["/".join(filter(None, (package.folder, _NAMES.get(name, name))))] = content
    return found


def _without_source_map(script: bytes) -> bytes:
    """Take out the name of a file that a site does not have."""
    kept, mark, _ = script.rpartition(b"//# sourceMappingURL=")
    return kept if mark else script


def _with_global_arrow(module: bytes) -> bytes:
    """Let DuckDB's module take Arrow from the page's script, as browsers resolve no bare names."""
    parts = module.split(b'from"apache-arrow";')
    assert len(parts) > 1, "DuckDB-WASM of another version imports Arrow in another way"
    joined = parts[-1]
    for part in reversed(parts[:-1]):
        before, _, name = part.rpartition(b"import*as ")
        joined = before + b"const " + name.strip() + b"=window.Arrow;" + joined
    return joined
