"""Which systems a limit means: of the readable ones, those whose ids have the smallest SHA-256.

So a sample is the same for everyone and for ever, needs no seed, and a larger one contains a
smaller one. The order in which a source lists its systems has no influence.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from hashlib import sha256

# The same order in SQL, over system ids: `<dataset>/<source id>`.
ORDER_IN_SQL = "sha256(substr(system_id, strpos(system_id, '/') + 1)), system_id"

Rank = tuple[bytes, str]  # the SHA-256 of an id, and the id
LOWEST: Rank = (b"", "")  # before every id


def rank(source_id: str) -> Rank:
    """Return the place of an id in the order of samples.

    Args:
        source_id: The id that the source gives.
    """
    return sha256(source_id.encode()).digest(), source_id


def first_ids(ids: Iterable[str], n: int, after: Rank = LOWEST) -> list[str]:
    """Return the n ids that come first in the order of samples, in that order.

    Args:
        ids: Source ids, in any order; they stream, and no more than n are held at a time.
        n: How many ids to return at most.
        after: Only ids beyond this place count.
    """
    ranked = (place for place in map(rank, ids) if place > after)
    return [source_id for _, source_id in heapq.nsmallest(n, ranked)]
