"""Errors are recognized."""

from __future__ import annotations

import pytest

from zoo.worker.errors import is_out_of_memory


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (type("OutOfMemoryError", (RuntimeError,), {})("x"), True),
        (RuntimeError("CUDA out of memory. Tried"), True),
        (RuntimeError("mat1 and mat2"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_out_of_memory_is_recognized(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected
