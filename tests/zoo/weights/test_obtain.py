"""`matterzoo weights MODEL` does all that is needed, or says all that is missing."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from huggingface_hub import constants

from matterzoo import main
from tests.hub import Fault, Hub, Repository, set_client
from tests.zoo.weights.cases import CONFIG, FILES, HUB, NET, ROOT, Card, again, by_url, sha256
from zoo.weights.addresses import check_served, opener
from zoo.weights.errors import DownloadError
from zoo.weights.local import find_weights

pytestmark = pytest.mark.usefixtures("client")  # nothing is asked of a hub elsewhere
Said = pytest.CaptureFixture[str]
GATED = 'name = "Own", url = "https://example.org/own", commercial = true, gated = true'
PAGE = "https://huggingface.co/owner/net"
TOKEN = "make a token at https://huggingface.co/settings/tokens and give it: HF_TOKEN=hf_…, or"


def fetch(names: str, said: Said) -> tuple[int, str, str]:
    """Run `matterzoo weights`; return its exit code, standard output and standard error."""
    said.readouterr()
    code = main(["weights", names])
    return code, *said.readouterr()


def test_what_nobody_has_pinned_is_downloaded_recorded_and_verified(
    card: Card, net: Repository, hub: Hub, capsys: Said
) -> None:
    selection, revision = card(HUB), net.branches["main"]
    code, out, error = fetch("toy-a", capsys)
    place = find_weights(again(selection))
    assert (code, place is not None) == (0, True)
    assert place and out == f"toy-a: verified, in {place.folder}\n"
    assert f"recorded in {selection.family.pins}, owner/net at revision {revision}:" in error
    for path, data in FILES.items():
        assert re.search(rf"{path}, [\d.]+ MB, sha256 {sha256(data)}\n", error)
    files = {path: {"sha256": sha256(data), "size": len(data)} for path, data in FILES.items()}
    recorded = json.loads(selection.family.pins.read_text())
    assert recorded == {"owner/net": {"revision": revision, "files": files}}
    net.commit({"nets/model.safetensors": NET[::-1]})
    asked = len(hub.log)
    assert fetch("toy-a", capsys) == (0, out, "") and len(hub.log) == asked


def test_a_hash_is_enough_to_be_pinned(card: Card, site: Hub, capsys: Said) -> None:
    selection = card(by_url(site, sha256=sha256(NET)))
    code, out, error = fetch("toy-a", capsys)
    assert code == 0 and out.startswith("toy-a: verified, in ") and "recorded" not in error
    assert not selection.family.pins.exists() and find_weights(selection) is not None


def test_a_twin_brings_and_records_only_what_it_needs(
    card: Card, net: Repository, hub: Hub, capsys: Said
) -> None:
    selection = card(HUB)
    code, out, _ = fetch("toy-a@untrained-2", capsys)
    assert code == 0 and out.startswith("toy-a@untrained-2: verified, in ")
    recorded = json.loads(selection.family.pins.read_text())["owner/net"]["files"]
    assert recorded == {"config.json": {"sha256": sha256(CONFIG), "size": len(CONFIG)}}
    assert hub.asked("/storage/") == []


def test_an_interrupted_download_that_is_to_be_recorded_goes_on(
    site: Hub, card: Card, environment: dict[str, str], capsys: Said
) -> None:
    selection = card(by_url(site))
    site.faults = [Fault("/files/", wait=0.05)]
    command = [sys.executable, "-m", "matterzoo", "weights", "toy-a"]
    process = subprocess.Popen(command, env=environment, cwd=ROOT)
    cache = Path(os.environ["XDG_CACHE_HOME"])
    while not any(partial.stat().st_size for partial in cache.rglob(".*.partial")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not selection.family.pins.exists()
    code, _, error = fetch("toy-a", capsys)
    assert code == 0 and f"net.pt, 0.3 MB, sha256 {sha256(NET)}" in error
    assert int(site.asked("/files/")[1].headers["Range"].strip("bytes=-")) > 0
    assert find_weights(again(selection)) is not None


def test_what_is_altered_on_its_way_is_not_recorded(
    card: Card, net: Repository, hub: Hub, capsys: Said
) -> None:
    selection = card(HUB)
    hub.faults = [Fault("/storage/", data=NET[::-1])]
    code, out, error = fetch("toy-a", capsys)
    assert (code, out, selection.family.pins.exists()) == (2, "", False)
    assert f"its sha256 is {sha256(NET[::-1])}, expected {sha256(NET)}; it was set aside" in error
    assert fetch("toy-a", capsys)[0] == 0


@pytest.mark.parametrize("gate", ["auto", "manual"])
def test_a_gate_says_what_opens_it(
    card: Card, net: Repository, hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: Said, gate: str
) -> None:
    net.gated, net.members = gate, {"hf_member"}
    card(HUB, license=GATED)
    by_hand = " and ask for access, which its owners decide on by hand and may refuse,"
    accept = f"accept its license{by_hand if gate == 'manual' else ''} at {PAGE}"
    code, _, error = fetch("toy-a", capsys)
    assert code == 2 and f"no token is set here: {accept}, then {TOKEN}" in error
    monkeypatch.setenv("HF_TOKEN", "hf_stranger")
    code, _, error = fetch("toy-a", capsys)
    assert code == 2 and f"token that is set here has not been let in: {accept}; or giv" in error
    assert hub.asked("/storage/") == []
    monkeypatch.setenv("HF_TOKEN", "hf_member")
    assert fetch("toy-a", capsys)[0] == 0


def test_a_token_that_the_hub_does_not_know(
    card: Card, net: Repository, hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    card(HUB)
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    answer = "Invalid credentials in Authorization header"
    hub.faults = [Fault("/api/models", status=401, headers={"X-Error-Message": answer})]
    code, _, error = fetch("toy-a", capsys)
    assert code == 2 and f"answers {answer!r} to the token that is set here: {TOKEN}" in error


def test_a_terminal_is_asked_whether_the_license_is_accepted(
    card: Card, net: Repository, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    net.gated, net.members = True, {"hf_member"}
    selection = card(HUB, HUB, license=GATED)
    monkeypatch.setenv("HF_TOKEN", "hf_member")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        os.write(ours, b"n\n")
        code, out, error = fetch("toy-a", capsys)
        assert "Own (https://example.org/own) has to be accepted first. Have you accepted" in out
        assert code == 2 and "its license is not accepted: https://example.org/own" in error
        os.write(ours, b"\x04")  # Ctrl-D
        assert fetch("toy-a", capsys)[0] == 2
        assert find_weights(again(selection)) is None
        os.write(ours, b"y\nn\n")  # the second model has the same files, and asks nothing
        code, _, error = fetch("toy-a,toy-b", capsys)
        assert code == 0 and error.count("nobody has recorded") == 1
    os.close(ours)
    assert find_weights(again(selection)) is not None


def test_no_network_is_called_so_with_all_that_is_missing_besides(
    card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    set_client(monkeypatch, "http://127.0.0.1:9", tmp_path / "hf")
    served = HUB.replace('"hub"\nrepo = "owner/net"', '"url"')
    for name in ("config.json", "nets/model.safetensors"):
        served = served.replace(f'"{name}"', f'"{name}", url = "https://matterzoo.invalid/{name}"')
    card(HUB, served)
    code, _, error = fetch("toy-a,toy-b", capsys)
    assert code == 2 and "not found" not in error.lower()
    nowhere = "no network: the hub at http://127.0.0.1:9 cannot be reached ("
    assert f"toy-a: {nowhere}" in error and "HTTPS_PROXY, or a mirror of the hub in HF" in error
    assert "toy-b: no network: matterzoo.invalid cannot be reached (" in error
    assert "trying again" not in error
    card(HUB, license=GATED)
    _, _, error = fetch("toy-a", capsys)
    assert nowhere in error and "Besides, owner/net is gated, and no token is set here: a" in error
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    _, _, error = fetch("toy-a", capsys)
    assert "HF_HUB_OFFLINE forbids asking the hub; unset it" in error


def test_a_certificate_that_is_not_trusted_is_no_lack_of_a_network(
    card: Card, site: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    opener.cache_clear()
    set_client(monkeypatch, site.url, tmp_path / "hf")
    card(HUB, by_url(site))
    message = "shows a certificate that this machine does not trust ("
    code, _, error = fetch("toy-a,toy-b", capsys)
    assert code == 2 and f"the hub at {site.url} {message}" in error
    assert re.search(rf"toy-b: 127\.0\.0\.1:\d+ {re.escape(message)}.*SSL_CERT_FILE", error)
    assert "trying again" not in error
    with pytest.raises(DownloadError, match=rf"^127\.0\.0\.1:\d+ {re.escape(message)}"):
        check_served(f"{site.url}/files/v1/net.pt")


def test_a_repository_that_is_not_there_stops_no_other(card: Card, capsys: Said) -> None:
    card(HUB, '\n[model.weights]\nsource = "none"\n')
    code, out, error = fetch("toy-a,toy-b", capsys)
    assert (code, out) == (2, "toy-b: none needed\n")
    assert "has no repository owner/net, or shows it to its members only: as one of them" in error
