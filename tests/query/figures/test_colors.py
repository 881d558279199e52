"""Colors that must be told apart are far apart to any eye, or their marks differ in shape."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from itertools import combinations
from typing import Any

import duckdb
import numpy as np
import pytest
import vl_convert

from query import figures
from query.figures.drawing.looks import (
    COLORS,
    GRAY,
    RELATION_LOOKS,
    Look,
    assign_looks,
    family_looks,
)
from query.figures.drawing.theme import make_config
from query.report.page import _STYLE
from query.site.prompt import PAGE
from query.tables.shared.relations import RELATIONS
from tests.color_vision import VISIONS, contrast, difference, lab
from tests.query.figures.conftest import add_model

APART = 10.0  # of CIEDE2000, in which 1 is just seen side by side: told apart in a legend
BY_SHAPE = 12  # kinds that differ in shape, and so on gray paper, too
DARK = "#16191d"  # of the report's page; the site's, #0d1117, is darker
OWN = COLORS[6:]  # which are not Okabe and Ito's
INK = 2.2  # the least contrast of a mark with the page; that of Okabe and Ito's orange on white


def seen_apart(one: str, other: str) -> float:
    """Return the least difference of two colors to eyes that see colors at all."""
    return min(
        difference(lab(one, vision), lab(other, vision)) for vision in VISIONS if vision != "gray"
    )


@pytest.mark.parametrize(
    ("one", "other", "expected"),  # of Sharma, Wu and Dalal's test data, rows 1, 7, 13, 17, 24, 33
    [
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
        ((50.0, -0.001, 2.49), (50.0, 0.0011, -2.49), 4.7461),
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
        ((50.0, 2.5, 0.0), (50.0, 3.2592, 0.3350), 1.0000),
        ((6.7747, -0.2908, -2.4247), (5.8714, -0.0985, -2.2286), 0.6377),
    ],
)
def test_the_measure_is_ciede2000(
    one: tuple[float, ...], other: tuple[float, ...], expected: float
) -> None:
    assert difference(np.array(one), np.array(other)) == pytest.approx(expected, abs=5e-5)


def test_colors_of_kinds_are_told_apart_by_any_eye() -> None:
    close = {
        pair: apart
        for pair in combinations((*COLORS, GRAY), 2)
        if (apart := seen_apart(*pair)) < APART
    }
    assert close == {}


@pytest.mark.parametrize("page", ["#ffffff", DARK])
def test_colors_stand_out_from_the_page(page: str) -> None:
    assert re.search(rf"--page: {page.replace('#ffffff', '#fff')};", _STYLE)
    faint = {c: found for c in (*COLORS, GRAY) if (found := contrast(c, page)) < INK}
    assert faint == {}
    assert min(contrast(c, page) for c in (*OWN, GRAY)) > 3.4
    style = make_config(dark=page == DARK)["style"]
    assert contrast(style["soft"]["color"], page) > 4.5  # of small letters
    assert contrast(style["line"]["color"], page) > 3


@pytest.mark.parametrize("dark", [False, True])
def test_names_are_not_crossed_by_lines(*, dark: bool) -> None:
    soft = make_config(dark=dark)["style"]["soft"]["color"]  # by which the style finds them
    assert f'text[fill="{soft}"]' in _STYLE


def test_charts_of_the_prompt_have_the_same_colors() -> None:
    script = (PAGE / "chart.js").read_text()
    assert f"const COLORS = {json.dumps(COLORS)};" in script


def test_names_differ_in_color_or_shape() -> None:
    looks = list(assign_looks(f"{i:02d}" for i in range(96)).values())
    assert len(set(looks)) == 96
    assert len({look.shape for look in looks[:BY_SHAPE]}) == BY_SHAPE


def test_no_relation_looks_like_a_family() -> None:
    families = {look.shape for look in assign_looks(f"{i:02d}" for i in range(96)).values()}
    assert not families & {look.shape for look in RELATION_LOOKS.values()}
    assert set(RELATION_LOOKS) == set(RELATIONS)


def test_a_family_looks_the_same_on_all_datasets(own: duckdb.DuckDBPyConnection) -> None:
    others = [f"aa{letter}" for letter in "abcdefghi"]  # which have vectors on none
    for family in others:
        add_model(own, f"{family}-0", family, [], parameters=1000)
    looks = family_looks(own, "crystals")
    every = assign_looks([*looks, *others])
    assert looks == {name: every[name] for name in looks}
    assert not looks.keys() & set(others) and len(looks) > 1


def looks_of_figures() -> dict[str, list[Look]]:
    """Return the looks that figures choose themselves, by module and name."""
    found: dict[str, list[Look]] = {}
    for info in pkgutil.walk_packages(figures.__path__, "query.figures."):
        for name, value in vars(importlib.import_module(info.name)).items():
            if not isinstance(value, dict) or name.startswith("__"):
                continue
            parts = [v if isinstance(v, tuple) else (v,) for v in value.values()]
            looks = [look for each in parts for look in each if isinstance(look, Look)]
            if looks:
                found[f"{info.name}.{name}"] = looks
    return found


def test_looks_that_figures_choose_differ_in_shape() -> None:
    found = looks_of_figures()
    assert len(found) >= 3
    for name, looks in found.items():
        # "asked for" stands alone in its figure, in the look of the first.
        for one, other in combinations(dict.fromkeys(looks), 2):
            assert one.shape != other.shape, name


def rendered(scheme: str, steps: int) -> list[str]:
    """Return the colors of a scale from low to high, as Vega draws them."""
    values: list[dict[str, Any]] = [{"value": i} for i in range(steps)]
    color = {"field": "value", "type": "quantitative", "legend": None, "scale": {"scheme": scheme}}
    mark = {"data": {"values": values}, "mark": "rect"}
    place = {"field": "value", "type": "ordinal", "axis": None}
    svg = vl_convert.vegalite_to_svg(mark | {"encoding": {"x": place, "color": color}})
    fills = re.findall(r'fill="rgb\((\d+), ?(\d+), ?(\d+)\)"', svg)
    return ["#{:02x}{:02x}{:02x}".format(*map(int, fill)) for fill in fills]


def test_values_grow_lighter_to_any_eye() -> None:
    colors = rendered("cividis", 9)
    assert len(colors) == 9
    for vision in VISIONS:
        steps = np.diff([lab(color, vision)[0] for color in colors])
        assert steps.min() > 3, vision  # of L*, 0 to 100: a ninth of the scale is seen
    for color, ink in zip(colors, ["#ffffff"] * 4 + ["#000000"] * 5, strict=True):
        assert contrast(color, ink) > 4.5  # of the number in a cell
