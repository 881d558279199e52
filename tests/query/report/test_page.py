"""The page in a browser: it fetches nothing, shows every section, and its switches work."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from playwright.sync_api import Browser, Page, expect

import query
from query import figures
from query.report import SECTIONS, report
from query.report.versions import per_dataset
from query.report.views import Panel, Section
from tests.query.figures.conftest import (
    LARGE,
    SMALL,
    add_model,
    insert_vectors,
    make_store,
    make_vectors,
)
from tests.query.report.conftest import find_faults, first_version_of
from tests.vectors import add_query, remove

MATRIX = [
    Section(
        "alignment_matrix",
        "Who?",
        "How.",
        [Panel("alignment_matrix", figures.alignment_matrix, per_dataset())],
    )
]
CONTROLS = [section for section in SECTIONS if section.name == "control_alignment"]
MEGABYTE = 2**20


class Opened:
    """A page in the browser, with all that it requested, and its errors."""

    def __init__(self, browser: Browser, path: Path, width: int = 1400) -> None:
        self.page: Page = browser.new_page(viewport={"width": width, "height": 900})
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(path.as_uri())
        self.tip = self.page.locator("#vg-tooltip-element.visible")

    def fetched(self) -> list[str]:
        """Return what was requested besides the page and what it holds."""
        return [url for url in self.asked[1:] if not url.startswith("data:")]


@pytest.fixture
def opened(browser: Browser, page_path: Path) -> Iterator[Opened]:
    tab = Opened(browser, page_path)
    yield tab
    assert (tab.complaints, tab.fetched()) == ([], [])
    tab.page.close()


def test_every_section_shows_a_figure_or_a_reason(opened: Opened) -> None:
    questions = opened.page.locator("main :is(h2, .empty h3)").all_inner_texts()
    others = ["Where does all this come from?", "Questions without a figure yet"]
    assert sorted(questions) == sorted([section.question for section in SECTIONS] + others)
    for section in SECTIONS:
        place = opened.page.locator(f"#{section.name}")
        place.scroll_into_view_if_needed()
        shown = place.locator(".canvas svg.marks:visible, .nothing:visible").first
        expect(shown).to_be_visible()
        assert shown.evaluate("shown => shown.clientWidth > 100 || shown.textContent.length > 20")


def test_the_contents_lead_to_the_sections(opened: Opened) -> None:
    links = opened.page.locator("nav a").evaluate_all(
        "links => links.map(link => link.hash.slice(1))"
    )
    shown = opened.page.locator("main :is(section, .empty)")
    assert links == shown.evaluate_all("sections => sections.map(s => s.id)")


def test_questions_without_a_figure_are_together_at_the_end(opened: Opened) -> None:
    names = opened.page.locator("main > section").evaluate_all("all => all.map(s => s.id)")
    below = opened.page.locator("#unanswered > .empty").evaluate_all("all => all.map(s => s.id)")
    order = [section.name for section in SECTIONS]
    assert names == [name for name in order if name not in below] + ["provenance", "unanswered"]
    assert below == [name for name in order if name in below] and "layer_alignment" in below
    assert opened.page.locator("main > section:not(#unanswered) > .panel > .nothing").count() == 0


MATRIX_CELLS = "#alignment_matrix .view:visible g.mark-rect.role-mark path"


def test_a_cell_under_the_mouse_shows_its_pair_and_its_value(
    opened: Opened, page_path: Path
) -> None:
    rows = rows_of(page_path, "alignment_matrix-crystals-cknna")
    opened.page.locator("#alignment_matrix").scroll_into_view_if_needed()
    cells = opened.page.locator(MATRIX_CELLS)
    expect(cells).to_have_count(len(rows))
    for place in (1, len(rows) - 1):
        row = rows[place]
        cells.nth(place).hover(force=True)  # the number in it lies over it, and tells the same
        for text in (row["model_a"], row["model_b"], f"{float(row['value']):.5g}"):
            expect(opened.tip).to_contain_text(text)
    opened.page.mouse.move(5, 5)
    expect(opened.tip).to_have_count(0)


def test_the_switches_change_the_figure(opened: Opened) -> None:
    opened.page.locator("#alignment_matrix").scroll_into_view_if_needed()
    opened.page.locator("#alignment_matrix label", has_text=re.compile("^CKA$")).click()
    view = opened.page.locator("#alignment_matrix-crystals-cka")
    expect(view.locator("figcaption")).to_contain_text("CKA on crystals")
    expect(view.locator("svg.marks")).to_contain_text("CKA (high is alike)")
    opened.page.locator("#alignment_matrix label", has_text="molecules").click()
    expect(opened.page.locator("#alignment_matrix-molecules-cka svg.marks")).to_be_visible()
    expect(opened.page.locator("#alignment_matrix .view:visible")).to_have_count(1)


def test_a_model_is_picked_out_in_all_figures(opened: Opened) -> None:
    opened.page.locator("#alignment_matrix").scroll_into_view_if_needed()
    cells = opened.page.locator(MATRIX_CELLS)
    expect(cells.first).to_be_visible()
    assert opened.page.locator(f"{MATRIX_CELLS}[opacity='0.1']").count() == 0
    opened.page.locator("#pick").select_option("alpha-0")
    faded = 7 * 7  # of 8 models, the cells in neither the row nor the column of the one
    expect(opened.page.locator(f"{MATRIX_CELLS}[opacity='0.1']")).to_have_count(faded)


def test_a_map_shows_the_structure_of_a_system_as_several_models_see_it(opened: Opened) -> None:
    section = opened.page.locator("#system_map")
    section.scroll_into_view_if_needed()
    points = section.locator(".view:visible g.mark-symbol.role-mark path")
    expect(points).to_have_count(60)
    beside = section.locator(".structure")
    beside.locator("select").select_option("crystals/003")
    expect(beside.locator(".drawing svg path").first).to_be_visible()
    expect(beside.locator("p")).to_have_text("crystals/003")
    points.nth(59).hover(force=True)
    expect(opened.tip).to_contain_text("crystals/")
    beside.locator("select").select_option("crystals/059")
    expect(beside.locator("p")).to_contain_text("crystals/059: no drawing")
    expect(beside.locator(".drawing svg")).to_have_count(0)
    models = section.get_by_label("As seen by")
    name = models.locator("option").nth(1).inner_text()
    models.select_option(name)
    expect(section.locator("svg.marks")).to_contain_text(f"{name}: ")


def test_axe_finds_no_serious_fault(opened: Opened, axe: str) -> None:
    for section in opened.page.locator("main section").all():
        section.scroll_into_view_if_needed()
    expect(opened.page.locator("#system_map svg.marks")).to_be_visible()
    assert find_faults(opened.page, axe) == []
    opened.page.emulate_media(color_scheme="dark")
    expect(opened.page.locator("#system_map svg.marks")).to_be_visible()
    assert find_faults(opened.page, axe) == []


def test_tables_sort_by_keyboard(opened: Opened) -> None:
    table = opened.page.locator("#provenance table").nth(1)
    heading = table.get_by_role("button", name="numbers per vector").first
    heading.focus()
    for falling in (False, True):
        opened.page.keyboard.press("Enter")
        state = "descending" if falling else "ascending"
        expect(table.locator(f"th[aria-sort={state}]")).to_have_text("numbers per vector")
        number = table.locator("th").all_inner_texts().index("numbers per vector") + 1
        cells = table.locator(f"td:nth-child({number})").all_inner_texts()
        values = [int(text.replace(",", "")) for text in cells if text]
        assert values == sorted(values, reverse=falling) and len(set(values)) > 1


def test_the_copied_sql_gives_the_data(opened: Opened, store_path: Path, page_path: Path) -> None:
    opened.page.locator("#alignment_matrix .view:visible summary").click()
    opened.page.locator("#alignment_matrix .view:visible button.copy").click()
    copied = opened.page.evaluate("getSelection().toString()")
    with query.connect(store_path) as connection:
        answer = connection.sql(copied)
        assert len(answer.fetchall()) == len(rows_of(page_path, "alignment_matrix-crystals-cknna"))


def test_a_phone_shows_all_of_it_without_scrolling_sideways(
    browser: Browser, page_path: Path
) -> None:
    tab = Opened(browser, page_path, width=420)
    assert tab.page.evaluate("document.documentElement.scrollWidth") == 420
    hint = tab.page.locator("#provenance .table.wider").first.evaluate(
        "table => getComputedStyle(table, '::before').content"
    )
    assert "move it sideways" in hint
    tab.page.close()


def test_a_legend_of_color_and_dashes_has_one_title_on_a_phone(
    browser: Browser, page_path: Path
) -> None:
    tab = Opened(browser, page_path, width=420)
    tab.page.locator("#novelty .canvas").scroll_into_view_if_needed()
    expect(tab.page.locator("#novelty .role-legend-title")).to_have_text(["family", "line of"])
    tab.page.close()


def test_a_wide_window_is_used_and_the_menu_stands_at_the_figure(
    browser: Browser, page_path: Path
) -> None:
    tab = Opened(browser, page_path, width=2000)
    view = tab.page.locator("#alignment_matrix .view:visible")
    view.scroll_into_view_if_needed()
    expect(view.locator("svg.marks")).to_be_visible()
    view.locator("summary[aria-label]").wait_for()
    figure, menu = (
        box
        for selector in ("svg.marks", "summary[aria-label]")
        if (box := view.locator(selector).bounding_box()) is not None
    )
    assert figure["width"] > 650  # and 288 px of cells where there is less room
    assert abs(menu["x"] - figure["x"] - figure["width"]) < 20
    assert (tab.complaints, tab.fetched()) == ([], [])
    tab.page.close()


def test_a_square_panel_of_few_marks_stays_small(opened: Opened) -> None:
    spec = "{ width: 300, height: 300, datasets: { a: Array(MARKS).fill({}) } }"
    grown = [
        opened.page.evaluate(f"most({spec.replace('MARKS', marks)})") for marks in ("1", "9", "99")
    ]
    assert grown == pytest.approx([1, 1.5, 0.7 * 900 / 300])
    assert opened.page.evaluate("most({ width: 300, height: 200 })") == 4


def test_a_section_without_data_has_a_command_to_copy(opened: Opened) -> None:
    section = opened.page.locator("#layer_alignment.empty")
    command = section.locator(".nothing pre")
    expect(command).to_have_text("matterzoo ingest MODEL crystals --representation layers")
    section.locator("button.copy").click()
    assert opened.page.evaluate("getSelection().toString()") == command.inner_text()


def test_without_scripts_the_text_and_the_data_are_there(browser: Browser, page_path: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_path.as_uri())
    expect(page.locator("#alignment_matrix .view:visible")).to_have_count(1)
    assert "<noscript>The figure needs JavaScript" in page.content()
    context.close()


def test_names_are_text_whatever_they_hold(browser: Browser, tmp_path: Path) -> None:
    evil = "<img src=http://127.0.0.1/x onerror=alert(1)>"
    path = make_store(tmp_path / "matter.duckdb", {"alpha": 1})
    with query.connect(path, read_only=False) as connection:
        add_model(connection, evil, "</script><b>family", ["OC20"], parameters=1)
        insert_vectors(connection, "crystals", evil, make_vectors(SMALL, 0)["beta-0"])
        page = report(connection, ["crystals"], tmp_path / "report", MATRIX)
    tab = Opened(browser, page)
    assert (tab.complaints, tab.fetched()) == ([], [])
    assert evil in tab.page.locator("#provenance table").nth(1).inner_text()
    tab.page.close()


def test_a_warning_at_the_top_names_failed_controls(
    browser: Browser, store_path: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "matter.duckdb"
    copy.write_bytes(store_path.read_bytes())
    with query.connect(copy, read_only=False) as connection:
        swap_controls(connection)
        page = report(connection, ["crystals"], tmp_path / "report", CONTROLS)
    tab = Opened(browser, page)
    warning = tab.page.locator("[role=alert]")
    assert warning.inner_text().startswith("On crystals, ")
    assert "yard-shuffled" in warning.inner_text()
    assert warning.get_by_role("link").get_attribute("href") == "#control_alignment"
    tab.page.close()


def swap_controls(connection: duckdb.DuckDBPyConnection) -> None:
    """Give the shuffled control the vectors of the rotated one."""
    remove(connection, "model_id = 'yard-shuffled'")
    add_query(
        connection,
        "SELECT * REPLACE ('yard-shuffled' AS model_id) FROM embeddings "
        "WHERE model_id = 'yard-rotated'",
    )
    remove(connection, "model_id = 'yard-rotated'")


def test_a_sentence_leads_to_its_version_of_a_figure(opened: Opened) -> None:
    view = "alignment_matrix-molecules-cknna"
    opened.page.locator(f".findings a[data-view={view}]").first.click()
    expect(opened.page.locator(f"#{view} svg.marks")).to_be_visible()
    expect(opened.page.locator("#alignment_matrix .view:visible")).to_have_count(1)
    assert opened.page.locator("#alignment_matrix input:checked").first.input_value() == "molecules"


def test_the_page_reports_that_controls_hold(opened: Opened) -> None:
    assert opened.page.locator("[role=alert]").count() == 0
    assert "On crystals\nAll " in opened.page.locator(".findings").inner_text()


def test_60_models_fit_on_a_page(browser: Browser, tmp_path: Path) -> None:
    """The figures that have a mark or a cell for each model; `make bench` has the others."""
    names = ("alignment_matrix", "model_tree")
    sections = [first_version_of(section) for section in SECTIONS if section.name in names]
    with query.connect(make_store(tmp_path / "matter.duckdb", LARGE)) as connection:
        page = report(connection, ["crystals"], tmp_path / "report", sections)
    tab = Opened(browser, page)
    for name in names:
        tab.page.locator(f"#{name}").scroll_into_view_if_needed()
        expect(tab.page.locator(f"#{name} svg.marks")).to_be_visible()
    expect(tab.page.locator(MATRIX_CELLS)).to_have_count(62 * 62)
    assert (tab.complaints, tab.fetched()) == ([], [])
    assert page.stat().st_size < 10 * MEGABYTE
    tab.page.close()


def test_it_is_small(page_path: Path) -> None:
    assert page_path.stat().st_size < 10 * MEGABYTE


def rows_of(page: Path, name: str) -> list[dict[str, str]]:
    with (page.parent / "figures" / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))
