"""Weights from a hub and from URLs, with the real client and a real server on loopback.

Everything that can go wrong does.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from matterzoo import main
from tests.hub import Blob, Fault, Hub, Repository, set_client
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
    twin,
)
from zoo.cards.base import CardError
from zoo.cards.discovery import find_model
from zoo.cards.family import Selection
from zoo.weights.addresses import opener
from zoo.weights.errors import WeightsError
from zoo.weights.local import PICKLE, LocalWeights, download_weights, find_weights, weights_status
from zoo.weights.pins import pin

pytestmark = pytest.mark.usefixtures("client")  # nothing is asked of a hub elsewhere


def test_files_of_a_hub_are_those_of_the_pinned_revision(pinned: Selection, hub: Hub) -> None:
    assert find_weights(pinned) is None and weights_status(pinned) == "pinned"
    said: list[str] = []
    place = download_weights(pinned, said.append)
    assert (
        place is not None
        and place == find_weights(pinned)
        and weights_status(pinned) == "downloaded"
    )
    assert {path: (place.folder / path).read_bytes() for path in FILES} == FILES
    assert said == ["toy-a: downloading config.json, nets/model.safetensors, 0.3 MB"]
    asked = len(hub.log)
    assert download_weights(pinned, pytest.fail) == place
    assert len(hub.log) == asked


def test_they_lie_in_the_cache_that_every_program_shares(pinned: Selection, hub: Hub) -> None:
    download_weights(pinned, quiet)
    found = huggingface_hub.scan_cache_dir()
    assert (found.warnings, found.incomplete_files) == ([], frozenset())
    [repo] = found.repos
    [revision] = repo.revisions
    assert {file.file_name for file in revision.files} == {"config.json", "model.safetensors"}
    asked = len(hub.log)
    path = huggingface_hub.hf_hub_download(
        "owner/net", "config.json", revision=revision.commit_hash
    )
    assert Path(path).read_bytes() == CONFIG and len(hub.log) == asked


def test_what_another_program_has_downloaded_is_not_downloaded_again(
    pinned: Selection, hub: Hub
) -> None:
    for path in FILES:
        huggingface_hub.hf_hub_download("owner/net", path, revision=pinned.model.weights.revision)
    asked = len(hub.log)
    assert find_weights(pinned) == download_weights(pinned, pytest.fail)
    assert len(hub.log) == asked


def test_what_is_mounted_holds_what_the_links_lead_to(pinned: Selection, tmp_path: Path) -> None:
    place = download_weights(pinned, quiet)
    assert place is not None and place.root == tmp_path / "hf" / "hub" / "models--owner--net"
    links = [place.folder / path for path in FILES]
    assert all(link.is_symlink() and link.resolve().is_relative_to(place.root) for link in links)
    shared = (
        tmp_path / "hf" / "hub" / "blobs" / "ab"
    )  # where the client keeps what repositories have in common
    shared.mkdir(parents=True)
    blob = links[1].resolve()
    shutil.move(blob, shared / "blob")
    blob.symlink_to(os.path.relpath(shared / "blob", blob.parent))
    assert find_weights(pinned) == LocalWeights(place.folder, tmp_path / "hf" / "hub")


def test_a_twin_needs_only_what_its_card_says(pinned: Selection, hub: Hub) -> None:
    untrained = twin(pinned)
    place = download_weights(untrained, quiet)
    assert place is not None and (place.folder / "config.json").read_bytes() == CONFIG
    assert hub.asked("model.safetensors") == hub.asked("storage") == []
    assert find_weights(untrained) == place and find_weights(pinned) is None


@pytest.mark.parametrize(("blow", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_a_killed_download_goes_on_where_it_broke_off(
    pinned: Selection, hub: Hub, environment: dict[str, str], blow: signal.Signals, code: int
) -> None:
    hub.faults = [Fault("/storage/", wait=1.0)]
    process = subprocess.Popen(
        [sys.executable, "-m", "matterzoo", "weights", "toy-a"], cwd=ROOT, env=environment
    )
    blobs = Path(environment["HF_HOME"]) / "hub" / "models--owner--net" / "blobs"
    while not (
        hub.asked("/storage/")
        and any(partial.stat().st_size for partial in blobs.glob(".*.partial"))
    ):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(blow)
    assert process.wait() == code
    assert huggingface_hub.scan_cache_dir().warnings == [] and find_weights(pinned) is None
    place = download_weights(pinned, quiet)
    assert place is not None and (place.folder / "nets/model.safetensors").read_bytes() == NET
    assert int(hub.asked("/storage/")[1].headers["Range"].strip("bytes=-")) > 0


@pytest.mark.parametrize(("where", "method"), [("config.json", "HEAD"), ("/storage/", "GET")])
def test_a_busy_hub_is_asked_again(pinned: Selection, hub: Hub, where: str, method: str) -> None:
    hub.faults = [Fault(where, status=503, method=method)]
    assert download_weights(pinned, quiet) == find_weights(pinned) is not None
    assert hub.faults[0].times == 0


def test_a_hub_that_stays_broken_is_told(pinned: Selection, hub: Hub) -> None:
    hub.faults = [Fault("config.json", status=502, method="HEAD", times=9)]
    with pytest.raises(
        WeightsError,
        match=f"owner/net at revision .*: the hub at {hub.url} answered 502 Bad Gateway",
    ):
        download_weights(pinned, quiet)


def test_several_processes_ask_and_one_downloads(
    pinned: Selection, hub: Hub, environment: dict[str, str]
) -> None:
    hub.faults = [Fault("/storage/", wait=0.2)]  # 16 blocks
    command = [sys.executable, "-m", "matterzoo", "weights", "toy-a"]
    processes = [
        subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = {process.communicate()[0] for process in processes}
    place = find_weights(pinned)
    assert place is not None and said == {f"toy-a: verified, in {place.folder}\n"}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(hub.asked("/storage/")) == 1


def test_a_gated_model_says_where_to_accept_its_license(
    pinned: Selection, net: Repository, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    net.gated, net.members = True, {"hf_member"}
    accept = "accept its license at https://huggingface.co/owner/net"
    with pytest.raises(WeightsError, match=f"^owner/net is gated, and no token is .*: {accept}, t"):
        download_weights(pinned, quiet)
    monkeypatch.setenv("HF_TOKEN", "hf_stranger")
    with pytest.raises(
        WeightsError, match=f"gated, and the account of .* has not been let in: {accept}; or"
    ):
        download_weights(pinned, quiet)
    monkeypatch.setenv("HF_TOKEN", "hf_member")
    assert download_weights(pinned, quiet) == find_weights(pinned) is not None
    assert all("Authorization" not in request.headers for request in hub.asked("/storage/"))


def test_a_token_may_come_from_a_login(pinned: Selection, net: Repository, tmp_path: Path) -> None:
    net.gated, net.members = True, {"hf_member"}
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "token").write_text("hf_member")
    assert download_weights(pinned, quiet) is not None


def test_a_repository_that_is_not_there(pinned: Selection, hub: Hub) -> None:
    hub.repositories.clear()
    with pytest.raises(
        WeightsError,
        match="has no repository owner/net, or shows it to its members only: as one of",
    ):
        download_weights(pinned, quiet)


def test_a_revision_that_was_removed(pinned: Selection, net: Repository) -> None:
    del net.commits[str(pinned.model.weights.revision)]
    with pytest.raises(
        WeightsError, match="owner/net has no revision [0-9a-f]{40}: it was moved or removed"
    ):
        download_weights(pinned, quiet)


def test_a_file_that_was_removed(pinned: Selection, net: Repository) -> None:
    del net.commits[str(pinned.model.weights.revision)]["nets/model.safetensors"]
    with pytest.raises(
        WeightsError, match="owner/net has no file nets/model.safetensors at revision [0-9a-f]{40}"
    ):
        download_weights(pinned, quiet)


def test_a_revision_that_is_another_now_is_refused(pinned: Selection, net: Repository) -> None:
    net.branches[str(pinned.model.weights.revision)] = net.branches["main"]
    with pytest.raises(
        WeightsError, match=f"refused: the hub answered with that of commit {net.branches['main']}"
    ):
        download_weights(pinned, quiet)


def test_a_server_that_is_no_hub(pinned: Selection, hub: Hub) -> None:
    hub.faults = [Fault("config.json", status=200, method="HEAD", headers={"ETag": '"../../x"'})]
    with pytest.raises(
        WeightsError,
        match="answered with the ETag '../../x', so by no hub; check HF_ENDPOINT",
    ):
        download_weights(pinned, quiet)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (NET[::-1], f"the hub has one with sha256 {sha256(NET[::-1])}, expected {sha256(NET)}"),
        (b"x", f"the hub has one with sha256 {sha256(b'x')}, expected {sha256(NET)}"),
    ],
)
def test_a_file_that_the_hub_has_altered_is_not_even_downloaded(
    pinned: Selection, net: Repository, hub: Hub, data: bytes, message: str
) -> None:
    net.commits[str(pinned.model.weights.revision)]["nets/model.safetensors"] = Blob(data, lfs=True)
    with pytest.raises(WeightsError, match=message):
        download_weights(pinned, quiet)
    assert hub.asked("/storage/") == [] and find_weights(pinned) is None


def test_what_is_altered_on_its_way_is_set_aside(
    pinned: Selection, hub: Hub, tmp_path: Path
) -> None:
    hub.faults = [Fault("/storage/", data=NET[::-1])]
    wrong = f"its sha256 is {sha256(NET[::-1])}, expected {sha256(NET)}"
    message = f"{wrong}; it was set aside as .*bad and is not used"
    with pytest.raises(WeightsError, match=message):
        download_weights(pinned, quiet)
    assert find_weights(pinned) is None
    assert download_weights(pinned, quiet) == find_weights(pinned) is not None


def test_what_is_altered_on_this_disk_is_set_aside_and_downloaded_anew(
    pinned: Selection, hub: Hub
) -> None:
    place = download_weights(pinned, quiet)
    assert place is not None
    file = place.folder / "nets/model.safetensors"
    file.resolve().write_bytes(NET[::-1])
    said: list[str] = []
    assert download_weights(pinned, said.append) == place
    assert file.read_bytes() == NET and len(hub.asked("/storage/")) == 2
    assert said[0].startswith(
        f"{file} is not the file expected: its sha256 is {sha256(NET[::-1])}, expected"
    )
    [bad] = place.root.glob("blobs/*.bad")
    assert bad.read_bytes() == NET[::-1]


def test_a_hub_that_cannot_be_reached(
    pinned: Selection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_client(monkeypatch, "http://127.0.0.1:9", tmp_path / "hf")
    message = (
        r"^no network: the hub at http://127.0.0.1:9 cannot be reached \(.*refused\); connect .*"
        "or a mirror of the hub in HF_ENDPOINT$"
    )
    with pytest.raises(WeightsError, match=message):
        download_weights(pinned, quiet)


def test_offline_nothing_is_asked(
    pinned: Selection, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    message = (
        "config.json of owner/net is not on this machine, and HF_HUB_OFFLINE forbids asking the "
        "hub; unset it, or copy"
    )
    with pytest.raises(WeightsError, match=message):
        download_weights(pinned, quiet)
    assert hub.log == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    place = download_weights(pinned, quiet)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert download_weights(pinned, pytest.fail) == place


def test_a_full_disk(
    pinned: Selection, net: Repository, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(small_disk))
    pins = json.loads(pinned.family.pins.read_text())
    large = bytes(8 << 20)
    revision = net.commit({"nets/model.safetensors": large})
    pins["owner/net"]["revision"] = revision
    pins["owner/net"]["files"]["nets/model.safetensors"] = {
        "sha256": sha256(large),
        "size": len(large),
    }
    pinned.family.pins.write_text(json.dumps(pins))
    with pytest.raises(
        WeightsError, match="8,388,608 bytes to download and .* only .* free; make room"
    ):
        download_weights(again(pinned), quiet)


def test_a_folder_that_may_not_be_used(pinned: Selection, tmp_path: Path) -> None:
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "hub").write_text("not a folder")
    with pytest.raises(
        WeightsError,
        match="hf/hub/models--owner--net/blobs/.* cannot be written: .*Not a directory",
    ):
        download_weights(pinned, quiet)


def test_a_file_behind_a_url(
    site: Hub, card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    selection = card(by_url(site))
    assert weights_status(selection) == "not pinned" and (
        download_weights(twin(selection), pytest.fail),
        weights_status(twin(selection)),
    ) == (
        None,
        "downloaded",
    )
    with pytest.raises(
        WeightsError,
        match="weights of toy-a are not pinned: .*`matterzoo weights toy-a` downloads them",
    ):
        download_weights(selection, quiet)
    assert site.log == []
    assert json.loads(pin(selection, quiet).read_text()) == {
        f"{site.url}/files/v1/net.pt": {"sha256": sha256(NET), "size": len(NET)}
    }
    place = download_weights(again(selection), pytest.fail)
    folder = tmp_path / "cache" / "matterzoo" / "weights" / "toy" / "toy-a"
    assert place == LocalWeights(folder, folder) and (folder / "net.pt").read_bytes() == NET
    monkeypatch.setenv("MATTERZOO_WEIGHTS", str(tmp_path / "own"))
    assert find_weights(again(selection)) is None
    said: list[str] = []
    assert download_weights(again(selection), said.append) == LocalWeights(
        tmp_path / "own/toy/toy-a", tmp_path / "own/toy/toy-a"
    )
    assert len(site.log) == 2
    assert said == [f"toy-a: {PICKLE}", "toy-a: downloading net.pt, 0.3 MB"]


def test_a_broken_download_from_a_url_goes_on(site: Hub, card: Card) -> None:
    site.faults = [Fault("net.pt", cut=100_000)]
    said: list[str] = []
    pin(card(by_url(site)), said.append)
    assert [request.headers.get("Range") for request in site.log] == [None, "bytes=100000-"]
    assert "the connection ended after 100,000 of 262,144 bytes; trying again" in said[-1]


def test_another_file_behind_the_same_url_is_refused(site: Hub, card: Card) -> None:
    selection = card(by_url(site))
    pin(selection, quiet)
    site.files["v1/net.pt"] = Blob(NET[::-1])
    (Path(os.environ["XDG_CACHE_HOME"]) / "matterzoo/weights/toy/toy-a/net.pt").unlink()
    wrong = f"its sha256 is {sha256(NET[::-1])}, expected {sha256(NET)}"
    message = f"{wrong}; it was set aside as .*net.pt.bad"
    with pytest.raises(WeightsError, match=message):
        download_weights(again(selection), quiet)


def test_git_s_own_hash_is_what_a_pin_accepts(site: Hub, card: Card) -> None:
    with pytest.raises(
        WeightsError, match=f"its git_blob is {Blob(NET).git_blob}, expected {'0' * 40}; it was set"
    ):
        pin(card(by_url(site, git_blob="0" * 40)), quiet)
    assert pin(card(by_url(site, git_blob=Blob(NET).git_blob)), quiet).exists()


def test_a_server_that_this_machine_does_not_trust(
    site: Hub, card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    opener.cache_clear()
    with pytest.raises(WeightsError, match=r"not trust \(.*certificate verify failed.*CERT_FILE"):
        pin(card(by_url(site)), quiet)


@pytest.mark.parametrize(
    ("license", "message"),
    [
        (
            "commercial = false",
            "license of the weights: Own, for non-commercial use only; https://example.org/own",
        ),
        (
            "commercial = true, gated = true",
            "license of the weights: Own, to be accepted before the download; "
            "https://example.org/own",
        ),
        (
            "commercial = false, gated = true",
            "license of the weights: Own, for non-commercial use only and to be accepted before "
            "the download; https://example.org/own",
        ),
    ],
)
def test_a_license_with_limits_is_shown_before_the_first_download_only(
    pinned: Selection, card: Card, license: str, message: str
) -> None:
    selection = card(HUB, license=f'name = "Own", url = "https://example.org/own", {license}')
    said: list[str] = []
    download_weights(selection, said.append)
    assert said[0] == f"toy-a: {message}" and "downloading" in said[1]
    download_weights(selection, pytest.fail)


def test_weights_of_several_models(
    pinned: Selection, card: Card, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those that cannot be had stop none of the others."""
    other = '\n[model.weights]\nsource = "none"\n'
    card(HUB.replace("owner/net", "owner/unknown"), HUB, other)
    assert main(["weights", "all"]) == 2
    out, error = capsys.readouterr()
    assert out.splitlines() == [
        f"toy-b: verified, in {find_weights(find_model('toy-b')).folder}",
        "toy-c: none needed",
    ]  # type: ignore[union-attr]
    assert "error: toy-a: the hub at" in error and "has no repository owner/unknown" in error
    assert main(["weights", "toy-c,toy-b"]) == 0
    with pytest.raises(CardError, match="no model is named 'toy-d'"):
        find_model("toy-d")
    assert main(["weights", "toy-d"]) == 2
