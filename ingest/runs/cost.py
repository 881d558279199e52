"""What an ingest will take, said before it starts: environments, disk and time."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.layout import Layout
from ingest.runtimes.protocol import Runtime
from zoo.cards.family import Family, Selection

COPIES = 2  # of every vector: one in a shard, one in the store
LOAD = 8.0  # s to start a worker and load a model, on 2 CPU cores


@dataclass(frozen=True)
class Task:
    """How many systems a model is to embed, in which representations."""

    selection: Selection
    representations: tuple[str, ...]
    systems: int

    @property
    def numbers(self) -> int:
        """How many numbers a system's vectors hold."""
        return sum(
            r.dimension
            for r in self.selection.model.representation
            if r.name in self.representations
        )


@dataclass(frozen=True)
class Cost:
    """Before anything is computed; from the cards, which were measured on 2 CPU cores."""

    build: tuple[Family, ...]
    ready: tuple[Family, ...]
    models: int
    systems: int
    seconds: float
    unmeasured: tuple[str, ...]
    vectors_mb: float
    free_mb: float

    @property
    def build_mb(self) -> int:
        return sum(family.installed_mb for family in self.build)

    def lines(self) -> list[str]:
        size = f"{self.systems:,} vectors by {self.models} model{'s' if self.models != 1 else ''}"
        lines = [f"to compute: {size}, about {duration(self.seconds)} on 2 CPU cores"]
        if self.unmeasured:
            lines[0] += f", without {', '.join(self.unmeasured)}, whose speed is not measured"
        if self.build:
            names = ", ".join(f"{family.name} {family.installed_mb:,} MB" for family in self.build)
            lines.append(f"environments to make ready first, once: {names}")
        if self.ready:
            lines.append(
                f"environments that are there already: {', '.join(family.name for family in self.ready)}"
            )
        return lines + self.disk_lines()

    def disk_lines(self) -> list[str]:
        needed = self.build_mb + self.vectors_mb
        lines = [f"disk: about {needed:,.0f} MB, of {self.free_mb:,.0f} MB free"]
        if needed > self.free_mb:
            lines.append("WARNING: that is more than is free")
        return lines


def estimate(layout: Layout, runtime: Runtime, work: Sequence[Task]) -> Cost:
    families = {task.selection.family.name: task.selection.family for task in work}.values()
    speeds = [(task, task.selection.model.compute.systems_per_second) for task in work]
    return Cost(
        build=tuple(f for f in families if not runtime.ready(f)),
        ready=tuple(f for f in families if runtime.ready(f)),
        models=len(work),
        systems=sum(task.systems for task in work),
        seconds=sum(LOAD + task.systems / speed for task, speed in speeds if speed),
        unmeasured=tuple(task.selection.model_id for task, speed in speeds if not speed),
        vectors_mb=sum(COPIES * 4 * task.numbers * task.systems for task in work) / 1e6,
        free_mb=shutil.disk_usage(_existing(layout.store.parent)).free / 1e6,
    )


def say_cost(cost: Cost, say: Callable[[str], None]) -> None:
    for line in cost.lines():
        say(line)


def duration(seconds: float) -> str:
    """'40 s', '3 min', '2.5 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)
