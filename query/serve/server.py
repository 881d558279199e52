"""Listen, answer until Ctrl-C, and end the readers."""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
from pathlib import Path

import uvicorn

from query.serve.app import make_app
from query.serve.limits import Limits
from query.serve.pool import Pool
from zoo.command_line import print_now
from zoo.errors import MatterzooError

TOKEN = "MATTERZOO_TOKEN"  # the variable that names a token of the user's choice
GRACE = 5  # s after Ctrl-C that a visitor may take to send the rest of a request
LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")


def serve(
    store: Path, address: str, port: int, readers: int, limits: Limits, pages: Path | None
) -> None:
    """Serve a store until Ctrl-C.

    Args:
        store: The store's file.
        address: The address to listen at. Elsewhere than on loopback, visitors need a token.
        port: The port; 0 takes one that is free.
        readers: How many statements run at once.
        limits: What each may take.
        pages: A folder that `matterzoo report` wrote, or None.

    Raises:
        MatterzooError: The address cannot be listened at, or the folder has no page.
    """
    if pages is not None and not (pages / "index.html").is_file():
        raise MatterzooError(
            f"{pages} has no index.html; `matterzoo report DATASET {pages}` writes one"
        )
    is_loopback = ipaddress.ip_address(address).is_loopback
    token = None if is_loopback else os.environ.get(TOKEN) or secrets.token_urlsafe()
    with _listen(address, port) as listening:
        port = listening.getsockname()[1]
        pool = Pool(store, readers, limits)
        app = make_app(pool, LOOPBACK if is_loopback else ("*",), token, pages)
        shown = f"[{address}]" if ":" in address else address
        print_now(
            f"{store} at http://{shown}:{port}/{'' if token is None else f'?token={token}'} "
            "(read-only; Ctrl-C ends)"
        )
        config = uvicorn.Config(
            app,
            log_config=None,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=GRACE,
        )
        try:
            _Server(config, pool).run(sockets=[listening])
        except KeyboardInterrupt:
            print_now("ended")
        finally:
            pool.close()


class _Server(uvicorn.Server):
    """A server that first ends its readers, so that it never waits for a statement to end."""

    def __init__(self, config: uvicorn.Config, pool: Pool) -> None:
        super().__init__(config)
        self.pool = pool

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.pool.close()
        await super().shutdown(sockets)


def _listen(address: str, port: int) -> socket.socket:
    """Return a socket that listens, so that a port that is taken is one clear error."""
    try:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return socket.create_server((address, port), family=family)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise MatterzooError(
            f"{address}:{port} cannot be listened at ({reason}); --port 0 takes a port "
            "that is free, and --address names another address of this machine"
        ) from error
