"""What a store shows: sentences made from rows, and warnings if controls fail."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from query.report.findings import failed_controls, find_sentences
from query.report.views import DrawnSection, Image, Section, Version, View
from query.statements import Answer

Rows = list[dict[str, Any]]


def drawn(name: str, rows: Rows, dataset: str = "crystals") -> DrawnSection:
    """A section with one figure, which has these rows."""
    image = Image("", [], "", "", Answer(name, "", pa.Table.from_pylist(rows)))
    switches = {"dataset": dataset}
    return DrawnSection(
        Section(name, "?", "", []), [[View(name, Version(switches, switches), image, None)]]
    )


def sentences(*sections: DrawnSection) -> dict[str, list[str]]:
    """Return the sentences by dataset; each names the section that it is about."""
    found = find_sentences(sections)
    names = {finding.section for findings in found.values() for finding in findings}
    assert names <= {section.section.name for section in sections}
    return {dataset: [finding.text for finding in each] for dataset, each in found.items()}


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
    assert sentences(drawn("alignment_matrix", rows)) == {
        "crystals": [
            "Of all pairs of models and descriptors, m1 and m2 are the most alike: CKA 0.900, "
            "calibrated 0.800, n = 60.",
            "Of pairs from two families, m1 and m3 are the most alike: CKA 0.700, calibrated "
            "0.500, n = 60.",
        ]
    }
    rows[2]["n"] = 40
    first, second = sentences(drawn("alignment_matrix", rows))["crystals"]
    assert first.endswith("n = 60 (pairs share 40 to 60 systems, on which values depend).")
    assert second.endswith("n = 40.")


CORRELATION: dict[str, Any] = {
    "relation": "all",
    "score": "energy_mae",
    "metric": "cka",
    "reference": "best-X",
    "spearman": -0.5,
    "spearman_p": 0.2,
    "spearman_low": -0.9,
    "spearman_high": 0.1,
    "n_models": 7,
    "warning": None,
}


def test_a_correlation_has_its_interval_and_its_number_of_models() -> None:
    few = {
        **CORRELATION,
        **{"relation": "cross-family", "spearman": 1.0, "spearman_p": 0.3, "spearman_low": None},
        **{"n_models": 3, "warning": "3 models are too few"},
    }
    assert sentences(drawn("convergence", [CORRELATION, few]))["crystals"] == [
        "Nothing here decides whether better models are more like best-X. The rank correlation of "
        "the mean absolute error of energy with alignment to best-X is −0.50 (p = 0.20, 95 % "
        "interval −0.90 to 0.10, 7 models) over all models; 1.0 (3 models, too few to conclude) "
        "without its own family."
    ]


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({"spearman_high": -0.2}, "Better models are more like best-X."),
        (
            {"spearman": 0.5, "spearman_low": 0.2, "spearman_high": 0.9},
            "Better models are less like best-X.",
        ),
        (
            {"spearman_high": -0.2, "metric": "procrustes"},
            "Better models are less like best-X.",
        ),
        (
            {"spearman_high": -0.2, "score": "accuracy"},
            "The score of models goes with how much they are like best-X.",
        ),
        ({"spearman_high": -0.2, "warning": "4 models are too few"}, "Nothing here decides"),
    ],
)
def test_the_verdict_comes_first(changed: dict[str, Any], verdict: str) -> None:
    (found,) = sentences(drawn("convergence", [CORRELATION | changed]))["crystals"]
    assert found.startswith(verdict)


def energies(model: str, mae: float, **columns: Any) -> dict[str, Any]:
    return {
        "model_id": model,
        "mae_per_atom": mae,
        "low_per_atom": mae - 0.01,
        "high_per_atom": mae + 0.01,
        "n": 60,
        "property": "formation_enthalpy_298K",
        "source": "G2/97",
        "compared_with": "labels",
        "source_reason": None,
        "label_residual": None,
        **columns,
    }


def test_errors_of_energies_are_per_atom_and_name_whom_they_cannot_be_told_from() -> None:
    rows = [energies("a", 0.05), energies("b", 0.058), energies("c", 0.07)]
    assert sentences(drawn("energy_errors", rows)) == {
        "crystals": [
            "With composition taken out, a is nearest to the formation enthalpy at 298 K of G2/97: "
            "its mean absolute error is 0.0500 eV/atom (95 % interval 0.040 to 0.060), n = 60. "
            "Within this interval, too: b; nothing decides between them."
        ]
    }


def test_without_labels_energies_are_differences() -> None:
    middle = {"source": "m", "compared_with": "predictions", "source_reason": "in the middle"}
    rows = [energies("a", 0.05, **middle), energies("b", 0.07, **middle)]
    assert sentences(drawn("energy_errors", rows)) == {
        "crystals": [
            "There are no labels of energies, only predictions; m stands for them: in the middle. "
            "With composition taken out, a differs least from it: by 0.0500 eV/atom (95 % "
            "interval 0.040 to 0.060), n = 60."
        ]
    }


@pytest.mark.parametrize(("error", "said"), [(0.3, True), (0.01, False)])
def test_another_model_is_the_best_by_the_median(error: float, said: bool) -> None:
    errors = {"a": [0.1, 0.1, 0.1], "b": [0.04, 0.04, error]}
    rows = [
        energies(
            *(name, sum(some) / 3),
            **{"system_id": f"crystals/{i}", "n_atoms": 1, "n": 3},
            **{"label_residual": 1.0, "predicted_residual": 1.0 - off},
        )
        for name, some in errors.items()
        for i, off in enumerate(some)
    ]
    (sentence,) = sentences(drawn("energy_errors", rows))["crystals"]
    words = "By the median over systems, it would be b: 0.0400 against 0.100 eV/atom."
    assert (words in sentence) == said


def test_a_system_that_makes_most_of_a_mean_is_named() -> None:
    far = [0.01] * 19 + [4.0]  # eV, of two atoms each
    rows = [
        energies(
            *("a", sum(far) / 40),
            **{"system_id": f"crystals/{i}", "n_atoms": 2, "n": 20},
            **{"label_residual": 1.0, "predicted_residual": 1.0 - error},
        )
        for i, error in enumerate(far)
    ]
    (sentence,) = sentences(drawn("energy_errors", rows))["crystals"]
    assert sentence.endswith(
        "One system, crystals/19, makes 95 % of the mean of a: 2.00 eV/atom; the mean of the "
        "others is 0.00500 eV/atom."
    )
    even = [row | {"predicted_residual": 0.9} for row in rows]
    assert "One system" not in sentences(drawn("energy_errors", even))["crystals"][0]


def told(model: str, value: float, difference: float, **columns: Any) -> dict[str, Any]:
    return {
        **{"model_id": model, "kind": "model", "value": value, "difference": difference},
        **{"difference_low": difference - 0.1, "property": "gap", "score": "r2", "n": 60},
        **{"low": value - 0.1, "high": value + 0.1},
        **{"best_baseline": "composition", "row_of": model, **columns},
    }


def test_a_baseline_that_no_model_beats_is_ahead() -> None:
    rows = [told("a", 0.8006, -0.0002), told("b", 0.81, -0.02, n=40)]
    assert sentences(drawn("probe", rows))["crystals"] == [
        "The vectors of 0 of 2 models tell more of gap than the best baseline, beyond the interval "
        "of the difference. None has a higher R² than it; a comes nearest: 0.801 (95 % interval "
        "0.70 to 0.90), 0.00020 below composition, n = 60."
    ]
    rows.append(told("c", 0.9, 0.15))
    (sentence,) = sentences(drawn("probe", rows))["crystals"]
    assert sentence.startswith("The vectors of 1 of 3 models")
    assert sentence.endswith(
        "Those of c tell the most: R² 0.900 (95 % interval 0.80 to 1.0), composition 0.750, n = 60."
    )


def test_each_property_that_is_probed_has_a_sentence() -> None:
    gap = drawn("probe", [told("a", 0.5, -0.2)])
    views = [drawn("probe", [told("a", 0.5, -0.2, property=name)]).panels[0] for name in "cdef"]
    every = DrawnSection(gap.section, [[*gap.panels[0], *(view for (view,) in views)]])
    starts = [sentence.split(" than")[0] for sentence in sentences(every)["crystals"]]
    assert starts == [f"The vectors of 0 of 1 models tell more of {x}" for x in ("gap", "c", "d")]


SHUFFLED: dict[str, Any] = {
    "control": "shuffled",
    "metric": "cka",
    "expected": "chance",
    "holds": True,
    "value": 0.0735,
    "chance_low": 0.0756,
    "chance_high": 0.0916,
    "p_two_sided": 0.008,
    "p_least": 0.00833,
    "itself": 1.0,
}


def test_controls_hold_or_are_a_warning() -> None:
    rows = [{**SHUFFLED, "control": "rotated", "expected": "same"}, {**SHUFFLED}]
    assert sentences(drawn("control_alignment", rows)) == {
        "crystals": ["All 2 checks of controls hold: 2 controls, 1 metric."]
    }
    assert failed_controls([drawn("control_alignment", rows)]) == []
    rows[1]["holds"] = False
    section = drawn("control_alignment", rows, "molecules")
    assert sentences(section) == {
        "molecules": ["1 of 2 checks of controls hold: 2 controls, 1 metric."]
    }
    (warning,) = failed_controls([section])
    assert warning.section == "control_alignment"
    assert warning.text == (
        "On molecules, 1 of 2 checks of controls fails: shuffled (CKA) gives 0.0735, expected "
        "chance, 0.0756 to 0.0916 (p = 0.0080, the limit is 0.0083). Even where all is well, 1 "
        "dataset in 20 has such a check by chance; “matterzoo query control_alignment "
        "molecules permutations=9999” computes its p more precisely. Find out why before you "
        "trust the figures below."
    )


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"expected": "same", "value": 0.5}, "shuffled (CKA) gives 0.500, expected 1.00."),
        ({"expected": "undefined"}, "shuffled (CKA) gives 0.0735, expected none."),
        ({"value": None}, "shuffled (CKA) is undefined."),
    ],
)
def test_a_warning_says_what_was_expected(changed: dict[str, Any], words: str) -> None:
    rows = [{**SHUFFLED, "holds": False, **changed}]
    (warning,) = failed_controls([drawn("control_alignment", rows)])
    assert f"On crystals, 1 of 1 checks of controls fails: {words}" in warning.text
    assert "by chance" not in warning.text


def test_controls_that_fail_are_shown_first() -> None:
    rows: list[Rows] = [[SHUFFLED], [{**SHUFFLED, "holds": False}]]
    held, failed = (drawn("control_alignment", each).panels[0][0] for each in rows)
    assert (held.alarming, failed.alarming) == (False, True)


def test_two_datasets_are_named() -> None:
    names = {"dataset_a": "crystals", "dataset_b": "molecules", "metric": "cka", "n_a": 40}
    rows = [{**names, "on_a": 0.2, "on_b": 0.4}, {**names, "on_a": 0.3, "on_b": 0.6}]
    rows.append({**names, "on_a": None, "on_b": 0.9})
    (sentence,) = sentences(drawn("alignment_across_datasets", rows))["crystals"]
    assert sentence == (
        "The mean CKA of 2 pairs of models and descriptors is 0.250 on crystals and 0.500 on "
        "molecules (n = 40 of each)."
    )


def test_unknown_values_are_in_no_sentence() -> None:
    empty = {"family_a": "x", "family_b": "y", "gained": None, "gained_low": None}
    empty |= {"model_a": "a", "model_b": "b", "value": 0.3, "twins_value": 0.5}
    assert sentences(drawn("training_effect", [empty])) == {}
    assert sentences(
        drawn("training_effect", [empty, {**empty, "gained": 0.1}, {**empty, "gained": -0.2}])
    ) == {
        "crystals": [
            "Of 2 cross-family pairs with untrained twins, 1 is more alike than these twins; the "
            "median gain is −0.05. The largest change is −0.20: a and b have 0.300, their "
            "untrained twins 0.500."
        ]
    }


def test_a_pair_gained_only_if_it_is_above_all_of_several_twins() -> None:
    pair = {"family_a": "x", "family_b": "y", "gained": 0.1, "gained_low": -0.1}
    pair |= {"model_a": "a", "model_b": "b", "value": 0.3, "twins_value": 0.2}
    rows = [pair, {**pair, "gained_low": 0.05}, {**pair, "gained_low": None}]
    assert sentences(drawn("training_effect", rows)) == {
        "crystals": [
            "Of 3 cross-family pairs with untrained twins, 2 are more alike than any of these "
            "twins; the median gain is +0.10. The largest change is +0.10: a and b have 0.300, "
            "their untrained twins 0.200."
        ]
    }


def test_pairs_of_a_family_that_lost_are_told_too() -> None:
    across = {"family_a": "x", "family_b": "y", "gained": 0.1, "gained_low": None}
    lost = {"family_a": "x", "family_b": "x", "gained": -0.17, "gained_low": None}
    assert sentences(drawn("training_effect", [lost, across])) == {
        "crystals": [
            "Of 1 cross-family pair with untrained twins, 1 is more alike than these twins; the "
            "median gain is +0.10.",
            "Of 1 same-family pair with untrained twins, 0 are more alike than these twins; the "
            "median gain is −0.17.",
        ]
    }


def test_means_of_relations_say_of_how_many_systems() -> None:
    pair = {"relation": "neither", "mean": 0.42, "p_value": None, "n_pairs": 2, "metric": "cknna"}
    pair |= {"common_model": None, "one_network": None}
    rows = [{**pair, "value": 0.4, "n": 139}, {**pair, "value": 0.44, "n": 162}]
    mean = "The mean CKNNA of two models is 0.420 for neither in common (2 pairs). Pairs share "
    assert sentences(drawn("kinship", rows)) == {
        "crystals": [f"{mean}139 to 162 systems, on which values depend."]
    }
    assert sentences(drawn("kinship", rows[1:])) == {"crystals": [f"{mean}162 systems."]}
    confounded = {**rows[1], "common_model": "a"}
    (sentence,) = sentences(drawn("kinship", [confounded]))["crystals"]
    assert "0.420 for neither in common (2 pairs, all of a with another model). Pairs" in sentence
    floor = {**rows[1], "p_value": 0.0001, "p_least": 0.0001}
    assert "(2 pairs, p ≤ 0.00010)" in sentences(drawn("kinship", [floor]))["crystals"][0]
    twice = {**rows[1], "one_network": ["a and b"]}
    (sentence,) = sentences(drawn("kinship", [twice]))["crystals"]
    assert "in common (2 pairs, where one network counts as two: a and b). Pairs" in sentence


def test_who_errs_on_what_is_novel() -> None:
    rows = [
        {"model_id": name, "spearman": rho, "low": low, "high": high, "n": n}
        for name, rho, low, high, n in (
            ("a", 0.5, 0.4, 0.6, 140),
            ("b", 0.3, 0.1, 0.5, 147),
            ("c", -0.3, -0.4, -0.1, 147),
            ("d", 0.1, -0.1, 0.3, 147),
            ("e", None, None, None, 0),
        )
    ]
    assert sentences(drawn("novelty_errors", rows)) == {
        "crystals": [
            "Of 4 models (rank correlation, n = 140 to 147): a (0.50, 0.40 to 0.60), b (0.30, 0.10 "
            "to 0.50) err more on what is novel to them; c (−0.30, −0.40 to −0.10) errs less on "
            "what is novel to it; d (0.10, −0.10 to 0.30) does neither beyond the interval."
        ]
    }
    assert sentences(drawn("novelty_errors", rows[-1:])) == {}


@pytest.mark.parametrize(("high", "said"), [(0.55, True), (0.65, False)])
def test_an_untrained_twin_that_tells_more_is_said(high: float, said: bool) -> None:
    """Only where the intervals leave no doubt."""
    model = told("a", 0.5, 0.1, low=0.4, high=high)
    twin = told("a@untrained", 0.7, 0.3, low=0.6, high=0.8, kind="twin", row_of="a")
    (sentence,) = sentences(drawn("probe", [model, twin]))["crystals"]
    ahead = "Without any training, a@untrained (0.700 against 0.500) tells more than the trained"
    assert (ahead in sentence) == said
