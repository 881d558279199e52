"""Errors are recognized."""

from __future__ import annotations

import pytest

from zoo.worker.errors import explain_missing_library, is_machine_fault, is_out_of_memory


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


def test_a_library_that_the_system_lacks() -> None:
    said = "libXrender.so.1: cannot open shared object file: No such file or directory"
    told = explain_missing_library(ImportError(said))
    assert is_machine_fault(ImportError(said))
    assert not is_machine_fault(ImportError("No module named 'rdkit'"))
    assert told is not None
    assert told.startswith("The system has no libXrender.so.1. Install its package")
    assert "`matterzoo build FAMILY --base IMAGE`" in told
    assert explain_missing_library(ImportError("No module named 'rdkit'")) is None
