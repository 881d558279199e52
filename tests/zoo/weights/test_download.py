"""Downloading a file, against a real server on loopback: broken, slow, wrong, asked for by many."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.hub import BLOCK, Blob, Fault, Hub, serving
from zoo.weights.digest import Content, cached_digests, describe_mismatch
from zoo.weights.download import download
from zoo.weights.errors import DownloadError, MissingFileError

DATA = bytes(range(256)) * 1024
SHA256 = hashlib.sha256(DATA).hexdigest()
PROGRAM = (
    "import sys, pathlib; from zoo.weights.download import download; "
    "download(sys.argv[1], pathlib.Path(sys.argv[2]))"
)
WHOLE = Content(size=len(DATA), sha256=SHA256)
AT_ONCE = (0.0, 0.0)  # no waiting between tries


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving() as hub:
        hub.files["model.pt"] = Blob(DATA)
        yield hub


@pytest.fixture(autouse=True)
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "files" / "model.pt"


@pytest.fixture
def url(hub: Hub) -> str:
    return f"{hub.url}/files/model.pt"


def leftovers(target: Path) -> set[str]:
    return {path.name for path in target.parent.iterdir()} - {target.name, f".{target.name}.lock"}


@pytest.mark.parametrize("expected", [Content(), WHOLE, Content(md5=hashlib.md5(DATA).hexdigest())])
def test_a_file_is_downloaded_once(url: str, hub: Hub, target: Path, expected: Content) -> None:
    seen: list[tuple[int, int | None]] = []
    for _ in range(2):
        assert (
            download(url, target, expected, progress=lambda *counts: seen.append(counts)) == target
        )
    assert target.read_bytes() == DATA
    assert len(hub.asked("model.pt")) == 1 and leftovers(target) == set()
    assert seen[-1] == (len(DATA), len(DATA))


def test_git_s_own_hash_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "hello"
    path.write_bytes(b"hello\n")  # git hash-object
    assert (
        describe_mismatch(path, Content(git_blob="ce013625030ba8dba906f756967f9e9ca394464a"))
        is None
    )
    assert describe_mismatch(path, Content(git_blob="0" * 40)) == (
        "its git_blob is ce013625030ba8dba906f756967f9e9ca394464a, expected " + "0" * 40
    )


@pytest.mark.parametrize("etags", [True, False])
def test_a_broken_download_goes_on_where_it_broke(
    url: str, hub: Hub, target: Path, etags: bool
) -> None:
    hub.etags = etags
    hub.faults = [Fault("model.pt", cut=100_000), Fault("model.pt", cut=50_000)]
    said: list[str] = []
    download(url, target, WHOLE, log=said.append, waits=AT_ONCE)
    assert target.read_bytes() == DATA
    ranges = [request.headers.get("Range") for request in hub.asked("model.pt")]
    assert ranges == [None, "bytes=100000-", "bytes=150000-"]
    assert [request.headers.get("If-Range") is not None for request in hub.asked("model.pt")] == [
        False,
        etags,
        etags,
    ]
    assert "the connection ended after 100,000 of 262,144 bytes; trying again" in said[0]


def test_another_process_goes_on_where_a_killed_one_broke_off(
    url: str, hub: Hub, target: Path
) -> None:
    hub.faults = [Fault("model.pt", wait=0.1)]
    program = PROGRAM
    process = subprocess.Popen([sys.executable, "-c", program, url, str(target)])
    partial = target.with_name(".model.pt.partial")
    while not (partial.exists() and partial.stat().st_size):
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = partial.stat().st_size
    assert 0 < kept < len(DATA)
    download(url, target, WHOLE)
    assert target.read_bytes() == DATA
    assert hub.asked("model.pt")[1].headers["Range"] == f"bytes={kept}-"


def test_a_server_without_ranges_begins_anew(url: str, hub: Hub, target: Path) -> None:
    hub.ranges = False
    hub.faults = [Fault("model.pt", cut=100_000)]
    download(url, target, WHOLE, waits=AT_ONCE)
    assert target.read_bytes() == DATA


def test_a_file_that_changed_meanwhile_begins_anew(url: str, hub: Hub, target: Path) -> None:
    hub.faults = [Fault("model.pt", cut=100_000)]
    with pytest.raises(
        DownloadError, match="100,000 bytes are kept, and running this again goes on from there"
    ):
        download(url, target, waits=())
    hub.files["model.pt"] = Blob(DATA[::-1])
    download(url, target)
    assert target.read_bytes() == DATA[::-1]


def test_nothing_is_resumed_where_a_mix_could_not_be_noticed(
    url: str, hub: Hub, target: Path
) -> None:
    hub.etags = False
    hub.faults = [Fault("model.pt", cut=100_000)]
    download(url, target, waits=AT_ONCE)
    assert target.read_bytes() == DATA
    assert [request.headers.get("Range") for request in hub.asked("model.pt")] == [None, None]


def test_a_beginning_that_is_longer_than_the_file_is_dropped(
    url: str, hub: Hub, target: Path
) -> None:
    target.parent.mkdir()
    target.with_name(".model.pt.partial").write_bytes(DATA + DATA)
    download(url, target, Content(sha256=SHA256), waits=AT_ONCE)
    assert target.read_bytes() == DATA


def test_a_beginning_that_is_the_whole_file_is_not_asked_for_again(
    url: str, hub: Hub, target: Path
) -> None:
    target.parent.mkdir()
    target.with_name(".model.pt.partial").write_bytes(DATA)
    download(url, target, Content(sha256=SHA256))  # 416: the server says that it is whole
    assert target.read_bytes() == DATA


def test_a_busy_server_is_asked_again(url: str, hub: Hub, target: Path) -> None:
    hub.faults = [
        Fault("model.pt", status=500),
        Fault("model.pt", status=429, headers={"Retry-After": "0"}),
    ]
    said: list[str] = []
    download(url, target, WHOLE, log=said.append, waits=AT_ONCE)
    assert target.read_bytes() == DATA
    assert [text.split(": ")[1] for text in said] == [
        "the server answered 500 Internal Server Error; trying again",
        "the server answered 429 Too Many Requests; trying again",
    ]


def test_a_server_that_stays_broken_is_told(url: str, hub: Hub, target: Path) -> None:
    hub.faults = [Fault("model.pt", status=503, times=9)]
    with pytest.raises(
        DownloadError, match="could not be downloaded: the server answered 503 Service Unavailable"
    ):
        download(url, target, WHOLE, waits=AT_ONCE)
    assert len(hub.asked("model.pt")) == 3


def test_what_is_not_there_is_told_at_once(hub: Hub, target: Path) -> None:
    with pytest.raises(
        MissingFileError,
        match="files/other could not be downloaded: the server answered 404 Not Found",
    ):
        download(f"{hub.url}/files/other", target)
    assert len(hub.asked("other")) == 1


def test_no_server_at_all(hub: Hub, target: Path) -> None:
    with pytest.raises(DownloadError, match=r"the connection broke \(.*Connection refused\)"):
        download("http://127.0.0.1:9/model.pt", target, waits=AT_ONCE)


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        (
            Content(sha256="0" * 64),
            f"its sha256 is {SHA256}, expected {'0' * 64}; it was set aside as .*model.pt.bad",
        ),
        (
            Content(size=len(DATA), md5="0" * 32),
            f"its md5 is .*, expected {'0' * 32}; it was set aside",
        ),
        (Content(git_blob="0" * 40), f"its git_blob is .*, expected {'0' * 40}; it was set aside"),
    ],
)
def test_another_file_is_set_aside(url: str, target: Path, expected: Content, message: str) -> None:
    with pytest.raises(DownloadError, match=message):
        download(url, target, expected)
    assert leftovers(target) == {"model.pt.bad"} and not target.exists()


def test_a_file_of_another_size_is_not_begun(url: str, target: Path) -> None:
    with pytest.raises(
        DownloadError, match="is not the file expected: it has 262,144 bytes, expected 7"
    ):
        download(url, target, Content(size=7))
    assert leftovers(target) == set() and not target.exists()


def test_a_file_that_is_there_is_verified_too(url: str, hub: Hub, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(DATA[:-1] + b"x")
    with pytest.raises(
        DownloadError, match=f"its sha256 is .*, expected {SHA256}; remove it, and run this again"
    ):
        download(url, target, WHOLE)
    assert hub.log == []


def test_many_ask_and_one_downloads(url: str, hub: Hub, target: Path) -> None:
    """Half of them threads of this process, half processes of their own."""
    hub.faults = [
        Fault("model.pt", wait=0.1)
    ]  # 16 blocks: slower than the slowest start of a process
    program = PROGRAM
    processes = [
        subprocess.Popen([sys.executable, "-c", program, url, str(target)]) for _ in range(3)
    ]
    said: list[str] = []
    with ThreadPoolExecutor(3) as pool:
        assert set(pool.map(lambda _: download(url, target, WHOLE, log=said.append), range(3))) == {
            target
        }
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert target.read_bytes() == DATA and len(hub.asked("model.pt")) == 1
    waiting = r"(another process|process \d+ \(.*\)) downloads model.pt; waiting for it"
    assert any(re.fullmatch(waiting, line) for line in said)


@pytest.mark.parametrize(
    "address", ["http://example.org/x", "ftp://example.org/x", "file:///etc/passwd", "x"]
)
def test_only_https_is_spoken_to_other_machines(address: str, hub: Hub, target: Path) -> None:
    with pytest.raises(
        DownloadError, match="is refused: expected an address that begins with https://"
    ):
        download(address, target)


@pytest.mark.parametrize(
    "address", ["http://example.org/x", "ftp://example.org/x", "file:///etc/passwd"]
)
def test_nor_is_a_redirection_followed_to_anything_else(
    address: str, hub: Hub, target: Path
) -> None:
    with pytest.raises(DownloadError, match=f"'{address}' is (refused: expected|not allowed)"):
        download(f"{hub.url}/moved/{address}", target)


def test_a_token_goes_to_its_own_host_only(hub: Hub, url: str, target: Path) -> None:
    elsewhere = url.replace("127.0.0.1", "localhost")
    download(f"{hub.url}/moved/{elsewhere}", target, headers={"Authorization": "Bearer secret"})
    first, second = hub.log
    assert (first.headers.get("Authorization"), second.headers.get("Authorization")) == (
        "Bearer secret",
        None,
    )


def test_a_full_disk_is_told_before_the_first_byte(small_disk: Path, hub: Hub) -> None:
    hub.files["large"] = Blob(bytes(8 << 20))
    with pytest.raises(
        DownloadError, match="8,388,608 bytes to download and .* only .* free; make room"
    ):
        download(f"{hub.url}/files/large", small_disk / "large")


def test_a_disk_that_fills_up_is_told(
    small_disk: Path, url: str, hub: Hub, fill: Callable[[Path, int], Path]
) -> None:
    hub.faults = [Fault("model.pt", wait=0.01)]

    def fill_it(done: int, total: int | None) -> None:
        if done >= 4 * BLOCK:
            fill(small_disk, 0)

    with pytest.raises(
        DownloadError, match=os.strerror(errno.ENOSPC) + ".*make room, or choose another folder"
    ):
        download(url, small_disk / "model.pt", WHOLE, progress=fill_it)
    (small_disk / "filler").unlink()
    assert download(url, small_disk / "model.pt", WHOLE).read_bytes() == DATA
    assert int(hub.asked("model.pt")[1].headers["Range"].strip("bytes=-")) >= 4 * BLOCK


def test_a_hash_is_remembered_until_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    assert cached_digests(path, ["sha256"]) == {"sha256": SHA256}
    [note] = (tmp_path / "cache" / "matterzoo" / "verified").iterdir()
    note.write_text(note.read_text().replace(SHA256, "remembered"))
    assert cached_digests(path, ["sha256"]) == {"sha256": "remembered"}
    link = tmp_path / "link"
    link.symlink_to(path)
    assert cached_digests(link, ["sha256"]) == {"sha256": "remembered"}  # a name is not the file
    assert cached_digests(link, ["sha256", "md5"])["md5"] == hashlib.md5(DATA).hexdigest()
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert cached_digests(path, ["sha256"]) == {"sha256": SHA256}


def test_a_time_of_change_that_is_put_back_hides_no_change(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    assert describe_mismatch(path, WHOLE) is None
    before = path.stat()
    time.sleep(0.05)  # a file system's clock is coarse
    path.write_bytes(DATA[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert "its sha256 is" in (describe_mismatch(path, WHOLE) or "")


def test_the_hub_sends_blocks_smaller_than_the_file() -> None:
    assert len(DATA) > 10 * BLOCK  # or the tests above break nothing
