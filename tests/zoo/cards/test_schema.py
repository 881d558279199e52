"""A card that leaves something open is refused, and its hash covers what decides the vectors."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from zoo.cards.base import CardError
from zoo.cards.representations import choose_names, name_layers
from zoo.cards.schema import Model
from zoo.verify.comparison import find_layer_faults

LICENSE = {"name": "MIT", "url": "https://opensource.org/license/mit", "commercial": True}
MODEL = {
    "id": "toy-1",
    "title": "Toy",
    "input": "structure",
    "default_representation": "last",
    "weights": {
        "source": "package",
        "package": "toy",
        "format": "pickle",
        "files": [{"path": "toy/weights.pt", "sha256": "0" * 64, "size": 5}],
    },
    "license_weights": LICENSE,
    "representation": [
        {
            "name": "last",
            "layer": "before the readout",
            "level": "node",
            "pooling": "mean",
            "channels": "invariant",
            "dimension": 4,
        }
    ],
    "compute": {"parameters": 10, "scales_with": "atoms", "batch": 100},
    "provenance": {"architecture": "none", "training_sets": [], "citation": "nobody"},
    "tolerance": {"batch": 1e-6},
}


ENERGETIC = [MODEL["representation"][0] | {"name": "energy"}]  # type: ignore[index]
HUB = {
    "source": "hub",
    "repo": "a/b",
    "format": "safetensors",
    "files": [{"path": "c"}, {"path": "w", "twin": False}],
}
URL = {
    "source": "url",
    "format": "pickle",
    "files": [{"path": "w.pt", "url": "https://a.org/w.pt"}],
}
PIN = {"sha256": "1" * 64, "size": 7}


LAYERS = {
    "first": "embedding",
    "others": "after block {i} of 2",
    "level": "node",
    "channels": "invariant",
    "dimensions": [3, 4, 4],
}


def change(**changes: object) -> dict[str, object]:
    return MODEL | changes


def without(key: str) -> dict[str, object]:
    return {name: value for name, value in LICENSE.items() if name != key}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {k: v for k, v in MODEL.items() if k != "license_weights"},
            "license_weights\n  Field required",
        ),
        (change(license_weights=without("name")), "license_weights.name\n  Field required"),
        (
            change(license_weights=without("commercial")),
            "license_weights.commercial\n  Field required",
        ),
        (change(license_weights=without("url")), "give either url or no_url_because"),
        (
            change(license_weights=LICENSE | {"no_url_because": "x"}),
            "give either url or no_url_because",
        ),
        (
            change(default_representation="first"),
            r"default_representation 'first' is not one of \['last'\]",
        ),
        (
            change(representation=MODEL["representation"] * 2),
            r"representation names repeat: \['last', 'last'\]",
        ),
        (
            change(representation=ENERGETIC, default_representation="energy"),
            "a representation is named 'energy'",
        ),
        (change(energy={"note": "in eV"}), "energy.reference\n  Field required"),
        (
            change(representation=[MODEL["representation"][0] | {"pooling": "none"}]),
            "pooling is 'mean' for level",
        ),
        (
            change(weights={"source": "package", "package": "toy"}),
            "source 'package' needs a format and files",
        ),
        (change(weights=MODEL["weights"] | {"source": "none"}), "source 'none' has no package"),
        (
            change(weights={"source": "none", "format": "pickle"}),
            "source 'none' has no format and files",
        ),
        (
            change(weights=MODEL["weights"] | {"files": [{"path": "a"}]}),
            "source 'package' needs sha256 and size",
        ),
        (change(weights=MODEL["weights"] | {"repo": "a/b"}), "source 'package' has no repo"),
        (change(weights=HUB | {"repo": None}), "source 'hub' needs a repo"),
        (change(weights=HUB | {"repo": "no-owner"}), "weights.repo\n  String should match pattern"),
        (
            change(weights=HUB | {"revision": "main"}),
            "weights.revision\n  String should match pattern",
        ),
        (change(weights=HUB | {"files": [{"path": "../a"}]}), "a path may not leave its folder"),
        (
            change(weights=HUB | {"files": [{"path": "/a"}]}),
            "weights.files.0.path\n  String should match pattern",
        ),
        (
            change(weights=URL | {"files": [{"path": "a"}]}),
            "each file of source 'url', and of no other, has a url",
        ),
        (change(weights=URL | {"revision": "0" * 40}), "source 'url' has no revision"),
        (
            change(weights=URL | {"files": [{"path": "a", "url": "http://a.org/a"}]}),
            "String should match pattern",
        ),
        (change(elements="H-Zz"), "'Zz' is not a chemical symbol"),
        (change(id="Toy 1"), "String should match pattern"),
        (change(dtypes=["bfloat16"]), r"names bfloat16, so tolerance needs bfloat16 = { batch"),
        (change(dtypes=[]), "dtypes\n  Tuple should have at least 1 item"),
    ],
)
def test_a_card_that_leaves_something_open_is_refused(
    content: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Model.model_validate(content)


def test_the_hash_changes_with_what_decides_the_vectors_and_nothing_else() -> None:
    first = Model.model_validate(MODEL)
    assert Model.model_validate(change(title="Other", score=[])).card_hash(
        untrained=False
    ) == first.card_hash(untrained=False)
    assert Model.model_validate(change(max_atoms=5)).card_hash(untrained=False) != first.card_hash(
        untrained=False
    )
    assert Model.model_validate(change(options={"a": 1})).card_hash(
        untrained=False
    ) != first.card_hash(untrained=False)
    some, other = (
        Model.model_validate(change(energy={"reference": r}))
        for r in ("free atoms", "free electrons")
    )
    assert (
        some.card_hash(untrained=False)
        == other.card_hash(untrained=False)
        != first.card_hash(untrained=False)
    )


def test_a_model_runs_in_the_first_precision_of_its_card() -> None:
    plain = Model.model_validate(MODEL)
    assert (plain.dtype, plain.parameter_bytes("float64")) == ("float32", 80)
    tolerance = {"batch": 1e-6, "rotation": 1e-5, "bfloat16": {"batch": 0.01}}
    half = Model.model_validate(change(dtypes=["bfloat16", "float32"], tolerance=tolerance))
    assert (half.dtype, half.parameter_bytes(half.dtype)) == ("bfloat16", 20)
    assert half.tolerance.at("bfloat16").batch == 0.01
    assert half.tolerance.at("float32") is half.tolerance.at("float64") is half.tolerance
    assert half.card_hash(untrained=False) == plain.card_hash(untrained=False)


def hub_model(**pins: object) -> Model:
    model = Model.model_validate(change(weights=HUB))
    return model.model_copy(update={"weights": model.weights.with_pins(pins)})


def test_pins_fix_what_the_card_leaves_open() -> None:
    assert not hub_model().weights.pinned(untrained=True)
    half = hub_model(**{"a/b": {"revision": "2" * 40, "files": {"c": PIN}}}).weights
    assert (half.pinned(untrained=True), half.pinned(untrained=False)) == (True, False)
    whole = hub_model(**{"a/b": {"revision": "2" * 40, "files": {"c": PIN, "w": PIN}}}).weights
    assert whole.pinned(untrained=False)
    assert whole.revision == "2" * 40
    assert [file.path for file in whole.needed(untrained=True)] == ["c"]
    url = Model.model_validate(change(weights=URL)).weights
    assert url.with_pins({"https://a.org/w.pt": PIN}).files[0].sha256 == "1" * 64
    hashed = [file | {"sha256": "1" * 64} for file in URL["files"]]  # type: ignore[operator]
    sizeless = Model.model_validate(change(weights=URL | {"files": hashed})).weights
    assert sizeless.pinned(untrained=False)


def test_a_twin_is_not_embedded_again_because_weights_were_pinned_that_it_does_without() -> None:
    half, whole = (
        {"a/b": {"revision": "2" * 40, "files": dict.fromkeys(names, PIN)}} for names in ("c", "cw")
    )
    assert hub_model(**half).card_hash(untrained=True) == hub_model(**whole).card_hash(
        untrained=True
    )
    assert hub_model(**half).card_hash(untrained=False) != hub_model(**whole).card_hash(
        untrained=False
    )


def test_the_worker_gets_plain_data_and_atomic_numbers() -> None:
    content = Model.model_validate(change(elements="H-Be, Og")).for_worker()
    assert content["elements"] == [1, 2, 3, 4, 118]
    assert content["weights"]["files"][0]["path"] == "toy/weights.pt"
    assert Model.model_validate(MODEL).for_worker()["elements"] is None


def test_layers_are_named_in_one_table_and_leave_the_hash_of_the_card_as_it_is() -> None:
    plain = Model.model_validate(MODEL)
    model = Model.model_validate(name_layers(change(layers=LAYERS)))
    assert [(r.name, r.layer, r.dimension) for r in model.representation] == [
        ("last", "before the readout", 4),
        ("layer-0", "embedding", 3),
        ("layer-1", "after block 1 of 2", 4),
        ("layer-2", "after block 2 of 2", 4),
    ]
    for untrained in (False, True):
        assert model.card_hash(untrained=untrained) == plain.card_hash(untrained=untrained)
    every = model.representation
    assert choose_names(every, "layers", "toy-1", "last") == ("layer-0", "layer-1", "layer-2")
    assert choose_names(every, "layer-2,default,layer-2:std,all", "toy-1", "last") == (
        "last",
        "layer-0",
        "layer-1",
        "layer-2",
        "layer-2:std",
    )
    assert [r["name"] for r in model.for_worker()["representation"]] == [r.name for r in every]
    with pytest.raises(CardError, match="the card of toy-1 names no layers; it has last"):
        choose_names(plain.representation, "layers", "toy-1", "last")
    with pytest.raises(ValidationError, match=r"layers.others\n  String should match pattern"):
        Model.model_validate(name_layers(change(layers=LAYERS | {"others": "some block"})))
    with pytest.raises(ValidationError, match="says in no_layers why it names none"):
        Model.model_validate(name_layers(change(layers=LAYERS, no_layers="it is one map")))


def test_the_last_layer_is_the_default_representation() -> None:
    model = Model.model_validate(name_layers(change(layers=LAYERS)))
    one, other = np.ones(4), np.nextafter(np.ones(4), 2)
    vectors = {("a/1", "last"): one, ("a/1", "layer-2"): one, ("a/2", "last"): one}
    assert find_layer_faults(model, vectors | {("a/2", "layer-2"): one.copy()}) == []
    assert find_layer_faults(model, vectors | {("a/2", "layer-2"): other}) == [
        "a/2 layer-2 is not last"
    ]
