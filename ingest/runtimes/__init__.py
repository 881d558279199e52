"""How the worker is started. A runtime exists because a module of this folder defines RUNTIME."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from zoo.cards.schema import Family, nearest
from zoo.weights.obtain import Place

Event = dict[str, Any]
OnEvent = Callable[[Event], None]
Say = Callable[[str], None]


class RunError(Exception):
    """An environment that cannot be built, or a worker that ended early; the message says why and what to do."""


class Killed(RunError):
    """The worker was killed by SIGKILL. Where nothing tells why, a guard of the machine's memory may have done it."""


class OutOfMemory(Killed):
    """The worker was killed because memory ran out; a smaller batch budget may do."""


class NoRuntime(RunError):
    """A runtime that does not exist, or that this machine cannot use."""


@dataclass(frozen=True)
class Limits:
    """What a worker may take. None: as much as there is."""

    memory: int | None = None  # bytes
    cpus: float | None = None
    silence: float = 1800.0  # s without a sign of life, after which the worker is taken for hung


class Runtime(Protocol):
    """One way to run the worker. `preference`: the lowest that can be used is taken where the user names none.

    `confines`: whether it can keep a worker within Limits.memory and Limits.cpus.
    """

    name: str
    preference: int
    confines: bool

    def unavailable(self) -> str | None:
        """Why it cannot be used on this machine, None where it can."""

    def lacking(self, family: Family) -> str | None:
        """Why the family cannot be run with what is at hand or can be had unasked, None where it can."""

    def ready(self, family: Family) -> bool:
        """Whether the family's environment is there and matches its lock."""

    def ensure(self, family: Family, say: Say) -> str | None:
        """Make the family's environment ready. Returns its image's digest or id, None where there is no image.

        Raises RunError.
        """

    def run(
        self,
        family: Family,
        job: Path,
        out: Path,
        weights: Place | None,
        on_event: OnEvent,
        limits: Limits,
    ) -> None:
        """Run the worker to its end, its events passed on as they come. Raises RunError where it ends early.

        weights: where the files of weights lie that the family's package does not carry; they are only read.
        """


def load_runtimes() -> dict[str, Runtime]:
    """Every runtime, by name, in order of preference."""
    modules = [
        import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)
    ]
    runtimes: list[Runtime] = [module.RUNTIME for module in modules if hasattr(module, "RUNTIME")]
    return {runtime.name: runtime for runtime in sorted(runtimes, key=lambda r: r.preference)}


def choose_runtime(name: str | None, families: Iterable[Family]) -> tuple[Runtime, str]:
    """The runtime of that name, or the best that this machine has for these families; and why it was chosen."""
    runtimes = load_runtimes()
    if name is None:
        return _first(runtimes.values(), list(families))
    if name not in runtimes:
        raise NoRuntime(f"no runtime is named {name!r}; {nearest(name, runtimes)}")
    reason = runtimes[name].unavailable()
    if reason is not None:
        raise NoRuntime(f"runtime {name} cannot be used here: {reason}")
    return runtimes[name], "asked for"


def _first(runtimes: Iterable[Runtime], families: list[Family]) -> tuple[Runtime, str]:
    passed: list[str] = []
    absent: dict[str, str] = {}
    for runtime in runtimes:
        gone = runtime.unavailable()
        reason = gone or _lacking(runtime, families)
        if reason is None:
            # Most machines are without an engine: no cause for alarm, and `make doctor` says why it is so.
            missing = [f"no {name} here, which is optional (see `make doctor`)" for name in absent]
            return runtime, "; ".join(
                missing + passed
            ) or "the first choice, and this machine can use it"
        if gone is None:
            passed.append(reason)
        else:
            absent[runtime.name] = gone
    raise NoRuntime("; ".join([*absent.values(), *passed]))


def _lacking(runtime: Runtime, families: list[Family]) -> str | None:
    """'docker answers, but no image of …': what it lacks first, and how much more."""
    reasons = [reason for family in families if (reason := runtime.lacking(family)) is not None]
    if not reasons:
        return None
    more = f" (and the like for {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return f"{runtime.name} answers, but {reasons[0]}{more}"
