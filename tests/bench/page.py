"""The report of 60 models on two datasets: its time, its page's size, how soon it is shown."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import sync_playwright

import query
from query.report import report
from tests.bench.report import Row
from tests.query.figures.conftest import DATASETS, LARGE, SMALL, make_store

SYSTEMS = 300
SECONDS, OPENING, MEGABYTES = 45.0, 1.5, 8.0  # the limits


def run() -> Iterator[Row]:
    for families in (SMALL, LARGE):
        with tempfile.TemporaryDirectory() as folder:
            store = make_store(Path(folder) / "matter.duckdb", families, SYSTEMS)
            what = f"{sum(families.values())} models and twins × {SYSTEMS} × {len(DATASETS)}"
            start = time.perf_counter()
            with query.connect(store) as connection:
                page = report(connection, DATASETS, Path(folder) / "report")
            yield Row(f"report, {what} / limit", time.perf_counter() - start, SECONDS, "s", 1.0)
            yield Row(
                f"its page / limit, {what}", page.stat().st_size / 2**20, MEGABYTES, "MB", 1.0
            )
            yield Row(f"opening it / limit, {what}", _opening(page), OPENING, "s", 1.0)


def _opening(page: Path) -> float:
    """Return the seconds until the first figure is drawn, in a browser that runs already."""
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
        tab.goto(page.as_uri())
        tab.locator("svg.marks").first.wait_for()
        taken = time.perf_counter() - start
        browser.close()
    return taken
