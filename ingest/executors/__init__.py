"""Where runs are started: one module per executor.

A new executor is a new module of this folder that defines `EXECUTOR`, a class with the methods of
`ingest.executors.protocol.Executor`; `load_executors` finds it. `embed` in
`ingest/executors/embed.py` starts runs with it, and `matterzoo ingest --on NAME` names it.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from ingest.executors.protocol import Executor
from ingest.runs.errors import RequestError
from zoo.errors import did_you_mean


def load_executors() -> dict[str, type[Executor]]:
    """Return every executor by its name."""
    modules = [
        import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)
    ]
    executors: list[type[Executor]] = [
        module.EXECUTOR for module in modules if hasattr(module, "EXECUTOR")
    ]
    return {executor.name: executor for executor in executors}


def find_executor(name: str) -> type[Executor]:
    """Return the executor of that name.

    Args:
        name: The name of an executor.

    Raises:
        RequestError: There is no such executor.
    """
    executors = load_executors()
    if name not in executors:
        raise RequestError(f"no executor is named {name!r}; {did_you_mean(name, executors)}")
    return executors[name]
