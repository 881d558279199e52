"""The page: one HTML file that holds all it shows, and fetches nothing."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from query import assets
from query.assets import structure_html
from query.figures.drawing.labels import choice_label
from query.report.findings import Finding
from query.report.html_table import html_table
from query.report.navigation import contents_html, picker_html
from query.report.summary import findings_html, warnings_html
from query.report.views import DrawnSection, Image, View
from query.statements import Answer

_FOLDER = Path(__file__).parent
_STYLE = assets.STYLE + (_FOLDER / "page.css").read_text(encoding="utf-8")
_SCRIPT = (_FOLDER / "page.js").read_text(encoding="utf-8")
# What marks a page as a report: only such a page is ever replaced.
GENERATOR = '<meta name="generator" content="matterzoo">'
_COPY = '<button type="button" class="copy">copy</button>'
_COMMAND = re.compile(r"(.*?)(?:[:;,]? (matterzoo .*))?", re.DOTALL)  # at the end of a reason
_PROVENANCE = ("provenance", "Where does all this come from?")
_UNANSWERED = ("unanswered", "Questions without a figure yet")


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
        structures: By system, its drawing; not of all systems if they are many.
    """

    title: str
    facts: str
    warnings: Sequence[Finding]
    findings: Mapping[str, Sequence[Finding]]
    sections: Sequence[DrawnSection]
    tables: Sequence[Table]
    versions: str
    structures: Mapping[str, str] = field(default_factory=dict)


@functools.cache
def _scripts() -> Sequence[str]:
    """Return Vega, what draws figures and sorts tables, and the page's own script."""
    return assets.vega_script(), assets.figures_script(), assets.tables_script(), _SCRIPT


def _policy(scripts: Iterable[str]) -> str:
    """Let the browser run no script but ours, and fetch nothing."""
    hashes = [hashlib.sha256(script.encode()).digest() for script in scripts]
    allowed = " ".join(f"'sha256-{base64.b64encode(each).decode()}'" for each in hashes)
    return (
        "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; "
        f"script-src {allowed}; base-uri 'none'; form-action 'none'"
    )


