"""A site: every address leads somewhere, and every number is what SQL says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser, Page

import query
from ingest.share.permission import why_not_shared
from matterzoo import _parse
from query.commands.ask import _prompt_sources
from query.metrics import cka, mutual_knn
from query.report import SECTIONS, report
from query.site import Sources, site
from query.site.addresses import pair_page, slug
from query.statistics.neighbor_joining import profile_distances
from tests.query.figures.conftest import DATASETS as BOTH
from tests.query.report.conftest import (  # noqa: F401
    axe,
    browser,
    find_faults,
    first_version_of,
    store_path,
)
from tests.query.site.firefox import FIREFOX, look
from tests.query.site.keyboard import use_keyboard
from zoo.weights.errors import DownloadError
from zoo.weights.npm import read_npm_package

DATASETS = BOTH[:1]
DARK_INK = "rgb(230, 233, 236)"
LINK = re.compile(r'(?:href|src)="([^"#]+)"')


def prompt_sources() -> Sources | None:
    """What the prompt is made from; None where neither a network nor the user's cache has it."""
    try:
        return Sources.read(read_npm_package, may_be_shared)
    except DownloadError:
        return None


def may_be_shared(model: str, row: dict[str, Any], dataset: str, license: str) -> str | None:
    reason = why_not_shared(model, row, dataset, license)
    return "its license forbids it" if model == "beta-0" else reason


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
        found = site(connection, DATASETS, out, "A title & more", prompt_sources())
    assert found == out / "index.html"
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
    pair: dict[str, Any] = json.loads(page.with_suffix(".json").read_text())
    assert (pair["model_a"], pair["model_b"]) == ("alpha-0", "beta-1")
    (row,) = (r for r in pair["alignments"] if (r["dataset"], r["metric"]) == (DATASETS[0], "cka"))
    assert row["value"] == pytest.approx(expected["value"])
    assert f"<td>{row['value']:.3f}<td>" in page.read_text()
    table = pq.read_table(folder / "results" / "alignments.parquet").to_pylist()
    whole = {(r["model_a"], r["model_b"], r["metric"]): r["value"] for r in table}
    assert float(f"{whole['alpha-0', 'beta-1', 'cka']:.8g}") == row["value"]
    assert {"doi", "citation"} <= {*pq.read_schema(folder / "results" / "models.parquet").names}


def test_pages_say_what_they_are_to_be_compared_with(folder: Path) -> None:
    models = pq.read_table(folder / "results" / "models.parquet").to_pylist()
    twins = sum(model["kind"] == "twin" for model in models)
    assert f"{twins} untrained twins (the same networks" in (folder / "index.html").read_text()
    pair = (folder / pair_page("alpha-0", "beta-1")).read_text()
    assert "<td>with alpha-0<wbr>@untrained<td>" in pair
    twin = (folder / "models" / "alpha-0@untrained.html").read_text()
    assert pair_page("alpha-0", "beta-1") in twin  # which has the numbers of the two
    assert pair_page("alpha-0", "alpha-0@untrained") in twin
    assert not (folder / pair_page("alpha-0@untrained", "beta-1")).exists()
    found = json.loads((folder / pair_page("alpha-0", "beta-1")).with_suffix(".json").read_text())
    assert {(each["model_a"], each["model_b"]) for each in found["of_twins"]} == {
        ("alpha-0@untrained", "beta-1"),
        ("alpha-0", "beta-1@untrained"),
        ("alpha-0@untrained", "beta-1@untrained"),
    }


def test_a_family_is_beside_the_nearest_of_others(folder: Path) -> None:
    rows = pq.read_table(folder / "results" / "alignments.parquet").to_pylist()
    beta = [f"beta-{i}" for i in range(3)]
    near = max(
        (
            r
            for r in rows
            if (r["metric"], r["model_a"]) == ("cknna", "alpha-0") and r["model_b"] in beta
        ),
        key=lambda row: float(row["calibrated"]),
    )
    text = (folder / "families" / "alpha.html").read_text()
    found = re.search(
        r'models/alpha-0.html">alpha-0</a><td>crystals<td>.*?>(.*?)</a><td>(.*?)<', text
    )
    assert found is not None
    assert found.groups() == (near["model_b"], f"{near['value']:.3f}")


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


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:  # noqa: F811
    """A dark page on a phone that says nothing, asks nobody, and fits."""
    page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda sent: None if sent.url.startswith("file:") else said.append(sent.url))
    yield page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert said == []
    page.close()


