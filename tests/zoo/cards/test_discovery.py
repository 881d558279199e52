"""Families and models are found by their folders, and a wrong name is answered with the nearest."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from zoo.cards.base import CardError
from zoo.cards.discovery import find_family, find_model, load_families
from zoo.cards.scaffold import write_family


def spoil(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_two_models_may_not_share_an_id(family: Path, tmp_path: Path) -> None:
    shutil.copytree(family, tmp_path / "joy")
    spoil(tmp_path / "joy" / "family.toml", 'name = "toy"', 'name = "joy"')
    with pytest.raises(
        CardError, match="model names must be unique, but these appear twice: toy-composition"
    ):
        load_families()


@pytest.mark.usefixtures("family")
def test_names_that_do_not_exist_are_answered_with_the_nearest() -> None:
    with pytest.raises(
        CardError, match=r"no model is named 'toy-compositon'; did you mean 'toy-composition'"
    ):
        find_model("toy-compositon")
    with pytest.raises(CardError, match=r"no family is named 'toi'; did you mean 'toy'"):
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
    again = find_model("toy-composition@untrained-2")
    assert again.model_id == "toy-composition@untrained-2" and again.model == model.model
    assert len({x.untrained_seed for x in (model, twin, again)}) == 3
    assert len({x.card_hash for x in (model, twin, again)}) == 3
    with pytest.raises(CardError, match=r"no untrained twin; expected toy-composition@untrained, "):
        find_model("toy-composition@untrained-1")
