"""matterzoo query: answers in four forms, statements, and one clear sentence for an error."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from matterzoo import main
from query.metrics import METRICS
from query.sql.output import error_sentence
from query.sql.splitting import is_complete, split_statements
from query.statements import FOLDER, Statement, find_statements

ROOT = Path(__file__).resolve().parents[2]
Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(store_path: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Run the command line on the store; its exit code, output and errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["query", "--store", str(store_path), *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_it_prints_a_boxed_table(ask: Ask) -> None:
    code, out, err = ask("SELECT model_id, title FROM models ORDER BY 1 LIMIT 1")
    assert (code, err) == (0, "")
    assert "│ base     │ A model │" in out


def test_a_question_without_our_functions_does_not_wait_for_them(store_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['numba'] = None; import matterzoo; "
        f"sys.exit(matterzoo.main(['query', '--store', {str(store_path)!r}, sys.argv[1]]))"
    )

    def ask(sql: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, sql]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    done = ask("SELECT count(*) AS n FROM models; FROM models")
    assert (done.returncode, done.stderr) == (0, "")
    assert "import of torch halted" in ask("FROM models_on('crystals')").stderr


def test_functions_are_found_by_any_statement(ask: Ask) -> None:
    _, out, _ = ask("--csv", "SELECT 1; FROM models_on('crystals') SELECT count(*)")
    assert out.splitlines()[-1] > "1"
    _, out, _ = ask("--csv", "FROM duckdb_functions() SELECT 1 WHERE function_name = 'cknna'")
    assert out.splitlines()[-1] == "1"


def test_what_goes_to_a_file_is_not_cut(ask: Ask) -> None:
    _, out, _ = ask(
        f"SELECT {', '.join(f'{i} AS column_number_{i}' for i in range(40))}, "
        "repeat('x', 300) AS long"
    )
    assert "column_number_20" in out
    assert "x" * 300 in out


def test_csv(ask: Ask) -> None:
    code, out, _ = ask(
        "--csv", "SELECT system_id, NULL AS nothing, [1, 2] AS list FROM systems ORDER BY 1 LIMIT 2"
    )
    rows = list(csv.reader(io.StringIO(out)))
    assert code == 0
    assert rows == [["system_id", "nothing", "list"]] + [
        [f"crystals/00{i}", "", "[1, 2]"] for i in range(2)
    ]


def test_json(ask: Ask) -> None:
    code, out, _ = ask("--json", "FROM nearest_systems('base', 'crystals/000', k := 2)")
    assert code == 0
    assert [set(row) for row in json.loads(out)] == [
        {"rank", "system_id", "formula", "similarity"}
    ] * 2


def test_parquet(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "out.parquet"
    code, out, _ = ask("--parquet", str(file), "FROM alignment('base', 'near', k := 5)")
    assert (code, out) == (0, "")
    assert pq.read_table(file).column("dataset").to_pylist() == ["crystals", "molecules"]


def test_sql_from_standard_input(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT 1 + 1 AS two;\nSELECT 3 AS three;"))
    code, out, err = ask("--csv", "-")
    assert (code, out) == (0, "three\n3\n")
    assert err == "the result of statement 1 is left out: csv holds one, the last\n"


def test_every_statement_s_result_is_shown(ask: Ask) -> None:
    code, out, err = ask("SELECT 11 AS a; SET threads = 1; SELECT 22 AS b -- ;")
    assert (code, err) == (0, "")
    assert out.index(" 11 ") < out.index(" 22 ")


@pytest.mark.parametrize("name", ["out.csv", "it's.json", "out.parquet"])
def test_a_file_s_ending_names_its_format(ask: Ask, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    assert ask("--out", str(file), "SELECT 'é' AS a") == (0, "", "")
    read = {".csv": "read_csv", ".json": "read_json", ".parquet": "read_parquet"}[file.suffix]
    assert duckdb.execute(f"SELECT a FROM {read}(?)", [str(file)]).fetchall() == [("é",)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["--out", "out.txt"],
            "out.txt does not end in .csv, .json or .parquet; name the format with --format",
        ),
        (["--format", "parquet"], "Parquet is not for a screen; name a file with --out"),
    ],
)
def test_a_format_and_a_file_that_do_not_go_together(
    ask: Ask, arguments: list[str], says: str
) -> None:
    code, out, err = ask(*arguments, "SELECT 1")
    assert (code, out) == (2, "")
    assert says in err


def test_a_place_that_no_file_can_be_written_to_is_told_before_the_question(
    ask: Ask, tmp_path: Path, small_disk: Path
) -> None:
    (tmp_path / "folder.csv").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for out, says in {
        "/nodir/x.csv": (
            "/nodir/x.csv cannot be written: there is no folder /nodir; make it, or name another"
        ),
        str(tmp_path / "folder.csv"): "folder.csv is a folder; name a file with --out",
        str(
            small_disk / "x.csv"
        ): f"{small_disk} is read-only here; name another folder with --out",
    }.items():
        code, printed, err = ask("--out", out, "SELECT error('asked')")
        assert (code, printed) == (2, "") and says in err and err.count("\n") == 1


def test_a_disk_that_fills_up_under_the_result(
    ask: Ask, small_disk: Path, fill: Callable[[Path, int], Path]
) -> None:
    fill(small_disk, 4096)
    code, _, err = ask("--out", str(small_disk / "x.csv"), "SELECT * FROM range(1000000)")
    assert code == 2 and "No space left on device" in err and "Traceback" not in err
    assert [file.name for file in small_disk.iterdir()] == ["filler"]


@pytest.mark.parametrize("words", [["--help"], ["alignment_matrix", "--help"], ["FROM models"]])
def test_a_reader_that_has_gone(store_path: Path, words: list[str]) -> None:
    command = [sys.executable, "-m", "matterzoo", "query", "--store", str(store_path), *words]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode in (0, 120)


def test_a_query_that_fails_leaves_the_file_that_is_there(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("kept")
    code, _, _ = ask("--out", str(tmp_path / "out.csv"), "SELECT error('no') FROM models")
    assert code == 2
    assert [file.name for file in tmp_path.iterdir()] == ["out.csv"]
    assert (tmp_path / "out.csv").read_text() == "kept"


def test_explain_shows_the_plan_as_text(ask: Ask) -> None:
    _, out, _ = ask("EXPLAIN FROM models")
    assert "explain_value" not in out
    assert "SEQ_SCAN" in out


def test_a_statement_without_a_result_prints_nothing(ask: Ask) -> None:
    assert ask("SET threads = 1") == (0, "", "")
    assert ask("") == (0, "", "")


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("FROM alignment('bose', 'near')", "no model 'bose' in this store; did you mean 'base'?\n"),
        (
            "SELECT cknna(vector, vector, k := 0) FROM embeddings",
            "k = 0, expected at least 1 neighbor\n",
        ),
        ("FROM alignmnt('base', 'near')", 'does not exist!\nDid you mean "alignment"?\n'),
        ("FROM modls", "Did you mean"),
        ("INSERT INTO labels VALUES ('a', 'b', 1, 'c', 'd')", "read-only mode"),
    ],
)
def test_an_error_is_a_sentence_without_a_traceback(ask: Ask, sql: str, says: str) -> None:
    code, out, err = ask(sql)
    assert (code, out) == (2, "")
    assert says in err
    assert "Traceback" not in err
    assert "UDF" not in err
    assert "\nAt:" not in err


def test_an_error_that_is_not_ours_keeps_its_name() -> None:
    text = (
        "Invalid Input Error: Python exception occurred while executing the UDF: "
        "KeyError: 'x'\n\nAt:\n  a.py(1): f\n"
    )
    assert error_sentence(duckdb.InvalidInputException(text)) == "KeyError: 'x'"
    assert error_sentence(duckdb.BinderException("Binder Error: no")) == "Binder Error: no"


def test_it_writes_only_when_told(
    store_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "matter.duckdb"
    copy.write_bytes(store_path.read_bytes())
    insert = "INSERT INTO labels VALUES ('crystals/000', 'energy', 1, 'eV', 'by hand')"
    assert main(["query", "--store", str(copy), "--write", insert]) == 0
    assert main(["query", "--store", str(copy), "--csv", "SELECT count(*) AS n FROM labels"]) == 0
    assert capsys.readouterr().out == "n\n1\n"


def test_a_store_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", "--store", str(tmp_path / "no.duckdb"), "FROM models"]) == 2
    assert "there is no store at" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "the SQL is missing, or the name of a statement"),
        (["--csv", "--json", "FROM models"], "not allowed with"),
        (["--nonsense", "FROM models"], "unrecognized arguments: --nonsense"),
    ],
)
def test_a_wrong_command_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert main(["query", *arguments]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_matrix_shows_every_model_in_the_order_of_the_tree(ask: Ask) -> None:
    code, out, _ = ask("--json", "alignment_matrix_text", "crystals", "k=5")
    heading, *lines = json.loads(out)
    assert code == 0
    assert heading["alignment × 100"].split() == [str(i) for i in range(1, 12)]
    assert [line["#"] for line in lines] == [str(i) for i in range(1, 12)]
    cells = {line["model"]: line["alignment × 100"].split() for line in lines}
    places = {line["model"]: int(line["#"]) - 1 for line in lines}
    assert cells["constant"] == ["·"] * 11
    for model in ("base", "near", "noise", "partial"):
        assert cells[model][places[model]] == "100"
        assert cells[model][places["far"]] == cells["far"][places[model]]
    assert {places[model] for model in ("constant", "poisoned", "ragged")} == {8, 9, 10}
    assert {line["model"]: line["n"] for line in lines}["partial"] == "50"


def test_matrix_takes_a_metric(ask: Ask) -> None:
    _, by_default, _ = ask("alignment_matrix_text", "crystals", "k=5")
    _, by_cka, _ = ask("alignment_matrix_text", "crystals", "metric=cka")
    assert by_default != by_cka
    code, _, err = ask("alignment_matrix_text", "crystals", "metric=cknn")
    assert (code, err) == (
        2,
        f"error: unknown metric 'cknn'; did you mean 'cknna'? there are: {', '.join(METRICS)}\n",
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["alignment_matrix_text"], "usage: matterzoo query alignment_matrix_text DATASET"),
        (
            ["alignment_matrix_text", "crystals", "molecules"],
            "usage: matterzoo query alignment_matrix_text DATASET",
        ),
        (
            ["alignment_matrix_text", "crystals", "metrik=cka"],
            "no option 'metrik'; did you mean 'metric'?",
        ),
        (["alignment_matrx", "crystals"], "did you mean 'alignment_matrix'?"),
        (["SELECT", "1"], "put the SQL in quotes"),
    ],
)
def test_a_wrong_call_of_an_example(ask: Ask, arguments: list[str], says: str) -> None:
    code, out, err = ask(*arguments)
    assert (code, out) == (2, "")
    assert says in err


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.sql")), ids=lambda file: file.stem)
def test_an_example_says_how_it_is_called(file: Path) -> None:
    statement = Statement(file)
    assert statement.usage.split()[0] == file.stem
    assert statement.about.endswith(".")
    assert all(
        f"getvariable('{name}')" in statement.text
        for name in (*statement.words, *statement.options)
    )


def test_a_file_that_does_not_say_how_it_is_called_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.sql"
    file.write_text("SELECT 1;\nSELECT 2;\n")
    with pytest.raises(ValueError, match="the first line is 'SELECT 1;', expected '-- mine WORD"):
        Statement(file)


def test_help_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", "--help"]) == 0
    text = capsys.readouterr().out
    for word in (
        "--store",
        "--write",
        "--csv",
        "--json",
        "--parquet",
        *find_statements(),
    ):
        assert word in text


@pytest.mark.parametrize("word", find_statements())
def test_a_word_explains_itself(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", word, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"matterzoo query {word} ")


def test_as_a_program(store_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "matterzoo",
        "query",
        "--csv",
        "SELECT count(*) AS n FROM systems",
    ]
    environment = os.environ | {"MATTERZOO_STORE": str(store_path)}
    answer = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "n\n100\n", "")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1;", ["SELECT 1"]),
        ("SELECT ';'; SELECT 2 -- ;\n; ", ["SELECT ';'", " SELECT 2 -- ;\n"]),
        ("SELECT 'é;', \"ü;\"; SELECT 2;", ["SELECT 'é;', \"ü;\"", " SELECT 2"]),
        ("SELECT $$;$$ /* ; */;", ["SELECT $$;$$ /* ; */"]),
        ("-- only a comment", []),
        ("", []),
    ],
)
def test_statements(text: str, parts: list[str]) -> None:
    assert list(split_statements(text)) == parts


@pytest.mark.parametrize("text", ["SELECT 1", "SELECT ';", "SELECT 1; SELECT", "SELECT 1 -- ;", ""])
def test_incomplete(text: str) -> None:
    assert not is_complete(text)


@pytest.mark.parametrize("text", ["SELECT 1;", "SELECT 1; ", "SELECT 'é'; -- done"])
def test_complete(text: str) -> None:
    assert is_complete(text)
