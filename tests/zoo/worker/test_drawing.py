"""A package that imports what draws molecules is imported without the libraries for that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zoo.places import ROOT

LACKING = "libXrender.so.1: cannot open shared object file: No such file or directory"
CODE = """
import sys
from zoo.worker import loading
from zoo.worker.errors import explain_missing_library

loading.LIBRARIES = sys.argv[1:]
loading.do_without_drawing()
from rdkit.Chem import Draw
from rdkit.Chem.Draw import rdMolDraw2D
try:
    from rdkit.Chem.Draw.IPythonConsole import drawOptions
except ImportError as error:
    print(explain_missing_library(error).split(".")[0])
try:
    rdMolDraw2D.MolDraw2DSVG(300, 300)
except ImportError as error:
    print(error)
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder with an `rdkit` whose module for drawing fails as on a machine without X11."""
    folder = tmp_path / "rdkit" / "Chem" / "Draw"
    folder.mkdir(parents=True)
    for place in (folder.parents[1], folder.parent):
        (place / "__init__.py").touch()
    (folder / "__init__.py").write_text(f"raise ImportError({LACKING!r})\n")
    return tmp_path


def run(package: Path, library: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", CODE, library],
        env=os.environ | {"PYTHONPATH": f"{package}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="only RDKit's wheels for Linux need X11")
def test_a_library_that_is_missing_keeps_no_package_from_being_imported(package: Path) -> None:
    done = run(package, "libnothing.so.9")
    assert done.returncode == 0, done.stderr
    needs = "rdkit.Chem.Draw.rdMolDraw2D.MolDraw2DSVG needs the system's libraries libnothing.so.9"
    assert done.stdout.splitlines() == ["The system has no libnothing", needs]


@pytest.mark.skipif(sys.platform != "linux", reason="libc.so.6 is Linux's")
def test_where_the_libraries_are_the_real_module_is_imported(package: Path) -> None:
    done = run(package, "libc.so.6")
    assert LACKING in done.stderr
