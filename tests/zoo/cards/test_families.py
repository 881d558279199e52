"""The contract of every family, as far as it needs no environment.

Families are found, never listed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from query.statements import find_statements
from zoo.cards.discovery import family_folders, find_model, load_families, load_models
from zoo.cards.faults import find_faults, read_requirements
from zoo.cards.loading import load_family
from zoo.cards.requirements import CUDA_RUNTIME, read_blocks
from zoo.cards.schema import Input
from zoo.cards.twins import TWIN
from zoo.places import FAMILIES, ROOT

REPOSITORY = ROOT
FOLDERS = [folder for folder in family_folders() if folder.parent == FAMILIES]
family_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


@family_folder
def test_no_faults(folder: Path) -> None:
    assert find_faults([folder]) == []


@family_folder
def test_lock_leaves_torch_and_its_cuda_runtime_to_the_machine(folder: Path) -> None:
    _, blocks = read_blocks(load_family(folder).lock)
    heavy = [
        b.name
        for b in blocks
        if b.name == "torch" or (CUDA_RUNTIME.fullmatch(b.name) and b.via == {"torch"})
    ]
    assert heavy == []


@family_folder
def test_lock_says_how_it_was_made(folder: Path) -> None:
    header, _ = read_blocks(load_family(folder).lock)
    made_by = rf"(python -m zoo|matterzoo) lock {re.escape(folder.name)}$"
    assert re.search(made_by, "".join(header), re.MULTILINE)


@family_folder
def test_every_package_with_weights_is_required(folder: Path) -> None:
    required = read_requirements(folder / "requirements.in")
    for model in load_family(folder).models:
        if model.weights.package:
            assert model.weights.package in required


@family_folder
def test_a_family_with_torch_says_which_gpus_run_it(folder: Path) -> None:
    family = load_family(folder)
    bounds = family.cuda_capability, family.cuda_capability_max
    assert (None in bounds) == (family.torch is None), bounds


@family_folder
def test_a_model_of_strings_says_whether_it_tells_mirror_images_apart(folder: Path) -> None:
    models = [m for m in load_family(folder).models if m.input in ("smiles", "selfies")]
    unsaid = {model.id for model in models if model.stereochemistry is None}
    # Another spelling of one molecule has another vector, as their cards say.
    assert unsaid <= {"unimol2-84m", "unimol2-164m"}


def test_a_model_with_weights_names_its_layers_or_says_why_not() -> None:
    models = [each.model for each in load_models().values() if each.model.trainable]
    assert [m.id for m in models if m.layers is None and m.no_layers is None] == []


@family_folder
def test_every_trainable_model_has_a_twin(folder: Path) -> None:
    for model in load_family(folder).models:
        if model.trainable:
            assert find_model(model.id + TWIN).untrained_seed is not None
            assert model.compute.parameters > 0


def test_no_two_models_have_one_twin() -> None:
    """Nor does a model's own hash depend on how its twin is drawn: its record still holds."""
    selections = [selection for selection in load_models().values() if selection.model.trainable]
    seeds = {selection.model_id: selection.twin().untrained_seed for selection in selections}
    assert len(seeds) > 1
    assert len(set(seeds.values())) == len(seeds)
    assert len({selection.twin().card_hash for selection in selections}) == len(seeds)


def uses_of_the_seed(encoder: Path) -> list[str]:
    """Return what an encoder does with the seed beyond handing it on and asking if there is one."""
    tree = ast.parse(encoder.read_text())
    asked = {id(node.left) for node in ast.walk(tree) if isinstance(node, ast.Compare)}
    handed = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.keyword)}
    names = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id == "untrained_seed"
    ]
    return [f"line {node.lineno}" for node in names if id(node) not in asked | handed]


@family_folder
def test_an_encoder_draws_from_the_seed_that_it_is_given(folder: Path) -> None:
    trainable = any(model.trainable for model in load_family(folder).models)
    assert bool(uses_of_the_seed(folder / "encoder.py")) == trainable


@family_folder
def test_the_folder_holds_nothing_else(folder: Path) -> None:
    allowed = {
        "family.toml",
        "models.toml",
        "encoder.py",
        "dummy_checkpoint.py",
        "stand_in",
        "requirements.in",
        "requirements.override",
        "golden.parquet",
    }
    allowed |= {"requirements.lock", "weights.lock", "checked.lock", "tests"}
    assert {path.name for path in folder.iterdir()} - {"__pycache__"} <= allowed


@cache
def code_files() -> list[Path]:
    """Python and SQL of the pipeline, without the families' own folders."""
    found = [
        path
        for part in ("zoo", "schemas", "ingest", "query")
        for path in (REPOSITORY / part).rglob("*.py")
    ]
    found += [path for part in ("schemas", "query") for path in (REPOSITORY / part).rglob("*.sql")]
    return [path for path in found if not any(folder in path.parents for folder in FOLDERS)]


def words_of_python(text: str) -> Iterator[str]:
    """Names, and strings without a blank: what code can act upon. Prose may give examples."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.alias):
            yield node.name
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and not re.search(r"\s", node.value)
        ):
            yield node.value


@cache
def words(path: Path) -> list[str]:
    text = path.read_text()
    if path.suffix == ".py":
        return list(words_of_python(text))
    return [re.sub(r"--.*", "", line) for line in text.splitlines()]


def test_the_scan_sees_a_name_in_code() -> None:
    found = list(
        words_of_python("import zoo.toy.encoder\nif family == 'toy-1': toy()\n'prose about toy'")
    )
    assert {"zoo.toy.encoder", "toy-1", "toy"} <= set(found)
    assert "prose about toy" not in found


def telling_names(folder: Path) -> str:
    """Return a pattern of the family's name and of its composed model ids.

    A name that an input or a figure has, too, is left out.
    """
    names = [folder.name] if folder.name not in (*get_args(Input), *find_statements()) else []
    names += [model.id for model in load_family(folder).models if "-" in model.id]
    return rf"(?<![\w-])({'|'.join(map(re.escape, names))})(?![\w-])"


@family_folder
def test_its_name_appears_in_no_code_outside_its_folder(folder: Path) -> None:
    pattern = re.compile(telling_names(folder))
    found = [
        (path.name, word) for path in code_files() for word in words(path) if pattern.search(word)
    ]
    assert found == []


@family_folder
def test_its_name_decides_nothing_in_the_makefile(folder: Path) -> None:
    """Messages may name a model as an example; a recipe may not."""
    messages = re.compile(r"@echo|#|\$\(call given|\$\(if \$\(\w+\),,?\$\(call given")
    lines = (REPOSITORY / "Makefile").read_text().splitlines()
    acting = [line for line in lines if not messages.match(line.strip())]
    acting = [re.sub(r"##.*", "", line) for line in acting]
    telling = re.compile(telling_names(folder))
    assert [line for line in acting if telling.search(line)] == []


def test_there_are_families_and_no_two_share_a_name() -> None:
    assert load_families()


@family_folder
def test_a_lock_names_no_folder_of_a_machine(folder: Path) -> None:
    lines = (folder / "requirements.lock").read_text().splitlines()
    assert [line for line in lines if re.search(r"--override\s+/", line)] == []
