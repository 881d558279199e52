"""A site: every address leads somewhere, and every number is what SQL says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser

import query
from query.site import site
from query.site.addresses import pair_page, slug
from query.statistics.neighbor_joining import profile_distances
from tests.query.figures.conftest import DATASETS as BOTH
from tests.query.report.conftest import browser, store_path  # noqa: F401

DATASETS = BOTH[:1]
LINK = re.compile(r'(?:href|src)="([^"#]+)"')


@pytest.fixture(scope="module")
def folder(store_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    out = tmp_path_factory.mktemp("site")
    (out / "CNAME").write_text("models.example.org")
    (out / "models").mkdir()
    (out / "models" / "gone.html").write_text("a page of an earlier site")
    outside = tmp_path_factory.mktemp("elsewhere") / "mine.txt"
    outside.write_text("mine")
    (out / ".matterzoo-site").write_text(f"models/gone.html\n../{outside.parent.name}/mine.txt\n")
    with query.connect(store_path) as connection:
        assert site(connection, DATASETS, out, "A title & more") == out / "index.html"
    assert outside.read_text() == "mine"  # whatever a list in the folder names
    return out


def test_every_link_leads_to_a_file(folder: Path) -> None:
    pages = list(folder.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        text = page.read_text()
        assert "A title &amp; more" in text and "A title & more" not in text
        for address in LINK.findall(text):
            if not re.match(r"(https?|data):", address):
                assert (page.parent / unquote(address)).is_file(), (page, address)


def test_other_files_stay_and_old_pages_go(folder: Path) -> None:
    assert (folder / "CNAME").is_file()
    assert not (folder / "models" / "gone.html").exists()
    listed = (folder / ".matterzoo-site").read_text().split()
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {*listed, "CNAME", ".matterzoo-site"} == there


def test_numbers_are_those_of_sql(folder: Path, store_path: Path) -> None:  # noqa: F811
    sql = f"FROM alignment('alpha-0', 'beta-1', '{DATASETS[0]}', metric := 'cka')"
    with query.connect(store_path) as connection:
        (expected,) = connection.sql(sql).to_arrow_table().to_pylist()
    page = folder / pair_page("beta-1", "alpha-0")
    rows: list[dict[str, Any]] = json.loads(page.with_suffix(".json").read_text())
    (row,) = (r for r in rows if (r["dataset"], r["metric"]) == (DATASETS[0], "cka"))
    assert row["value"] == pytest.approx(expected["value"])
    assert f'data-sort="{row["value"]}"' in page.read_text()
    table = pq.read_table(folder / "results" / "alignments.parquet").to_pylist()
    assert row["value"] in [r["value"] for r in table if r["model_a"] == "alpha-0"]


def test_the_tree_has_the_distances_of_profiles(folder: Path) -> None:
    path = folder / "results" / DATASETS[0] / "tree-data-cka.json"
    tree: dict[str, Any] = json.loads(path.read_text())
    names = [point["modelName"] for point in tree["points"]]
    found = {
        (row["model_a"], row["model_b"]): row["value"]
        for row in pq.read_table(folder / "results" / "alignments.parquet").to_pylist()
        if (row["dataset"], row["metric"]) == (DATASETS[0], "cka")
    }
    values = np.array([[found[a, b] for b in names] for a in names])
    np.testing.assert_allclose(tree["matrix"], profile_distances(values), atol=1e-6)
    assert all((folder / "models" / f"{point['slug']}.html").is_file() for point in tree["points"])


def test_addresses_suit_every_file_system() -> None:
    assert slug("chgnet-0.3.0@untrained-2") == "chgnet-0.3.0@untrained-2"
    assert slug("a/b c:d#layer-1") == "a-2Fb-20c-3Ad-23layer-1"
    assert pair_page("b", "a") == pair_page("a", "b") == "pairs/a/b.html"


def test_a_page_of_another_maker_is_left_alone(
    store_path: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    (tmp_path / "index.html").write_text("mine")
    with (
        query.connect(store_path) as connection,
        pytest.raises(ValueError, match=r"index\.html is not a report and is left as it is"),
    ):
        site(connection, DATASETS, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_pages_sort_filter_and_draw(browser: Browser, folder: Path) -> None:  # noqa: F811
    page = browser.new_page(viewport={"width": 390, "height": 800})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda sent: None if sent.url.startswith("file:") else said.append(sent.url))
    page.goto(folder.joinpath("index.html").as_uri())
    page.get_by_label("Search").fill("alpha untrained")
    shown = page.locator("#models tbody tr:visible").all_inner_texts()
    assert shown and all("alpha" in text and "untrained" in text for text in shown)
    page.goto(folder.joinpath("models", "alpha-0.html").as_uri())
    table = page.locator("table").first
    heading = table.get_by_role("button", name="systems")
    heading.click()
    heading.click()
    counts = [int(text) for text in table.locator("td:nth-child(7)").all_inner_texts()]
    assert counts == sorted(counts, reverse=True)
    page.goto(folder.joinpath("datasets", f"{DATASETS[0]}.html").as_uri())
    page.locator(".figure svg, .figure canvas").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert said == []
    page.close()
