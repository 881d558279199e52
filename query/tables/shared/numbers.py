"""Whole numbers and lists of names that SQL wrote as text."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal


def read_whole(name: str, given: str) -> int:
    """Return a whole number that SQL wrote as text.

    Args:
        name: What the number is called, for the message.
        given: The text; '5', '5.0' and '5e0' are whole.

    Raises:
        ValueError: If it is not a whole number.
    """
    try:
        number = Decimal(given)
        if number == number.to_integral_value():
            return int(number)
    except ArithmeticError:  # not a number at all, or infinite
        pass
    raise ValueError(f"{name} = {given}, expected a whole number")


def read_wholes(name: str, given: Sequence[str]) -> list[int]:
    """Return whole numbers that SQL wrote as text.

    Args:
        name: What the numbers are called, for the message.
        given: The texts.

    Raises:
        ValueError: If one of them is not a whole number.
    """
    return [read_whole(name, number) for number in given]


def split_names(text: str) -> list[str]:
    """Return the names of a list that SQL wrote as text, each once, in order.

    Args:
        text: 'a, b', or '[a, b]' as SQL spells a list.
    """
    return list(dict.fromkeys(name.strip() for name in text.strip("[] ").split(",")))
