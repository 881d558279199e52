"""The report and the site of 60 models on two datasets: time, size, and how soon they show.

Half of the 60 are untrained twins; then there are 60 with as many twins.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import duckdb
from playwright.sync_api import sync_playwright

import query
from query.processes.helpers import Helpers
from query.report import report
from query.site import Sources, site
from query.site.addresses import pair_page
from tests.bench.report import Row
from tests.query.figures.conftest import DATASETS, LARGE, SMALL, make_store
from zoo.weights.npm import read_npm_package

SYSTEMS = 300
SECONDS, OPENING, MEGABYTES = 45.0, 1.5, 8.0  # the limits of the report
SITE_SECONDS, SITE_MEGABYTES, PAIR, FIRST_RESULT = 180.0, 60.0, 0.5, 3.0  # and of the site


HALF = {family: -(-count // 2) for family, count in LARGE.items()}  # with twins 60 models, too


def run() -> Iterator[Row]:
    for families in (SMALL, HALF, LARGE):
        with tempfile.TemporaryDirectory() as folder:
            store = make_store(Path(folder) / "matter.duckdb", families, SYSTEMS)
            what = f"{sum(families.values())} models and twins × {SYSTEMS} × {len(DATASETS)}"
            with query.connect(store) as connection:
                yield from _report(connection, Path(folder) / "report", what)
                a, b, *_ = families
                pair = f"{a}-0", f"{b}-0"
                yield from _site(connection, Path(folder) / "site", what, pair)


def _report(connection: duckdb.DuckDBPyConnection, folder: Path, what: str) -> Iterator[Row]:
    start = time.perf_counter()
    with Helpers() as helpers:
        page = report(connection, DATASETS, folder, helpers=helpers)
    yield Row(f"report, {what} / limit", time.perf_counter() - start, SECONDS, "s", 1.0)
    yield Row(f"its page / limit, {what}", page.stat().st_size / 2**20, MEGABYTES, "MB", 1.0)
    first = _opening(page.as_uri(), "svg.marks", within="figure")
    yield Row(f"its first figure / limit, {what}", first, OPENING, "s", 1.0)


def _site(
    connection: duckdb.DuckDBPyConnection, folder: Path, what: str, models: tuple[str, str]
) -> Iterator[Row]:
    sources = Sources.read(read_npm_package, lambda model_id, row, dataset, license: None)
    start = time.perf_counter()
    with Helpers() as helpers:
        site(connection, DATASETS, folder, sources=sources, helpers=helpers)
    yield Row(f"site, {what} / limit", time.perf_counter() - start, SITE_SECONDS, "s", 1.0)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    yield Row(f"its files / limit, {what}", size / 1e6, SITE_MEGABYTES, "MB", 1.0)
    with _hosted(folder) as address:
        pair = f"{address}/{pair_page(*models)}"
        yield Row(f"a pair's page / limit, {what}", _opening(pair, "table td"), PAIR, "s", 1.0)
        first = _opening(f"{address}/sql.html", "#answer td")
        yield Row(f"its prompt's first result / limit, {what}", first, FIRST_RESULT, "s", 1.0)


@contextmanager
def _hosted(folder: Path) -> Iterator[str]:
    """Yield the address of a folder on a static host on loopback."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def _opening(address: str, awaited: str, within: str | None = None) -> float:
    """Return the seconds until a page shows something, in a browser that runs already.

    Figures are drawn when they come into sight: `within` is what is scrolled to, the first that no
    tab hides.
    """
    chromium = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        tab = browser.new_page()
        start = time.perf_counter()
        tab.goto(address, wait_until="commit")
        if within is not None:
            tab.locator(f"{within}:visible").first.scroll_into_view_if_needed()
        tab.locator(awaited).first.wait_for()
        taken = time.perf_counter() - start
        browser.close()
    return taken
