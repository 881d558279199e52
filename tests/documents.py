"""What a document shows: SQL and what it printed, and whether that is still what it prints."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import matterzoo

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"```sql\n(.*?)```\n+```text\n(.*?)```", re.DOTALL)


def sql_blocks(document: Path) -> list[tuple[str, str]]:
    """Each statement with the table printed below it."""
    return BLOCK.findall(document.read_text(encoding="utf-8"))


def assert_prints(store: Path, sql: str, printed: str) -> None:
    """Assert that `matterzoo query` prints that table, numbers within one of their last place."""
    out, complaints = io.StringIO(), io.StringIO()
    # In this process: another one would load for seconds what this one has loaded.
    with redirect_stdout(out), redirect_stderr(complaints):
        code = matterzoo.main(["query", "--store", str(store), sql])
    assert code == 0, complaints.getvalue()
    found, shown = out.getvalue().split(), printed.split()
    assert len(found) == len(shown), out.getvalue()
    assert all(map(alike, found, shown)), out.getvalue()


def alike(found: str, shown: str) -> bool:
    """Return whether two words are the same; a decimal may differ by one in its last place.

    Another processor may round the other way.
    """
    if re.fullmatch(r"-?\d+\.\d+", shown) and re.fullmatch(r"-?\d+(\.\d+)?", found):
        return abs(float(found) - float(shown)) < 1.01 * 10.0 ** -len(shown.partition(".")[2])
    return found == shown
