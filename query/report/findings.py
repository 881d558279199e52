"""What a store says, in sentences: each is made from the rows of a figure's statement, none is known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from query.figures.plot import number
from query.report.views import Drawn, Version

Row = dict[str, Any]
Rows = Sequence[Row]
NAMED = 6  # checks that a warning names


def findings(drawn: Sequence[Drawn]) -> list[str]:
    """A sentence or two of each section, on each dataset, from the version that the page shows first."""
    said = []
    for section in drawn:
        for version, rows in _first(section):
            make = SENTENCES.get(section.section.name)
            said += [] if make is None else [f"{_on(version)}: {sentence}" for sentence in make(rows)]
    return said


def controls_that_fail(drawn: Sequence[Drawn]) -> list[str]:
    """A warning for each dataset on which a control does not give what it must."""
    found = []
    for section in drawn:
        for version, rows in _first(section) if section.section.name == "controls" else ():
            failed = [f"{row['control']} ({row['metric']})" for row in rows if not row["holds"]]
            if failed:
                names = ", ".join(failed[:NAMED]) + (", …" if len(failed) > NAMED else "")
                found.append(
                    f"On {_on(version)}, {len(failed)} of {len(rows)} checks of controls fail, so do not believe what "
                    f"is below before you know why: {names}."
                )
    return found


def _first(section: Drawn) -> Iterator[tuple[Version, Rows]]:
    """Of each dataset, the first version and its rows."""
    seen = set()
    for version, answer in section.answers():
        if _on(version) not in seen:
            seen.add(_on(version))
            yield version, answer.rows


def _on(version: Version) -> str:
    return next(iter(version.switches.values()))


def _controls(rows: Rows) -> Iterator[str]:
    """What fails is a warning, see above."""
    if rows and all(row["holds"] for row in rows):
        metrics = len({row["metric"] for row in rows})
        yield f"all {len(rows)} checks hold, of {len(rows) // metrics} controls by {metrics} metrics."


def _heatmap(rows: Rows) -> Iterator[str]:
    pairs = [row for row in rows if row["place_a"] < row["place_b"] and row["calibrated"] is not None]
    apart = [row for row in pairs if row["family_a"] != row["family_b"]]
    for which, some in (("of all pairs", pairs), ("of pairs from different families", apart)):
        if some:
            best = max(some, key=lambda row: float(row["calibrated"]))
            yield (
                f"{which}, {best['model_a']} and {best['model_b']} are the most alike: {best['metric']} "
                f"{number(best['value'])}, calibrated {number(best['calibrated'])}, n = {best['n']}."
            )


SENTENCES: dict[str, Callable[[Rows], Iterator[str]]] = {"controls": _controls, "heatmap": _heatmap}
