"""The contents mark what failed; models to pick from stand in groups."""

from __future__ import annotations

import re

from query.report.navigation import contents_html, picker_html
from query.report.views import FAILED, DrawnSection, Section, Version, View
from tests.query.report.test_findings import drawn


def without(reason: str) -> DrawnSection:
    """A section with two versions, neither of which can be drawn."""
    views = [View("x", Version({}, {}), None, reason) for _ in range(2)]
    return DrawnSection(Section("x", "Why?", "", []), [views])


def test_the_contents_mark_what_failed_and_have_what_is_unanswered_last() -> None:
    sections = [drawn("exposure", [{"row_of": "m"}]), without(f"{FAILED}: 0")]
    html = contents_html(sections, ("last", "Where?"), [without("no models")], ("rest", "Else?"))
    links = re.findall('<li><a href="(.*?)">.*?</a>(?: <small>(.*?)</small>)?', html)
    assert links == [("#exposure", ""), ("#x", "failed"), ("#last", ""), ("#rest", ""), ("#x", "")]
    assert "rest" not in contents_html(sections, ("last", "Where?"), [], ("rest", "Else?"))


def test_models_to_pick_from_are_in_groups() -> None:
    names = ["z", "a", "a@untrained", "rotated", "soap", "mean label"]
    kinds = {"a": "model", "z": "model", "a@untrained": "twin", "rotated": "control"}
    html = picker_html(
        [drawn("probe", [{"row_of": name} for name in names])], {**kinds, "soap": "descriptor"}
    )
    groups = re.findall(r'<optgroup label="(.*?)">(.*?)</optgroup>', html)
    assert {title: re.findall("<option>(.*?)</option>", inside) for title, inside in groups} == {
        "trained models": ["a", "z"],
        "descriptors, by rule": ["soap"],
        "untrained twins": ["a@untrained"],
        "controls, of known agreement": ["rotated"],
        "baselines": ["mean label"],
    }
    assert picker_html([drawn("exposure", [{"value": 1}])], kinds) == ""
