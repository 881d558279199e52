"""How the worker is started. A runtime exists because a module of this folder defines RUNTIME."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from zoo.card import Family, nearest

Event = dict[str, Any]
OnEvent = Callable[[Event], None]
Say = Callable[[str], None]


class RunError(Exception):
    """An environment that cannot be built, or a worker that ended early; the message says why and what to do."""


class NoRuntime(RunError):
    """A runtime that does not exist, or that this machine cannot use."""


class Runtime(Protocol):
    """One way to run the worker. `preference`: the lowest that is available is taken where the user names none."""

    name: str
    preference: int

    def unavailable(self) -> str | None:
        """Why it cannot be used on this machine, None where it can."""

    def ready(self, family: Family) -> bool:
        """Whether the family's environment is built and matches its lock."""

    def ensure(self, family: Family, say: Say) -> None:
        """Build the family's environment where it is missing or stale. Raises RunError."""

    def run(self, family: Family, job: Path, out: Path, on_event: OnEvent) -> None:
        """Run the worker to its end, its events passed on as they come. Raises RunError where it ends early."""


def load_runtimes() -> dict[str, Runtime]:
    """Every runtime, by name, in order of preference."""
    modules = [import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    runtimes: list[Runtime] = [module.RUNTIME for module in modules if hasattr(module, "RUNTIME")]
    return {runtime.name: runtime for runtime in sorted(runtimes, key=lambda r: r.preference)}


def choose_runtime(name: str | None) -> tuple[Runtime, str]:
    """The runtime of that name, or the best this machine has; and why it was chosen."""
    runtimes = load_runtimes()
    if name is None:
        usable = [runtime for runtime in runtimes.values() if runtime.unavailable() is None]
        if usable:
            why = "the only one" if len(usable) == 1 else f"the first of {', '.join(r.name for r in usable)}"
            return usable[0], f"{why} that this machine can use"
        raise NoRuntime("; ".join(f"{r.name}: {r.unavailable()}" for r in runtimes.values()))
    if name not in runtimes:
        raise NoRuntime(f"no runtime is named {name!r}; {nearest(name, runtimes)}")
    reason = runtimes[name].unavailable()
    if reason is not None:
        raise NoRuntime(f"runtime {name} cannot be used here: {reason}")
    return runtimes[name], "asked for"
