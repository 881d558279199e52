"""Cards: what is wrong with one is said all at once, and nothing is assumed."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.cards.base import CardError
from zoo.cards.discovery import find_family, find_model, load_families
from zoo.cards.elements import parse_elements
from zoo.cards.loading import load_family
from zoo.cards.scaffold import write_family
from zoo.cards.schema import Model
from zoo.cards.twins import twin_seed
from zoo.encoder import SYMBOLS

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


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A family of one model beside the real ones, written by `zoo new`."""
    monkeypatch.setenv("MATTERZOO_FAMILIES", str(tmp_path))
    return write_family("toy", tmp_path)


def spoil(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_every_fault_of_both_files_is_listed_at_once(family: Path) -> None:
    spoil(family / "family.toml", 'homepage = "https', 'color = "red"\nhomepage = "http')
    spoil(family / "family.toml", "installed_mb = 250", "installed_mb = 0")
    spoil(family / "models.toml", 'input = "structure"', 'input = "crystal"')
    spoil(family / "models.toml", "dimension = 118", "dimension = -1")
    spoil(family / "models.toml", "\n[[model]]", "\n[extra]\n[[model]]")
    with pytest.raises(CardError, match=r"family toy: 6 faults in its cards") as error:
        load_family(family)
    for fault in (
        r"models.toml: unknown key 'extra', expected [[model]] or [defaults]",
        r"color: Extra inputs are not permitted (got 'red')",
        r"homepage: String should match pattern '^https://' (got 'http://example.org/toy')",
        r"installed_mb: Input should be greater than 0 (got 0)",
        r"models.0.input: Input should be 'structure', 'smiles', 'selfies',",
        r"models.0.representation.0.dimension: Input should be greater than 0 (got -1)",
    ):
        assert fault in str(error.value)


@pytest.mark.parametrize("key", ["path", "models"])
def test_keys_that_only_code_may_set_are_refused(family: Path, key: str) -> None:
    spoil(family / "family.toml", 'name = "toy"', f'name = "toy"\n{key} = "x"')
    with pytest.raises(CardError, match=f"family.toml: unknown key '{key}'"):
        load_family(family)


def test_a_family_is_named_like_its_folder(family: Path) -> None:
    spoil(family / "family.toml", 'name = "toy"', 'name = "joy"')
    with pytest.raises(CardError, match="name: 'joy' is not the name of its folder, 'toy'"):
        load_family(family)


def test_a_file_that_is_not_toml_is_named(family: Path) -> None:
    (family / "models.toml").write_text("[[model]\n")
    with pytest.raises(CardError, match=r"family toy: .*models.toml cannot be read: .*line 1"):
        load_family(family)
    (family / "models.toml").unlink()
    with pytest.raises(CardError, match=r"models.toml cannot be read: .*No such file"):
        load_family(family)


def test_two_models_may_not_share_an_id(family: Path, tmp_path: Path) -> None:
    shutil.copytree(family, tmp_path / "joy")
    spoil(tmp_path / "joy" / "family.toml", 'name = "toy"', 'name = "joy"')
    with pytest.raises(
        CardError, match="model names must be unique, but these appear twice: toy-composition"
    ):
        load_families()


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
TOML_HUB = (
    'weights = { source = "hub", repo = "a/b", revision = "%s", format = "pickle", '
    'files = [{ path = "c" }] }'
)
PIN = {"sha256": "1" * 64, "size": 7}


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


def test_a_pin_that_contradicts_the_card_is_a_fault(family: Path) -> None:
    spoil(family / "models.toml", 'weights = { source = "none" }', TOML_HUB % ("1" * 40))
    (family / "weights.lock").write_text(json.dumps({"a/b": {"revision": "2" * 40, "files": {}}}))
    with pytest.raises(
        CardError, match=f"models.toml says revision {'1' * 40}, but weights.lock says {'2' * 40}"
    ):
        load_families()
    (family / "weights.lock").write_text(
        json.dumps({"a/b": {"revision": "1" * 40, "files": {"c": PIN}}})
    )
    [model] = load_families()["toy"].models
    assert model.weights.files[0].sha256 == "1" * 64
    (family / "weights.lock").write_text("[]")
    with pytest.raises(
        CardError, match="weights.lock cannot be read: .*`matterzoo pin MODEL` writes it"
    ):
        load_families()


def test_the_worker_gets_plain_data_and_atomic_numbers() -> None:
    content = Model.model_validate(change(elements="H-Be, Og")).for_worker()
    assert content["elements"] == [1, 2, 3, 4, 118]
    assert content["weights"]["files"][0]["path"] == "toy/weights.pt"
    assert Model.model_validate(MODEL).for_worker()["elements"] is None


@given(st.sets(st.integers(1, 118), min_size=1))
def test_elements_are_what_they_name(numbers: set[int]) -> None:
    assert parse_elements(", ".join(SYMBOLS[n - 1] for n in numbers)) == sorted(numbers)


@given(st.integers(1, 118), st.integers(1, 118))
def test_element_ranges_include_both_ends(first: int, last: int) -> None:
    text = f"{SYMBOLS[first - 1]}-{SYMBOLS[last - 1]}"
    if first <= last:
        assert parse_elements(text) == list(range(first, last + 1))
    else:
        with pytest.raises(ValueError, match="is not a symbol or a rising range"):
            parse_elements(text)


@pytest.mark.parametrize("text", ["", "H-", "H-He-Li", "X", "h", "1-5"])
def test_elements_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="elements: "):
        parse_elements(text)


