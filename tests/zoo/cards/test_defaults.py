"""What models of a family share stands once in their file, and each model's own word wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo.cards.base import CardError
from zoo.cards.defaults import merge_defaults
from zoo.cards.loading import load_family, read_models
from zoo.cards.scaffold import write_family

DEFAULTS = """
[defaults]
input = "structure"
elements = "H-Og"
weights = { source = "none" }
compute = { parameters = 0, scales_with = "atoms", batch = 10000 }

[defaults.license_weights]
name = "CC-BY-NC-4.0"
url = "https://creativecommons.org/licenses/by-nc/4.0"
commercial = false
gated = true

[defaults.provenance]
architecture = "counting"
training_sets = ["one", "two"]
citation = "somebody"
doi = "10.1/x"
"""

MODEL = """
[[model]]
id = "toy-%s"
title = "Toy"
default_representation = "composition"
tolerance = { batch = 1e-6 }

[[model.representation]]
name = "composition"
layer = "fraction of the atoms"
level = "system"
pooling = "none"
channels = "invariant"
dimension = 118
"""

OWN = """
[model.license_weights]
name = "MIT"
no_url_because = "it is written in this folder"
commercial = true

[model.provenance]
citation = "somebody else"

[model.compute]
batch = 7
"""


@pytest.fixture
def family(tmp_path: Path) -> Path:
    folder = write_family("toy", tmp_path)
    (folder / "models.toml").write_text(DEFAULTS + MODEL % "a" + MODEL % "b" + OWN)
    return folder


def spoil(family: Path, old: str, new: str) -> None:
    text = (family / "models.toml").read_text()
    assert old in text
    (family / "models.toml").write_text(text.replace(old, new))


def test_a_model_takes_what_it_does_not_say_itself(family: Path) -> None:
    plain, own = load_family(family).models
    assert plain.elements == own.elements == "H-Og"
    assert plain.compute.batch == 10000
    assert own.compute.model_dump() == plain.compute.model_dump() | {"batch": 7}
    assert plain.provenance.training_sets == own.provenance.training_sets == ("one", "two")
    assert (plain.provenance.citation, own.provenance.citation) == ("somebody", "somebody else")
    assert own.provenance.doi == "10.1/x"


def test_a_model_that_says_why_it_names_no_layers_gets_none() -> None:
    defaults = {"input": "any", "layers": {"first": "embedding"}}
    own = {"no_layers": "it has one map"}
    assert merge_defaults(own, defaults) == {"input": "any", "no_layers": "it has one map"}
    assert merge_defaults({}, defaults) == defaults


def test_a_license_is_never_put_together_from_two_places(family: Path) -> None:
    """Nor is one of them guessed: a model without any is refused as before."""
    plain, own = load_family(family).models
    assert (plain.license_weights.gated, own.license_weights.gated) == (True, False)
    assert own.license_weights.url is None
    spoil(family, 'no_url_because = "it is written in this folder"\n', "")
    with pytest.raises(CardError, match=r"1 faults .*\n  models.1.license_weights: .*give either"):
        load_family(family)
    start, end = DEFAULTS.index("[defaults.license"), DEFAULTS.index("[defaults.provenance")
    (family / "models.toml").write_text(DEFAULTS[:start] + DEFAULTS[end:] + MODEL % "a")
    with pytest.raises(CardError, match=r"models.0.license_weights: Field required"):
        load_family(family)


def test_tables_are_merged_as_a_card_that_says_it_all(family: Path) -> None:
    plain, own = read_models(family)
    assert plain["provenance"]["citation"] == "somebody"
    assert own["license_weights"] == {
        "name": "MIT",
        "no_url_because": "it is written in this folder",
        "commercial": True,
    }


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            'elements = "H-Og"',
            'elments = "H-Og"',
            "defaults.elments: Extra inputs are not permitted (got 'H-Og')",
        ),
        (
            'doi = "10.1/x"',
            'doy = "10.1/x"',
            "defaults.provenance.doy: Extra inputs are not permitted (got '10.1/x')",
        ),
        (
            "parameters = 0",
            "parameters = -1",
            "defaults.compute.parameters: Input should be greater than or equal to 0 (got -1)",
        ),
        (
            'input = "structure"',
            'id = "toy"\ninput = "structure"',
            "models.toml: 'id' under [defaults], expected under each [[model]]",
        ),
    ],
)
def test_a_fault_of_a_default_is_listed_once(family: Path, old: str, new: str, fault: str) -> None:
    spoil(family, old, new)
    with pytest.raises(CardError) as error:
        load_family(family)
    assert str(error.value) == f"family toy: 1 faults in its cards:\n  {fault}"


@pytest.mark.parametrize(
    ("own", "name"),
    [
        ("elements = 'H'\n", "elements"),
        ("[model.provenance]\ndoi = '10.1/y'\n", "provenance.doi"),
        (OWN[: OWN.index("[model.provenance]")], "license_weights"),
    ],
)
def test_a_default_that_every_model_overrides_is_refused(family: Path, own: str, name: str) -> None:
    """Nothing would check its value."""
    model = (MODEL % "a").replace("\n[[model.rep", f"\n{own}\n[[model.rep")
    (family / "models.toml").write_text(DEFAULTS + model)
    with pytest.raises(CardError, match=f"every model has its own {name}, so remove it"):
        load_family(family)


def test_defaults_are_a_table(family: Path) -> None:
    (family / "models.toml").write_text("defaults = 3\n" + MODEL % "a")
    with pytest.raises(CardError, match=r"expected a table \[defaults\] \(got 3\)"):
        load_family(family)
