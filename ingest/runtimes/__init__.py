"""How a worker is started: one module per runtime.

A new runtime is a new module of this folder that defines `RUNTIME`, an object with the methods that
`ingest.runtimes.protocol.Runtime` lists. Nothing else has to be changed: `load_runtimes` finds it.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable
from importlib import import_module

from ingest.failures import NoRuntime
from ingest.runtimes.protocol import Runtime
from zoo.cards.family import Family
from zoo.errors import did_you_mean


def load_runtimes() -> dict[str, Runtime]:
    """Return every runtime by its name, in order of preference."""
    modules = [
        import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)
    ]
    runtimes: list[Runtime] = [module.RUNTIME for module in modules if hasattr(module, "RUNTIME")]
    return {runtime.name: runtime for runtime in sorted(runtimes, key=lambda r: r.preference)}


def choose_runtime(name: str | None, families: Iterable[Family]) -> tuple[Runtime, str]:
    """Choose the runtime to run these families with.

    Args:
        name: A runtime's name; None takes the first that lacks nothing for any of the families.
        families: The families that are to be run. They matter only if no name is given.

    Returns:
        The runtime, and why it was chosen.

    Raises:
        NoRuntime: If there is no runtime of that name, or this machine cannot use it.
    """
    runtimes = load_runtimes()
    if name is None:
        return _first_usable(runtimes.values(), list(families))
    if name not in runtimes:
        raise NoRuntime(f"no runtime is named {name!r}; {did_you_mean(name, runtimes)}")
    reason = runtimes[name].unavailable()
    if reason is not None:
        raise NoRuntime(f"runtime {name} cannot be used here: {reason}")
    return runtimes[name], "asked for"


def _first_usable(runtimes: Iterable[Runtime], families: list[Family]) -> tuple[Runtime, str]:
    """Return the first runtime that lacks nothing, and why those before it were not taken."""
    passed: list[str] = []
    absent: dict[str, str] = {}
    for runtime in runtimes:
        unavailable = runtime.unavailable()
        reason = unavailable or _lacking(runtime, families)
        if reason is None:
            # Most machines have no container engine. That is no cause for alarm, so the reason is
            # left to `matterzoo doctor`.
            missing = [
                f"no {name} here, which is optional (see `matterzoo doctor`)" for name in absent
            ]
            reasons = "; ".join(missing + passed)
            return runtime, reasons or "the first choice, and this machine can use it"
        if unavailable is None:
            passed.append(reason)
        else:
            absent[runtime.name] = unavailable
    raise NoRuntime("; ".join([*absent.values(), *passed]))


def _lacking(runtime: Runtime, families: list[Family]) -> str | None:
    """Return the first thing that a runtime lacks for these families, and how many more."""
    reasons = [reason for family in families if (reason := runtime.lacking(family)) is not None]
    if not reasons:
        return None
    more = f" (and the like for {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return f"{runtime.name} answers, but {reasons[0]}{more}"
