"""What `matterzoo pin` records, and what it refuses to record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from matterzoo import main
from tests.hub import Blob, Hub, Repository
from tests.zoo.weights.cases import (
    CONFIG,
    FILES,
    HUB,
    NET,
    ROOT,
    Card,
    again,
    by_url,
    quiet,
    sha256,
)
from zoo.cards.discovery import find_model
from zoo.weights.errors import WeightsError
from zoo.weights.local import download_weights, find_weights, weights_status
from zoo.weights.pins import pin

pytestmark = pytest.mark.usefixtures("client")  # nothing is asked of a hub elsewhere


def test_a_pin_is_what_the_main_branch_is_then(card: Card, net: Repository) -> None:
    selection = card(HUB)
    assert weights_status(selection) == "not pinned"
    with pytest.raises(
        WeightsError,
        match="weights of toy-a are not pinned: nobody has recorded their hashes yet; `ma",
    ):
        download_weights(selection, quiet)
    revision = net.branches["main"]
    lock = json.loads(pin(selection, quiet).read_text())
    files = {path: {"sha256": sha256(data), "size": len(data)} for path, data in FILES.items()}
    assert lock == {"owner/net": {"revision": revision, "files": files}}
    net.commit({"config.json": b"{}"})
    place = download_weights(again(selection), pytest.fail)
    assert place is not None and (place.folder / "config.json").read_bytes() == CONFIG


def test_a_pin_stays_until_it_is_to_be_moved(card: Card, net: Repository) -> None:
    """toy-b has a file more of the same repository."""
    more = HUB.replace('"config.json"', '"more.json"')
    net.commit({"more.json": b"{}"})
    first = net.branches["main"]
    selection = card(HUB, more)
    pin(selection, quiet)
    second = net.commit({"config.json": b"{}"})
    said: list[str] = []
    lock = json.loads(pin(find_model("toy-b"), said.append).read_text())
    assert lock["owner/net"]["revision"] == first and set(lock["owner/net"]["files"]) == {
        *FILES,
        "more.json",
    }
    assert (
        f"owner/net stays pinned at {first}; its main branch is at {second} now, "
        "`matterzoo pin MODEL --again` moves the pin there" in said
    )
    pin(again(selection), said.append, again=True)
    lock = json.loads(selection.family.pins.read_text())
    assert (lock["owner/net"]["revision"], set(lock["owner/net"]["files"])) == (second, set(FILES))
    assert said[-1].startswith(
        "toy-b is no longer pinned, because its repository is at another revision now; "
        "`matterzoo pin"
    )


def test_a_pin_does_not_change_silently(site: Hub, card: Card) -> None:
    selection = card(by_url(site))
    before = pin(selection, quiet).read_text()
    site.files["v1/net.pt"] = Blob(NET[::-1])
    assert pin(again(selection), quiet).read_text() == before  # the file is on this machine
    (Path(os.environ["XDG_CACHE_HOME"]) / "matterzoo/weights/toy/toy-a/net.pt").unlink()
    change = f"has sha256 {sha256(NET[::-1])} now, but it was pinned with {sha256(NET)}"
    message = f"{change}; .*--again` takes the new"
    with pytest.raises(WeightsError, match=message):
        pin(again(selection), quiet)
    assert selection.family.pins.read_text() == before and find_weights(again(selection)) is None
    pin(again(selection), quiet, again=True)
    assert sha256(NET[::-1]) in selection.family.pins.read_text()
    assert download_weights(again(selection), pytest.fail) is not None


def test_a_card_s_own_revision_is_taken(card: Card, net: Repository) -> None:
    revision = net.branches["main"]
    net.commit({"config.json": b"{}"})
    selection = card(HUB.replace('"owner/net"', f'"owner/net"\nrevision = "{revision}"'))
    lock = json.loads(pin(selection, quiet).read_text())
    assert lock["owner/net"]["revision"] == revision
    assert lock["owner/net"]["files"]["config.json"]["sha256"] == sha256(CONFIG)


def test_a_file_that_is_newer_than_the_card_s_revision(card: Card, net: Repository) -> None:
    revision = net.branches["main"]
    newest = net.commit({"later.json": b"{}"})
    text = HUB.replace('"config.json"', '"later.json"')
    selection = card(text.replace('"owner/net"', f'"owner/net"\nrevision = "{revision}"'))
    has = f'no file later.json at {revision}; its main branch has it: write revision = "{newest}"'
    with pytest.raises(WeightsError, match=has):
        pin(selection, quiet)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"config.json"',
            '"confg.json"',
            "owner/net has no file confg.json at [0-9a-f]{40}; did you mean 'config.json'",
        ),
        (
            '"config.json"',
            '"config.json", git_blob = "' + "0" * 40 + '"',
            "its git_blob is [0-9a-f]{40}, the card says 00",
        ),
        (
            '"config.json"',
            '"config.json", sha256 = "' + "0" * 64 + '"',
            "its sha256 is [0-9a-f]{64}, expected 0000",
        ),
        ('"owner/net"', '"owner/nett"', "has no repository owner/nett"),
        (
            '"owner/net"',
            '"owner/net"\nrevision = "' + "0" * 40 + '"',
            "owner/net has no revision 0{40}",
        ),
    ],
)
def test_what_does_not_fit_the_card_is_not_pinned(
    card: Card, net: Repository, old: str, new: str, message: str
) -> None:
    selection = card(HUB.replace(old, new))
    with pytest.raises(WeightsError, match=message):
        pin(selection, quiet)
    assert not selection.family.pins.exists()


def test_only_what_is_downloaded_can_be_pinned(card: Card) -> None:
    selection = card('\n[model.weights]\nsource = "none"\n')
    assert (download_weights(selection, pytest.fail), weights_status(selection)) == (
        None,
        "none needed",
    )
    with pytest.raises(WeightsError, match="toy-a has no weights to pin: their source is 'none'"):
        pin(selection, quiet)


def test_several_processes_pin_into_one_lock(
    card: Card, hub: Hub, environment: dict[str, str]
) -> None:
    names = ["one", "two"]
    for name in names:
        hub.repository(f"owner/{name}").commit(FILES)
    selection = card(*(HUB.replace("owner/net", f"owner/{name}") for name in names))
    command = [sys.executable, "-m", "matterzoo", "pin"]
    processes = [subprocess.Popen([*command, f"toy-{x}"], env=environment, cwd=ROOT) for x in "ab"]
    assert [process.wait() for process in processes] == [0, 0]
    assert set(json.loads(selection.family.pins.read_text())) == {f"owner/{name}" for name in names}
    assert {path.name for path in selection.family.path.iterdir() if "weights" in path.name} == {
        "weights.lock"
    }


def test_pins_of_several_models(
    card: Card, net: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    selection = card(HUB, HUB.replace("owner/net", "owner/unknown"))
    assert main(["pin", "toy-a,toy-b"]) == 2
    out, error = capsys.readouterr()
    assert out == f"toy-a: {selection.family.pins}\n" and "has no repository owner/unknown" in error
