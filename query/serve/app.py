"""The addresses of the server: a page, what it asks, and folders of pages that were written."""

from __future__ import annotations

import functools
import hmac
import json
from collections.abc import Sequence
from pathlib import Path

from anyio import to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from query.serve.examples import column_meanings, examples
from query.serve.pool import Busy, Pool, TimedOut
from query.site.files import vega_script
from query.site.prompt import ASSETS, PAGE, prompt_html

_INDEX = Path(__file__).parent / "page" / "index.html"
PARTS = {
    "/site.css": ASSETS / "site.css",
    **{f"/{name}": PAGE / name for name in ("prompt.css", "prompt.js", "chart.js", "over_http.js")},
}
COOKIE = "matterzoo_token"
# Nothing comes from elsewhere, and no other page can frame this one.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def make_app(
    pool: Pool, hosts: Sequence[str], token: str | None = None, pages: Path | None = None
) -> Starlette:
    """Return the server's application.

    Args:
        pool: The readers that answer.
        hosts: The names by which it may be asked, so that no page of another name reaches it
            through the visitor's browser.
        token: What a visitor has to show; None lets everyone in who reaches it.
        pages: A folder that `matterzoo report` wrote, served below /pages/.
    """

    async def index(request: Request) -> Response:
        page = _INDEX.read_text(encoding="utf-8").replace("<!-- prompt -->", prompt_html())
        return HTMLResponse(page, headers=HEADERS)

    async def part(request: Request) -> Response:
        return FileResponse(PARTS[request.url.path], headers=HEADERS)

    async def vega(request: Request) -> Response:
        try:
            script = await to_thread.run_sync(_vega)
        except ModuleNotFoundError:  # of the extra `report`; there are no charts then
            script = ""
        return Response(script, media_type="text/javascript", headers=HEADERS)

    async def about(request: Request) -> Response:
        try:
            found = await to_thread.run_sync(examples, pool)
            columns = await to_thread.run_sync(column_meanings, pool)
        except (Busy, TimedOut):
            found, columns = [], {}
        said = {"store": pool.store.name, "examples": found, "columns": columns}
        return JSONResponse(said | {"pages": pages is not None})

    async def ask(request: Request) -> Response:
        return await _ask(pool, request)

    routes: list[Route | Mount] = [
        Route("/", index),
        *(Route(path, part) for path in PARTS),
        Route("/vega.js", vega),
        Route("/about", about),
        Route("/query", ask, methods=["POST"]),
    ]
    if pages is not None:
        routes.append(Mount("/pages", StaticFiles(directory=pages, html=True)))
    middleware = [Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))]
    if token is not None:
        middleware.append(Middleware(_Token, token=token))
    return Starlette(routes=routes, middleware=middleware)


@functools.cache
def _vega() -> str:
    return vega_script()


async def _ask(pool: Pool, request: Request) -> Response:
    """Answer {"sql": …}. A page of another origin cannot send this type without our consent."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return _refuse(415, 'expected Content-Type: application/json, with {"sql": "…"}')
    sent = b""
    async for part in request.stream():
        sent += part
        if len(sent) > 4 * pool.limits.letters:
            return _refuse(413, f"a statement may have {pool.limits.letters:,} letters")
    try:
        sql = json.loads(sent)["sql"]
    except (ValueError, KeyError, TypeError):
        sql = None
    if not isinstance(sql, str):
        return _refuse(400, 'expected {"sql": "SELECT …"}')
    if len(sql) > pool.limits.letters:
        return _refuse(413, f"a statement may have {pool.limits.letters:,} letters")
    try:
        found = await to_thread.run_sync(pool.ask, sql)
    except Busy as error:
        return _refuse(503, str(error))
    except TimedOut as error:
        return _refuse(504, str(error))
    status = 400 if found.startswith(b'{"error"') else 200
    return Response(found, status, media_type="application/json")


def _refuse(status: int, why: str) -> Response:
    return JSONResponse({"error": why}, status)


class _Token(BaseHTTPMiddleware):
    """Let in who shows the token: in the address once, then in a cookie, or as a bearer's."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        super().__init__(app)
        self.token = token

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        if self._fits(request.query_params.get("token")) and request.method == "GET":
            response: Response = RedirectResponse(request.url.path, 303)
            response.set_cookie(COOKIE, self.token, httponly=True, samesite="strict")
            return response
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        bearer = shown if scheme.lower() == "bearer" else None
        if self._fits(request.cookies.get(COOKIE)) or self._fits(bearer):
            return await call_next(request)
        return _refuse(401, "a token is needed: open the address that `matterzoo serve` printed")

    def _fits(self, shown: str | None) -> bool:
        return shown is not None and hmac.compare_digest(shown.encode(), self.token.encode())
