"""A real server on loopback, asked over HTTP and by a browser."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from matterzoo import main
from query.serve.app import HEADERS
from tests.query import stores
from tests.query.report.conftest import axe, browser, find_faults  # noqa: F401
from tests.query.site.keyboard import use_keyboard

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "matter.duckdb"
    return stores.make(path, stores.tables(2, 40, 3))


@contextmanager
def serving(store: Path, *words: str, **environment: str) -> Iterator[tuple[str, str]]:
    """Serve a store; yield the address, and what follows it."""
    command = [sys.executable, "-m", "matterzoo", "serve", "--store", str(store), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--readers", "1", *words],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        found = re.search(r" at http://(\S+?)/(\S*) \(read-only; Ctrl-C ends\)", said)
        assert found is not None, said
        yield found[1], found[2]
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        process.stdout.close()


def get(
    address: str, path: str, body: object = None, **headers: str
) -> tuple[int, str, dict[str, str]]:
    """Return status, content and headers."""
    connection = http.client.HTTPConnection(address, timeout=120)
    method, sent = ("GET", None) if body is None else ("POST", json.dumps(body))
    connection.request(method, path, sent, headers)
    found = connection.getresponse()
    content = found.read().decode()
    connection.close()
    return found.status, content, dict(found.getheaders())


@pytest.fixture(scope="module")
def address(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pages = tmp_path_factory.mktemp("pages")
    (pages / "index.html").write_text("<title>A report</title>")
    with serving(store, "--pages", str(pages)) as (address, rest):
        assert rest == ""
        yield address


def test_a_statement_is_answered(address: str) -> None:
    status, content, _ = get(address, "/query", {"sql": "SELECT 1 AS one"}, **JSON)
    assert status == 200
    found = json.loads(content)
    assert found["columns"] == [{"name": "one", "type": "INTEGER"}]
    assert found["rows"] == [[1]]


@pytest.mark.parametrize(
    ("body", "headers", "status", "why"),
    [
        ({"sql": "FROM nothing"}, JSON, 400, "Table with name nothing does not exist"),
        ({"sql": 1}, JSON, 400, "expected .*SELECT"),
        ([], JSON, 400, "expected .*SELECT"),
        ({"sql": "SELECT 1"}, {"Content-Type": "text/plain"}, 415, "expected Content-Type"),
        ({"sql": " " * 100_001}, JSON, 413, "may have 100,000 letters"),
        ({"sql": " " * 500_000}, JSON, 413, "may have 100,000 letters"),
        ({"sql": "SELECT 1"}, JSON | {"Host": "example.org"}, 400, "Invalid host"),
    ],
)
def test_what_is_not_answered(
    address: str, body: object, headers: dict[str, str], status: int, why: str
) -> None:
    found, content, _ = get(address, "/query", body, **headers)
    assert found == status
    assert re.search(why, content)


def test_pages_that_were_written_are_served_and_nothing_beside_them(address: str) -> None:
    assert get(address, "/pages/")[:2] == (200, "<title>A report</title>")
    assert get(address, "/pages/../matter.duckdb")[0] == 404
    assert get(address, "/pages/%2e%2e/matter.duckdb")[0] == 404
    assert get(address, "/prompt.py")[0] == 404
    status, _, headers = get(address, "/")
    assert status == 200
    assert HEADERS.items() <= {name.title(): text for name, text in headers.items()}.items()


def test_elsewhere_than_on_loopback_a_token_is_needed(store: Path) -> None:
    with serving(store, "--address", "0.0.0.0", MATTERZOO_TOKEN="s3cret") as (address, rest):
        assert rest == "?token=s3cret"
        address = address.replace("0.0.0.0", "127.0.0.1")
        for path in ("/", "/?token=wrong", "/about", "/prompt.js", "/vega.js"):
            assert get(address, path)[0] == 401, path
        assert get(address, "/query", {"sql": "SELECT 1"}, **JSON)[0] == 401
        assert get(address, "/", Authorization="Bearer wrong")[0] == 401
        assert get(address, "/", Authorization="Bearer s3cret")[0] == 200
        status, _, headers = get(address, f"/{rest}")
        assert (status, headers["location"]) == (303, "/")
        assert get(address, "/", Cookie=headers["set-cookie"].partition(";")[0])[0] == 200


def test_the_page_asks_shows_sorts_and_saves(
    browser: Browser,  # noqa: F811
    address: str,
    axe: str,  # noqa: F811
) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800})
    errors: list[Any] = []
    page.on("pageerror", lambda error: errors.append(error))
    page.on("console", lambda message: errors.append(message.text))
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(f"http://{address}/")
    page.get_by_role("cell", name="many").wait_for()  # the first example has run
    assert page.get_by_text("Ask matter.duckdb in SQL").is_visible()
    assert page.locator("#state").inner_text().startswith("1 row, ")
    page.fill("#sql", "SELECT a, a % 3 AS b FROM range(5) AS t(a)")
    page.keyboard.press("Control+Enter")
    page.get_by_text("5 rows").wait_for()
    page.get_by_role("checkbox", name="Chart").check()
    page.locator("#chart canvas").wait_for()
    page.get_by_role("button", name="b BIGINT").click()
    page.get_by_role("button", name="b BIGINT").click()
    assert page.locator("tbody tr").first.inner_text().split() == ["2", "2"]
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    assert Path(download.value.path()).read_text().splitlines()[:2] == ['"a","b"', '"0","0"']
    assert find_faults(page, axe) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert errors == []
    assert {url.split("/")[2] for url in requests if url.startswith("http")} == {address}
    page.close()


@pytest.mark.parametrize(
    ("sql", "heading", "meaning"),
    [
        (
            "SELECT rank FROM nearest_models('m0', dataset := 'many')",
            "rank BIGINT",
            "1 is the clos",
        ),
        ("SELECT n_unreadable FROM datasets", "n_unreadable", "Entries of the source"),
    ],
)
def test_headings_tell_what_columns_hold(
    browser: Browser,  # noqa: F811
    address: str,
    sql: str,
    heading: str,
    meaning: str,
) -> None:
    page = browser.new_page()
    page.goto(f"http://{address}/")
    page.get_by_role("cell", name="many").wait_for()  # the first example has run
    page.fill("#sql", sql)
    page.keyboard.press("Control+Enter")
    title = page.get_by_role("button", name=heading).get_attribute("title", timeout=60_000)
    assert title is not None
    assert re.match(rf"\w+\.\w+: {meaning}", title)
    page.close()


def test_the_page_tells_errors_and_needs_no_mouse(
    browser: Browser,  # noqa: F811
    address: str,
    axe: str,  # noqa: F811
) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
    page.goto(f"http://{address}/")
    page.get_by_role("cell", name="many").wait_for()
    page.fill("#sql", "FROM nothing")
    page.get_by_role("button", name="Run").click()
    page.get_by_text("Table with name nothing does not exist").wait_for()
    assert find_faults(page, axe) == []
    assert page.get_by_role("region").count() == 0  # nothing is left of the result before
    use_keyboard(page)
    page.close()


def test_ctrl_c_does_not_wait_for_a_statement(store: Path) -> None:
    endless = "SELECT count(*) FROM range(100000) a, range(100000000) b WHERE hash(a, b) = 1"
    with ThreadPoolExecutor() as threads:
        with serving(store) as (address, _):
            assert get(address, "/query", {"sql": "SELECT 1"}, **JSON)[0] == 200
            asked = threads.submit(get, address, "/query", {"sql": endless}, **JSON)
            with pytest.raises(TimeoutError, match="^$"):
                asked.result(timeout=1)  # it runs
        status, content, _ = asked.result()
    assert status == 503
    assert json.loads(content) == {"error": "the server is ending"}


def test_what_cannot_be_served(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--store", str(store), "--address", "192.0.2.1"]) == 2
    assert "192.0.2.1:8765 cannot be listened at" in capsys.readouterr().err
    assert main(["serve", "--store", str(store), "--pages", str(store.parent)]) == 2
    assert "has no index.html; `matterzoo report DATASET" in capsys.readouterr().err
    assert main(["serve", "--store", str(store), "--address", "here"]) == 2
    assert "'here'" in capsys.readouterr().err
