"""The command line: every mistake gets one clear sentence and leaves the store as it was."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

from ingest.layout import Layout
from ingest.limits import Limits
from ingest.runs.folder import Run, list_runs, lock_run
from ingest.runs.load import load
from ingest.runs.plan import Plan
from ingest.runs.prepare import prepare_dataset
from ingest.runs.request import choose_models
from ingest.sources.shared.discovery import find_dataset
from ingest.systems.materialized import MaterializedDataset
from matterzoo import _parse, main
from schemas.store import connect
from tests.ingest.stores import copy_store
from zoo.cards.base import CardError
from zoo.cards.discovery import load_models
from zoo.places import environments
from zoo.weights.local import find_weights, needed_files

Make = Callable[..., MaterializedDataset]
Planned = Callable[..., Plan]
Finish = Callable[..., Run]
Said = pytest.CaptureFixture[str]

WRONG = {
    "model": (["ingest", "toi", "elements"], "no model is named 'toi'; did you mean 'toy'"),
    "twin": (["ingest", "toy@untrained", "elements"], "toy has no weights to draw at random"),
    "dataset": (["ingest", "toy", "elments"], "did you mean 'elements'"),
    "file": (["ingest", "toy", "none.extxyz"], "error: there is no file /"),
    "list": (["ingest", "toy", "elements,g3"], "'g3' is neither a dataset nor a file"),
    "vectors of two": (
        ["ingest", "my", "elements,g2", "--vectors", "v.csv"],
        "--vectors are of one dataset, not of 2",
    ),
    "vectors cut": (
        ["ingest", "my", "elements", "--vectors", "v.csv", "--limit", "10"],
        "--vectors are taken as they are, and all of them: leave out --limit",
    ),
    "vectors computed": (
        [
            "ingest",
            "my",
            "g2",
            "--vectors",
            "v.csv",
            "--device",
            "cuda",
            "--batch",
            "3",
            "--dtype",
            "float64",
        ],
        "--vectors are taken as they are, and all of them: leave out --device, --dtype, --batch",
    ),
    "runtime": (
        ["ingest", "toy", "elements", "--runtime", "vnv"],
        "no runtime is named 'vnv'; did you mean 'venv'",
    ),
    "memory": (
        ["ingest", "toy", "g2", "--runtime", "venv", "--memory", "8g"],
        "venv cannot keep a worker within --memory",
    ),
    "cpus": (
        ["ingest", "toy", "g2", "--runtime", "venv", "--cpus", "2"],
        "or --cpus; --runtime docker can",
    ),
    "representation": (
        ["ingest", "toy", "g2", "--representation", "x"],
        "no representation 'x'; it has nodes, whole",
    ),
    "no model": (["ingest", ",", "elements"], "no model is named; give ids separated by commas"),
    "title without vectors": (
        ["ingest", "toy", "elements", "--title", "x"],
        "--title needs --vectors",
    ),
    "vectors": (
        ["ingest", "mine", "elements", "--vectors", "none.csv"],
        "there is no file none.csv",
    ),
    "clean": (["clean", "toy"], "nothing of a model 'toy' is in"),
    "clean nothing": (
        ["clean"],
        "--cache, --submissions NAMES, --matrices KEYS, or --images FAMILY",
    ),
    "clean environment": (
        ["clean", "--env", "ty"],
        "no environment is named 'ty'; did you mean 'toy'",
    ),
    "rebuild": (["rebuild"], "holds no run, so there is nothing to make a store from"),
    "family": (["env", "ty"], "no family is named 'ty'; did you mean 'toy'"),
    "store": (
        ["du", "--store", "/no/such/folder/x.duckdb"],
        "there is no folder /no/such/folder to hold the store",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_mistake_is_told_in_one_sentence(wrong: str, layout: Layout, capfd: Said) -> None:
    arguments, message = WRONG[wrong]
    assert main(arguments) == 2
    said = capfd.readouterr().err
    assert message in said
    assert said.startswith("error: ") and said.count("\n") == 1
    assert not layout.store.exists()


@pytest.mark.parametrize(
    "option",
    [
        "--limit=0",
        "--limit=many",
        "--batch=-1",
        "--device=gpu",
        "--device=cuda:x",
        "--device=cuda:GPU",
    ]
    + ["--dtype=float8", "--memory=8", "--memory=0g", "--memory=8t", "--cpus=0", "--cpus=two"]
    + ["--timeout=0", "--timeout=1h"],
)
def test_options_that_cannot_be(option: str, layout: Layout, capfd: Said) -> None:
    assert main(["ingest", "toy", "elements", option]) == 2
    said = capfd.readouterr().err
    assert option.split("=")[1] in said and said.count("\n") == 1


def test_the_number_of_a_task_is_that_of_its_job(
    layout: Layout, capfd: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MATTERZOO_FILE_WAIT", "0")
    assert main(["work", "none"]) == 2
    assert "no task is named" in capfd.readouterr().err
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")  # the parser that was made before is kept
    assert main(["work", "none"]) == 1
    assert "submission.json is not seen" in capfd.readouterr().err
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3_1")
    assert main(["work", "none"]) == 2
    assert "SLURM_ARRAY_TASK_ID='3_1' is not a whole number" in capfd.readouterr().err


def test_options_become_limits_and_devices() -> None:
    options = _parse(
        ["ingest", "toy", "g2", "--memory", "1.5G", "--cpus", "0.5", "--timeout", "60"]
    )
    assert (options.memory, options.cpus, options.timeout) == (3 * 2**29, 0.5, 60.0)
    options = _parse(["ingest", "toy", "g2", "--memory=512m"])
    assert (options.memory, options.cpus, options.timeout) == (2**29, None, Limits().silence)
    for device in ("cpu", "cuda", "cuda:1", "cuda:GPU-5fb2ad4c-90ab", "cuda:MIG-GPU-5fb2ad4c/1/0"):
        assert _parse(["ingest", "toy", "g2", "--device", device]).device == device


def test_bundled_means_every_model_that_needs_no_download_and_all_those_at_hand_too() -> None:
    bundled = {
        s.model_id: s
        for s in load_models().values()
        if s.model.weights.source in ("package", "none")
    }
    assert {s.model_id for s in choose_models("bundled")} == set(bundled)
    twins = {s.model_id for s in choose_models("bundled@untrained")}
    assert twins == {f"{s.model_id}@untrained" for s in bundled.values() if s.model.trainable}
    drawn_again = {s.model_id for s in choose_models("bundled@untrained-2")}
    assert drawn_again == {f"{name}-2" for name in twins}
    assert len(choose_models("bundled,bundled@untrained,bundled")) == len(bundled) + len(twins)
    demo = {s.model_id for s in choose_models("demo")}
    assert demo == {name for s in bundled.values() for name in s.family.demo} < set(bundled) | twins
    assert {"chgnet-0.3.0", "chgnet-0.3.0@untrained"} < demo
    assert (
        {f"{name}-2" for name in demo & twins}
        <= {s.model_id for s in choose_models("demo@untrained-2")}
        <= drawn_again
    )
    assert set(bundled) <= {s.model_id for s in choose_models("all")}
    assert all(not needed_files(s) or find_weights(s) for s in choose_models("all"))
    assert twins <= {s.model_id for s in choose_models("all@untrained")}
    with pytest.raises(CardError, match="no model is named"):
        choose_models("")


def test_models_that_can_take_nothing_are_skipped(
    layout: Layout, dataset: Make, capfd: Said, tmp_path: Path
) -> None:
    (tmp_path / "words.fasta").write_text(">a\nMKV\n>b\nGGG\n")
    assert main(["ingest", "toy,toy-picky", "words.fasta"]) == 0
    said = capfd.readouterr().out
    reason = "each takes a structure, and no system of words has one"
    assert f"toy, toy-picky on words: skipped, {reason}" in said
    assert "to compute" not in said


def test_what_is_there_is_shown_removed_and_made_again(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish, capfd: Said
) -> None:
    made = dataset(20)
    for model_id in ("toy", "toy-picky"):
        load(layout, finish(planned(made, model_id=model_id).run))
    assert main(["du"]) == 0
    said = capfd.readouterr().out
    assert all(
        word in said for word in ("matter.duckdb", "tiny", "toy-picky", "environment", "in all")
    )
    assert main(["clean", "toy"]) == 0
    assert "removed 19 rows of embeddings" in capfd.readouterr().out
    assert [run.read("job/job.json")["model_id"] for run in list_runs(layout)] == ["toy-picky"]
    assert main(["clean", "toy"]) == 2
    assert "did you mean 'toy-picky'" in capfd.readouterr().err
    assert main(["rebuild"]) == 0
    with connect(layout.store, read_only=True) as connection:
        rows = connection.execute("SELECT model_id, count(*) FROM embeddings GROUP BY 1").fetchall()
    assert rows == [("toy-picky", 19)]


Contents = Callable[[Path], dict[str, list[str]]]


@pytest.fixture(scope="module")
def first_two(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """A place for a copy of the store that the first test fills for all."""
    return Layout(tmp_path_factory.mktemp("two") / "matter.duckdb")


@pytest.fixture
def two_datasets(
    layout: Layout,
    dataset: Make,
    planned: Planned,
    finish: Finish,
    tmp_path: Path,
    first_two: Layout,
) -> Layout:
    """A potential in two representations on two datasets, beside another model.

    Its prediction fails on one system.
    """
    if first_two.store.exists():
        copy_store(first_two, layout)
        return layout
    file = tmp_path / "others.extxyz"
    file.write_text(
        "".join(
            f'2\npbc="F F F" Properties=species:S:1:pos:R:3\nH 0 0 0\nF 0 0 0.{i}\n' for i in (7, 8)
        )
    )
    others = prepare_dataset(layout, find_dataset(str(file)))
    for made in (dataset(8), others):
        for model_id, names in (
            ("toy-potential", ("nodes",)),
            ("toy-potential", ("whole",)),
            ("toy", ("nodes",)),
        ):
            load(layout, finish(planned(made, model_id=model_id, names=names).run))
    copy_store(layout, first_two)
    return layout


def test_clean_removes_a_model_on_one_dataset_and_nothing_else(
    two_datasets: Layout, contents: Contents, capfd: Said
) -> None:
    before, folders = contents(two_datasets.store), {run.run_id for run in list_runs(two_datasets)}
    assert main(["clean", "toy-potential", "others", "--yes"]) == 0
    said = capfd.readouterr().out
    assert "  2 rows of embeddings\n" in said and "removed 2 rows of runs\n" in said  # shown first
    after = contents(two_datasets.store)

    def gone(row: str) -> bool:
        return "'toy-potential'" in row and "others" in row

    for table, rows in before.items():
        assert after[table] == [row for row in rows if not gone(row)], table
    assert any(
        gone(row) for table in ("embeddings", "failures", "runs", "labels") for row in before[table]
    )
    left = {run.run_id for run in list_runs(two_datasets)}
    assert {run_id.rpartition("--")[0] for run_id in folders - left} == {"toy-potential--others"}
    assert main(["clean", "toy-potential", "others"]) == 2
    assert "nothing of toy-potential on a dataset 'others' is in " in capfd.readouterr().err
    assert main(["rebuild"]) == 0
    assert contents(two_datasets.store)["embeddings"] == after["embeddings"]


def test_clean_asks_before_it_removes_more_than_a_run(
    two_datasets: Layout, contents: Contents, capfd: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, folders = contents(two_datasets.store), {run.run_id for run in list_runs(two_datasets)}
    monkeypatch.setattr("sys.stdin", StringIO("y\n"))  # no terminal
    assert main(["clean", "toy-potential"]) == 2
    said = capfd.readouterr()
    would = (
        "error: This would remove 4 runs of toy-potential. "
        "Nothing was removed: add --yes to confirm\n"
    )
    assert said.err == would and "rows of embeddings" in said.out
    for answer in ("n\n", "\n"):
        monkeypatch.setattr("sys.stdin", terminal(answer))
        assert main(["clean", "toy-potential", "others"]) == 2
        assert "error: nothing was removed\n" in capfd.readouterr().err
    assert contents(two_datasets.store) == before
    assert {run.run_id for run in list_runs(two_datasets)} == folders
    monkeypatch.setattr("sys.stdin", terminal("y\n"))
    assert main(["clean", "toy-potential"]) == 0
    after = contents(two_datasets.store)
    assert not any("toy-potential" in row for rows in after.values() for row in rows)
    assert after["embeddings"] == [
        row for row in before["embeddings"] if "toy-potential" not in row
    ]
    assert {
        run_id.partition("--")[0]
        for run_id in folders - {run.run_id for run in list_runs(two_datasets)}
    } == {"toy-potential"}
    monkeypatch.setattr("sys.stdin", StringIO(""))
    assert (
        main(["clean", "toy", "others"]) == 0
    )  # one run: named exactly, and computed again by one command


def test_clean_takes_lists_shown_together_and_asked_once(
    two_datasets: Layout, contents: Contents, capfd: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(two_datasets.store)
    for words, says in {
        ("toy,none", "others"): "nothing of a model 'none' is in ",
        ("toy, toy-potential", "others,tny"): "nothing of toy on a dataset 'tny' is in ",
        (" , ",): "no model is named in ' , '; give names separated by commas",
        ("toy", ","): "no dataset is named in ','; give names separated by commas",
    }.items():
        assert main(["clean", *words, "--yes"]) == 2
        assert says in capfd.readouterr().err
    assert contents(two_datasets.store) == before and len(list_runs(two_datasets)) == 6
    monkeypatch.setattr("sys.stdin", StringIO(""))
    assert main(["clean", "toy,toy-potential,toy", "others"]) == 2
    said = capfd.readouterr()
    assert (
        "This would remove 3 runs of toy,toy-potential,toy on others. Nothing was removed"
        in said.err
    )
    assert "  3 rows of runs\n" in said.out and said.out.count("-potential--others") == 2
    assert contents(two_datasets.store) == before
    monkeypatch.setattr("sys.stdin", terminal("y\n"))  # one answer, for all
    assert main(["clean", "toy,toy-potential", "others"]) == 0
    assert contents(two_datasets.store)["runs"] == [
        row for row in before["runs"] if "others" not in row
    ]
    assert main(["clean", "toy-potential,toy", "--yes"]) == 0
    assert not any(
        contents(two_datasets.store)[table] for table in ("embeddings", "runs", "models")
    )
    assert list(list_runs(two_datasets)) == []


def terminal(typed: str) -> StringIO:
    """What a user types at a terminal."""
    stream = StringIO(typed)
    stream.isatty = lambda: True  # type: ignore[method-assign]
    return stream


def test_clean_leaves_a_run_in_progress_alone(
    two_datasets: Layout, contents: Contents, capfd: Said
) -> None:
    before = contents(two_datasets.store)
    run = next(
        run for run in list_runs(two_datasets) if run.run_id.startswith("toy-potential--tiny--")
    )
    with lock_run(run):
        assert main(["clean", "toy-potential", "--yes"]) == 2
    assert (
        f"another process is working on run {run.run_id}; wait until it is done"
        in capfd.readouterr().err
    )
    assert contents(two_datasets.store) == before
    assert all(run.finished for run in list_runs(two_datasets))


def test_no_system_loses_its_vector_unasked(
    layout: Layout, capfd: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "three.csv").write_text("system_id,a,b\nFe,1,2\nCu,3,4\nAl,5,6\n")
    (tmp_path / "two.csv").write_text("system_id,a,b\nFe,1,2\nCu,3,5\n")
    (tmp_path / "others.csv").write_text(
        "system_id,a,b\nFe,1,2\nAg,3,5\nAu,3,6\nPt,3,7\n"
    )  # more, and not the same
    give = ["ingest", "mine", "elements", "--vectors"]
    assert main([*give, "three.csv"]) == 0
    before = layout.store.read_bytes()
    monkeypatch.setattr("sys.stdin", StringIO(""))
    for file, lost in (("two.csv", 1), ("others.csv", 2)):
        assert main([*give, file]) == 2
        said = capfd.readouterr().err
        assert (
            f"{lost} systems would lose their vector ({lost} of elements), "
            "as the file has none for them" in said
        )
        assert (
            ". Nothing was replaced: add --yes to confirm" in said
            and layout.store.read_bytes() == before
        )
    assert main([*give, "two.csv", "--yes"]) == 0
    assert main([*give, "three.csv"]) == 0  # nothing is lost by it


def test_vectors_of_another_length_take_none_of_other_datasets_unasked(
    layout: Layout, capfd: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.csv").write_text("system_id,a,b\nFe,1,2\nCu,3,4\n")
    (tmp_path / "longer.csv").write_text("system_id,a,b,c\nH2,1,2,3\nN2,3,4,5\n")
    assert main(["ingest", "mine", "elements", "--vectors", "one.csv"]) == 0
    monkeypatch.setattr("sys.stdin", StringIO(""))
    assert main(["ingest", "mine", "g2", "--vectors", "longer.csv"]) == 2
    assert "2 systems would lose their vector (2 of elements)" in capfd.readouterr().err


def test_a_dataset_that_was_made_of_a_file_is_found_by_its_name(
    layout: Layout, capfd: Said, tmp_path: Path
) -> None:
    file = tmp_path / "elsewhere" / "ids.csv"
    file.parent.mkdir()
    file.write_text("system_id,smiles\nwater,O\nmethane,C\n")
    (tmp_path / "v.csv").write_text("system_id,a,b\nwater,1,2\nmethane,3,4\n")
    assert main(["ingest", "mine", str(file), "--vectors", "v.csv"]) == 0
    assert main(["ingest", "other", "ids", "--vectors", "v.csv"]) == 0
    assert f"ids was made of {file}\n" in capfd.readouterr().out
    file.rename(tmp_path / "gone.csv")
    assert main(["plan", "toy", "ids"]) == 2
    assert (
        f"ids was made of {file}, which is not there now: give the path that it has"
        in capfd.readouterr().err
    )
    for name in ("idz", "../datasets/ids"):
        assert main(["plan", "toy", name]) == 2
        assert "neither a dataset nor a file" in capfd.readouterr().err or "/" in name


def test_a_folder_is_a_dataset_with_the_name_given(
    layout: Layout, tmp_path: Path, capfd: Said
) -> None:
    folder = tmp_path / "crystals"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.xyz").write_text("1\n\nH 0 0 0\n")
    (folder / "c.xyz").write_text("nonsense\n")
    (tmp_path / "v.csv").write_text("system_id,x,y\na,1,2\nb,3,4\n")
    assert main(["ingest", "mine", str(folder), "--name", "set-1", "--vectors", "v.csv"]) == 0
    assert "2 systems; entries that cannot be read: 1, see table failures" in capfd.readouterr().out
    assert main(["plan", "toy", f"set-1,{folder}/[ab].xyz"]) == 0
    said = capfd.readouterr().out
    assert "dataset set-1: 2 systems, here" in said
    assert "dataset crystals: to be made first" in said
    with connect(layout.store, read_only=True) as connection:
        found = connection.execute("FROM systems SELECT system_id ORDER BY ALL").fetchall()
    assert found == [("set-1/a",), ("set-1/b",)]


def test_a_glob_that_the_shell_has_replaced_is_told_as_one(tmp_path: Path, capfd: Said) -> None:
    files = [str(tmp_path / name) for name in ("a.xyz", "b.xyz", "c.xyz")]
    for file in files:
        Path(file).write_text("1\n\nH 0 0 0\n")
    assert main(["plan", "toy", *files]) == 2
    assert "a glob of files needs quotes" in capfd.readouterr().err


def test_the_cache_is_shown_and_removed(layout: Layout, capfd: Said) -> None:
    assert main(["clean", "--cache"]) == 2
    assert "there is no cache beside" in capfd.readouterr().err
    layout.cache.mkdir(parents=True)
    (layout.cache / "lists").write_bytes(bytes(3 * 10**6))
    assert main(["du"]) == 0
    assert "cache                3.0 MB  neighbors" in capfd.readouterr().out
    assert main(["clean", "--cache"]) == 0
    assert f"removed {layout.cache} (3.0 MB)" in capfd.readouterr().out
    assert not layout.cache.exists()


def test_an_environment_is_removed(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(environments() / "toy", tmp_path / "envs" / "toy", symlinks=True)
    monkeypatch.setenv("MATTERZOO_ENVS", str(tmp_path / "envs"))
    assert main(["clean", "--env", "toy"]) == 0
    assert not (tmp_path / "envs" / "toy").exists()


def test_a_store_that_is_written_elsewhere(
    layout: Layout, capfd: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.runs.store.waiting.PATIENCE", 0.1)
    connect(layout.store).close()
    before = layout.store.read_bytes()
    hold = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1]); "
        "print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(layout.store)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        assert main(["ingest", "toy", "elements", "--limit", "2"]) == 2
        process.communicate()
    assert f"is being written by process {process.pid}" in capfd.readouterr().err
    assert layout.store.read_bytes() == before


def test_a_store_of_a_newer_version(layout: Layout, capfd: Said) -> None:
    with connect(layout.store) as connection:
        connection.execute("INSERT INTO schema_version VALUES (99, now())")
    before = layout.store.read_bytes()
    for arguments in (["ingest", "toy", "elements", "--limit", "2"], ["clean", "toy"]):
        assert main(arguments) == 2
        assert "made by matterzoo schema 99" in capfd.readouterr().err
    assert layout.store.read_bytes() == before


def test_a_plan_is_told_without_doing_anything(layout: Layout, capfd: Said) -> None:
    assert main(["plan", "toy", "elements"]) == 0
    said = capfd.readouterr().out
    assert "dataset elements: 71 systems, to be made first" in said
    assert "toy: 71 systems to embed" in said
    assert "environment: ready" in said
    assert not layout.data.exists()
    assert main(["plan", "qwen3-30b-a3b", "nci"]) == 0
    said = capfd.readouterr().out
    assert "memory: at least 60,441.9 MB, its 30,220,957,696 parameters in bfloat16;" in said
    assert main(["plan", "uma-m-1p1", "elements", "--dtype", "float32"]) == 0
    assert "in float32, and 22,346.7 MB of the host's while it loads" in capfd.readouterr().out


def test_a_plan_knows_the_store_and_what_earlier_runs_took(layout: Layout, capfd: Said) -> None:
    assert main(["ingest", "toy", "elements", "--limit", "10", "--runtime", "venv"]) == 0
    capfd.readouterr()
    assert (
        main(["plan", "toy", "elements", "--limit", "30", "--batch", "7", "--runtime", "venv"]) == 0
    )
    said = capfd.readouterr().out
    assert "dataset elements: 71 systems, here" in said
    assert "toy: 20 systems to embed, of 30" in said
    assert re.search(r"time: about \d+ s on cpu, by an earlier run on such a device", said)
    assert re.search(r"memory: [\d.,]+ MB of the host's at the peak of an earlier run on cpu", said)
    assert re.search(r"batches: about \d+, of at most 7 ", said)
    assert main(["plan", "toy", "elements", "--limit", "10", "--runtime", "venv"]) == 0
    assert "toy: 0 systems to embed, of 10" in capfd.readouterr().out


def test_vectors_by_the_command_line(layout: Layout, capfd: Said, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("system_id,a,b\nFe,1,2\nelements/Cu,3,4\n")
    arguments = ["ingest", "mine", "elements", "--vectors", "mine.csv", "--license", "CC0-1.0"]
    assert main(arguments) == 0
    assert "mine on elements: 2 of 71 systems have a vector" in capfd.readouterr().out
    assert main(arguments) == 0
    assert "stored already; nothing to do" in capfd.readouterr().out


def test_every_command_explains_itself(capfd: Said) -> None:
    for command in (
        [],
        ["ingest"],
        ["plan"],
        ["check"],
        ["env"],
        ["rebuild"],
        ["du"],
        ["clean"],
        ["datasets"],
        ["pin"],
    ):
        with pytest.raises(SystemExit, match="0"):
            main([*command, "--help"])
        assert "usage: matterzoo" in capfd.readouterr().out


def test_datasets_are_listed(capfd: Said) -> None:
    assert main(["datasets"]) == 0
    assert "elements            71 systems" in capfd.readouterr().out


def test_several_datasets_one_after_another(layout: Layout, capfd: Said) -> None:
    assert main(["ingest", "toy", "elements, g2", "--limit", "2", "--runtime", "venv"]) == 0
    with connect(layout.store, read_only=True) as connection:
        assert connection.execute("SELECT dataset, sent FROM runs ORDER BY 1").fetchall() == [
            ("elements", 2),
            ("g2", 2),
        ]


def test_a_pipe_that_ends_is_no_error(layout: Layout) -> None:
    for arguments in (
        "datasets",
        f"query 'FROM range(100000)' --csv --store {layout.store}",
    ):
        connect(layout.store).close()
        command = f"{sys.executable} -m matterzoo {arguments} | head -1"
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
        assert done.stdout.count("\n") == 1 and done.stderr == ""


def test_two_files_of_one_name_do_not_mix(layout: Layout, capfd: Said, tmp_path: Path) -> None:
    for folder, length in (("a", 0.7), ("b", 0.8)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "h2.extxyz").write_text(
            f'2\nname="h2" pbc="F F F" Properties=species:S:1:pos:R:3\nH 0 0 0\nH 0 0 {length}\n'
        )
    assert main(["ingest", "toy", "a/h2.extxyz"]) == 0
    before = layout.store.read_bytes()
    assert main(["ingest", "toy", "b/h2.extxyz"]) == 2
    assert "a dataset named 'h2' is there already, from " in capfd.readouterr().err
    assert layout.store.read_bytes() == before
    (tmp_path / "a" / "h2.extxyz").write_text(
        (tmp_path / "b" / "h2.extxyz").read_text()
    )  # changed: embedded again
    assert main(["ingest", "toy", "a/h2.extxyz"]) == 0
    with connect(layout.store, read_only=True) as connection:
        assert connection.execute("SELECT positions[2][3] FROM systems").fetchall() == [(0.8,)]
        assert connection.execute("SELECT count(*) FROM embeddings").fetchall() == [(1,)]
