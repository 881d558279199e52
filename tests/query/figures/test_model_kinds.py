"""Models are counted by their kind, and as networks where some have the same weights."""

from __future__ import annotations

from query.figures.drawing.model_kinds import count_kinds, note_networks


def test_models_are_counted_by_kind() -> None:
    kinds = ["twin", "model", "model", "descriptor"]
    assert count_kinds(kinds) == "2 trained models, 1 descriptor and 1 untrained twin"
    assert count_kinds(kinds[:1], {"twin": " (drawn at random)"}) == (
        "1 untrained twin (drawn at random)"
    )
    assert count_kinds([]) == "no models"


def test_models_of_the_same_weights_are_one_network() -> None:
    same = {"a": ["b"], "b": ["a"], "c": []}
    rows = [{"model_id": name, "kind": "model", "same_weights": of} for name, of in same.items()]
    twins = [row | {"kind": "twin"} for row in rows]
    assert count_kinds([row["kind"] for row in rows + twins], note_networks(rows + twins)) == (
        "3 trained models (2 networks) and 3 untrained twins"
    )
    assert note_networks(rows[2:]) == {}
