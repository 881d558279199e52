"""Words of a user become models and representations, or are refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ingest.runs.errors import RequestError
from ingest.runs.request import (
    Settings,
    choose_representations,
    make_request,
    why_inapplicable,
)
from ingest.systems.materialized import MaterializedDataset
from zoo.cards.discovery import load_models

Make = Callable[..., MaterializedDataset]


def test_representations() -> None:
    selection = next(s for s in load_models().values() if len(s.model.representation) > 1)
    names = tuple(r.name for r in selection.model.representation)
    assert choose_representations(selection, None) == (selection.model.default_representation,)
    assert choose_representations(selection, "all") == names
    assert choose_representations(selection, ",".join(reversed(names))) == names
    with pytest.raises(RequestError, match=f"has no representation 'no'; it has {names[0]}"):
        choose_representations(selection, "no")


def test_nodes_are_pooled_as_a_user_says() -> None:
    models = load_models()
    node = next(s for s in models.values() if s.model.representation[0].level == "node")
    system = next(s for s in models.values() if s.model.representation[0].level == "system")
    name = node.model.representation[0].name
    asked = f"{name}:max,{name}:std,{name}:mean"
    assert choose_representations(node, asked) == (name, f"{name}:std", f"{name}:max")
    pooled = node.model.for_worker([f"{name}:std"])["representation"]
    assert pooled[:-1] == node.model.for_worker()["representation"]
    assert pooled[-1] == pooled[0] | {"name": f"{name}:std", "pooling": "std"}
    with pytest.raises(RequestError, match="no pooling 'median'; expected mean, sum, std or max"):
        choose_representations(node, f"{name}:median")
    with pytest.raises(RequestError, match=r"as one vector per system, so there are no nodes to"):
        choose_representations(system, f"{system.model.representation[0].name}:sum")


def test_a_model_that_can_take_nothing_is_known_before_it_starts(dataset: Make) -> None:
    made = dataset(3)
    by_input = {s.model.input: s for s in load_models().values()}
    assert why_inapplicable(by_input["structure"], made) is None
    assert why_inapplicable(by_input["any"], made) is None
    assert (
        why_inapplicable(by_input["smiles"], made)
        == "it takes a smiles, and no system of tiny has one"
    )


def test_a_model_runs_in_the_precision_of_its_card_unless_another_is_asked_for(
    dataset: Make,
) -> None:
    made, models = dataset(3), load_models().values()
    half, full = (next(s for s in models if s.model.dtype == d) for d in ("bfloat16", "float32"))
    assert make_request(half, made, None, Settings()).dtype == "bfloat16"
    assert make_request(full, made, None, Settings()).dtype == "float32"
    assert make_request(half, made, None, Settings(dtype="float32")).dtype == "float32"


def test_settings_that_differ_from_the_defaults_are_options() -> None:
    assert Settings().options == {}
    settings = Settings(device="cuda", batch=3, memory=3 * 2**29, limit=10)
    assert settings.options == {
        "--device": "cuda",
        "--batch": "3",
        "--limit": "10",
        "--memory": "1536m",
    }
    assert settings.command(["a", "b"], "my file.csv", "my.duckdb") == (
        "matterzoo ingest a,b 'my file.csv' --device cuda --batch 3 --limit 10 --memory 1536m "
        "--store my.duckdb"
    )
