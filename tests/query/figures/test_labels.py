"""Numbers of texts are written one way."""

from __future__ import annotations

import pytest

from query.figures.drawing.labels import format_fixed, format_number, format_p


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.78, 3, "0.780"),
        (0.1, 2, "0.10"),
        (11.46, 3, "11.5"),
        (-0.5, 2, "−0.50"),
        (1, 2, "1.0"),
        (0, 3, "0.00"),
        (-0.0, 3, "0.00"),
        (100, 3, "100"),
        (999.6, 3, "1,000"),
        (-12345.6, 3, "−12,346"),
        (None, 3, "undefined"),
        (6.7e-16, 3, "0.00"),
    ],
)
def test_all_digits_are_shown(value: float | None, digits: int, text: str) -> None:
    assert format_number(value, digits) == text


@pytest.mark.parametrize(
    ("value", "sign", "text"),
    [(-0.004, True, "+0.00"), (-0.2, True, "−0.20"), (0.2, True, "+0.20"), (-0.2, False, "−0.20")],
)
def test_decimals_are_as_many_as_asked_for(value: float, sign: bool, text: str) -> None:
    assert format_fixed(value, 2, sign=sign) == text


@pytest.mark.parametrize(
    ("value", "least", "text"),
    [(0.04, None, "p = 0.040"), (0.04, 0.01, "p = 0.040"), (0.0001, 0.0001, "p ≤ 0.00010")],
)
def test_a_p_that_cannot_be_smaller_is_a_bound(
    value: float, least: float | None, text: str
) -> None:
    assert format_p(value, least) == text
