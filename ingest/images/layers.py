"""The progress of a push or pull, layer by layer."""

from __future__ import annotations

from typing import Any

from zoo.terminal import Progress

# How the engine's last status of a layer begins.
FINISHED = (
    "Pull complete",
    "Pushed",
    "Already exists",
    "Layer already exists",
    "Mounted from",
    "Download complete",
)
ID_WIDTH, STATUS_WIDTH = 12, 17  # columns in front of a bar
NEVER = float("inf")  # the progress of all layers is a line where there is no terminal, never a bar


class LayerProgress:
    """Shows a bar per layer on a terminal; elsewhere it shows a line now and then for all layers.

    It is a context manager: the bars go when the block ends. `str` of it is such a line.
    """

    def __init__(self) -> None:
        self._sizes: dict[str, tuple[int, int]] = {}  # of each layer: bytes done, bytes in all
        self._finished: set[str] = set()
        self._bars: dict[str, Progress] = {}
        self._all = Progress("layers", line=lambda progress: str(self), after=NEVER)

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
        """Show how far a layer is, according to an event of the engine.

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
        if layer in self._sizes:
            self._move_bar(layer, status)
        self._all.move(sum(done for done, _ in self._sizes.values()))

    def _move_bar(self, layer: str, status: str) -> None:
        done, total = self._sizes[layer]
        label = f"{layer[:ID_WIDTH]} {status[:STATUS_WIDTH]:<{STATUS_WIDTH}}"
        if layer not in self._bars:
            self._bars[layer] = Progress(
                label, total, done=done, position=len(self._bars), unit="B", unit_scale=True
            )
        bar = self._bars[layer]
        bar.describe(label)
        bar.move(total if layer in self._finished else done, total)
