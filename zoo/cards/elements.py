"""Chemical elements, as cards list them."""

from __future__ import annotations

from zoo.encoder import SYMBOLS


def parse_elements(text: str) -> list[int]:
    """Parse a list of elements such as 'H-Xe, Cs, Ac-Cm'.

    Args:
        text: Symbols and ranges of symbols, separated by commas.

    Returns:
        Atomic numbers, ascending, each once.

    Raises:
        ValueError: A part is no symbol, or no rising range of two symbols.
    """
    numbers: set[int] = set()
    for part in text.split(","):
        ends = [end.strip() for end in part.split("-")]
        for end in ends:
            if end not in SYMBOLS:
                raise ValueError(f"elements: {end!r} is not a chemical symbol (in {text!r})")
        first, last = SYMBOLS.index(ends[0]) + 1, SYMBOLS.index(ends[-1]) + 1
        if len(ends) > 2 or last < first:
            raise ValueError(
                f"elements: {part.strip()!r} is not a symbol or a rising range such as 'H-Xe'"
            )
        numbers.update(range(first, last + 1))
    return sorted(numbers)
