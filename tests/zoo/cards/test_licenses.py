"""What users are shown of a license."""

from __future__ import annotations

from typing import Any

import pytest

from zoo.cards.licenses import License

URL = "https://example.org/own"
PAPER: dict[str, Any] = {"url": None, "no_url_because": "on paper"}


@pytest.mark.parametrize(
    ("terms", "line"),
    [
        ({"commercial": True}, None),
        ({"commercial": False}, f"for non-commercial use only; {URL}"),
        ({"commercial": True, "gated": True}, f"to be accepted before the download; {URL}"),
        (
            {"commercial": False, "gated": True, **PAPER},
            "for non-commercial use only and to be accepted before the download; on paper",
        ),
    ],
)
def test_a_license_that_is_not_free_is_shown(terms: dict[str, Any], line: str | None) -> None:
    found = License(**({"name": "Own", "url": URL} | terms)).notice("the weights")
    assert found == (line and f"license of the weights: Own, {line}")
