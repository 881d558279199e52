"""What is recorded of training sets: the file, real sets, and that cards and datasets are in it."""

from __future__ import annotations

import itertools
import json

import pytest

from ingest.sources.shared.discovery import load_datasets
from matterzoo import main
from zoo.cards.discovery import load_models
from zoo.training_sets import (
    NEITHER,
    SHARED,
    UNKNOWN,
    TrainingSet,
    explain_set,
    find_origins,
    find_path,
    known_datasets,
    origins,
    sets_by_name,
    short_origins,
    training_relation,
    training_sets,
)

LISTS = sorted({selection.model.provenance.training_sets for selection in load_models().values()})
MATTER = {"crystals", "surfaces", "molecules", "proteins", "text"}


def test_every_set_of_every_card_is_recorded_and_nothing_else_but_sources_and_datasets() -> None:
    named = {name for sets in LISTS for name in sets}
    assert len(named) > 80
    assert named <= set(sets_by_name())
    sources = {parent for known in training_sets() for parent in known.drawn_from}
    taken = {name for known in known_datasets().values() for name in known.taken_from}
    assert {name for known in training_sets() for name in (known.name, *known.aliases)} <= (
        named | sources | taken
    )


def test_every_set_says_what_it_holds_and_where_that_is_known_from() -> None:
    known = training_sets()
    names = [name for one in known for name in (one.name, *one.aliases)]
    assert len(set(names)) == len(names)
    for one in known:
        assert one.matter
        assert set(one.matter) <= MATTER
        assert (one.source is None) == one.undisclosed
        assert one.source is None or one.source.startswith("https://")
        assert not (one.undisclosed and one.drawn_from)
        assert {sets_by_name()[parent].name for parent in one.drawn_from} == set(one.drawn_from)


def test_every_dataset_has_its_record() -> None:
    assert set(known_datasets()) == set(load_datasets())
    for known in known_datasets().values():
        assert set(known.matter) <= MATTER
        assert known.source.startswith("https://")
        remarks = known.overlap + known.unclear
        for name in (*known.taken_from, *(remark.set for remark in remarks)):
            assert sets_by_name()[name].name == name
        assert all(remark.source.startswith("https://") for remark in remarks)


def test_origins_are_a_set_and_all_above_it() -> None:
    sets = [
        TrainingSet("b", ("text",), ("B",), ("a",)),
        TrainingSet("c", ("text",), (), ("b", "d")),
        TrainingSet("e", ("text",), undisclosed=True),
    ]
    assert find_origins(sets) == {
        "b": ["a", "b"],
        "B": ["a", "b"],
        "c": ["a", "b", "c", "d"],
        "e": [],
    }


@pytest.mark.parametrize(
    ("name", "origin", "path"),
    [
        ("OMol25", "QM9", ["OMol25", "GEOM", "QM9"]),
        ("UniRef50 (September 2021)", "UniProt", ["UniRef50", "UniRef", "UniProt"]),
        ("MPtrj", "MPtrj", ["MPtrj"]),
        ("my own set", "my own set", ["my own set"]),
        ("MPtrj", "Alexandria", None),
        ("Materials Project", "MPtrj", None),
    ],
)
def test_a_path_leads_from_a_set_to_what_it_is_drawn_from(
    name: str, origin: str, path: list[str] | None
) -> None:
    assert find_path(name, origin) == path


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (["MPtrj"], ["MPF.2021.2.8"], SHARED),
        (["MPtrj"], ["Materials Project PBE(+U) relaxations", "OC22"], SHARED),
        (["MPF.2021.2.8"], ["MP-2021.2.8 (relaxations of the Materials Project)"], SHARED),
        (["OMat24"], ["Alexandria"], SHARED),
        (["OMat24"], ["sAlex"], SHARED),
        (["OMat24"], ["MPtrj"], NEITHER),
        (["PubChem10M"], ["PubChem (77 million SMILES)"], SHARED),
        (["SPICE"], ["ZINC (10 %)"], NEITHER),
        (["web text"], ["web text"], UNKNOWN),
        (["web text", "MPtrj"], ["MP-r2SCAN"], SHARED),
        (["web text"], ["MPtrj"], UNKNOWN),
        (None, ["MPtrj"], UNKNOWN),
        ([], ["MPtrj"], NEITHER),
        (["my own set"], ["my own set"], SHARED),
        (["my own set"], ["another"], UNKNOWN),
        (["MPtrj", "my own set"], ["OC22"], UNKNOWN),
        (["my own set"], [], UNKNOWN),
    ],
)
def test_relation(a: list[str] | None, b: list[str] | None, expected: str) -> None:
    assert training_relation(a, b) == training_relation(b, a) == expected


def test_all_potentials_of_the_materials_project_share_training_data() -> None:
    """They are trained on its relaxations, by whatever name the cards call them."""
    sets = [
        sets
        for sets in LISTS
        if any("Materials Project" in origins().get(name, []) for name in sets)
    ]
    assert len(sets) > 5
    assert {training_relation(a, b) for a, b in itertools.combinations(sets, 2)} == {SHARED}


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ([], "-"),
        (["MPtrj", "MP-r2SCAN"], "Materials Project"),
        (["OMat24", "sAlex", "MPtrj"], "Alexandria, Materials Project"),
        (["PubChem10M", "OMol25"], "PubChem, OMol25"),
        (["MatterSim's own, 3M structures"], "undisclosed"),
        (["my own set", "OC20", "OC22"], "my own set, OC20, 1 more"),
    ],
)
def test_what_a_model_was_trained_on_in_a_few_words(sets: list[str], words: str) -> None:
    assert short_origins(sets) == words


def test_a_line_tells_what_is_known_of_a_set() -> None:
    assert explain_set("MatPES-PBE 2025.1") == (
        "MatPES-PBE 2025.1, which is MatPES-PBE: crystals, drawn from MatPES; "
        "https://arxiv.org/abs/2503.04070"
    )
    assert explain_set("web text") == "web text: text, content undisclosed"
    assert explain_set("my own set") == "my own set: in no record"


def test_list_and_info_tell_what_a_model_was_trained_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--family", "sevennet"]) == 0
    heading, *rows = capsys.readouterr().out.splitlines()
    begin = heading.index("trained on")
    trained = {row.split()[0]: row[begin:].split("  ")[0] for row in rows if row.split()}
    assert trained["sevennet-0-22may2024"] == "Materials Project"
    assert main(["info", "sevennet-0-22may2024"]) == 0
    assert (
        "MPF.2021.2.8: crystals, drawn from Materials Project; https://" in capsys.readouterr().out
    )
    assert main(["info", "--json", "sevennet-0-22may2024@untrained"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["training_sets"], facts["training_origins"]) == ([], [])
