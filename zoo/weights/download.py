"""One file over HTTPS: resumed where it broke off, downloaded once however many ask, and verified before it appears."""

from __future__ import annotations

import contextlib
import functools
import http.client
import ipaddress
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from email.message import Message
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from zoo.files import file_lock, rename_durably
from zoo.weights.digest import ANYTHING, Content, fault

WAITS = (
    1.0,
    2.0,
    4.0,
    8.0,
)  # s before another try, while no byte arrives; every byte begins them again
BLOCK = 1 << 18  # bytes taken from a connection at most at once
SILENCE = 30.0  # s without a byte after which a connection counts as broken
PASSING = {
    408,
    425,
    429,
    500,
    502,
    503,
    504,
}  # answers of a server that may answer otherwise in a moment
BROKEN = (
    urllib.error.URLError,
    http.client.HTTPException,
    ssl.SSLError,
    ConnectionError,
    TimeoutError,
)

Progress = Callable[[int, int | None], None]


class DownloadError(Exception):
    """A file that could not be had, or that is not the file expected."""


class Missing(DownloadError):
    """The server has no such file."""


class Interrupted(Exception):
    """A connection that broke, or a server that is busy: worth another try."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def download(
    url: str,
    target: Path,
    expected: Content = ANYTHING,
    *,
    headers: Mapping[str, str] | None = None,
    say: Callable[[str], None] = lambda text: None,
    progress: Progress = lambda done, total: None,
    waits: Sequence[float] = WAITS,
) -> Path:
    """Download a file, unless it is there already, and return its path. DownloadError with what to do.

    It appears under its name only when it is whole and as expected; until then it is `.NAME.partial` beside it, where
    the next call goes on. Of several processes or threads one downloads and the rest wait. A file that is not as
    expected is renamed to `NAME.bad`. `progress` is told (bytes so far, bytes in all or None); `headers`, such as an
    Authorization, go to the host of `url` and to no other.
    """
    check_address(url)
    with reported(target):
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            with lock(target, say):
                if not target.exists():
                    transfer = Transfer(url, target, expected, dict(headers or {}), progress)
                    transfer.run(say, waits)
                    accept(transfer.partial, target, expected, url)
        if wrong := fault(target, expected):
            raise DownloadError(
                f"{target} is not the file of {url}: {wrong}; remove it, and run this again"
            )
    return target


def accept(partial: Path, target: Path, expected: Content, url: str) -> None:
    """Give a downloaded file its name if it is as expected; set it aside otherwise."""
    if wrong := fault(partial, expected):
        bad = target.with_name(f"{target.name}.bad")
        partial.replace(bad)
        raise DownloadError(
            f"{url} is not the file expected: {wrong}; it was set aside as {bad} and is not used"
        )
    rename_durably(partial, target)


@contextlib.contextmanager
def reported(target: Path) -> Iterator[None]:
    """What the file system refuses is told with the file's name."""
    try:
        yield
    except OSError as error:
        raise DownloadError(
            f"{target} cannot be written: {error}; make room, or choose another folder"
        ) from error


def lock(target: Path, say: Callable[[str], None]) -> AbstractContextManager[int]:
    """Return the lock of a file that is to be downloaded."""
    return file_lock(
        target.with_name(f".{target.name}.lock"),
        on_wait=lambda holder: say(f"{holder} downloads {target.name}; waiting for it"),
    )