def test_tables_sort_and_filter(
    phone: Page,
    folder: Path,
    axe: str,  # noqa: F811
) -> None:
    page = phone
    page.goto(folder.joinpath("index.html").as_uri())
    page.get_by_label("Search").fill("alpha untrained")
    assert find_faults(page, axe) == []
    shown = page.locator("#models tbody tr:visible").all_inner_texts()
    assert shown and all("alpha" in text and "untrained" in text for text in shown)
    page.goto(folder.joinpath("models", "alpha-0.html").as_uri())
    table = page.locator("table").first
    heading = table.get_by_role("button", name="systems")
    heading.click()
    heading.click()
    assert find_faults(page, axe) == []
    counts = [int(text) for text in table.locator("td:nth-child(8)").all_inner_texts()]
    assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize(
    "address",
    ["index.html", "submit.html", "404.html", "families/alpha.html", "models/beta-0.html"]
    + [f"datasets/{DATASETS[0]}.html", pair_page("alpha-0", "beta-1"), pair_page("yard", "flat")],
)
def test_every_kind_of_page_suits_a_phone(
    phone: Page,
    folder: Path,
    axe: str,  # noqa: F811
    address: str,
) -> None:
    phone.goto((folder / address).as_uri())
    assert find_faults(phone, axe) == []
    for table in phone.locator(".table").all():
        is_cut, is_hinted = table.evaluate(
            "it => [it.scrollWidth > it.clientWidth + 1, it.classList.contains('wider')]"
        )
        assert is_cut == is_hinted
        assert not (is_cut and "cards" in str(table.get_attribute("class")))


def test_commands_scroll_and_are_not_broken(phone: Page, folder: Path) -> None:
    phone.goto((folder / "submit.html").as_uri())
    command = phone.locator("pre", has_text="--vectors")
    text = command.evaluate("it => (getSelection().selectAllChildren(it), String(getSelection()))")
    assert command.evaluate("it => it.scrollWidth > it.clientWidth")
    assert text.splitlines()[0].endswith("--vectors vectors.parquet --license CC-BY-4.0")


def test_a_page_that_is_missing_leads_to_the_first(phone: Page, folder: Path) -> None:
    page = folder.joinpath("404.html").read_text()
    phone.route("**/gone.html", lambda route: route.fulfill(body=page, content_type="text/html"))
    phone.goto((folder / "pairs" / "a" / "gone.html").as_uri())
    assert phone.locator("header").evaluate("it => getComputedStyle(it).borderBottomWidth") == "1px"
    phone.get_by_role("link", name="The first page").click()
    phone.wait_for_url(folder.joinpath("index.html").as_uri())


def test_figures_are_drawn_in_the_colors_chosen(
    phone: Page,
    folder: Path,
    axe: str,  # noqa: F811
) -> None:
    page = phone
    page.goto(folder.joinpath("datasets", f"{DATASETS[0]}.html").as_uri())
    page.locator(".figure svg").first.wait_for()
    structure = page.locator(".structure")
    structure.scroll_into_view_if_needed()
    structure.locator("select").select_option(f"{DATASETS[0]}/003")
    structure.locator(".drawing svg path").first.wait_for()
    colors = page.get_by_label("Colored by")
    *_, last = colors.locator("option").all_inner_texts()
    colors.select_option(last)
    figure = page.locator(".figure", has=colors)
    figure.locator("svg.marks").get_by_text(last).first.wait_for()
    letters = page.locator(".figure svg.marks .role-axis-label text").first
    assert letters.evaluate("letters => getComputedStyle(letters).fill") == DARK_INK
    assert find_faults(page, axe) == []


def test_without_a_network_a_site_has_no_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("npm_config_registry", "https://registry.invalid")
    options = _parse(["site", "aflow"])
    assert _prompt_sources(options) is None
    assert "the site gets no SQL prompt: no network: registry.invalid" in capsys.readouterr().err


