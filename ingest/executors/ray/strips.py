"""Have Ray find the strips of a matrix.

What a strip is, `query.strips` knows: here it is a file that a command writes. A task that is lost
leaves its strips to the others, and is started again, in all MOST_STARTS times at most; so is one
that was killed, as where memory is short. One that has ended by itself is not: its log says why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from ingest.executors.ray.engine import LOCAL, Ray
from ingest.executors.shared.program import carried_variables, program
from ingest.runs.reporting import report_error
from zoo.command_line import print_now
from zoo.terminal import plural

MOST_STARTS = 3  # of a task


def find_on_ray(
    address: str | None, takes: Mapping[str, float], words: Sequence[str], nodes: int, logs: Path
) -> None:
    """Have tasks of Ray find strips until all tasks have ended.

    Args:
        address: Where Ray is; see `Ray`.
        takes: What of a node a task takes, as Ray calls it.
        words: The command of a task, without the program and the task's number.
        nodes: How many tasks there are.
        logs: A folder, which exists, for what they print.

    Raises:
        RayError: Ray cannot be started or reached, or was lost. What is found stays.
    """
    starts: Counter[int] = Counter()
    with Ray(address, takes, logs / "ray.log") as ray:
        where = "on this machine" if ray.address == LOCAL else f"at {ray.address}"
        print_now(f"Ray {where}: {ray.nodes}; {plural(nodes, 'task')}, with logs in {logs}")

        def start(task: int) -> None:
            starts[task] += 1
            line = [*program(), *words, "--task", str(task)]
            ray.start(task, line, carried_variables(), logs / f"task-{task}.log")

        running = set(range(nodes))
        for task in range(nodes):
            start(task)
        while running:
            event = ray.next(1.0)
            if event is None:
                continue
            task, fault = event["task"], event["fault"]
            if fault is None:
                running.discard(task)
            elif starts[task] < MOST_STARTS:
                print_now(f"task {task} was lost, and is started again: {fault}")
                start(task)
            else:
                running.discard(task)
                report_error(
                    f"task {task} was lost {MOST_STARTS} times and is not started again: {fault}. "
                    "What it has found is kept. Where memory is short, fewer --nodes, or more "
                    f"--cpus for each, leave more for a task; see {logs / f'task-{task}.log'}"
                )
