"""A family that `matterzoo new` has made says to lock it first, whatever is asked of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from matterzoo import main
from zoo.cards.base import CardError
from zoo.cards.scaffold import write_family


@pytest.mark.usefixtures("family")
@pytest.mark.parametrize(
    "line",
    [
        "check toy-composition",
        "check --family toy",
        "env toy",
        "ingest toy-composition elements --runtime venv --limit 3",
    ],
)
def test_an_unlocked_family_is_refused_with_the_command_to_type(
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MATTERZOO_ENVS", str(tmp_path / "envs"))
    monkeypatch.setenv("MATTERZOO_STORE", str(tmp_path / "matter.duckdb"))
    assert main(line.split()) == 2
    error = capfd.readouterr().err
    assert "`matterzoo lock toy`" in error.splitlines()[-1]
    assert "Traceback" not in error


@pytest.mark.usefixtures("family")
@pytest.mark.parametrize("line", ["info toy-composition", "list --family toy"])
def test_what_needs_no_environment_needs_no_lock(
    line: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 0
    assert "toy-composition" in capfd.readouterr().out


@pytest.mark.parametrize("above", ["file", "file/below"])
def test_a_folder_that_cannot_be_made(above: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CardError, match=r"cannot be written .*name another folder with --folder"):
        write_family("joy", tmp_path / above)


def test_names_that_no_family_can_have(family: Path) -> None:
    with pytest.raises(CardError, match="lower-case letters, .* unlike 'My Family'"):
        write_family("My Family", family.parent)
    with pytest.raises(CardError, match="'toy' is there already; choose another name"):
        write_family("toy", family.parent)
