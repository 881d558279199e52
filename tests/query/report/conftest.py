"""A report on a small made-up store, and a browser to open it with."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

import query
from query.report import SECTIONS, report
from query.report.views import Panel, Section
from tests.query.figures.conftest import SMALL, make_store
from zoo.weights.errors import DownloadError
from zoo.weights.npm import read_npm_package

_AXE = (
    "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/"
    "pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
)

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)


@pytest.fixture(
    scope="module"
)  # its event loop runs as long as it does, and keeps other tests from having one
def browser() -> Iterator[Browser]:
    """The headless Chromium of this machine."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium has no sandbox for root
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        expect.set_options(timeout=30_000)  # ms, as figures take that on a machine that is busy
        yield running
        running.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core, which finds faults that keep people from using a page."""
    try:
        files = read_npm_package("axe-core", "4.14.1", _AXE, ["axe.min.js"])
    except DownloadError as error:
        pytest.skip(f"needs axe-core: {error}")
    return files["axe.min.js"].decode()


def find_faults(page: Page, axe: str) -> list[str]:
    """Return the serious and critical faults of a page as it is shown."""
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, { preload: false })")["violations"]
    return [
        f"{fault['id']}: {fault['nodes'][0]['html'][:200]}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]


@pytest.fixture(scope="session")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with families, twins, descriptors, controls, runs and failures, on two datasets."""
    path = make_store(tmp_path_factory.mktemp("reported") / "matter.duckdb", SMALL)
    with query.connect(path, read_only=False) as connection:
        add_runs(connection)
        connection.execute(
            "UPDATE systems SET smiles = if(n_atoms > 4, 'CCO', 'C1CC1') "
            "WHERE system_id < 'crystals/010'"
        )
    return path


def add_runs(connection: duckdb.DuckDBPyConnection) -> None:
    """Insert the run of all vectors, a failed one, one that was replaced, and failures."""
    run = (
        "INSERT INTO runs (run_id, model_id, dataset, representations, status, reason, runtime, "
        "device, dtype, card_hash, weights, versions, sent, ok, failed, not_applicable) "
        "VALUES (?, 'alpha-0', 'crystals', ['last'], ?, ?, 'venv', 'cpu', 'float32', 'card', "
        """'{"a.pt": "0123456789abcdef", "b.pt": "fedcba98"}', '{"torch": "2.13.0"}', """
        "60, 60, 0, 0)"
    )
    sql = (
        "SELECT DISTINCT run_id FROM embeddings "
        "WHERE model_id = 'alpha-0' AND starts_with(system_id, 'crystals/')"
    )
    ((stored,),) = connection.execute(sql).fetchall()
    connection.execute(run, [stored, "ok", None])
    connection.execute(run, ["broken", "failed", "out of memory"])
    connection.execute(run, ["replaced", "ok", None])
    connection.execute(
        "INSERT INTO failures SELECT 'crystals/9' || i, 'crystals', 'beta-' || i, 'last', 'c', "
        "'run', 'not_applicable', 'does not know Xx' FROM range(2) t(i)"
    )


@pytest.fixture(scope="session")
def page_path(store_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report on both datasets; only the alignment matrix has several versions."""
    sections = [
        section if section.name == "alignment_matrix" else first_version_of(section)
        for section in SECTIONS
    ]
    with query.connect(store_path) as connection:
        return report(
            connection,
            ["crystals", "molecules"],
            tmp_path_factory.mktemp("out") / "report",
            sections,
        )


def first_version_of(section: Section) -> Section:
    """Return the same section with one version."""

    def only(panel: Panel) -> Panel:
        return replace(
            panel, versions=lambda connection, datasets: panel.versions(connection, datasets)[:1]
        )

    return replace(section, panels=[only(panel) for panel in section.panels])
