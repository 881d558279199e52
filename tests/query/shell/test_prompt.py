"""The SQL prompt, with keys that come through a pipe, and as a batch."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import duckdb
import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from query.shell.completion import NameCompleter
from query.shell.prompt import shell
from schemas import store

ROOT = Path(__file__).resolve().parents[3]
ENTER, CTRL_C, CTRL_D, UP = "\r", "\x03", "\x04", "\x1b[A"
Talk = Callable[[str], tuple[str, str]]


@pytest.fixture
def talk(
    con: duckdb.DuckDBPyConnection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Talk:
    """Type keys at a prompt; returns its standard output and standard error."""
    monkeypatch.setattr("query.shell.prompt.HISTORY", tmp_path / "history")

    def type_keys(keys: str) -> tuple[str, str]:
        with create_pipe_input() as pipe:
            pipe.send_text(keys)
            shell(con, input=pipe, output=DummyOutput())
        captured = capsys.readouterr()
        return captured.out, captured.err

    return type_keys


def test_a_statement_may_take_several_lines(talk: Talk) -> None:
    out, err = talk(f"SELECT 41 + 1{ENTER}AS answer;{ENTER}{CTRL_D}")
    assert "answer" in out
    assert "42" in out
    assert err == ""


def test_several_statements_on_a_line_are_all_answered(talk: Talk) -> None:
    out, _ = talk(f"SELECT 11 AS a; SELECT 22 AS b;{ENTER}{CTRL_D}")
    assert "11" in out
    assert "22" in out


def test_an_error_does_not_end_it(talk: Talk) -> None:
    out, err = talk(
        f"FROM alignment('bose', 'near');{ENTER}SELEC 1;{ENTER}SELECT 7 AS still;{ENTER}{CTRL_D}"
    )
    assert "no model 'bose' in this store; did you mean 'base'?" in err
    assert "syntax error" in err
    assert "Traceback" not in err
    assert "still" in out


def test_ctrl_c_drops_the_line(talk: Talk) -> None:
    out, err = talk(f"SELECT 666{CTRL_C}SELECT 7 AS kept;{ENTER}{CTRL_D}")
    assert "kept" in out
    assert "666" not in out
    assert err == ""


def test_ctrl_c_stops_a_query_but_not_the_prompt(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(relation: duckdb.DuckDBPyRelation | None) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr("query.shell.prompt.show", interrupted)
    out, err = talk(f"SELECT 1;{ENTER}SELECT 7 AS kept;{ENTER}{CTRL_D}")
    assert err == "interrupted\n"
    assert "kept" in out


def test_quit_ends_the_session(talk: Talk) -> None:
    out, _ = talk(f".quit{ENTER}SELECT 666;{ENTER}")
    assert "666" not in out


def test_history_outlives_the_session(talk: Talk) -> None:
    talk(f"SELECT 123 AS before;{ENTER}{CTRL_D}")
    out, _ = talk(f"{UP}{ENTER}{CTRL_D}")
    assert "before" in out


def test_commands(talk: Talk) -> None:
    out, err = talk(
        f".tables{ENTER}.schema embeddings{ENTER}.help{ENTER}{ENTER}.halp{ENTER}"
        f".schema embedings{ENTER}{CTRL_D}"
    )
    assert "Molecules, materials and proteins" in out
    assert "float32, in the model's own arbitrary units" in out
    assert (
        "nearest_systems(model, system_id, k := 10, dataset := NULL)\n    The systems that" in out
    )
    assert err.splitlines() == [
        "no command .halp; there are: .help, .tables, .schema, .long, .clear, .quit",
        "no table 'embedings'; did you mean 'embeddings'?",
    ]


def test_tables_are_counted(talk: Talk, con: duckdb.DuckDBPyConnection) -> None:
    out, _ = talk(f".tables{ENTER}{CTRL_D}")
    for table in ("models", "embeddings", "systems"):
        ((count,),) = con.execute(f"SELECT count(*) FROM {table}").fetchall()
        assert re.search(rf"│ {table} +│ +{count} │", out)


def test_tables_are_those_of_the_store_in_use(
    talk: Talk, con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    with store.connect(tmp_path / "other.duckdb") as connection:
        connection.execute("INSERT INTO scores VALUES ('a', 'mae', 1, 'eV', 'test', 'paper')")
    attach = f"ATTACH '{tmp_path / 'other.duckdb'}' AS other (READ_ONLY);{ENTER}"
    unused, _ = talk(f"{attach}.tables{ENTER}.schema scores{ENTER}{CTRL_D}")
    used, err = talk(f"USE other;{ENTER}.tables{ENTER}{CTRL_D}")
    assert err == ""
    assert unused.count("│ models ") == 1 and unused.count("│ test_set ") == 1
    assert re.search(r"│ scores +│ +1 │", used) and re.search(r"│ models +│ +0 │", used)
    con.execute("USE matter; DETACH other")  # of all connections to the store


def test_help_of_one_function(talk: Talk) -> None:
    out, err = talk(f".help cknna{ENTER}.help cknn{ENTER}{CTRL_D}")
    assert out.count("cknna(a, b") == 1 and "mutual_knn" not in out and ".tables" not in out
    assert err == "no function 'cknn'; did you mean 'cknna'?\n"


def test_a_wide_result_is_shown_with_a_line_per_column(talk: Talk) -> None:
    out, err = talk(f".long SELECT 1 AS first, NULL AS second_column FROM range(2);{ENTER}{CTRL_D}")
    assert err == ""
    assert "row 1\n  first          1\n  second_column  NULL\nrow 2\n" in out


def test_clear_is_no_sql(talk: Talk) -> None:
    out, err = talk(f"clear;{ENTER}.clear{ENTER}{CTRL_D}")
    assert out.count("\033[2J") == 2 and err == ""


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("FROM embed", "embeddings"),
        ("FROM align", "alignment"),
        ("SELECT content_h", "content_hash"),
        ("SELECT list_cosine_s", "list_cosine_similarity"),
        ("SELECT * FROM models WHER", "WHERE"),
        ("FROM alignment('ba", "base"),
        ("FROM alignment('base', 'scal", "scaled"),
        ("FROM alignment_matrix(dataset := 'mol", "molecules"),
        (".sch", ".schema"),
    ],
)
def test_completion_of_names(con: duckdb.DuckDBPyConnection, typed: str, first: str) -> None:
    found = list(NameCompleter(con).get_completions(Document(typed), CompleteEvent()))
    assert found[0].text.lower() == first.lower()
    assert found[0].start_position < 0


def test_our_functions_come_with_their_arguments(con: duckdb.DuckDBPyConnection) -> None:
    (found,) = NameCompleter(con).get_completions(Document("SELECT mutual_k"), CompleteEvent())
    expected = "mutual_knn(a, b, k := 25, normalize := 'l2', rows := NULL)"
    assert found.display_meta_text == expected


@pytest.mark.parametrize("typed", ["", "SELECT ", "SELECT 'a' ", "SELECT __ali"])
def test_nothing_to_complete(con: duckdb.DuckDBPyConnection, typed: str) -> None:
    assert not list(NameCompleter(con).get_completions(Document(typed), CompleteEvent()))


def test_a_pipe_is_a_batch(store_path: Path) -> None:
    text = """
        SELECT 11 AS a; SELECT 'x;y'
            AS b;
.tables
        FROM no_such_table;
        SELECT cknna(vector, vector, k := 0) FROM embeddings;
        -- the end; without a semicolon
        SELECT 33 AS c
    """
    command = [sys.executable, "-m", "matterzoo", "shell", "--store", str(store_path)]
    answer = subprocess.run(
        command, cwd=ROOT, env=os.environ, input=text, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0
    for shown in ("11", "x;y", "embeddings", "33"):
        assert shown in answer.stdout
    assert "no_such_table does not exist" in answer.stderr
    assert "k = 0, expected at least 1 neighbor" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_batch_may_leave_early(
    con: duckdb.DuckDBPyConnection,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO("SELECT 11;\n.quit\nSELECT 666;"))
    shell(con)
    out = capsys.readouterr().out
    assert "11" in out
    assert "666" not in out