def check_address(url: str) -> None:
    """https, or http to this very machine; DownloadError otherwise."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (
        parts.scheme == "http" and is_loopback(parts.hostname or "")
    ):
        raise DownloadError(f"{url!r} is refused: expected an address that begins with https://")


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to addresses that are allowed, and gives what is meant for one host to no other."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> urllib.request.Request | None:
        check_address(newurl)
        request = super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]
        if request is not None and urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
            request.remove_header("Authorization")
            request.remove_header("Cookie")
        return request


@functools.cache
def opener() -> urllib.request.OpenerDirector:
    """What opens addresses; the certificates of this machine are read once."""
    return urllib.request.build_opener(
        Redirects, urllib.request.HTTPSHandler(context=ssl.create_default_context())
    )


class Transfer:
    """Bytes of a URL into a partial file, over as many connections as it takes."""

    def __init__(
        self, url: str, target: Path, expected: Content, headers: dict[str, str], progress: Progress
    ) -> None:
        self.url, self.expected, self.headers, self.progress = url, expected, headers, progress
        self.partial = target.with_name(f".{target.name}.partial")
        self.etag = target.with_name(
            f".{target.name}.etag"
        )  # of the content that the partial file is the beginning of

    def run(self, say: Callable[[str], None], waits: Sequence[float]) -> None:
        """Return once the partial file is whole."""
        left = list(waits)
        while True:
            before = self.done
            try:
                self.connect()
            except Interrupted as error:
                left = list(waits) if self.done > before else left
                if not left:
                    raise DownloadError(
                        f"{self.url} could not be downloaded: {error}; {self.done:,} bytes are kept, and running this "
                        "again goes on from there"
                    ) from error
                say(f"{self.url}: {error}; trying again")
                time.sleep(max(left.pop(0), error.wait))
            else:
                self.etag.unlink(missing_ok=True)
                return

    @property
    def done(self) -> int:
        return self.partial.stat().st_size if self.partial.exists() else 0

    def connect(self) -> None:
        """One connection. Returns if it brought the file to its end; Interrupted if it broke before."""
        if self.done and self.done == self.expected.size:
            return
        try:
            request = urllib.request.Request(self.url, headers=self.request_headers())
            with opener().open(request, timeout=SILENCE) as answer:
                self.receive(answer)
        except urllib.error.HTTPError as error:
            self.refused(error)
        except BROKEN as error:
            reason = getattr(error, "reason", error) or type(error).__name__
            raise Interrupted(f"the connection broke ({reason})") from error

    def request_headers(self) -> dict[str, str]:
        """Ask for the rest of the file where a mix of two files would be noticed: by its ETag, or by its hash."""
        etag = self.etag.read_text() if self.etag.exists() else ""
        if not (etag or self.expected.hashes()):
            self.partial.unlink(missing_ok=True)
        resumed = {"Range": f"bytes={self.done}-"} if self.done else {}
        unchanged = {"If-Range": etag} if resumed and etag else {}
        return {
            "User-Agent": "matterzoo",
            "Accept-Encoding": "identity",
            **self.headers,
            **resumed,
            **unchanged,
        }

    def refused(self, error: urllib.error.HTTPError) -> None:
        """An answer that is no file. Returns if it says that the file is whole already."""
        answer = f"the server answered {error.code} {error.reason}"
        if error.code == 416:
            whole = error.headers.get("Content-Range", "").rpartition("/")[2]
            if whole == str(self.done):
                return
            self.partial.unlink(missing_ok=True)
            raise Interrupted(f"{answer} for the rest of the file; beginning anew") from error
        if error.code in PASSING:
            after = error.headers.get("Retry-After", "")
            raise Interrupted(
                answer, wait=min(60.0, float(after)) if after.isdecimal() else 0.0
            ) from error
        kind = Missing if error.code in (404, 410) else DownloadError
        raise kind(f"{self.url} could not be downloaded: {answer}") from error

    def receive(self, answer: Any) -> None:
        """Append what arrives to the partial file; a server that sends the whole file begins it anew."""
        begin = self.done if answer.status == 206 else 0
        length = answer.headers.get("Content-Length")
        total = begin + int(length) if length else self.expected.size
        self.check_announced(answer, begin, total)
        etag = answer.headers.get("ETag", "")
        with self.partial.open("ab" if begin else "wb") as file:
            self.etag.write_text("" if etag.startswith("W/") else etag)
            done = begin
            while block := answer.read1(BLOCK):  # what has arrived; a killed process keeps it
                file.write(block)
                done += len(block)
                self.progress(done, total)
                if self.expected.size is not None and done > self.expected.size:
                    break  # told by accept
        if total is not None and done < total:
            raise Interrupted(f"the connection ended after {done:,} of {total:,} bytes")

    def check_announced(self, answer: Any, begin: int, total: int | None) -> None:
        """Before a byte is written: is this the part asked for, of a file of the size expected, and does it fit?"""
        if answer.status == 206 and not answer.headers.get("Content-Range", "").startswith(
            f"bytes {begin}-"
        ):
            self.partial.unlink(missing_ok=True)
            raise Interrupted(
                f"the server sent {answer.headers.get('Content-Range')!r}, not the rest from {begin}"
            )
        if total is not None and self.expected.size not in (None, total):
            raise DownloadError(
                f"{self.url} is not the file expected: it has {total:,} bytes, expected {self.expected.size:,}"
            )
        free = shutil.disk_usage(self.partial.parent).free
        if total is not None and total - begin > free:
            raise DownloadError(
                f"{self.url} has {total - begin:,} bytes to download and {self.partial.parent} only {free:,} free; "
                "make room, or choose another folder"
            )
