"""The report: the machine, then lines that each compare a figure of ours with a rival's."""

from __future__ import annotations

import datetime
import math
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

HEADER = f"{'measure':<62} {'ours':>12} {'rival':>12} {'ratio':>9} {'limit':>9}"


@dataclass(frozen=True)
class Row:
    """A figure of ours and a rival's.

    Attributes:
        measure: What is measured.
        ours: Our figure.
        rival: The rival's, in the same unit.
        unit: The unit.
        limit: The largest ratio that the project accepts; None if it sets none.
        note: How the figures came about, if that is not plain.
    """

    measure: str
    ours: float
    rival: float
    unit: str
    limit: float | None
    note: str = ""

    @property
    def ratio(self) -> float:
        return self.ours / self.rival

    @property
    def missed(self) -> bool:
        return self.limit is not None and self.ratio > self.limit

    def __str__(self) -> str:
        verdict = "  MISSED" if self.missed else ""
        figures = f"{_quantity(self.ours, self.unit):>12} {_quantity(self.rival, self.unit):>12}"
        limit = "" if self.limit is None else f"{self.limit:.2f}"
        note = f"\n    {self.note}" if self.note else ""
        return f"{self.measure:<62} {figures} {self._ratio():>9} {limit:>9}{verdict}{note}"

    def _ratio(self) -> str:
        return f"{self.ratio:.3f}"


@dataclass(frozen=True)
class Faster(Row):
    """The same, where `limit` is the smallest factor by which ours must be the faster one."""

    @property
    def ratio(self) -> float:
        return self.rival / self.ours

    @property
    def missed(self) -> bool:
        return self.limit is not None and self.ratio < self.limit

    def _ratio(self) -> str:
        return f"{self.ratio:,.0f} ×"


@dataclass(frozen=True)
class Growth(Row):
    """How ours grew from rival, as a power of how much more there was to do.

    Attributes:
        factor: How much more; `limit` is the largest exponent.
    """

    factor: float = 2.0

    @property
    def ratio(self) -> float:
        return math.log(self.ours / self.rival) / math.log(self.factor)


@dataclass(frozen=True)
class NotMeasured(Row):
    """What could not be measured here, and why."""

    @classmethod
    def because(cls, measure: str, reason: str) -> NotMeasured:
        return cls(measure, math.nan, math.nan, "", None, reason)

    def __str__(self) -> str:
        return f"{self.measure}: not measured\n    {self.note}"


class Report:
    """Prints the report, and appends it to a file as one section if one is named.

    Attributes:
        record: The file.
        complete: Whether everything could be measured so far.
    """

    def __init__(self, title: str, record: Path | None) -> None:
        self.record = record
        self.complete = True
        self._write(f"\n## {title}\n\n```\n", file_only=True)
        self._write("\n".join([*machine(), HEADER]) + "\n")

    def add(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self._write(f"{row}\n")
            self.complete &= not isinstance(row, NotMeasured)

    def close(self) -> None:
        self._write("```\n", file_only=True)

    def _write(self, text: str, *, file_only: bool = False) -> None:
        if not file_only:
            print(text, end="", flush=True)
        if self.record is not None:
            with self.record.open("a") as file:
                file.write(text)


def machine() -> list[str]:
    """Return on what the figures were measured."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    lines = [
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, {platform.platform()}, Python "
        f"{platform.python_version()}",
        f"{_processor()}, {cores} cores, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}",
    ]
    if torch.cuda.is_available():
        lines.append(f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}")
    return lines


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    described = dict(tuple(map(str.strip, line.split(":", 1))) for line in lines if ":" in line)
    name = described.get("model name", platform.processor() or platform.machine())
    family, model = described.get("cpu family"), described.get("model")
    return f"{name} (family {family}, model {model})" if family else name


def _quantity(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if value >= 1000 else f"{value:.2f} {unit}"
