"""The README's own blocks, executed: commands run, and results are what the demo's store gives."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from query.sql.macros import signatures
from tests.documents import ROOT, assert_prints, sql_blocks

README = (ROOT / "README.md").read_text()
DEMO = ROOT / "matter.duckdb"

needs_demo = pytest.mark.skipif(
    not DEMO.exists(), reason="needs the demo's store: run `make demo` first"
)

SQL_BLOCKS = sql_blocks(ROOT / "README.md")
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("make ")
]
IN_CONTAINERS = COMMANDS[COMMANDS.index("make doctor") :][
    :4
]  # tests/ingest/images/test_zoo.py runs them
RUN_ELSEWHERE = {
    "make demo",
    "make test",
    "make shell",
    "make bench",
}  # .ci/run, test_shell.py, by hand
ON_A_CLUSTER = [  # tests/ingest/cluster, on a real Slurm
    command for command in COMMANDS if command.startswith("make ingest") and "ON=" in command
]
DOWNLOADS = {"make weights"}  # tests/zoo/weights, from a hub on loopback


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the demo's store with what the README embeds before it asks."""
    copy = tmp_path_factory.mktemp("readme") / "matter.duckdb"
    shutil.copy(DEMO, copy)
    shutil.copytree(DEMO.with_suffix(".data"), copy.with_suffix(".data"), copy_function=os.link)
    (command,) = re.findall(r"`(make ingest .* NODES=1)`", README)
    run_command(command, copy)
    return copy


def run_command(command: str, store: Path) -> None:
    """Run a command of the README on a store."""
    answer = subprocess.run(
        f"{command} STORE={store}",
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_readme_shows_sql_and_commands() -> None:
    assert SQL_BLOCKS
    assert {"make demo", "make test"} <= set(COMMANDS)
    assert [command.split()[1] for command in IN_CONTAINERS] == [
        "doctor",
        "pull",
        "ingest",
        "query",
    ]


@needs_demo
@pytest.mark.parametrize(("sql", "printed"), SQL_BLOCKS, ids=range(len(SQL_BLOCKS)))
def test_sql_prints_what_the_readme_shows(store: Path, sql: str, printed: str) -> None:
    assert_prints(store, sql, printed)


@needs_demo
@pytest.mark.parametrize(
    "command",
    [
        c
        for c in COMMANDS
        if c not in (*RUN_ELSEWHERE, *IN_CONTAINERS, *ON_A_CLUSTER)
        and " ".join(c.split()[:2]) not in DOWNLOADS
    ],
)
def test_commands_run(store: Path, command: str) -> None:
    run_command(command, store)


def test_the_walk_removes_no_more_than_it_made() -> None:
    """The README removes only what it has just embedded, so that its first query still answers."""
    removed = [set(command.split()[2:]) for command in COMMANDS if command.startswith("make clean")]
    made = [set(command.split()[2:]) for command in COMMANDS if command.startswith("make ingest")]
    assert removed and all(any(one <= other for other in made) for one in removed)
    assert all(any(word.startswith("DATASET=") for word in one) for one in removed)


def test_every_sql_function_is_named() -> None:
    described = (ROOT / "query" / "README.md").read_text()
    missing = [name for name in signatures() if not re.search(rf"`{name}(`\]|\()", described)]
    assert not missing


def test_the_readme_is_read_in_two_minutes() -> None:
    assert len(README.split()) <= 900
    assert max(map(len, README.splitlines())) <= 100


DOCUMENTS = [
    path
    for path in ROOT.rglob("*.md")
    if not {".venv", ".envs", "report", "wheels"} & set(path.relative_to(ROOT).parts)
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_a_document_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []
