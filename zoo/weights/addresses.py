"""Addresses that files are downloaded from, and how they are opened.

The standard library follows redirects and knows proxies and this machine's certificates. `requests`
would bring its own certificates, and would send a password of ~/.netrc in place of our token.
"""

from __future__ import annotations

import errno
import functools
import ipaddress
import socket
import ssl
import urllib.error
import urllib.request
from email.message import Message
from typing import IO
from urllib.parse import urlsplit

from zoo.weights.errors import DownloadError, MissingFileError, NoNetworkError

PATIENCE = 10.0  # seconds for a server to say whether it has a file
_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN)
_CONNECT = "connect this machine, or name the proxy of its network in HTTPS_PROXY"


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


def has_no_way(error: BaseException) -> bool:
    """Return whether an error says that no other try would reach the server.

    There is no network, or none that knows the server, or none that this machine trusts.

    Args:
        error: What opening an address raised.
    """
    reason = getattr(error, "reason", error)
    lasting = isinstance(reason, socket.gaierror | ssl.SSLCertVerificationError)
    return lasting or getattr(reason, "errno", None) in _NO_WAY


def no_network(server: str, reason: object, then: str = _CONNECT) -> DownloadError:
    """Return the error that says that a server cannot be reached, or cannot be trusted.

    Args:
        server: The name of the server, or its address.
        reason: What the operating system said.
        then: What to do if it cannot be reached.
    """
    if "certificate" in str(reason).lower():  # of a firewall that looks into the traffic, mostly
        return DownloadError(
            f"{server} shows a certificate that this machine does not trust ({reason}); name the "
            "file of the authority that it is of in SSL_CERT_FILE"
        )
    return NoNetworkError(f"no network: {server} cannot be reached ({reason}); {then}")


def check_served(url: str) -> None:
    """Ask a server whether it has a file, without downloading it.

    Args:
        url: The address of the file.

    Raises:
        MissingFileError: The server says that it has no such file.
        NoNetworkError: The server cannot be reached.
        DownloadError: The address is refused.
    """
    check_address(url)
    try:
        request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "matterzoo"})
        opener().open(request, timeout=PATIENCE).close()
    except urllib.error.HTTPError as error:
        if error.code in (404, 410):  # others may be about the question, not the file
            answer = f"the server answered {error.code} {error.reason}"
            raise MissingFileError(f"{url}: {answer}; the file was moved or removed") from error
    except OSError as error:
        raise no_network(urlsplit(url).netloc, getattr(error, "reason", error)) from error


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
