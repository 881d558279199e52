"""Seeds of untrained twins."""

from __future__ import annotations

import hashlib

import pytest

from zoo.cards.twins import split_twin, twin_id, twin_seed


def test_a_twins_seed_is_the_beginning_of_the_hash_of_its_models_id() -> None:
    beginning = hashlib.sha256(b"toy").hexdigest()[:8]  # 32 bits
    assert twin_seed("toy") == int(beginning, 16) // 2
    assert all(twin_seed(name) in range(2**31) for name in "abcdefgh")


def test_a_twin_that_is_drawn_again_has_the_seed_of_its_own_name() -> None:
    assert twin_seed("toy", 2) == int(hashlib.sha256(b"toy@untrained-2").hexdigest()[:8], 16) // 2
    assert len({twin_seed(name, draw) for name in "abc" for draw in range(1, 9)}) == 24


@pytest.mark.parametrize("draw", [1, 2, 10, 999])
def test_the_name_of_a_twin_is_read_back(draw: int) -> None:
    assert split_twin(twin_id("a-1.0", draw)) == ("a-1.0", draw)


@pytest.mark.parametrize("name", ["a", "a@untrained-1", "a@untrained-02", "a@untrained-x", "a-2"])
def test_other_names_are_of_no_twin(name: str) -> None:
    assert split_twin(name) == (name, None)
