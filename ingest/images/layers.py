"""The progress of a push or pull, layer by layer."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any

from tqdm import tqdm

LINE_SECONDS = 5.0  # between two lines where there is no terminal
# How the engine's last status of a layer begins.
FINISHED = (
    "Pull complete",
    "Pushed",
    "Already exists",
    "Layer already exists",
    "Mounted from",
    "Download complete",
)


class LayerProgress:
    """Shows a bar per layer on a terminal; elsewhere it shows a line now and then for all layers.

    It is a context manager: the bars go when the block ends. `str` of it is such a line.
    """

    def __init__(self) -> None:
        self._sizes: dict[str, tuple[int, int]] = {}  # of each layer: bytes done, bytes in all
        self._finished: set[str] = set()
        self._bars: dict[str, Any] = {}
        self._logged = time.monotonic()

    def __enter__(self) -> LayerProgress:
        return self

    def __exit__(self, *error: object) -> None:
        for bar in self._bars.values():
            bar.close()

    def __str__(self) -> str:
        done, total = (sum(size[i] for size in self._sizes.values()) / 1e6 for i in (0, 1))
        layers = f"{len(self._finished)} of {len(self._finished | set(self._sizes))} layers"
        return f"{layers}, {done:,.0f} of {total:,.0f} MB"

    def show(self, event: dict[str, Any]) -> None:
        """Show what an event of the engine says of a layer.

        Args:
            event: One event of a push or pull; events without a layer are passed over.
        """
        layer, detail = event.get("id"), event.get("progressDetail") or {}
        if layer is None:
            return
        status = str(event.get("status", ""))
        if status.startswith(FINISHED):
            self._finished.add(layer)
        if detail.get("total"):
            self._sizes[layer] = detail.get("current", 0), detail["total"]
        if sys.stderr.isatty():
            self._draw(layer, status)
        elif time.monotonic() - self._logged >= LINE_SECONDS:
            self._logged = time.monotonic()
            print(f"  {self}", file=sys.stderr, flush=True)

    def _draw(self, layer: str, status: str) -> None:
        if layer not in self._sizes:
            return
        current, total = self._sizes[layer]
        if layer not in self._bars:
            width = min(100, shutil.get_terminal_size().columns)
            size = {"ncols": width, "nrows": 40, "unit": "B", "unit_scale": True}
            self._bars[layer] = tqdm(
                position=len(self._bars), leave=False, total=total, initial=current, **size
            )
        bar = self._bars[layer]
        bar.total, bar.n = total, total if layer in self._finished else current
        bar.set_description_str(f"  {layer[:12]} {status[:17]:<17}")
