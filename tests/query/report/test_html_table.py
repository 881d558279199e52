"""Tables name columns in words, shorten hashes, and sort numbers as numbers."""

from __future__ import annotations

import re

import pyarrow as pa

from query.report.html_table import html_table
from query.statements import Answer


def test_columns_have_words_and_cells_what_they_sort_by() -> None:
    rows = [
        {
            "model_id": "m",
            "n_systems": 1234,
            "seconds": 0.12345,
            "card_hash": "0123456789abcdef",
            "status": "not_applicable",
            "level_of_theory": None,
            "made_with": '{"ase": "3.29.0", "rdkit": "2026.9.1"}',
            "doi": None,
        },
        {"level_of_theory": "PBE"},
    ]
    html = html_table(Answer("x", "", pa.Table.from_pylist(rows)))
    assert re.findall("<th>(.*?)</th>", html) == [
        "model",
        "systems",
        "seconds",
        "hash of the card",
        "status",
        "level of theory",
        "made with",
    ]
    cells = re.findall("<td(.*?)>(.*?)</td>", html)
    assert [text for _, text in cells[:7]] == [
        "m",
        "1,234",
        "0.123",
        "0123456789ab",
        "not applicable",
        "",
        "ase 3.29.0, rdkit 2026.9.1",
    ]
    assert 'data-sort="1234"' in cells[1][0] and 'data-sort="0.12345"' in cells[2][0]
    assert 'title="0123456789abcdef"' in cells[3][0]
