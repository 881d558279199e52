"""Lists of elements, as cards write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.cards.elements import parse_elements
from zoo.encoder import SYMBOLS


@given(st.sets(st.integers(1, 118), min_size=1))
def test_elements_are_what_they_name(numbers: set[int]) -> None:
    assert parse_elements(", ".join(SYMBOLS[n - 1] for n in numbers)) == sorted(numbers)


@given(st.integers(1, 118), st.integers(1, 118))
def test_element_ranges_include_both_ends(first: int, last: int) -> None:
    text = f"{SYMBOLS[first - 1]}-{SYMBOLS[last - 1]}"
    if first <= last:
        assert parse_elements(text) == list(range(first, last + 1))
    else:
        with pytest.raises(ValueError, match="is not a symbol or a rising range"):
            parse_elements(text)


@pytest.mark.parametrize("text", ["", "H-", "H-He-Li", "X", "h", "1-5"])
def test_elements_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="elements: "):
        parse_elements(text)
