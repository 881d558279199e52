"""Users who share a store's folder can write to what the others make; see also tests of a cluster.

tests/ingest/cluster/test_users.py has two users, each with processes of their own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.users import describe_owner, user_name
from matterzoo import main
from schemas.paths import write_for_group


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """Keep files to their user, and set the umask back afterwards."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.parametrize(
    "mode, made", [(0o2775, 0o660), (0o775, 0o600), (0o2755, 0o600)], ids=["g+ws", "g+w", "g+s"]
)
def test_only_a_folder_with_both_bits_is_shared(mode: int, made: int, tmp_path: Path) -> None:
    tmp_path.chmod(mode)
    write_for_group(tmp_path / "matter.duckdb")
    (tmp_path / "file").touch()
    assert (tmp_path / "file").stat().st_mode & 0o777 == made


def test_a_folder_that_is_not_there_changes_nothing(tmp_path: Path) -> None:
    write_for_group(tmp_path / "nowhere" / "matter.duckdb")
    (tmp_path / "file").touch()
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("command", ["ingest toy", "matrix", "query"])
def test_what_a_command_makes_is_the_group_s(command: str, tmp_path: Path) -> None:
    """A matrix that one has begun, another continues; and a cache serves both."""
    tmp_path.chmod(0o2775)
    store = str(tmp_path / "matter.duckdb")
    assert main([*command.split(), "nothing", "--store", store]) != 0
    (tmp_path / "file").touch()
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o660


def test_owners_are_named(tmp_path: Path) -> None:
    assert user_name(0) == "root"
    assert user_name(4_000_000_000) == "4000000000"  # as for files of a machine that is gone
    assert describe_owner(tmp_path / "new" / "file") == ""
    if os.geteuid() == 0:
        os.chown(tmp_path, 4_000_000_000, -1)
        said = f"{tmp_path} is 4000000000's, and this is {user_name()}; "
        assert describe_owner(tmp_path / "new" / "file").startswith(said)
        os.chown(tmp_path, 0, -1)
