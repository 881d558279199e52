"""The page: one HTML file that holds all it shows, and fetches nothing."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from query.figures.drawing.plot import Tooltip
from query.report.html_table import html_table
from query.report.views import DrawnSection, Image, View
from query.statements import Answer

_FOLDER = Path(__file__).parent
_STYLE = (_FOLDER / "page.css").read_text(encoding="utf-8")
_SCRIPT = (_FOLDER / "page.js").read_text(encoding="utf-8")
# What marks a page as a report: only such a page is ever replaced.
GENERATOR = '<meta name="generator" content="matterzoo">'
_HASH = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
# The browser runs no script but ours and fetches nothing, whatever the names in a store hold.
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    f"script-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"
)
_INCH = 96  # CSS pixels
_PROVENANCE = ("provenance", "Where does all this come from?")


@dataclass(frozen=True)
class Table:
    """The rows of a statement, shown as they are.

    Attributes:
        name: The name of its files without their endings.
        title: What the rows are.
        answer: The rows.
    """

    name: str
    title: str
    answer: Answer


@dataclass(frozen=True)
class Page:
    """What the page shows.

    Attributes:
        title: The title.
        facts: The line below the title.
        warnings: Sentences on controls that do not hold.
        findings: Sentences on what the figures show, by dataset.
        sections: The figures.
        tables: Where the vectors come from.
        versions: The last line: what the numbers were computed with.
    """

    title: str
    facts: str
    warnings: Sequence[str]
    findings: Mapping[str, Sequence[str]]
    sections: Sequence[DrawnSection]
    tables: Sequence[Table]
    versions: str


def render_page(page: Page) -> str:
    """Return the whole HTML document.

    Args:
        page: What it shows. All texts are escaped here.
    """
    sections = "".join(_section(drawn) for drawn in page.sections)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
{GENERATOR}
<link rel="icon" href="data:,">
<title>{escape(page.title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>{escape(page.title)}</h1>
<p class="facts">{escape(page.facts)}</p>
{_warnings(page.warnings)}{_findings(page.findings)}{_contents(page.sections)}
</header>
<main>
{sections}{_provenance(page.tables, page.versions)}
</main>
<div id="tip" role="status" hidden></div>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return ""
    lines = "".join(f"<p>{escape(line)}</p>" for line in warnings)
    return f'<div class="warning" role="alert">{lines}</div>\n'


def _findings(findings: Mapping[str, Sequence[str]]) -> str:
    if not findings:
        return ""
    lists = "".join(
        f"<div><h3>On {escape(on)}</h3>"
        f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul></div>"
        for on, lines in findings.items()
    )
    return (
        '<div class="findings"><h2>What this store shows</h2>'
        f'<div class="lists">{lists}</div></div>\n'
    )


def _contents(sections: Iterable[DrawnSection]) -> str:
    entries = [(drawn.section.name, drawn.section.question) for drawn in sections] + [_PROVENANCE]
    lines = "".join(
        f'<li><a href="#{name}">{escape(question)}</a></li>' for name, question in entries
    )
    return f'<nav aria-label="Contents"><ol>{lines}</ol></nav>'


def _section(drawn: DrawnSection) -> str:
    section = drawn.section
    panels = "".join(_panel(views) for views in drawn.panels)
    return (
        f'<section id="{section.name}">\n<h2>{escape(section.question)}</h2>\n'
        f'<p class="reading">{escape(section.reading)}</p>\n{panels}</section>\n'
    )


def _panel(views: Sequence[View]) -> str:
    """Return the versions of a figure, the first of them shown.

    If no version can be drawn, all for the same reason, the reason is given once.
    """
    reasons = {view.reason for view in views}
    if len(reasons) == 1 and None not in reasons:
        return f'<div class="panel">{_nothing(str(reasons.pop()))}</div>\n'
    shown = "".join(_view(view, first=place == 0) for place, view in enumerate(views))
    return f'<div class="panel">\n{_switches(views)}{shown}</div>\n'


def _nothing(reason: str) -> str:
    return f'<p class="nothing">Nothing to draw: {escape(reason)}</p>'


def _switches(views: Sequence[View]) -> str:
    """Return radio buttons for each switch that leaves a choice."""
    switches = "".join(_switch(views, name) for name in views[0].version.switches)
    return f'<div class="switches">{switches}</div>\n'


def _switch(views: Sequence[View], name: str) -> str:
    values = list(dict.fromkeys(view.version.switches[name] for view in views))
    if len(values) == 1:
        return ""
    which = (
        f'name="{views[0].panel}-{escape(name)}" data-switch="{escape(name)}" autocomplete="off"'
    )
    buttons = "".join(
        f'<label><input type="radio" {which} value="{escape(value)}"'
        f"{' checked' if place == 0 else ''}><span>{escape(value)}</span></label>"
        for place, value in enumerate(values)
    )
    return f"<fieldset><legend>{escape(name)}</legend>{buttons}</fieldset>"


def _view(view: View, *, first: bool) -> str:
    switches = escape(json.dumps(view.version.switches))
    hidden = "" if first else " hidden"
    inside = (
        _nothing(str(view.reason))
        if view.image is None
        else _figure(view.name, view.image, first=first)
    )
    return (
        f'<div class="view" id="{escape(view.name)}" data-switches="{switches}"{hidden}>'
        f"{inside}</div>\n"
    )


def _figure(name: str, image: Image, *, first: bool) -> str:
    """Return an image with its links; of later versions, the image is packed until it is shown."""
    title, wide, high = escape(image.title), image.width * _INCH, image.height * _INCH
    svg = base64.b64encode(image.svg.encode()).decode()
    source = f'src="data:image/svg+xml;base64,{svg}" ' if first else ""
    tooltips = [_values(tooltip) for tooltip in image.tooltips]
    packed = _pack({"image": None if first else image.svg, "tooltips": tooltips})
    shown = f'<img {source}alt="{title}" width="{wide:.0f}" height="{high:.0f}">'
    focus = f'tabindex="0" role="group" aria-label="{title}; arrow keys move between its points"'
    return (
        f'<figure><div class="scroll"><div class="canvas" style="--wide:{wide:.0f}px" {focus}>'
        f"{shown}</div></div>"
        f"{_links(name, image.answer, ('svg', 'png', 'csv'))}</figure>"
        f'<script type="application/octet-stream" class="packed">{packed}</script>'
    )


def _values(tooltip: Tooltip) -> list[float | str]:
    """Return left, top, width, height and text, as the script expects them."""
    box = (tooltip.left, tooltip.top, tooltip.width, tooltip.height)
    return [*(round(value, 5) for value in box), tooltip.text]


def _pack(content: Any) -> str:
    """Return content as gzip in base64, the same bytes for the same content."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _links(name: str, answer: Answer, forms: Sequence[str]) -> str:
    """Return what stands below a figure or table: its files, and its SQL to copy."""
    links = "".join(f'<a href="figures/{escape(name)}.{form}">{form.upper()}</a>' for form in forms)
    return (
        f'<div class="links">{links}<details><summary>SQL</summary>'
        '<button type="button" class="copy">copy</button>'
        f'<pre tabindex="0">{escape(answer.sql)}</pre>'
        f'<a href="figures/{escape(name)}.sql">{escape(name)}.sql</a></details></div>'
    )


def _provenance(tables: Sequence[Table], versions: str) -> str:
    shown = "".join(
        f"<h3>{escape(table.title)}</h3>{html_table(table.answer)}"
        f"{_links(table.name, table.answer, ('csv',))}"
        for table in tables
    )
    name, question = _PROVENANCE
    return (
        f'<section id="{name}">\n<h2>{question}</h2>\n<p class="reading">Every number above was '
        "computed from the vectors of these runs. Long texts and hashes are shortened here; the "
        f"CSV files have them in full.</p>\n{shown}</section>\n"
        f"<footer>{escape(versions)}</footer>"
    )
