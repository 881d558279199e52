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
        (
            {"commercial": True, "gated": True, "refused_to": "users in X"},
            f"to be accepted before the download and refused to users in X; {URL}",
        ),
        (
            {"commercial": True, "gated": True, "approval": "manual", "refused_to": "users in X"},
            "access to be requested before the download, decided by hand and refused to users in "
            f"X; a request that is rejected cannot be made again; {URL}",
        ),
    ],
)
def test_a_license_that_is_not_free_is_shown(terms: dict[str, Any], line: str | None) -> None:
    found = License(**({"name": "Own", "url": URL} | terms)).notice("the weights")
    assert found == (line and f"license of the weights: Own, {line}")


def test_only_a_gate_is_opened_by_hand() -> None:
    terms: dict[str, Any] = {"name": "Own", "url": URL, "commercial": True, "approval": "manual"}
    with pytest.raises(ValueError, match=r"of a gated license; set gated = true"):
        License(**terms)
