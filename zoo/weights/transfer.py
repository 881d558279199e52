"""The bytes of an address, written to a partial file over as many connections as it takes.

Retries are our own. `urllib3.Retry` repeats a request as it was, but a transfer that broke off has
to ask for the rest of the file, whose beginning is known from the partial file alone; a byte that
arrives renews its patience; and every try is logged.
"""

from __future__ import annotations

import http.client
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from zoo.weights.addresses import has_no_way, no_network, opener
from zoo.weights.digest import Content
from zoo.weights.errors import BrokenTransferError, DownloadError, MissingFileError

BLOCK = 1 << 18  # bytes taken from a connection at most at once
SILENCE = 30.0  # seconds without a byte after which a connection counts as broken
LONGEST_WAIT = 60.0  # seconds to wait at most where a server asks for more
TEMPORARY = {408, 425, 429, 500, 502, 503, 504}  # HTTP status of a server that may recover soon
_BROKEN = (
    urllib.error.URLError,
    http.client.HTTPException,
    ssl.SSLError,
    ConnectionError,
    TimeoutError,
)

Progress = Callable[[int, int | None], object]  # called with (bytes so far, bytes in all or None)


class Transfer:
    """The transfer of one file.

    Attributes:
        url: The address of the file.
        expected: What is known of its content.
        headers: What is sent to the host of `url` and to no other.
        progress: Called whenever bytes arrive.
        partial: The partial file, `.NAME.partial` beside the target.
        etag: A file that holds the ETag of the content of which `partial` is the beginning.
    """

    def __init__(
        self, url: str, target: Path, expected: Content, headers: dict[str, str], progress: Progress
    ) -> None:
        """Prepare a transfer.

        Args:
            url: The address of the file.
            target: The path that the whole file will have.
            expected: What is known of its content.
            headers: What is sent to the host of `url` and to no other.
            progress: Called whenever bytes arrive.
        """
        self.url, self.expected, self.headers, self.progress = url, expected, headers, progress
        self.partial = target.with_name(f".{target.name}.partial")
        self.etag = target.with_name(f".{target.name}.etag")

    def run(self, log: Callable[[str], object], waits: Sequence[float]) -> None:
        """Transfer bytes until the partial file is whole.

        Args:
            log: Called with one line per failed try.
            waits: Seconds before each further try; a byte that arrives begins them again.

        Raises:
            NoNetworkError: The server cannot be reached.
            DownloadError: The server refuses, or stays broken; what has arrived is kept.
        """
        left, first = list(waits), self.done
        while True:
            before = self.done
            try:
                self._connect()
            except BrokenTransferError as error:
                left = list(waits) if self.done > before else left
                if error.no_network and (self.done == first or not left):
                    raise no_network(urlsplit(self.url).netloc, error) from error
                if not left:
                    raise DownloadError(
                        f"{self.url} could not be downloaded: {error}; {self.done:,} bytes are "
                        "kept, and running this again goes on from there"
                    ) from error
                log(f"{self.url}: {error}; trying again")
                time.sleep(max(left.pop(0), error.wait))
            else:
                self.etag.unlink(missing_ok=True)
                return

    @property
    def done(self) -> int:
        """The number of bytes in the partial file."""
        return self.partial.stat().st_size if self.partial.exists() else 0

    def _connect(self) -> None:
        """Open one connection and return once the file is whole."""
        if self.done and self.done == self.expected.size:
            return
        try:
            request = urllib.request.Request(self.url, headers=self._request_headers())
            with opener().open(request, timeout=SILENCE) as answer:
                self._receive(answer)
        except urllib.error.HTTPError as error:
            self._handle_refusal(error)
        except _BROKEN as error:
            reason = getattr(error, "reason", error) or type(error).__name__
            away = has_no_way(error)
            words = str(reason) if away else f"the connection broke ({reason})"
            raise BrokenTransferError(words, no_network=away) from error

    def _request_headers(self) -> dict[str, str]:
        """Ask for the rest of the file only if a mix of two files would be noticed.

        It would be by the ETag, which the server compares, or by a hash that is expected.
        """
        etag = self.etag.read_text() if self.etag.exists() else ""
        if not (etag or self.expected.hashes()):
            self.partial.unlink(missing_ok=True)
        rest = {"Range": f"bytes={self.done}-"} if self.done else {}
        unchanged = {"If-Range": etag} if rest and etag else {}
        return {
            "User-Agent": "matterzoo",
            "Accept-Encoding": "identity",
            **self.headers,
            **rest,
            **unchanged,
        }

    def _handle_refusal(self, error: urllib.error.HTTPError) -> None:
        """Return if the server says that the file is whole already; raise otherwise."""
        answer = f"the server answered {error.code} {error.reason}"
        if error.code == 416:  # Range Not Satisfiable
            whole = error.headers.get("Content-Range", "").rpartition("/")[2]
            if whole == str(self.done):
                return
            self.partial.unlink(missing_ok=True)
            reason = f"{answer} for the rest of the file; beginning anew"
            raise BrokenTransferError(reason) from error
        if error.code in TEMPORARY:
            after = error.headers.get("Retry-After", "")
            wait = min(LONGEST_WAIT, float(after)) if after.isdecimal() else 0.0
            raise BrokenTransferError(answer, wait) from error
        kind = MissingFileError if error.code in (404, 410) else DownloadError
        raise kind(f"{self.url} could not be downloaded: {answer}") from error

    def _receive(self, answer: Any) -> None:
        """Append what arrives; a server that sends the whole file begins it anew."""
        begin = self.done if answer.status == 206 else 0
        length = answer.headers.get("Content-Length")
        total = begin + int(length) if length else self.expected.size
        self._check_announcement(answer, begin, total)
        etag = answer.headers.get("ETag", "")
        with self.partial.open("ab" if begin else "wb") as file:
            self.etag.write_text("" if etag.startswith("W/") else etag)
            done = begin
            while block := answer.read1(BLOCK):  # what has arrived; a killed process keeps it
                file.write(block)
                done += len(block)
                self.progress(done, total)
                if self.expected.size is not None and done > self.expected.size:
                    break  # the comparison with what is expected reports it
        if total is not None and done < total:
            raise BrokenTransferError(f"the connection ended after {done:,} of {total:,} bytes")

    def _check_announcement(self, answer: Any, begin: int, total: int | None) -> None:
        """Raise, before a byte is written, if the answer is not what was asked or does not fit."""
        part = answer.headers.get("Content-Range", "")
        if answer.status == 206 and not part.startswith(f"bytes {begin}-"):
            self.partial.unlink(missing_ok=True)
            raise BrokenTransferError(f"the server sent {part!r}, not the rest from {begin}")
        if total is not None and self.expected.size not in (None, total):
            raise DownloadError(
                f"{self.url} is not the file expected: it has {total:,} bytes, "
                f"expected {self.expected.size:,}"
            )
        free = shutil.disk_usage(self.partial.parent).free
        if total is not None and total - begin > free:
            raise DownloadError(
                f"{self.url} has {total - begin:,} bytes to download and {self.partial.parent} "
                f"only {free:,} free; make room, or choose another folder"
            )
