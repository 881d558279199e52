"""Words and numbers as all pages of a site write them."""

from __future__ import annotations

from query.figures.drawing.labels import format_fixed
from query.figures.drawing.model_kinds import KINDS

_LEAST_P = 1 / 101  # that the 100 random pairings of `alignment_matrix` can give


def p_equals(value: float) -> str:
    """Return "p = 0.040", or "p ≤ 0.010" if no random pairing agrees as well.

    Args:
        value: The p-value.
    """
    return f"p {'' if is_least(value) else '= '}{p_text(value)}"


def p_text(value: float | None) -> str:
    """Return a p-value with three decimals, "≤ 0.010" if no random pairing agrees as well.

    Args:
        value: The p-value; None is an empty text.
    """
    return f"≤ {fixed(value)}" if is_least(value) else fixed(value)


def is_least(value: float | None) -> bool:
    """Return whether a p-value is the smallest that can be found.

    Args:
        value: The p-value, None if it is undefined.
    """
    return value is not None and value <= _LEAST_P + 1e-9


def fixed(value: float | None) -> str:
    """Return a value with three decimals, so that those of a column stand below each other.

    Args:
        value: The value; None is an empty text.
    """
    return "" if value is None else format_fixed(value, 3)


def interval(low: float | None, high: float | None) -> str:
    """Return an interval as what follows a value, nothing if there is none.

    Args:
        low: Its lower end.
        high: Its upper end.
    """
    return "" if low is None else f" (95 % interval {fixed(low)} to {fixed(high)})"


def on_scale(calibrated: float) -> str:
    """Return a calibrated value with its scale, of which 0 is not the mean of chance.

    Args:
        calibrated: The value.
    """
    return (
        f"{fixed(calibrated)} on a scale from 0, which 95 % of random pairings stay below, to 1, "
        "full agreement"
    )


def ordinal(number: int) -> str:
    """Return a place in words: 1st, 2nd, 3rd, 4th, 11th, 21st, 1,001st.

    Args:
        number: The place, from 1.
    """
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{'th' if number % 100 in (11, 12, 13) else ending}"


def pair_of(kind_a: str, kind_b: str) -> str:
    """Return what two models are: "trained models", or "a trained model and a descriptor".

    Args:
        kind_a: The kind of the one, a key of KINDS.
        kind_b: That of the other.
    """
    if kind_a == kind_b:
        return f"{KINDS[kind_a]}s"
    return " and ".join(
        f"{'an' if KINDS[kind][0] in 'aeiou' else 'a'} {KINDS[kind]}" for kind in (kind_a, kind_b)
    )
