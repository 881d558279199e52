"""Work spread over as many threads as torch uses.

These are Python's own threads, because compiled kernels release the interpreter's lock. A product
of matrices in one of them takes this thread alone: two threads that each make a product and then
use it while it is in their caches are quicker than two that share each product and wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")

FEW = 2**12

_inside = threading.local()
_pools: dict[int, ThreadPoolExecutor] = {}
_making = threading.Lock()


def each(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Return the function of every item, in their order.

    Called from one of its own threads, it works in that thread alone.

    Args:
        function: What is computed.
        items: Of what it is computed.
    """
    items = list(items)
    if len(items) < 2 or torch.get_num_threads() == 1 or getattr(_inside, "yes", False):
        return [function(item) for item in items]
    count = torch.get_num_threads()
    futures = [_pool(count).submit(function, item) for item in items]
    try:
        return [future.result() for future in futures]
    except BaseException:
        _abandon(futures)
        raise


def alone(function: Callable[[], R], products: int) -> R:
    """Return what a function returns in a thread in which torch has this thread alone.

    A product of long columns that threads share rounds as their number wants it; so it does not.

    Args:
        function: What is computed.
        products: How many products of two numbers it takes. Torch shares no few of them among
            threads, and to wake another takes longer.
    """
    if products < FEW or torch.get_num_threads() == 1 or getattr(_inside, "yes", False):
        return function()
    return _pool(torch.get_num_threads()).submit(function).result()


def parts(n: int, least: int = 256) -> list[slice]:
    """Return slices that cover 0 … n, about one per thread.

    Args:
        n: The number of rows.
        least: No slice is much shorter than this.
    """
    if n < 2 * least:
        return [slice(0, n)]
    count = min(torch.get_num_threads(), n // least)
    ends = [n * i // count for i in range(count + 1)]
    return [slice(start, stop) for start, stop in zip(ends, ends[1:], strict=False)]


def _abandon(futures: list[Future[R]]) -> None:
    """Leave nothing running that writes into arrays which the caller is about to release."""
    for future in futures:
        future.cancel()
    for future in futures:
        if not future.cancelled():
            future.exception()


def _pool(count: int) -> ThreadPoolExecutor:
    with _making:
        if count not in _pools:
            _pools[count] = pool = ThreadPoolExecutor(count, "matterzoo", initializer=_begin)
            started = threading.Barrier(count + 1)  # every task needs a thread of its own
            for _ in range(count):
                pool.submit(started.wait)
            started.wait()
            torch.set_num_threads(count)  # torch takes the last number for threads to come
        return _pools[count]


def _begin() -> None:
    _inside.yes = True
    torch.get_num_threads()  # else the first operation in this thread sets the number again
    torch.set_num_threads(1)
