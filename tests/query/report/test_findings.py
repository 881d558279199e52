"""What a store shows: sentences made from rows, and warnings if controls fail."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from query.report.findings import failed_controls, find_sentences
from query.report.views import DrawnSection, Image, Section, Version, View
from query.statements import Answer

Rows = list[dict[str, Any]]


def drawn(name: str, rows: Rows, dataset: str = "crystals") -> DrawnSection:
    """A section with one figure, which has these rows."""
    image = Image("", 1, 1, "", b"", [], Answer(name, "", pa.Table.from_pylist(rows)))
    switches = {"dataset": dataset}
    return DrawnSection(
        Section(name, "?", "", []), [[View(name, Version(switches, switches), image, None)]]
    )


def pair(
    place_a: int, place_b: int, family_b: str, value: float, calibrated: float | None
) -> dict[str, Any]:
    names = {
        "model_a": f"m{place_a}",
        "model_b": f"m{place_b}",
        "family_a": "x",
        "family_b": family_b,
    }
    measured = {"metric": "cka", "value": value, "calibrated": calibrated, "n": 60}
    return {"place_a": place_a, "place_b": place_b, **names, **measured}


def test_the_most_similar_pairs_are_those_beyond_chance() -> None:
    rows = [
        pair(1, 1, "x", 1, 1),
        pair(1, 2, "x", 0.9, 0.8),
        pair(1, 3, "y", 0.7, 0.5),
        pair(1, 4, "y", 0.99, None),
    ]
    assert find_sentences([drawn("alignment_matrix", rows)]) == {
        "crystals": [
            "Of all pairs, m1 and m2 are the most alike: cka 0.9, calibrated 0.8, n = 60.",
            "Of cross-family pairs, m1 and m3 are the most alike: cka 0.7, calibrated 0.5, n = 60.",
        ]
    }


def test_a_correlation_has_its_interval_and_its_number_of_models() -> None:
    row = {
        "score": "mae",
        "reference": "best",
        "spearman_low": -0.9,
        "spearman_high": 0.1,
        "n_models": 7,
    }
    others = {
        **row,
        "relation": "cross-family",
        "spearman": 1.0,
        "spearman_p": 0.3,
        "spearman_low": None,
        "n_models": 3,
    }
    rows = [{**row, "relation": "all", "spearman": -0.5, "spearman_p": 0.2}, others]
    assert find_sentences([drawn("convergence", rows)])["crystals"] == [
        "The rank correlation of mae with alignment to best is -0.5 over all models (p = 0.2, "
        "95 % interval -0.9 to 0.1, 7 models); 1 without its own family (p = 0.3, 3 models)."
    ]


def test_controls_hold_or_are_a_warning() -> None:
    rows = [
        {"control": control, "metric": "cka", "holds": True} for control in ("rotated", "shuffled")
    ]
    assert find_sentences([drawn("control_alignment", rows)]) == {
        "crystals": ["All 2 checks hold: 2 controls, 1 metrics."]
    }
    assert failed_controls([drawn("control_alignment", rows)]) == []
    rows[1]["holds"] = False
    assert find_sentences([drawn("control_alignment", rows)]) == {}
    assert failed_controls([drawn("control_alignment", rows, "molecules")]) == [
        "On molecules, 1 of 2 checks of controls fail. "
        "Do not trust the figures below before you know why: "
        "shuffled (cka)."
    ]


def test_unknown_values_are_in_no_sentence() -> None:
    empty = {"family_a": "x", "family_b": "y", "gained": None, "gained_low": None}
    assert find_sentences([drawn("training_effect", [empty])]) == {}
    assert find_sentences(
        [drawn("training_effect", [empty, {**empty, "gained": 0.1}, {**empty, "gained": -0.2}])]
    ) == {"crystals": ["1 of 2 cross-family pairs are more alike than their untrained twins."]}


def test_a_pair_gained_only_if_it_is_above_all_of_several_twins() -> None:
    pair = {"family_a": "x", "family_b": "y", "gained": 0.1, "gained_low": -0.1}
    rows = [pair, {**pair, "gained_low": 0.05}, {**pair, "gained_low": None}]
    assert find_sentences([drawn("training_effect", rows)]) == {
        "crystals": ["2 of 3 cross-family pairs are more alike than any of their untrained twins."]
    }
