"""Decide which chunks a task computes.

A task loads a package and a model, which takes as long as some small chunks. So short chunks of a
family share a task, those of a model next to one another, and long ones have tasks of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ingest.runs.errors import RequestError

TASK_SECONDS = 1200.0  # that the chunks of a task take together, about: loading a model is nothing


@dataclass(frozen=True)
class Chunk:
    """What grouping has to know of a chunk.

    Attributes:
        run_id: Its run.
        family: The model's family.
        model_id: The model.
        seconds: How long it takes, about; None if nobody has measured the model.
    """

    run_id: str
    family: str
    model_id: str
    seconds: float | None = None

    @property
    def weight(self) -> float:
        """Its share in a task; a chunk of unknown length fills one."""
        return TASK_SECONDS if self.seconds is None else min(self.seconds, TASK_SECONDS)


def group(chunks: Sequence[Chunk], most: int, per_task: int | None = None) -> list[list[str]]:
    """Group chunks into tasks.

    Args:
        chunks: All chunks.
        most: How many tasks there may be.
        per_task: How many chunks a task computes; None goes by how long they take, and takes more
            only where there would be too many tasks.

    Returns:
        The ids of each task's runs. A task has chunks of one family only.

    Raises:
        RequestError: There are more tasks than the cluster takes in an array.
    """
    ordered = sorted(chunks, key=lambda chunk: (chunk.family, chunk.model_id))
    if per_task is not None:
        tasks = _pack(ordered, [1.0] * len(ordered), per_task)
    else:
        weights = [chunk.weight for chunk in ordered]
        seconds = TASK_SECONDS
        while len(tasks := _pack(ordered, weights, seconds)) > most and seconds < sum(weights):
            seconds *= 1.25
    if len(tasks) > most:
        raise RequestError(
            f"{len(chunks)} chunks make {len(tasks)} tasks, and this cluster takes {most} in an "
            "array (its MaxArraySize): ask for fewer models at a time, or leave out --per-task"
        )
    return tasks


def _pack(chunks: Sequence[Chunk], weights: Sequence[float], room: float) -> list[list[str]]:
    """Fill one task after another, each with chunks of one family."""
    tasks: list[list[str]] = []
    family, left = None, 0.0
    for chunk, weight in zip(chunks, weights, strict=True):
        if chunk.family != family or weight > left:
            tasks.append([])
            family, left = chunk.family, room
        tasks[-1].append(chunk.run_id)
        left -= weight
    return tasks
