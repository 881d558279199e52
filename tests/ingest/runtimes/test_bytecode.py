"""Bytecode that environments share: only of the very same files, and none depends on another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.runtimes.bytecode import share_bytecode

MODULES = "lib/python/site-packages"
PRINTED = "import same, other; print(same.where.__code__.co_filename, same.where(), other.where())"


def make_environment(path: Path, answer: str) -> Path:
    folder = path / MODULES
    folder.mkdir(parents=True)
    (folder / "other.py").write_text(f"def where():\n    return {answer!r}\n")
    return folder


def run_in(folder: Path) -> list[str]:
    """Import the modules in a process of their own, and return what they print."""
    variables = {"PYTHONPATH": str(folder), "PATH": os.environ["PATH"]}
    return subprocess.check_output(
        [sys.executable, "-S", "-c", PRINTED], env=variables, text=True
    ).split()


def bytecode(folder: Path, module: str) -> Path:
    (found,) = (folder / "__pycache__").glob(f"{module}.*.pyc")
    return found


def test_the_same_file_is_compiled_once(tmp_path: Path) -> None:
    first, second = (make_environment(tmp_path / name, name) for name in ("first", "second"))
    (first / "same.py").write_text("def where():\n    return 'here'\n")
    os.link(first / "same.py", second / "same.py")
    assert run_in(first) == [str(first / "same.py"), "here", "first"]

    assert share_bytecode(tmp_path / "second", [tmp_path / "first", tmp_path / "gone"]) == 1
    assert share_bytecode(tmp_path / "second", [tmp_path / "first"]) == 0
    shared = bytecode(first, "same")
    assert shared.samefile(bytecode(second, "same"))
    assert run_in(second) == [str(second / "same.py"), "here", "second"]
    assert shared.samefile(bytecode(second, "same"))  # Python has taken it, and not its own

    (second / "same.py").unlink()
    (second / "same.py").write_text("def where():\n    return 'elsewhere'\n")
    before = shared.read_bytes()
    assert run_in(second)[1:] == ["elsewhere", "second"]
    assert shared.read_bytes() == before
    assert run_in(first)[1:] == ["here", "first"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file another user's")
def test_what_another_user_has_compiled_is_left_alone(tmp_path: Path) -> None:
    first, second = (make_environment(tmp_path / name, name) for name in ("first", "second"))
    (first / "same.py").write_text("def where():\n    return 'here'\n")
    os.link(first / "same.py", second / "same.py")
    run_in(first)
    os.chown(bytecode(first, "same"), 65534, 65534)
    assert share_bytecode(tmp_path / "second", [tmp_path / "first"]) == 0
