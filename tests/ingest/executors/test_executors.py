"""An executor exists because its module does."""

from __future__ import annotations

import pytest

from ingest.executors import find_executor, load_executors
from ingest.executors.local import LocalExecutor
from ingest.executors.ray.executor import RayExecutor
from ingest.executors.slurm.executor import SlurmExecutor
from ingest.runs.errors import RequestError


def test_executors_are_found_by_their_modules() -> None:
    assert load_executors() == {
        "local": LocalExecutor,
        "ray": RayExecutor,
        "slurm": SlurmExecutor,
    }
    assert find_executor("local") is LocalExecutor


def test_an_executor_that_does_not_exist_is_named_with_the_nearest() -> None:
    with pytest.raises(RequestError, match="no executor is named 'locl'; did you mean 'local'"):
        find_executor("locl")
