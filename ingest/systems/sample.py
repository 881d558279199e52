"""Which systems a limit means: of those that can be read, the ones whose id has the smallest sha256.

So a sample is the same for everyone, for ever, needs no seed, and a larger one contains a smaller one. The order in
which a source lists its systems means nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from hashlib import sha256

# The same order in SQL, over system ids: `<dataset>/<source id>`.
IN_SQL = "sha256(substr(system_id, strpos(system_id, '/') + 1)), system_id"

Rank = tuple[bytes, str]
LOWEST: Rank = (b"", "")


def rank(source_id: str) -> Rank:
    """The place of an id in the order."""
    return sha256(source_id.encode()).digest(), source_id


def first(ids: Iterable[str], n: int, after: Rank = LOWEST) -> list[str]:
    """The n ids that come first, in order; of those beyond a place in it. Holds no more than n of them at a time."""
    ranked = (place for place in map(rank, ids) if place > after)
    return [source_id for _, source_id in heapq.nsmallest(n, ranked)]
