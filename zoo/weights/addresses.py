"""Addresses that files are downloaded from, and how they are opened.

The standard library follows redirects and knows proxies and this machine's certificates. `requests`
would bring its own certificates, and would send a password of ~/.netrc in place of our token.
"""

from __future__ import annotations

import functools
import ipaddress
import ssl
import urllib.request
from email.message import Message
from typing import IO
from urllib.parse import urlsplit

from zoo.weights.errors import DownloadError


def check_address(url: str) -> None:
    """Refuse an address that is neither https nor on this machine.

    Args:
        url: The address.

    Raises:
        DownloadError: The address is something else.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and not (
        parts.scheme == "http" and _is_loopback(parts.hostname or "")
    ):
        raise DownloadError(f"{url!r} is refused: expected an address that begins with https://")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects to allowed addresses, and send what is meant for one host to no other."""

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
        request = super().redirect_request(
            req,
            fp,
            code,
            msg,
            headers,  # type: ignore[arg-type]
            newurl,
        )
        if request is not None and urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
            request.remove_header("Authorization")
            request.remove_header("Cookie")
        return request


@functools.cache
def opener() -> urllib.request.OpenerDirector:
    """Return what opens addresses. The certificates of this machine are read once."""
    return urllib.request.build_opener(
        _Redirects, urllib.request.HTTPSHandler(context=ssl.create_default_context())
    )
