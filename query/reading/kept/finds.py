"""What was found, by all that decides it, and the blocks for which it is kept.

Everything is found under a key that holds all that decides it: hashes of the vectors' files among
them, and never a name or a place alone. So what is kept cannot answer for other vectors, whichever
connection or thread asks. Table functions may run in any thread, so that all of a process share one
`Finds`. It goes when the last block ends that keeps it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

ROOM = 2**29  # bytes of all that is kept; what was asked for longest ago goes first


class Finds:
    """What was found, by key, up to ROOM bytes."""

    def __init__(self, room: int = ROOM) -> None:
        """Begin with nothing.

        Args:
            room: Bytes that may be kept.
        """
        self._room, self._size = room, 0
        self._found: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._changing = threading.Lock()

    def get(self, key: Hashable) -> Any | None:
        """Return what is kept under a key, or None.

        Args:
            key: The key.
        """
        with self._changing:
            if key not in self._found:
                return None
            self._found.move_to_end(key)
            return self._found[key][0]

    def put(self, key: Hashable, found: Any, size: int) -> None:
        """Keep something, and drop what was asked for longest ago if there is no room.

        Args:
            key: All that decides what was found.
            found: What was found; nobody changes it.
            size: About how many bytes it has. What has more than all room is not kept.
        """
        if size > self._room:
            return
        with self._changing:
            self._size += size - self._found.pop(key, (None, 0))[1]
            self._found[key] = found, size
            while self._size > self._room:
                self._size -= self._found.popitem(last=False)[1][1]


class _Open:
    """The finds that are open, and for how many blocks."""

    finds: Finds | None = None
    blocks = 0
    changing = threading.Lock()


@contextmanager
def keep_finds() -> Iterator[None]:
    """Keep what questions of this process find until the block, and all others like it, end.

    Yields:
        Nothing.
    """
    with _Open.changing:
        _Open.finds = _Open.finds or Finds()
        _Open.blocks += 1
    try:
        yield
    finally:
        with _Open.changing:
            _Open.blocks -= 1
            if not _Open.blocks:
                _Open.finds = None


def open_finds() -> Finds | None:
    """Return what is kept now; None outside of `keep_finds`."""
    return _Open.finds


def keep(key: Hashable, find: Callable[[], Any], size_of: Callable[[Any], int]) -> Any:
    """Return what is kept under a key; else find it, and keep it if finds are open.

    Args:
        key: All that decides what is found; see `Finds.put`.
        find: How it is found; it never returns None.
        size_of: Returns about how many bytes it has.
    """
    finds = open_finds()
    if finds is None:
        return find()
    found = finds.get(key)
    if found is None:
        found = find()
        finds.put(key, found, size_of(found))
    return found
