"""What leads a reader through the page: its contents, and the choice of a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from query.figures.drawing.labels import natural_order
from query.report.views import DrawnSection

Title = tuple[str, str]  # the name that links lead to, and the words
_COLUMNS = ("model_a", "model_b", "row_of", "model")  # that hold names of models
_BASELINES = "baselines"  # names in these columns that are of no model
_GROUPS = {
    "model": "trained models",
    "descriptor": "descriptors, by rule",
    "twin": "untrained twins",
    "control": "controls, of known agreement",
    _BASELINES: _BASELINES,
}


def contents_html(
    sections: Iterable[DrawnSection], last: Title, unanswered: Sequence[DrawnSection], rest: Title
) -> str:
    """Return links to the sections, with a mark at those that failed.

    Args:
        sections: The sections that have figures.
        last: The name and the title of what comes after them.
        unanswered: The sections that the store cannot answer, at the end of the page.
        rest: The name and the title that they have together.
    """
    failed = " <small>failed</small>"
    lines = [
        _entry(one.section.name, one.section.question, "" if one.lacking is None else failed)
        for one in sections
    ]
    lines.append(_entry(*last))
    if unanswered:
        inner = "".join(_entry(one.section.name, one.section.question) for one in unanswered)
        lines.append(_entry(*rest, f'<ul class="empty">{inner}</ul>'))
    return f'<nav aria-label="Contents"><ol>{"".join(lines)}</ol></nav>'


def _entry(name: str, question: str, more: str = "") -> str:
    return f'<li><a href="#{name}">{escape(question)}</a>{more}</li>'


def picker_html(sections: Iterable[DrawnSection], kinds: Mapping[str, str]) -> str:
    """Return a choice of one model that all figures pick out, or nothing if they have none.

    Args:
        sections: The sections.
        kinds: The kind of each model: "model", "descriptor", "twin" or "control".
    """
    names = {
        name
        for one in sections
        for _, answer in one.answers()
        for column in _COLUMNS
        if column in answer.table.column_names
        for name in answer.table.column(column).to_pylist()
        if name
    }
    if not names:
        return ""
    by_kind: dict[str, list[str]] = {kind: [] for kind in _GROUPS}
    for name in sorted(names, key=natural_order):
        by_kind[kinds.get(name, _BASELINES)].append(name)
    groups = "".join(_group(_GROUPS[kind], found) for kind, found in by_kind.items() if found)
    return (
        '<p class="picker"><label for="pick">Pick out a model in all figures</label> '
        f'<select id="pick" autocomplete="off"><option value="">all models</option>{groups}'
        "</select></p>"
    )


def _group(title: str, names: Sequence[str]) -> str:
    options = "".join(f"<option>{escape(name)}</option>" for name in names)
    return f'<optgroup label="{title}">{options}</optgroup>'
