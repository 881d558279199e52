"""What `matterzoo list` and `matterzoo info` say of weights and of checks."""

from __future__ import annotations

import json
import shutil

import pytest

from matterzoo import main
from tests.hub import Hub
from tests.zoo.weights.cases import (
    HUB,
    NET,
    Card,
    again,
    by_url,
    quiet,
    sha256,
)
from zoo.cards.family import Selection
from zoo.verify.records import evidence
from zoo.weights.local import PICKLE, LocalWeights, download_weights
from zoo.weights.pins import pin

pytestmark = pytest.mark.usefixtures("client")  # nothing is asked of a hub elsewhere


def statuses(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, str]]:
    """What `list` says of each model: weights, checked."""
    capsys.readouterr()
    assert main(["list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert main(["list"]) == 0
    heading, *rows = capsys.readouterr().out.splitlines()
    for row, facts in zip(rows, found, strict=False):
        begin = heading.index("weights")
        assert row[begin:].startswith(facts["weights"])
    return {facts["model_id"]: (facts["weights"], facts["checked"]) for facts in found}


def test_list_says_how_far_weights_are(
    pinned: Selection, card: Card, capsys: pytest.CaptureFixture[str]
) -> None:
    none = '\n[model.weights]\nsource = "none"\n'
    carried = f'files = [{{ path = "x", size = 1, sha256 = "{"0" * 64}" }}]'
    package = (
        f'\n[model.weights]\nsource = "package"\npackage = "toy"\nformat = "pickle"\n{carried}\n'
    )
    card(HUB, none, package)
    assert statuses(capsys) == {
        "toy-a": ("pinned", None),
        "toy-b": ("none needed", None),
        "toy-c": ("in package", None),
    }
    download_weights(pinned, quiet)
    assert statuses(capsys)["toy-a"] == ("downloaded", None)
    pinned.family.pins.unlink()
    assert statuses(capsys)["toy-a"] == ("not pinned", None)


def test_list_says_when_a_model_was_checked(
    pinned: Selection, capsys: pytest.CaptureFixture[str]
) -> None:
    pinned.family.lock.write_text("")
    records = pinned.family.path / "checked.lock"
    record = {
        "weights": "dummy",
        "date": "2026-11-22",
        "device": "cpu",
        "systems": 3,
        "passed": [],
    }
    record |= evidence(pinned, real=False)
    records.write_text(json.dumps({"toy-a": record}))
    assert statuses(capsys)["toy-a"] == ("pinned", "2026-11-22 cpu, dummy")
    pinned.family.lock.write_text("numpy==1\n")
    assert statuses(capsys)["toy-a"] == ("pinned", "stale")


def test_info_says_where_weights_are_and_what_they_are(
    site: Hub, card: Card, capsys: pytest.CaptureFixture[str]
) -> None:
    selection = card(
        by_url(site), license='name = "Own", url = "https://example.org/own", commercial = false'
    )

    def info(name: str) -> list[str]:
        capsys.readouterr()
        assert main(["info", name]) == 0
        return [line.strip() for line in capsys.readouterr().out.splitlines()]

    assert "not pinned: `matterzoo weights toy-a` downloads them, and records their hashes" in info(
        "toy-a"
    )
    assert "no file is needed" in info("toy-a@untrained")
    place = fetch_pinned(selection)
    said = info("toy-a")
    assert PICKLE in said
    assert f"downloaded to {place.folder}" in said
    assert f"net.pt, 0.3 MB, sha256 {sha256(NET)}; {site.url}/files/v1/net.pt" in said
    assert "license of weights  Own, NON-COMMERCIAL use only; https://example.org/own" in said
    shutil.rmtree(place.folder)
    assert "pinned: `matterzoo weights toy-a` downloads them" in info("toy-a")


def fetch_pinned(selection: Selection) -> LocalWeights:
    pin(selection, quiet)
    place = download_weights(again(selection), quiet)
    assert place is not None
    return place
