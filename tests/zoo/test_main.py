"""Commands about models and families: what they print, and one line for what is wrong."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from matterzoo import _make_parser, _parse, main
from zoo.cards.base import CardError
from zoo.cards.discovery import family_folders
from zoo.cards.faults import find_faults
from zoo.cards.loading import load_family
from zoo.encoder import SYMBOLS, Encoder, System


@pytest.fixture(autouse=True)
def toy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Path:
    """The only family is one that `new` has written."""
    monkeypatch.setattr("zoo.cards.discovery.FAMILIES", tmp_path)
    assert main(["new", "toy", "--folder", str(tmp_path)]) == 0
    assert "matterzoo lock toy" in (said := capsys.readouterr().out)
    (tmp_path / "said").write_text(said)
    return tmp_path / "toy"


def test_a_new_family_has_no_fault_but_the_missing_lock(toy: Path) -> None:
    assert find_faults([toy]) == [
        "family toy: there is no requirements.lock; run `matterzoo lock toy`"
    ]


def test_new_names_commands_that_exist(toy: Path) -> None:
    commands = [
        line.split()
        for line in (toy.parent / "said").read_text().splitlines()
        if line.startswith("matterzoo")
    ]
    assert [words[1] for words in commands] == ["lock", "check", "ingest"]
    for _, *arguments in commands:
        _parse(arguments)


def test_a_family_without_a_lock_says_what_to_do(toy: Path) -> None:
    with pytest.raises(
        CardError, match="family toy has no requirements.lock; `matterzoo lock toy` writes it"
    ):
        _ = load_family(toy).lock_hash


def test_a_new_family_s_encoder_runs(toy: Path) -> None:
    spec = importlib.util.spec_from_file_location("toy_encoder", toy / "encoder.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    [card] = load_family(toy).models
    encoder: Encoder = module.FamilyEncoder(
        card.for_worker(), device="cpu", dtype="float32", untrained_seed=None
    )
    water = encoder.prepare(System("water", "0", numbers=np.array([1, 8, 1])))
    [vector] = encoder.encode([water], ["composition"])["composition"]
    assert vector.shape == (card.representation[0].dimension,)
    assert {SYMBOLS[i]: vector[i] for i in np.flatnonzero(vector)} == {"H": 2 / 3, "O": 1 / 3}
    assert encoder.size(water) == 3


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    heading, row, *_ = capsys.readouterr().out.splitlines()
    expected = ["model", "family", "input", "dim", "layers", "nodes", "parameters"]
    assert heading.split()[:7] == expected
    assert row.split() == [
        "toy-composition",
        "toy",
        "structure",
        "118",
        *"----",
        "none",
        "needed",
        "-",
        "none",
    ]
    assert heading.index("family") == row.index("toy ")


def test_list_as_json_is_filtered(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json", "--family", "toy", "--input", "structure"]) == 0
    [found] = json.loads(capsys.readouterr().out)
    assert found["model_id"] == found["card"]["id"] == "toy-composition"
    assert main(["list", "--json", "--input", "text"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_info_says_everything_of_the_card(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "toy-composition"]) == 0
    lines = dict(
        line.split("  ", 1) for line in capsys.readouterr().out.splitlines() if "  " in line
    )
    said = {name: text.strip() for name, text in lines.items()}
    assert said["elements"] == "H-Og"
    assert said["license of code"] == "MIT, commercial use allowed; it is written in this folder"
    assert said["representation"].startswith(
        "composition, default: 118 numbers, of the system, invariant channels"
    )
    assert said["layers"] == "none: it has no weights"
    assert said["untrained twin"] == "none: there is nothing to train"
    assert said["environment"].endswith("no torch, CPU only, NOT LOCKED: run `matterzoo lock toy`")


def test_info_says_what_energy_a_potential_predicts(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cards, first = toy / "models.toml", "[[model.representation]]"
    cards.write_text(
        cards.read_text().replace(
            first, f'[model.energy]\nreference = "eV above nothing"\n\n{first}', 1
        )
    )
    assert main(["info", "toy-composition"]) == 0
    assert "\nenergy              eV above nothing\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["info", "toy-compositon"],
            "no model is named 'toy-compositon'; did you mean 'toy-composition'",
        ),
        (["list", "--family", "toi"], "no family is named 'toi'; did you mean 'toy'"),
        (
            ["list", "--input", "strcture"],
            "no model takes an input named 'strcture'; did you mean 'structure'",
        ),
        (["check", "--family", "toi"], "no family is named 'toi'; did you mean 'toy'"),
        (["lock", "toi"], "no family is named 'toi'; did you mean 'toy'"),
        (["new", "toy"], "a family named 'toy' is there already; choose another name"),
        (
            ["new", "Toy!"],
            "a family's name has lower-case letters, digits, dots and dashes, unlike 'Toy!'",
        ),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, error = capsys.readouterr()
    assert (out, error.count("\n")) == ("", 1)
    assert error.startswith(f"error: {message}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["liste"], "error: no command is named 'liste'; did you mean 'list' or"),
        (["info"], "error: the following arguments are required: model; see matterzoo info --help"),
        ([], "error: the following arguments are required: COMMAND; see matterzoo --help"),
    ],
)
def test_a_wrong_command_line_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(message) and error.count("\n") == 1


def test_check_lists_the_faults_of_every_family(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["new", "joy", "--folder", str(toy.parent)])
    (toy / "encoder.py").write_text("class Encoder: ...\n")
    (toy.parent / "joy" / "family.toml").write_text("")
    capsys.readouterr()
    assert main(["check"]) == 2
    error = capsys.readouterr().err
    assert "family toy: encoder.py defines no class FamilyEncoder" in error
    assert "family toy: there is no requirements.lock" in error
    assert "family joy: 6 faults in its cards:\n  name: Field required" in error


@pytest.mark.parametrize("command", _make_parser()[1])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    if command == "query":  # its help is its own: it lists the statements
        assert main([command, "--help"]) == 0
    else:
        with pytest.raises(SystemExit, match="0"):
            main([command, "--help"])
    assert capsys.readouterr().out.startswith(f"usage: matterzoo {command}")


def test_discovery_follows_the_search_path(toy: Path) -> None:
    assert family_folders() == [toy]


def test_a_search_path_that_leads_nowhere_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MATTERZOO_FAMILIES", str(tmp_path / "nowhere"))
    assert main(["list"]) == 2
    assert f"names {tmp_path / 'nowhere'}, which is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["build", "pull", "push"])
def test_a_wrong_name_is_refused_before_an_engine_is_looked_for(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    assert main([command, "toi", *(["127.0.0.1:9"] if command == "push" else [])]) == 2
    assert "no family is named 'toi'; did you mean 'toy'?" in capsys.readouterr().err
