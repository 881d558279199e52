"""`make push` and `make pull` of all families take what there is, and list the rest."""

from __future__ import annotations

import pytest

from ingest.failures import RunError
from ingest.images.__main__ import _each
from ingest.images.registry import NoImage
from zoo.cards.discovery import load_families
from zoo.cards.family import Family

Said = pytest.CaptureFixture[str]


def test_families_without_an_image_are_listed(capfd: Said) -> None:
    taken = []

    def act(family: Family) -> None:
        if family.name not in ("chgnet", "controls"):
            raise NoImage(f"no image of {family.name}")
        taken.append(family.name)

    assert _each("all", act) == 0
    assert sorted(taken) == ["chgnet", "controls"]
    said = capfd.readouterr()
    assert said.out.startswith(f"{len(load_families()) - 2} families have no image to take: ")
    assert "descriptors" in said.out and "chgnet" not in said.out and said.err == ""


def test_one_that_fails_does_not_stop_the_others_and_is_told(capfd: Said) -> None:
    taken = []

    def act(family: Family) -> None:
        if family.name == "chgnet":
            raise RunError("the registry said no")
        taken.append(family.name)

    assert _each("all", act) == 1
    assert len(taken) == len(load_families()) - 1
    assert "error: chgnet: the registry said no\n" in capfd.readouterr().err


def test_none_at_all_is_an_error() -> None:
    def act(family: Family) -> None:
        raise NoImage("none")

    with pytest.raises(RunError, match="there is no image of any family"):
        _each("all", act)
    with pytest.raises(NoImage, match="none"):
        _each("chgnet", act)
