"""The first sentence on a dataset: who is most alike, and what weakens this."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from query.site.headlines import Headline, find_headline
from query.site.results import Results
from query.site.words import fixed

Row = dict[str, Any]
PAIRS = [(f"alpha-{i}", f"beta-{j}") for i in range(3) for j in range(3)]
TWIN = "alpha-0@untrained"


def value(results: Results, pair: tuple[str, str], column: str = "value") -> float:
    return float(results.alignments["crystals", "cknna", pair][column])


def changed(results: Results, pair: tuple[str, str], **values: Any) -> Results:
    """Return the results with other values in the alignment of a pair."""
    key = "crystals", "cknna", pair
    return replace(results, alignments=results.alignments | {key: results.alignments[key] | values})


def headline(results: Results) -> Headline:
    found = find_headline(results, "crystals")
    assert found is not None
    return found


def test_the_most_alike_are_of_two_families(results: Results) -> None:
    found = headline(results)
    best = max(PAIRS, key=lambda pair: value(results, pair, "calibrated"))
    row = results.alignments["crystals", "cknna", best]
    assert found.pair == best
    assert found.sentences[0] == (
        f"CKNNA is {fixed(row['value'])} (95 % interval {fixed(row['low'])} to "
        f"{fixed(row['high'])}), over 60 systems; systems paired at random give "
        f"{fixed(row['null_mean'])} on average, and above them it is {fixed(row['calibrated'])} "
        "on a scale from 0, which 95 % of random pairings stay below, to 1, full agreement"
    )
    assert not any("p = " in sentence or "p ≤ " in sentence for sentence in found.sentences)
    assert find_headline(results, "elsewhere") is None


def test_a_value_that_chance_explains_is_not_the_most_alike(results: Results) -> None:
    """Of fewer systems, chance gives more."""
    best, second, *_ = sorted(PAIRS, key=lambda pair: -value(results, pair, "calibrated"))
    few = changed(results, second, n=30, value=1.1 * value(results, best), null_mean=0.5)
    assert headline(few).pair == best
    names = [row["other"] for row in few.neighbors(best[0], "crystals")]
    above = [few.alignments["crystals", "cknna", tuple(sorted((best[0], x)))] for x in names]
    known = [row["calibrated"] for row in above if row["value"] is not None]
    assert known == sorted(known, reverse=True)


def test_pairs_within_the_interval_are_named(results: Results) -> None:
    best, second, *_ = sorted(PAIRS, key=lambda pair: -value(results, pair))
    alone = changed(results, best, low=value(results, second) + 1e-6)
    assert "may be as much alike" not in headline(alone).lead
    near = changed(results, best, low=value(results, second) - 1e-9)
    assert "but 1 other pair may be as much alike" in headline(near).lead
    named = f"Within this interval, too: {second[0]} and {second[1]} ({fixed(value(near, second))})"
    assert any(sentence.startswith(named) for sentence in headline(near).sentences)


def test_an_untrained_network_that_is_as_near_is_part_of_it(results: Results) -> None:
    _, other = headline(results).pair
    high = changed(results, (TWIN, other), value=0.99, low=0.98, high=1.0)
    assert f"{other} is at least as much like an untrained network" in headline(high).lead
    said = (
        f"With {TWIN}, whose weights are random, {other} has 0.990 (95 % interval 0.980 to 1.000)"
    )
    assert said in headline(high).sentences
    low = changed(results, (TWIN, other), value=-0.5)
    assert "untrained" not in headline(low).lead


def test_a_warning_is_part_of_it(results: Results) -> None:
    warned = changed(results, headline(results).pair, warning="k = 25 of 30 neighbors")
    assert headline(warned).sentences[-1] == "Warning: k = 25 of 30 neighbors"


def test_the_only_two_models_are_not_called_the_most_alike(results: Results) -> None:
    kept = {"alpha-0", "beta-1", TWIN}
    alignments = {key: row for key, row in results.alignments.items() if {*key[-1]} <= kept}
    found = headline(replace(results, alignments=alignments))
    assert found.pair == ("alpha-0", "beta-1")
    assert found.lead == (
        "are the only two trained models of different families that can be compared here"
    )


def test_the_other_metric_may_name_others(results: Results) -> None:
    by_cka = {pair: float(results.alignments["crystals", "cka", pair]["value"]) for pair in PAIRS}
    best, found = max(PAIRS, key=lambda pair: by_cka[pair]), headline(results)
    assert "are, by CKNNA, most alike" in found.lead
    (said,) = (sentence for sentence in found.sentences if "CKA" in sentence)
    if best == found.pair:
        assert said == f"They are so by CKA, too ({fixed(by_cka[best])})"
    else:
        own = fixed(by_cka[found.pair])
        names = " and ".join(best)
        assert said == f"By CKA, {names} are ({fixed(by_cka[best])}; these two have {own})"
