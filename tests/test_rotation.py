"""What CI checks in rotation: nothing is left out for ever, nothing that changed waits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.rotation import chosen, chosen_image
from zoo.cards.discovery import load_families
from zoo.cards.family import Family, Selection
from zoo.cards.scaffold import write_family
from zoo.verify.records import evidence, write_record

NAMES = ("ants", "bees", "cats", "dogs")
DOWNLOADED = (
    'source = "url", format = "pickle", files = [{ path = "a", url = "https://example.org/a" }]'
)


@pytest.fixture
def families(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Family]:
    """Four checked families of two models that need downloads, and one of the demo."""
    monkeypatch.setattr("zoo.cards.discovery.FAMILIES", tmp_path)
    for name in (*NAMES, "elks"):
        folder = write_family(name, tmp_path)
        (folder / "requirements.lock").write_text(name)
        models = (folder / "models.toml").read_text()
        if name == "elks":
            join_demo(folder)
        else:
            models = models.replace('source = "none"', DOWNLOADED)
            models += models.replace(f"{name}-composition", f"{name}-again")
            (folder / "models.toml").write_text(models)
    found = load_families()
    for name in NAMES:
        record(found[name])
    return found


def record(family: Family) -> None:
    for model in family.models:
        selection = Selection(family=family, model=model, untrained=False)
        write_record(selection, {"weights": "dummy", **evidence(selection, real=False)})


def join_demo(folder: Path) -> None:
    card = folder / "family.toml"
    demo = f'demo = ["{folder.name}-composition"]'
    card.write_text(card.read_text().replace("installed_mb", f"{demo}\ninstalled_mb", 1))


def test_what_the_demo_takes_is_checked_each_time(families: Mapping[str, Family]) -> None:
    assert all(chosen(families, turn)["elks"] == ["elks-composition"] for turn in range(9))


def test_everything_has_its_turn(families: Mapping[str, Family]) -> None:
    seen = {(name, *models) for turn in range(8) for name, models in chosen(families, turn).items()}
    assert seen == {(n, f"{n}-{which}") for n in NAMES for which in ("composition", "again")} | {
        ("elks", "elks-composition")
    }


def test_downloads_have_their_turn_beside_the_demo(families: Mapping[str, Family]) -> None:
    models = families["bees"].path / "models.toml"
    models.write_text(models.read_text().replace(DOWNLOADED, 'source = "none"', 1))
    join_demo(families["bees"].path)
    seen = [chosen(load_families(), turn)["bees"] for turn in range(len(NAMES))]
    assert sorted(seen) == [["bees-composition"]] * 3 + [["bees-composition", "bees-again"]]


def test_one_that_needs_no_download_has_its_turn_beside_one_that_does(
    families: Mapping[str, Family],
) -> None:
    for name in ("cats", "dogs"):
        models = families[name].path / "models.toml"
        models.write_text(models.read_text().replace(DOWNLOADED, 'source = "none"'))
        record(load_families()[name])
    seen = [chosen(load_families(), turn) for turn in range(4)]
    assert [len(models) for models in seen] == [3] * 4
    assert {len(models.keys() & {"ants", "bees"}) for models in seen} == {1}
    assert {tuple(models["cats"]) for models in seen if "cats" in models} == {
        ("cats-composition",),
        ("cats-again",),
    }


def test_as_many_families_as_asked_for(families: Mapping[str, Family]) -> None:
    assert [len(chosen(families, turn=3, count=count)) for count in (0, 1, 2, 9)] == [1, 2, 3, 5]


def test_what_changed_waits_for_no_turn(families: Mapping[str, Family]) -> None:
    encoder = families["cats"].path / "encoder.py"
    encoder.write_text(encoder.read_text() + "CHANGED = True\n")
    for turn in range(4):
        assert chosen(families, turn, 0)["cats"] == ["cats-composition", "cats-again"]


def test_what_was_never_found_well_is_left_out(families: Mapping[str, Family]) -> None:
    (families["dogs"].path / "checked.lock").unlink()
    assert all("dogs" not in chosen(families, turn, 9) for turn in range(4))


def test_what_needs_a_repository_is_left_out(families: Mapping[str, Family]) -> None:
    needs = families["dogs"].path / "requirements.in"
    needs.write_text(f"{needs.read_text()}\nbone @ git+https://example.org/bone@{'a' * 40}\n")
    found = load_families()
    assert all("dogs" not in chosen(found, turn, 9) for turn in range(4))
    assert chosen_image(found, 0, "image of dogs / its environment       1 MB\n") == []


def test_every_family_that_was_built_once_is_an_image_in_turn(
    families: Mapping[str, Family],
) -> None:
    card = families["cats"].path / "family.toml"
    card.write_text(re.sub(r"installed_mb = \d+", "installed_mb = 5800", card.read_text()))
    found = load_families()
    record = "".join(
        f"image of {name} / its environment       1 MB\n"
        for name in ("ants", "cats", "dogs", "chgnet")
    )
    record += "image of bees: not measured\n"
    chosen_names = [chosen_image(found, turn, record) for turn in range(3)]
    assert chosen_names == [["ants"], ["dogs"], ["ants"]]
    assert chosen_image(found, 3, "") == []
    packaged = {"ants": found["ants"].model_copy(update={"system_packages": ("libxext6",)})}
    assert chosen_image(packaged, 0, record) == []
