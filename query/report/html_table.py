"""An answer as an HTML table."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from query.figures.drawing.labels import format_number
from query.statements import Answer

_HASH_LENGTH = 12  # characters of a hash; the CSV has all of them, and so has the cell's title
_TEXT_LENGTH = 200  # characters of a text; the CSV has all of them
_WORDS = {
    "model_id": "model",
    "n_systems": "systems",
    "n_unreadable": "unreadable systems",
    "dataset_hash": "hash of the dataset",
    "dimension": "numbers per vector",
    "license_code": "license of the code",
    "license_weights": "license of the weights",
    "card_hash": "hash of the card",
    "doi": "DOI",
    "models": "which models",
    "n_models": "models",
    "n_twins": "untrained twins",
    "twins": "which twins",
    "for_example": "for example",
    "ok": "systems done",
    "sent": "systems sent",
    "failed": "systems failed",
    "not_applicable": "systems not applicable",
    "untrained_seed": "seed of random weights",
    "weights": "files of weights",
    "weights_hash": "hashes of these files",
    "encoder_hash": "hash of the encoder",
    "lock_hash": "hash of the lock",
    "dtype": "type of numbers",
    "torch": "PyTorch",
}


def html_table(answer: Answer) -> str:
    """Return the rows of an answer as a table, or "None." if it has no rows.

    Args:
        answer: The rows. Columns named "…hash" are shortened, and named in words; those in which
            no row has a value are left out.
    """
    if not answer.rows:
        return '<p class="nothing">None.</p>'
    rows = answer.rows
    columns = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    head = "".join(
        f"<th>{escape(_WORDS.get(name, name.replace('_', ' ')))}</th>" for name in columns
    )
    body = "".join(
        f"<tr>{''.join(_cell(column, row[column]) for column in columns)}</tr>\n" for row in rows
    )
    return (
        f'<div class="table" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(column: str, value: Any) -> str:
    if value is None:
        return "<td></td>"
    if isinstance(value, int) and not column.endswith("seed"):
        return f'<td class="number" data-sort="{value}">{value:,}</td>'
    if isinstance(value, float):
        return f'<td class="number" data-sort="{value}">{format_number(value)}</td>'
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    shown = text.replace("_", " ") if column in ("status", "exposure") else text
    if column == "made_with":  # versions of packages, as JSON
        shown = ", ".join(f"{name} {version}" for name, version in json.loads(text).items())
    if column.endswith("hash"):
        shown = ", ".join(part[:_HASH_LENGTH] for part in text.split(", "))
    return f'<td title="{escape(text[:_TEXT_LENGTH])}">{escape(shown[:_TEXT_LENGTH])}</td>'