def render_page(page: Page) -> str:
    """Return the whole HTML document.

    Args:
        page: What it shows. All texts are escaped here.
    """
    scripts = _scripts()
    code = "".join(f"<script>{script}</script>\n" for script in scripts)
    answered = [drawn for drawn in page.sections if drawn.unanswered is None]
    others = [drawn for drawn in page.sections if drawn.unanswered is not None]
    sections = "".join(_section(drawn) for drawn in answered)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">
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
{warnings_html(page.warnings)}{findings_html(page.findings)}
{contents_html(answered, _PROVENANCE, others, _UNANSWERED)}{_picker(page)}
</header>
<main>
{sections}{_provenance(page.tables)}{_unanswered(others)}
<footer>{escape(page.versions)}</footer>
</main>
{_structures(page.structures)}{code}</body>
</html>
"""


def _picker(page: Page) -> str:
    kinds = {
        row["model_id"]: row["kind"]
        for table in page.tables
        if table.name == "provenance_models"
        for row in table.answer.rows
    }
    return picker_html(page.sections, kinds)


def _section(drawn: DrawnSection) -> str:
    section = drawn.section
    panels = "".join(_panel(views) for views in drawn.panels)
    return (
        f'<section id="{section.name}">\n<h2>{escape(section.question)}</h2>\n'
        f'<p class="reading">{_with_code(section.reading)}</p>\n{panels}</section>\n'
    )


def _unanswered(sections: Sequence[DrawnSection]) -> str:
    """Return the questions that have no figure, with what each lacks and would show."""
    if not sections:
        return ""
    name, title = _UNANSWERED
    lines = "".join(
        f'<div id="{one.section.name}" class="empty"><h3>{escape(one.section.question)}</h3>'
        f"{_nothing(str(one.unanswered))}<details><summary>What it would show</summary>"
        f'<p class="reading">{_with_code(one.section.reading)}</p></details></div>\n'
        for one in sections
    )
    return (
        f'<section id="{name}">\n<h2>{title}</h2>\n<p class="reading">Where a command stands '
        "below a question, it adds what the figure needs; a new report then has the figure.</p>\n"
        f"{lines}</section>\n"
    )


def _panel(views: Sequence[View]) -> str:
    """Return the versions of a figure, the first that can be drawn of them shown.

    One of controls that fail comes before those that hold.

    If no version can be drawn, all for the same reason, the reason is given once.
    """
    reasons = {view.reason for view in views}
    if len(reasons) == 1 and None not in reasons:
        return f'<div class="panel">{_nothing(str(reasons.pop()))}</div>\n'
    first = min(views, key=lambda view: (view.image is None, not view.alarming))
    shown = "".join(_view(view, hidden=view is not first) for view in views)
    return f'<div class="panel">\n{_switches(views, first)}{shown}</div>\n'


def _nothing(reason: str) -> str:
    """Return a reason, and the command that it ends with as text to copy."""
    why, command = _COMMAND.fullmatch(reason).groups()  # type: ignore[union-attr]  # fits all
    paste = f'{_COPY}<pre tabindex="0">{escape(command)}</pre>' if command else ""
    return f'<div class="nothing"><p>Nothing to draw: {escape(why)}.</p>{paste}</div>'


def _switches(views: Sequence[View], first: View) -> str:
    """Return radio buttons for each switch that leaves a choice, those of one view checked."""
    switches = "".join(_switch(views, *each) for each in first.version.switches.items())
    return f'<div class="switches">{switches}</div>\n'


def _switch(views: Sequence[View], name: str, checked: str) -> str:
    values = list(dict.fromkeys(view.version.switches[name] for view in views))
    if len(values) == 1:
        return ""
    which = (
        f'name="{views[0].panel}-{escape(name)}" data-switch="{escape(name)}" autocomplete="off"'
    )
    buttons = "".join(
        f'<label><input type="radio" {which} value="{escape(value)}"'
        f"{' checked' if value == checked else ''}>"
        f"<span>{escape(choice_label(name, value))}</span></label>"
        for value in values
    )
    return f"<fieldset><legend>{escape(name)}</legend>{buttons}</fieldset>"


def _view(view: View, *, hidden: bool) -> str:
    switches = escape(json.dumps(view.version.switches))
    state = " hidden" if hidden else ""
    inside = _nothing(str(view.reason)) if view.image is None else _figure(view.name, view.image)
    return (
        f'<div class="view" id="{escape(view.name)}" data-switches="{switches}"{state}>'
        f"{inside}</div>\n"
    )


def _figure(name: str, image: Image) -> str:
    """Return the place of a figure, with its title, its links, and its packed specification."""
    notes = "".join(f"<span>{escape(note)}</span> " for note in image.notes)
    canvas = (
        '<div class="canvas"><noscript>The figure needs JavaScript, '
        "which the page has in itself; its data are linked below.</noscript></div>"
    )
    if image.answer.name == "system_map":
        canvas = f'<div class="with-structure">{canvas}{structure_html()}</div>'
    return (
        f"<figure><figcaption><strong>{escape(image.title)}</strong> <small>{notes}</small>"
        f'<span class="absent" role="status"></span></figcaption>{canvas}'
        f"{_links(name, image.answer, ('json', 'csv'))}</figure>"
        f'<script type="application/octet-stream" class="packed">{image.packed}</script>'
    )


def _with_code(text: str) -> str:
    """Return text as HTML, with what is between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _structures(structures: Mapping[str, str]) -> str:
    """Return the drawings of systems, which scripts put beside maps."""
    if not structures:
        return ""
    packed = assets.pack(structures)
    return f'<script type="application/octet-stream" id="structures">{packed}</script>\n'


def _links(name: str, answer: Answer, forms: Sequence[str]) -> str:
    """Return what stands below a figure or table: its files, and its SQL to copy."""
    links = "".join(f'<a href="figures/{escape(name)}.{form}">{form.upper()}</a>' for form in forms)
    return (
        f'<div class="links">{links}<details><summary>SQL</summary>'
        f'{_COPY}<pre tabindex="0">{escape(answer.sql)}</pre>'
        f'<a href="figures/{escape(name)}.sql">{escape(name)}.sql</a></details></div>'
    )


def _provenance(tables: Sequence[Table]) -> str:
    shown = "".join(
        f"<h3>{escape(table.title)}</h3>{html_table(table.answer)}"
        f"{_links(table.name, table.answer, ('csv',))}"
        for table in tables
    )
    name, question = _PROVENANCE
    return (
        f'<section id="{name}">\n<h2>{question}</h2>\n<p class="reading">Every number above was '
        "computed from the vectors of these runs. Long texts and hashes are shortened here; the "
        "CSV files have them in full. A run with a seed is of an untrained twin: its weights were "
        "drawn at random, and the files that it read gave it no more than its architecture and "
        f"vocabulary.</p>\n{shown}</section>\n"
    )
