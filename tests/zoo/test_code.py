"""Words about code change no hash; code does."""

from __future__ import annotations

import pytest

from zoo.code import code_hash, requirements_hash

SOURCE = '''"""What it is."""

import numpy as np

LIMIT = 3  # a comment


def double(x: int, *rest: int) -> int:
    """Return twice x."""
    return 2 * x  # another


class Encoder:
    """An encoder."""

    name = f"it is {LIMIT!r:>4}"
'''

REWORDED = '''"""Some other words, and
a second line."""
import numpy as np
LIMIT = (3)
def double(
    x: int,
    *rest: int,
) -> int:
    return 2*x
class Encoder:

    # no docstring

    name = f'it is {LIMIT!r:>4}'
'''


def test_comments_docstrings_and_layout_do_not_count() -> None:
    assert code_hash(SOURCE) == code_hash(REWORDED) == code_hash(SOURCE.encode())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 3", "LIMIT = 4"),
        ("LIMIT = 3", "LIMIT = 3.0"),
        ("LIMIT = 3", "LIMIT = True"),
        ("2 * x", "x * 2"),
        ("2 * x", "2 + x"),
        ("*rest: int", "**rest: int"),
        ("import numpy as np", "import scipy as np"),
        ("!r:>4", "!s:>4"),
        ("name = f", "named = f"),
        ("return 2 * x", '"a string that is no docstring"; return 2 * x'),
    ],
)
def test_code_counts(old: str, new: str) -> None:
    assert old in SOURCE
    assert code_hash(SOURCE) != code_hash(SOURCE.replace(old, new, 1))


def test_the_hash_is_the_same_in_every_version_of_python() -> None:
    """A family's checked.lock is written by one Python and compared by another."""
    assert code_hash(SOURCE) == "b7d2b5a18e3c9b3106d4466788c5a06bc8b5b9311e50c72377eda228ead6fe15"


def test_comments_of_a_lock_do_not_count() -> None:
    lock = "# by a command\nase==3.29.0 \\\n    --hash=sha256:00\n    # via us\n"
    assert requirements_hash(lock) == requirements_hash("ase==3.29.0 \\\n    --hash=sha256:00\n")
    assert requirements_hash(lock) != requirements_hash(lock.replace("3.29.0", "3.29.1"))
    assert requirements_hash(lock) != requirements_hash(lock.replace(":00", ":01"))
