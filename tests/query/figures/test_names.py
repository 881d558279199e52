"""Figures are loaded when they are used, and each has one name everywhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from query import figures
from query.report import SECTIONS
from query.statements import find_statements

FIGURES = [name for name in figures.__all__ if name != "NothingToDraw"]


def test_a_figure_a_statement_and_a_section_have_one_name() -> None:
    assert sorted(section.name for section in SECTIONS) == FIGURES
    assert set(FIGURES) <= set(find_statements())
    for section in SECTIONS:
        assert [panel.name for panel in section.panels] == [section.name]
        assert section.panels[0].draw is getattr(figures, section.name)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_has_a_module_and_tests_of_its_name(name: str) -> None:
    *package, folder, module = getattr(figures, name).__module__.split(".")
    assert (package, module) == (["query", "figures"], name)
    assert Path(__file__).with_name(folder).joinpath(f"test_{name}.py").is_file()


def test_only_drawing_needs_altair() -> None:
    code = (
        "import sys; sys.modules['altair'] = None; "
        "import query; from query import figures; figures.kinship"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 1
    assert answer.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: figures are drawn with Altair, which is not installed: "
        "pip install 'matterzoo[report]'"
    )


def test_other_names_are_no_figures() -> None:
    with pytest.raises(AttributeError, match="module 'query.figures' has no attribute 'heatmap'"):
        _ = figures.heatmap
    assert dir(figures) == sorted(figures.__all__)
