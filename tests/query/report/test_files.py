"""The report's folder: every figure has its data and SQL; files of others stay."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import duckdb
import pytest
import vl_convert

import query
from matterzoo import main
from query import figures
from query.report import SECTIONS, report
from query.report.page import GENERATOR
from query.report.versions import per_dataset, per_dataset_pair
from query.report.views import Panel, Section
from tests.query.figures.conftest import make_store
from tests.vectors import remove

ONE = [
    Section(
        "alignment_matrix",
        "Who?",
        "How.",
        [Panel("alignment_matrix", figures.alignment_matrix, per_dataset())],
    )
]
TWO = [
    Section(
        "alignment_across_datasets",
        "Where?",
        "How.",
        [Panel("alignment_across_datasets", figures.alignment_across_datasets, per_dataset_pair)],
    )
]


@pytest.fixture(scope="module")
def written(store_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    with query.connect(store_path) as connection:
        report(connection, ["crystals"], folder, ONE)
    return folder


def test_each_figure_has_its_specification_data_and_sql(written: Path) -> None:
    figure = {f"alignment_matrix-crystals.{form}" for form in ("json", "csv", "sql")}
    tables = {f"provenance_{what}" for what in ("datasets", "models", "runs", "failures")}
    assert {file.name for file in (written / "figures").iterdir()} == figure | {
        f"{name}.{form}" for name in tables for form in ("csv", "sql")
    }
    assert sorted(file.name for file in written.iterdir()) == ["figures", "index.html"]
    spec = json.loads((written / "figures" / "alignment_matrix-crystals.json").read_text())
    assert spec["usermeta"]["statement"] == "alignment_matrix"
    svg = ElementTree.fromstring(vl_convert.vegalite_to_svg(spec))
    assert "CKNNA on crystals (n = 60, k = 25)" in "".join(svg.itertext())


def test_every_link_of_the_page_leads_to_a_file(written: Path) -> None:
    links = set(
        re.findall(
            r'href="(?!data:|#)([^"]+)"', (written / "index.html").read_text(encoding="utf-8")
        )
    )
    assert len(links) == 3 + 4 * 2
    assert [link for link in links if not (written / link).is_file()] == []


def test_the_sql_beside_a_figure_gives_its_csv(
    written: Path, store_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("alignment_matrix-crystals", "provenance_runs"):
        sql = (written / "figures" / f"{name}.sql").read_text(encoding="utf-8")
        assert main(["query", "--store", str(store_path), "--csv", sql]) == 0
        expected = list(
            csv.reader(
                io.StringIO((written / "figures" / f"{name}.csv").read_text(encoding="utf-8"))
            )
        )
        assert list(csv.reader(io.StringIO(capsys.readouterr().out))) == expected


def test_a_later_report_replaces_its_own_files_and_no_other(
    store_path: Path, tmp_path: Path
) -> None:
    with query.connect(store_path) as connection:
        report(connection, ["crystals"], tmp_path, ONE)
        (tmp_path / "notes.txt").write_text("mine")
        (tmp_path / "figures" / "mine.json").write_text("mine")
        page = report(connection, ["crystals"], tmp_path, TWO)
    assert GENERATOR in page.read_text(encoding="utf-8")
    assert not list((tmp_path / "figures").glob("alignment_matrix*"))
    assert [(tmp_path / name).read_text() for name in ("notes.txt", "figures/mine.json")] == [
        "mine",
        "mine",
    ]
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_a_section_names_what_it_lacks(store_path: Path, tmp_path: Path) -> None:
    with query.connect(store_path) as connection:
        page = report(connection, ["crystals"], tmp_path, TWO)
    text = page.read_text(encoding="utf-8")
    assert "Nothing to draw: two datasets are needed.</p>" in text
    assert ">matterzoo report crystals,…</pre>" in text  # to be copied


def test_a_section_opens_on_what_can_be_drawn(store_path: Path, tmp_path: Path) -> None:
    def draw(connection: duckdb.DuckDBPyConnection, dataset: str) -> object:
        if dataset == "crystals":
            raise figures.NothingToDraw("none here")
        return figures.alignment_matrix(connection, dataset)

    section = Section("who", "Who?", "How.", [Panel("who", draw, per_dataset())])
    with query.connect(store_path) as connection:
        page = report(connection, ["crystals", "molecules"], tmp_path, [section])
    text = page.read_text(encoding="utf-8")
    assert re.findall(r'value="(\w+)"( checked)?>', text) == [
        ("crystals", ""),
        ("molecules", " checked"),
    ]
    assert re.findall(r'id="who-(\w+)"[^>]*?( hidden)?>', text) == [
        ("crystals", " hidden"),
        ("molecules", ""),
    ]


def test_a_figure_that_fails_costs_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_store(tmp_path / "matter.duckdb", {"alpha": 2})
    with query.connect(path, read_only=False) as connection:
        remove(connection, "model_id = 'yard'")  # the controls' reference
        connection.execute("DELETE FROM models WHERE model_id = 'yard'")

    def broken(connection: object, dataset: str) -> object:
        raise KeyError("no such thing")

    more = Section("broken", "Does it draw?", "No.", [Panel("broken", broken, per_dataset())])
    controls = next(section for section in SECTIONS if section.name == "control_alignment")
    with query.connect(path) as connection:
        page = report(connection, ["crystals"], tmp_path / "out", [controls, more, *ONE])
    text, logged = page.read_text(encoding="utf-8"), capsys.readouterr().err
    fault = "this figure failed: no model &#x27;yard&#x27; in this store"
    assert (
        fault in text
        and "  control_alignment: this figure failed: no model 'yard' in this store" in logged
    )
    assert "this figure failed: KeyError: &#x27;no such thing&#x27;" in text
    assert list((tmp_path / "out" / "figures").glob("alignment_matrix*.json"))


def test_a_read_only_folder_is_reported_before_anything_is_drawn(
    store_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["report", "--processes", "1", "--store", str(store_path), "crystals", "/proc/nowhere"]
    assert main(words) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: /proc/nowhere cannot be written (") and printed.endswith(
        "): name another folder\n"
    )


def test_a_page_that_is_not_a_report_stays(store_path: Path, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<p>mine")
    with query.connect(store_path) as connection:
        with pytest.raises(
            ValueError, match="is not a report and is left as it is: name another folder"
        ):
            report(connection, ["crystals"], tmp_path, ONE)
        with pytest.raises(ValueError, match="is a file; a report needs a folder of its own"):
            report(connection, ["crystals"], tmp_path / "index.html", ONE)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["<p>mine"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["report", "crystal", "--processes", "1"],
            "no dataset 'crystal' in this store; did you mean 'crystals'?",
        ),
        (["report"], "the following arguments are required: dataset"),
        (["report", "a", "b", "c"], "unrecognized arguments: c"),
        (["reprt", "crystals"], "no command is named 'reprt'; did you mean 'report' or"),
    ],
)
def test_a_usage_error_is_one_sentence(
    store_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main([*arguments, "--store", str(store_path)]) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


def test_the_page_of_an_empty_store_names_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = make_store(tmp_path / "matter.duckdb", {}), tmp_path / "out"
    with query.connect(path, read_only=False) as connection:
        remove(connection, "true")
    before = path.read_bytes()
    words = ["report", "--processes", "1", "--store", str(path), "crystals, crystals", str(out)]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert printed.out == f"{out / 'index.html'}\n"
    expected = [section.name for section in SECTIONS] + ["page"]
    logged = re.findall(r"^  (\w+): [\d.]+ s$", printed.err, re.MULTILINE)
    assert sorted(logged) == sorted(expected)
    assert (out / "index.html").read_text(encoding="utf-8").count("Nothing to draw: ") == len(
        SECTIONS
    )
    assert path.read_bytes() == before