@pytest.mark.usefixtures("family")
def test_names_that_do_not_exist_are_answered_with_the_nearest() -> None:
    with pytest.raises(
        CardError, match=r"no model is named 'toy-compositon'; did you mean toy-composition"
    ):
        find_model("toy-compositon")
    with pytest.raises(CardError, match=r"no family is named 'toi'; did you mean toy"):
        find_family("toi")
    with pytest.raises(CardError, match=r"no family is named 'qqqqqq'; there are .*toy"):
        find_family("qqqqqq")


def test_what_is_wrong_with_one_family_is_no_matter_to_another(family: Path) -> None:
    write_family("broken", family.parent)
    (family.parent / "broken" / "models.toml").unlink()
    assert find_model("toy-composition").family == find_family("toy")
    for find in (
        load_families,
        lambda: find_family("broken"),
        lambda: find_model("broken-composition"),
    ):
        with pytest.raises(CardError, match="family broken: .*models.toml cannot be read"):
            find()


def test_a_model_with_weights_has_a_twin(family: Path) -> None:
    with pytest.raises(CardError, match="toy-composition has no weights to draw at random"):
        find_model("toy-composition@untrained")
    files = 'files = [{ path = "a", sha256 = "%s", size = 1 }]' % ("0" * 64)
    weights = f'weights = {{ source = "package", package = "a", format = "pickle", {files} }}'
    spoil(family / "models.toml", 'weights = { source = "none" }', weights)
    twin, model = find_model("toy-composition@untrained"), find_model("toy-composition")
    assert (twin.model_id, twin.untrained_seed) == ("toy-composition@untrained", 426412728)
    assert (model.model_id, model.untrained_seed) == ("toy-composition", None)
    assert twin.model == model.model


def test_a_twins_seed_is_the_beginning_of_the_hash_of_its_models_id() -> None:
    beginning = hashlib.sha256(b"toy").hexdigest()[:8]  # 32 bits
    assert twin_seed("toy") == int(beginning, 16) // 2
    assert all(twin_seed(name) in range(2**31) for name in "abcdefgh")


def test_torch_is_named_where_requirements_name_it() -> None:
    for family in load_families().values():
        named = "torch==" in (family.path / "requirements.in").read_text().replace("torch-", "")
        assert (family.torch is not None) == named
        assert family.torch is None or re.fullmatch(r"torch==[0-9.]+", family.torch)