@pytest.mark.browser
@pytest.mark.skipif(FIREFOX is None, reason="needs Firefox: apt-get install firefox-esr")
def test_pages_work_in_firefox(
    folder: Path,
    store_path: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    (tmp_path / "site").symlink_to(folder)
    section = next(section for section in SECTIONS if section.name == "system_map")
    with query.connect(store_path) as connection:
        report(connection, DATASETS, tmp_path / "report", [first_version_of(section)])
    pages = [f"site/datasets/{DATASETS[0]}.html", "report/index.html", "site/models/alpha-0.html"]
    dataset, page, model = found = look(tmp_path, pages, tmp_path / "profile")
    for each in found:
        assert re.search(r"Firefox/\d+", each["agent"])
        assert (each["said"], each["fetched"]) == ([], [])
        assert each["figures"] == each["places"]
        assert each["sorted"] == 1
    assert (dataset["places"] > 3, page["places"], model["places"]) == (True, 1, 0)
    assert min(dataset["structures"], page["structures"]) > 0


@pytest.fixture(scope="module")
def asked(folder: Path) -> Path:
    """The same folder, if it has a prompt."""
    if not (folder / "sql.html").is_file():
        pytest.skip("needs DuckDB-WASM: a network that reaches registry.npmjs.org")
    return folder


def test_vectors_are_the_stored_ones_as_float16(
    asked: Path,
    store_path: Path,  # noqa: F811
) -> None:
    sets = pq.read_table(asked / "results" / "vector_sets.parquet").to_pylist()
    assert [r["model_id"] for r in sets if r["left_out"] is not None] == ["beta-0"]
    (row,) = (r for r in sets if r["model_id"] == "alpha-0")
    table = pq.read_table(asked / "vectors" / f"{DATASETS[0]}.parquet")
    assert str(table.schema.field("vector").type) == "list<element: halffloat>"
    assert "beta-0" not in table.column("model_id").to_pylist()
    assert {r["model_id"] for r in sets} - {"beta-0"} == {*table.column("model_id").to_pylist()}
    found = {r["system_id"]: r["vector"] for r in table.to_pylist() if r["model_id"] == "alpha-0"}
    assert len(found) == row["systems"] > 10
    with query.connect(store_path) as connection:
        stored = dict(
            connection.execute(
                "SELECT system_id, vector FROM embeddings WHERE model_id = 'alpha-0'"
            ).fetchall()
        )
    for system, vector in found.items():
        expected = np.array(stored[system]) * row["factor"]
        np.testing.assert_allclose(np.array(vector, dtype=float), expected, rtol=2**-11, atol=1e-3)


@contextmanager
def hosted(folder: Path) -> Iterator[str]:
    """A static host on loopback."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_duckdb_in_the_browser_gives_our_numbers(
    browser: Browser,  # noqa: F811
    asked: Path,
    axe: str,  # noqa: F811
) -> None:
    table = pq.read_table(asked / "vectors" / f"{DATASETS[0]}.parquet").to_pylist()
    a, b = (
        np.array([r["vector"] for r in table if r["model_id"] == model], dtype=np.float32)
        for model in ("alpha-0", "beta-1")
    )
    page = browser.new_page(viewport={"width": 390, "height": 800})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    with hosted(asked) as address:
        page.on("request", lambda r: None if r.url.startswith(address) else said.append(r.url))
        page.goto(f"{address}/sql.html")
        page.locator("#answer tbody tr").first.wait_for(timeout=60_000)  # the first example
        page.get_by_role("checkbox", name="Chart").check()
        page.locator("#chart canvas").wait_for()
        assert find_faults(page, axe) == []
        use_keyboard(page)
        page.fill(
            "#sql",
            "SELECT 'ours' AS who, cka(a.vector, b.vector) AS x, mutual_knn(a.vector, b.vector, "
            "k := 5) AS y FROM vectors AS a JOIN vectors AS b USING (dataset, system_id) "
            "WHERE a.model_id = 'alpha-0' AND b.model_id = 'beta-1'",
        )
        page.keyboard.press("Control+Enter")
        page.get_by_role("cell", name="ours").wait_for(timeout=60_000)
        shown = page.locator("#answer td.number")
        found = [float(str(shown.nth(i).get_attribute("title"))) for i in range(2)]
        page.fill("#sql", "SHOW TABLES")
        page.keyboard.press("Control+Enter")
        page.locator("#answer").get_by_role("cell", name="vector_sets").wait_for()
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
        assert said == []
        page.fill("#sql", "FROM nothing")
        page.keyboard.press("Control+Enter")
        page.get_by_text("Table with name nothing does not exist").wait_for()
        assert find_faults(page, axe) == []
    assert found == pytest.approx([cka(a, b), mutual_knn(a, b, 5)], abs=1e-9)
    page.close()


def test_a_pair_leads_to_its_rows_and_a_missing_function_to_the_store(
    browser: Browser,  # noqa: F811
    asked: Path,
) -> None:
    page = browser.new_page()
    with hosted(asked) as address:
        page.goto(f"{address}/{pair_page('alpha-0', 'beta-1')}")
        page.get_by_role("link", name="here in your browser").click()
        page.locator("#answer tbody tr").first.wait_for(timeout=60_000)
        for name in ("alpha-0", "beta-1"):
            cells = page.locator("#answer").get_by_role("cell", name=name, exact=True)
            assert cells.count() == 2  # a row per metric
        heading = page.get_by_role("button", name="calibrated")
        about = "alignments.calibrated: the value between chance (0) and identity (1)"
        assert heading.get_attribute("title") == about
        page.fill("#sql", "FROM nearest_models('alpha-0')")
        page.keyboard.press("Control+Enter")
        page.get_by_text("The others need the store").wait_for()
        assert "Did you mean" not in page.locator("#error").inner_text()
    page.close()


def test_a_prompt_without_its_database_says_so(
    browser: Browser,  # noqa: F811
    asked: Path,
) -> None:
    page = browser.new_page()
    with hosted(asked) as address:
        page.context.route("**/*.wasm.packed", lambda route: route.fulfill(status=404))
        page.goto(f"{address}/sql.html")
        page.get_by_role("alert").get_by_text("DuckDB cannot be read: HTTP status 404").wait_for()
        assert page.get_by_role("button", name="Run").is_enabled()
    page.close()
