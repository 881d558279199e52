"""Seeds of untrained twins."""

from __future__ import annotations

import hashlib

from zoo.cards.twins import twin_seed


def test_a_twins_seed_is_the_beginning_of_the_hash_of_its_models_id() -> None:
    beginning = hashlib.sha256(b"toy").hexdigest()[:8]  # 32 bits
    assert twin_seed("toy") == int(beginning, 16) // 2
    assert all(twin_seed(name) in range(2**31) for name in "abcdefgh")
