"""Tasks that several processes take, each in the order that computes the least twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from threading import Condition
from typing import Any


@dataclass(frozen=True)
class Task:
    """What one process does in one go.

    Attributes:
        place: What the task is known by to whoever gave it.
        near: Tasks with the same word share what they find on their way, so that one process
            does them if it can. Those with the empty word come first.
        call: What is called with a connection and the arguments. It goes to other processes by
            its name, so that it is a function of a module.
        arguments: What it is called with.
        early: Whether its word is begun before others, as it takes long.
    """

    place: Hashable
    near: str
    call: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    early: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a task.

    Attributes:
        value: What was returned; None if the process ended while it was at it.
        seconds: How long it took.
        lost: Why there is no value, a sentence; None if there is one.
    """

    value: Any
    seconds: float
    lost: str | None = None


class Agenda:
    """Tasks that are waiting, for several threads.

    Who comes first to a word takes its tasks from the front; others help from the back, so that
    what they share stays together for as long as there is other work.
    """

    def __init__(
        self, tasks: Iterable[Task], then: Callable[[Task, Outcome], Iterable[Task]]
    ) -> None:
        """Begin.

        Args:
            tasks: The first tasks.
            then: Called with each task that is done, one at a time; it returns tasks that follow.
        """
        self._then = then
        self._waiting: dict[str, deque[Task]] = {}
        self._owners: dict[str, int] = {}
        self._last: dict[int, str] = {}  # the word of each one's last task
        self._begun = 0
        self._error: BaseException | None = None
        self._changed = Condition()
        self._add(tasks)

    def take(self, who: int) -> Task | None:
        """Return a task, waiting while one that is begun may bring others.

        Args:
            who: The number of the one who asks.

        Returns:
            A task; None if all are done.

        Raises:
            BaseException: What another one failed with.
        """
        with self._changed:
            while True:
                if self._error is not None:
                    raise self._error
                if any(self._waiting.values()):
                    self._begun += 1
                    return self._next(who)
                if self._begun == 0:
                    return None
                self._changed.wait()

    def finish(self, task: Task, outcome: Outcome) -> None:
        """Report a task as done.

        Args:
            task: What `take` returned.
            outcome: What came of it.
        """
        with self._changed:
            if self._error is None:
                self._add(self._then(task, outcome))
            self._begun -= 1
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Let all others stop at their next task.

        Args:
            error: What `take` raises from now on.
        """
        with self._changed:
            self._error = error
            self._changed.notify_all()

    def _add(self, tasks: Iterable[Task]) -> None:
        for task in tasks:
            self._waiting.setdefault(task.near, deque()).append(task)

    def _next(self, who: int) -> Task:
        def wish(near: str) -> tuple[bool, bool, bool, bool, int]:
            tasks = self._waiting[near]
            mine, is_new = near == self._last.get(who), near not in self._owners
            return near == "", mine, is_new, tasks[0].early, len(tasks)

        near = max((near for near, tasks in self._waiting.items() if tasks), key=wish)
        self._last[who] = near
        if self._owners.setdefault(near, who) == who:
            return self._waiting[near].popleft()
        return self._waiting[near].pop()
