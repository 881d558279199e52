"""What a page says first: warnings, and what the store shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from query.figures.drawing.glossary import explain_metric, explain_numbers
from query.report.findings import Finding
from query.report.versions import METRICS


def warnings_html(warnings: Sequence[Finding]) -> str:
    """Return warnings as HTML, or nothing if there are none.

    Args:
        warnings: Sentences on controls that do not hold.
    """
    if not warnings:
        return ""
    lines = "".join(f"<p>{_sentence(warning)}</p>" for warning in warnings)
    return f'<div class="warning" role="alert">{lines}</div>\n'


def findings_html(findings: Mapping[str, Sequence[Finding]]) -> str:
    """Return what the store shows as HTML, or nothing if it shows nothing.

    Args:
        findings: Sentences by dataset.
    """
    if not findings:
        return ""
    lists = "".join(
        f"<div><h3>On {escape(on)}</h3><ul>{_listed(lines)}</ul></div>"
        for on, lines in findings.items()
    )
    return (
        '<div class="findings"><h2>What this store shows</h2>'
        f'<div class="lists">{lists}</div>{_terms()}</div>\n'
    )


def _terms() -> str:
    """Return what the numbers mean: that of most sentences at once, the others if asked for."""
    name, *others = METRICS
    terms = explain_numbers(*others).items()
    lines = "".join(f"<dt>{escape(term)}</dt><dd>{escape(words)}</dd>" for term, words in terms)
    return (
        f'<div class="terms"><p>{escape(str(explain_metric(name)))}</p>'
        f"<details><summary>What the other numbers are</summary><dl>{lines}</dl></details></div>"
    )


def _listed(findings: Iterable[Finding]) -> str:
    return "".join(f"<li>{_sentence(finding)}</li>" for finding in findings)


def _sentence(finding: Finding) -> str:
    """Return a sentence with a link to its figure, of which a script shows the version."""
    view = escape(finding.view)
    return f'{escape(finding.text)} <a href="#{finding.section}" data-view="{view}">figure</a>'
