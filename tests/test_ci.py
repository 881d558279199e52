"""The scripts of CI say what failed, and let nothing that failed pass."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from zoo.places import ROOT

pytestmark = pytest.mark.skipif(
    shutil.which("flock") is None, reason="needs flock, which is part of Linux"
)
SIDE_BY_SIDE = ROOT / ".ci" / "side_by_side"


def beside(*commands: str) -> tuple[int, str]:
    done = subprocess.run(
        [SIDE_BY_SIDE, "2", *commands], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.returncode, re.sub(r"\d+ s$", "N s", done.stdout, flags=re.MULTILINE)


def test_what_runs_side_by_side_is_printed_one_after_the_other() -> None:
    slow, quick = "echo one; sleep 0.3; echo two", "echo 'three $((1 + 1))' >&2; echo four"
    code, said = beside(slow, quick)
    assert code == 0
    assert "\none\ntwo\nci: echo one; sleep 0.3; echo two: N s\n" in said
    assert "\nthree $((1 + 1))\nfour\nci: " in said


def test_a_part_that_fails_fails_the_run_and_ends_no_other() -> None:
    code, said = beside("echo bad; exit 3", "sleep 0.2; echo good", "cat; echo late")
    assert code != 0
    assert "bad\nci: echo bad; exit 3 FAILED with exit code 3 after N s\n" in said
    assert "\ngood\nci: sleep 0.2; echo good: N s\n" in said and "\nlate\nci: " in said
