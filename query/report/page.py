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
from query.report.views import Drawn, Image, View
from query.statements import Answer

FOLDER = Path(__file__).parent
STYLE = (FOLDER / "page.css").read_text(encoding="utf-8")
SCRIPT = (FOLDER / "page.js").read_text(encoding="utf-8")
MARK = '<meta name="generator" content="matterzoo">'
HASH = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    f"script-src 'sha256-{HASH}'; base-uri 'none'; form-action 'none'"
)
SHORT = 12  # characters of a hash; the whole one is in the CSV and under the mouse
LONG = 200  # characters of a text; the whole of it is in the CSV
INCH = 96  # CSS pixels


@dataclass(frozen=True)
class Table:
    """Rows of a statement that are shown as they are. name: the files' name."""

    name: str
    title: str
    answer: Answer


@dataclass(frozen=True)
class Page:
    """All that the page says. warnings: controls that do not hold. says: sentences made from rows, by dataset."""

    title: str
    facts: str
    warnings: Sequence[str]
    says: Mapping[str, Sequence[str]]
    sections: Sequence[Drawn]
    tables: Sequence[Table]
    versions: str


def render(page: Page) -> str:
    """The whole HTML document."""
    sections = "".join(_section(drawn) for drawn in page.sections)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
{MARK}
<link rel="icon" href="data:,">
<title>{escape(page.title)}</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>{escape(page.title)}</h1>
<p class="facts">{escape(page.facts)}</p>
{_warnings(page.warnings)}{_says(page.says)}{_contents(page.sections)}
</header>
<main>
{sections}{_provenance(page.tables, page.versions)}
</main>
<div id="tip" role="status" hidden></div>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return ""
    lines = "".join(f"<p>{escape(line)}</p>" for line in warnings)
    return f'<div class="warning" role="alert">{lines}</div>\n'


def _says(says: Mapping[str, Sequence[str]]) -> str:
    if not says:
        return ""
    lists = "".join(
        f"<div><h3>On {escape(on)}</h3><ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul></div>"
        for on, lines in says.items()
    )
    return (
        f'<div class="says"><h2>What this store says</h2><div class="lists">{lists}</div></div>\n'
    )


def _contents(sections: Iterable[Drawn]) -> str:
    entries = [(drawn.section.name, drawn.section.question) for drawn in sections] + [PROVENANCE]
    lines = "".join(
        f'<li><a href="#{name}">{escape(question)}</a></li>' for name, question in entries
    )
    return f'<nav aria-label="Contents"><ol>{lines}</ol></nav>'


def _section(drawn: Drawn) -> str:
    section = drawn.section
    panels = "".join(_panel(views) for views in drawn.panels)
    reading = f'<p class="reading">{escape(section.reading)}</p>'
    return f'<section id="{section.name}">\n<h2>{escape(section.question)}</h2>\n{reading}\n{panels}</section>\n'


def _panel(views: Sequence[View]) -> str:
    """The versions of a figure, the first of them shown. Where all lack the same, it is said once."""
    reasons = {view.reason for view in views}
    if len(reasons) == 1 and None not in reasons:
        return f'<div class="panel">{_nothing(str(reasons.pop()))}</div>\n'
    shown = "".join(_view(view, first=place == 0) for place, view in enumerate(views))
    return f'<div class="panel">\n{_switches(views)}{shown}</div>\n'


def _nothing(reason: str) -> str:
    return f'<p class="nothing">Nothing to draw: {escape(reason)}</p>'


def _switches(views: Sequence[View]) -> str:
    """Radio buttons for each switch that has a choice."""
    return f'<div class="switches">{"".join(_switch(views, name) for name in views[0].version.switches)}</div>\n'


def _switch(views: Sequence[View], name: str) -> str:
    values = list(dict.fromkeys(view.version.switches[name] for view in views))
    if len(values) == 1:
        return ""
    which = (
        f'name="{views[0].panel}-{escape(name)}" data-switch="{escape(name)}" autocomplete="off"'
    )
    buttons = "".join(
        f'<label><input type="radio" {which} value="{escape(value)}"{" checked" if place == 0 else ""}>'
        f"<span>{escape(value)}</span></label>"
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
    return f'<div class="view" id="{escape(view.name)}" data-switches="{switches}"{hidden}>{inside}</div>\n'


def _figure(name: str, image: Image, *, first: bool) -> str:
    """The image, at once or packed until it is asked for, and under it what can be had."""
    title, wide, high = escape(image.title), image.width * INCH, image.height * INCH
    source = (
        f'src="data:image/svg+xml;base64,{base64.b64encode(image.svg.encode()).decode()}" '
        if first
        else ""
    )
    packed = pack(
        {
            "image": None if first else image.svg,
            "tooltips": [_values(tooltip) for tooltip in image.tooltips],
        }
    )
    shown = f'<img {source}alt="{title}" width="{wide:.0f}" height="{high:.0f}">'
    focus = f'tabindex="0" role="group" aria-label="{title}; arrow keys move between its points"'
    return (
        f'<figure><div class="scroll"><div class="canvas" style="--wide:{wide:.0f}px" {focus}>{shown}</div></div>'
        f"{_under(name, image.answer, ('svg', 'png', 'csv'))}</figure>"
        f'<script type="application/octet-stream" class="packed">{packed}</script>'
    )


def _values(tooltip: Tooltip) -> list[float | str]:
    """left, top, width, height, text."""
    return [
        *(round(value, 5) for value in (tooltip.left, tooltip.top, tooltip.width, tooltip.height)),
        tooltip.text,
    ]


def pack(content: Any) -> str:
    """gzip in base64, the same bytes for the same content."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _under(name: str, answer: Answer, forms: Sequence[str]) -> str:
    links = "".join(f'<a href="figures/{escape(name)}.{form}">{form.upper()}</a>' for form in forms)
    return (
        f'<div class="under">{links}<details><summary>SQL</summary><button type="button" class="copy">copy</button>'
        f'<pre tabindex="0">{escape(answer.sql)}</pre><a href="figures/{escape(name)}.sql">{escape(name)}.sql</a>'
        "</details></div>"
    )


PROVENANCE = ("provenance", "Where does all this come from?")


def _provenance(tables: Sequence[Table], versions: str) -> str:
    shown = "".join(f"<h3>{escape(table.title)}</h3>{_table(table)}" for table in tables)
    name, question = PROVENANCE
    return (
        f'<section id="{name}">\n<h2>{question}</h2>\n<p class="reading">Every number above was computed from the '
        f"vectors of these runs. Long texts and hashes are cut here, not in the CSV.</p>\n{shown}</section>\n"
        f"<footer>{escape(versions)}</footer>"
    )


def _table(table: Table) -> str:
    if not table.answer.rows:
        return f'<p class="nothing">None.</p>{_under(table.name, table.answer, ("csv",))}'
    columns = table.answer.table.column_names
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row.items()))}</tr>\n" for row in table.answer.rows)
    return (
        f'<div class="table" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        f"{_under(table.name, table.answer, ('csv',))}"
    )


def _cell(item: tuple[str, Any]) -> str:
    column, value = item
    if value is None:
        return "<td></td>"
    if isinstance(value, int):
        return f'<td class="number">{value:,}</td>'
    if isinstance(value, float):
        return f'<td class="number">{value:.3g}</td>'
    text = _text(value)
    shown = (
        ", ".join(part[:SHORT] for part in text.split(", ")) if column.endswith("hash") else text
    )
    return f'<td title="{escape(text[:LONG])}">{escape(shown[:LONG])}</td>'


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
