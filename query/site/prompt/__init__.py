"""The SQL prompt: its page, which `matterzoo serve` has, too, and what answers it in a browser.

`page/` has HTML, style and scripts: `over_http.js` asks a server, `in_browser.js` asks DuckDB in
the browser. `packages` says which npm packages that needs and how they become files of a site,
`vectors` which vectors a site has, `catalog` what the page says of them; `parts` is all of it.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["ASSETS", "PAGE", "prompt_html"]

PAGE = Path(__file__).parent / "page"
ASSETS = Path(__file__).parents[1] / "assets"


def prompt_html() -> str:
    """Return the HTML of the prompt: what is typed, examples, chart and rows."""
    return (PAGE / "prompt.html").read_text(encoding="utf-8")
