"""`push` and `pull` of all families take the images that there are, and list the rest."""

from __future__ import annotations

import pytest

from ingest.failures import RunError
from ingest.images.operations import for_each_image
from ingest.images.push_pull import ImageMissing
from zoo.cards.discovery import load_families
from zoo.cards.family import Family

Captured = pytest.CaptureFixture[str]


def test_families_without_an_image_are_listed(capfd: Captured) -> None:
    taken = []

    def act(family: Family) -> None:
        if family.name not in ("chgnet", "controls"):
            raise ImageMissing(f"no image of {family.name}")
        taken.append(family.name)

    for_each_image("all", act, print)
    assert sorted(taken) == ["chgnet", "controls"]
    printed = capfd.readouterr()
    first = min(set(load_families()) - {"chgnet", "controls"})
    assert printed.out.startswith(f"there is no image of {first}, ")
    assert printed.out.count(", ") == len(load_families()) - 3
    assert "descriptors" in printed.out and "chgnet" not in printed.out and printed.err == ""


def test_one_that_fails_does_not_stop_the_others_and_is_told(capfd: Captured) -> None:
    taken = []

    def act(family: Family) -> None:
        if family.name == "chgnet":
            raise RunError("the registry said no")
        taken.append(family.name)

    with pytest.raises(RunError, match=rf"^1 of {len(load_families())} families failed: chgnet$"):
        for_each_image("all", act, print)
    assert len(taken) == len(load_families()) - 1
    assert "error: chgnet: the registry said no\n" in capfd.readouterr().err


def test_none_at_all_is_an_error() -> None:
    def act(family: Family) -> None:
        raise ImageMissing("none")

    with pytest.raises(RunError, match="there is no image of any family"):
        for_each_image("all", act, print)
    with pytest.raises(ImageMissing, match="none"):
        for_each_image("chgnet", act, print)
