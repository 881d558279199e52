"""The SQL prompt without a mouse, in the site and in the server's page."""

from __future__ import annotations

from playwright.sync_api import Page, expect


def focus_by_tab(page: Page, name: str) -> None:
    """Press Tab until the element of this name has the focus."""
    for _ in range(40):
        page.keyboard.press("Tab")
        found = page.evaluate(
            "(it => it.getAttribute('aria-label') ?? (it.labels?.[0] ?? it).textContent)"
            "(document.activeElement)"
        )
        if found.strip().startswith(name):
            return
    raise AssertionError(f"Tab does not reach {name}")


def use_keyboard(page: Page) -> None:
    """Ask, draw, sort and scroll by keys alone; the cursor is in the statement."""
    page.locator("#sql").focus()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text("SELECT i AS a, i % 3 AS b FROM range(400) t(i)")
    focus_by_tab(page, "Run")
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_contain_text("400 rows")
    assert page.evaluate("document.activeElement.type") == "submit"
    focus_by_tab(page, "Chart")
    if not page.get_by_role("checkbox", name="Chart").is_checked():
        page.keyboard.press("Space")
    page.locator("#chart canvas").wait_for()
    focus_by_tab(page, "Result")
    page.keyboard.press("End")
    expect(page.locator("#answer tbody tr").last).to_be_in_viewport()
    focus_by_tab(page, "b")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(page.locator("#answer tbody tr:first-child td:last-child")).to_have_text("2")
    assert page.evaluate("document.activeElement.textContent").startswith("b")
