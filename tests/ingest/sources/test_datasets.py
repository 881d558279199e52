"""Datasets that packages carry: their sizes, that they never change, and plausible contents."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ingest.sources import aflow, b3db, g2, nci, prototypes
from ingest.sources.carried import make
from ingest.sources.shared import carried
from ingest.sources.shared.discovery import find_dataset, load_datasets
from ingest.sources.shared.downloaded import DownloadedDataset
from ingest.systems.entry import DatasetError, Entry, Unreadable
from ingest.systems.materialize import materialize
from ingest.systems.molecules import make_conformer, parse_smiles, perceive_smiles
from ingest.systems.validation import validate
from zoo.encoder import SYMBOLS, content_hash

Said = pytest.CaptureFixture[str]
# Pure data, so the same on every machine: a change here is a change of the dataset.
PINNED = {
    "atoms": (118, "ba37672d11e8cd8b8368bf8e6945376d6e8235478dcf28d8c0a572bafc4d03a9"),
    "elements": (71, "84594cbdffb37c5359fb92fd5dcfab49db3a06fd4541147824476d13208aeb1c"),
    "g2": (162, "815d34415c8bd35402fdd22e2e4bb66630518ba1dbd0d4edc165d661eccfd317"),
    "peptides": (4_642, "dae96d3b6873ec26b3cce4f173a56d5b2bfedaf8833f9a0c11d48389ec666344"),
    "proteins": (74, "405a71fa8d85dc0fe60017176401cf29a7f282816c63097c0d7b1d5ca3e3bd97"),
    "s22": (22, "e4ffdfd6a071c615c750c4c7b9871ab4ffb27e844e75556748b4320832e8b115"),
    "aflow": (288, "9f6b823e521e974f6c2731e3da65fb144602caa55608d11e8647e59ec5b33735"),
}


@pytest.fixture(scope="module")
def crystals() -> list[Entry]:
    return list(prototypes.DATASET.entries())


def test_every_dataset_says_what_it_is() -> None:
    datasets = load_datasets()
    assert {"elements", "g2", "aflow", "nci", "prototypes"} <= set(datasets)
    for name, dataset in datasets.items():
        assert dataset.name == name
        assert (
            isinstance(dataset, DownloadedDataset)
            or dataset.approx_systems
            and dataset.approx_seconds
        )
        carried_here = any(path.endswith(".tsv.gz") for path in dataset.made_from)
        assert set(dataset.versions) == set(dataset.packages)
        assert dataset.packages or carried_here
        assert all(Path(path).is_file() for path in dataset.made_from)
        assert len(dataset.fingerprint) == 64


@pytest.mark.parametrize("name", PINNED)
def test_pure_data_is_pinned(name: str, tmp_path: Path) -> None:
    written = materialize(find_dataset(name), tmp_path / name)
    assert (written.n_systems, written.dataset_hash) == PINNED[name]
    assert written.n_unreadable == 0
    hashes = pq.read_table(written.systems)["content_hash"].to_pylist()
    assert len(set(hashes)) == len(hashes)


def test_atoms_are_in_their_ground_states() -> None:
    """Lead's is not a term of spin and orbit; beyond lawrencium nothing is measured."""
    entries = {entry.source_id: entry for entry in load_datasets()["atoms"].entries()}
    assert list(entries) == list(SYMBOLS)
    spins = {"H": 2, "C": 3, "Ne": 1, "Fe": 5, "Gd": 9, "Pb": None}
    assert {symbol: entries[symbol].spin for symbol in spins} == spins
    labels = {label.property: (label.value, label.unit) for label in entries["Fe"].labels}
    assert labels["electronegativity"] == (1.83, "1")
    assert labels["ionization_energy"] == (pytest.approx(7.902, abs=1e-3), "eV")
    assert labels["atomic_radius"] == (1.4, "Å")
    assert not entries["Og"].labels


def test_peptides_are_labeled_as_their_databases_say() -> None:
    entries = list(load_datasets()["peptides"].entries())
    labels = {entry.sequence: entry.labels[0].value for entry in entries}
    assert Counter(labels.values()) == {1.0: 2562, 0.0: 2080}
    known = {"magainin 2": "GIGKFLHSAKKFGKAFVGEIMNS"}
    known["LL-37"] = "LLGDFFRKSKEKIGKEFKRIVQRIKDFLRNLVPRTES"
    known["cycloviolacin, in both halves"] = "GVPICGETCVGGTCNTPGCSCSWPVCTRN"
    assert {name: labels[sequence] for name, sequence in known.items()} == dict.fromkeys(known, 1.0)
    assert {entry.source_id.split("-")[0] for entry in entries} == {"apd", "uniprot"}


def test_s22_has_the_published_energies() -> None:
    entries = {entry.source_id: entry for entry in load_datasets()["s22"].entries()}
    water = entries["Water_dimer"]
    assert (water.smiles, len(water.numbers)) == ("O.O", 6)
    assert water.labels[0].unit == "eV"
    assert water.labels[0].value * 23.0605 == pytest.approx(-5.02, abs=0.01), "kcal/mol"
    assert entries["Methane_dimer"].labels[0].value * 23.0605 == pytest.approx(-0.53, abs=0.01)


def test_b3db_is_the_published_table() -> None:
    rows = list(carried.read_table("b3db"))
    assert len(rows) == 7807
    assert Counter(row["permeable"] for row in rows) == {"1": 4956, "0": 2851}
    assert sum(bool(row["logbb"]) for row in rows) == 1058
    assert len({row["id"] for row in rows}) == 7807
    by_smiles = {row["smiles"]: row for row in rows}
    nicotine = b3db.make_entry(by_smiles["CN1CCC[C@H]1c1cccnc1"])
    assert isinstance(nicotine, Entry)
    assert [(x.property, x.value) for x in nicotine.labels] == [
        ("bbb_permeable", 1),
        ("logbb", 0.4),
    ]
    assert nicotine.numbers is not None and len(nicotine.numbers) == 26
    assert nicotine.smiles == "CN1CCC[C@H]1c1cccnc1"


def test_a_molecule_of_b3db_without_a_conformer_keeps_its_smiles() -> None:
    rows = {row["id"]: row for row in carried.read_table("b3db")}
    salt = next(row for row in rows.values() if "." in row["smiles"])
    found = b3db.make_entry(salt)
    assert isinstance(found, Entry) and found.numbers is None and found.smiles and found.labels
    impossible = b3db.make_entry(rows["5044"])
    assert isinstance(impossible, Unreadable) and "impossible chemistry" in impossible.reason


def test_proteins_are_whole_chains_that_differ() -> None:
    entries = list(load_datasets()["proteins"].entries())
    known = {entry.source_id: entry.sequence or "" for entry in entries}
    assert known["1ubi_A"].startswith("MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTL")
    assert not any(a != b and a in b for a in known.values() for b in known.values())
    for entry in entries:
        backbone = np.asarray(entry.backbone)
        bonds = np.linalg.norm(backbone[:, 1:] - backbone[:, :-1], axis=2)  # N-CA, CA-C, C-O
        assert (abs(bonds - [1.46, 1.52, 1.23]) < 0.1).all(), entry.source_id
        assert (np.linalg.norm(backbone[1:, 0] - backbone[:-1, 2], axis=1) < 2).all()


def test_carried_tables_have_no_time_and_no_quotes() -> None:
    for name in ("peptides", "b3db", "proteins"):
        content = carried.table_of(name).read_bytes()
        assert content[4:8] == bytes(4), "gzip's time would differ each time the table is made"
        rows = list(carried.read_table(name))
        again = make.packed([list(rows[0]), *(list(row.values()) for row in rows)])
        assert gzip.decompress(again) == gzip.decompress(content)


def test_another_file_is_not_made_into_a_table(tmp_path: Path, capsys: Said) -> None:
    wheel = tmp_path / "modlamp-1-py3-none-any.whl"
    wheel.write_bytes(b"x")
    assert make.main([str(wheel)]) == 2
    assert "is not an archive that the tables were made of" in capsys.readouterr().err


def test_listing_datasets_imports_no_package_of_theirs() -> None:
    """`make list` answers at once."""
    code = (
        "import sys; from ingest.sources.shared.discovery import load_datasets; load_datasets();"
        "print(sorted({'ase', 'rdkit', 'pymatgen', 'Bio'} & set(sys.modules)))"
    )
    listed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert listed.stdout.strip() == "[]"


def test_elements_volumes_fit_their_labels() -> None:
    """Labels and geometries come from different columns, and agree only if the unit is right."""
    for entry in load_datasets()["elements"].entries():
        labels = {(label.property, label.source[:7]): label for label in entry.labels}
        label = labels["volume_per_atom", "WIEN2k "]
        assert label.unit == "Å^3"
        assert abs(np.linalg.det(entry.cell)) / len(entry.numbers) == pytest.approx(
            label.value, rel=0.10
        )


def test_g2_smiles_are_those_of_known_molecules() -> None:
    smiles = {entry.source_id: entry.smiles for entry in g2.DATASET.entries()}
    known = {
        "H2O": "O",
        "C6H6": "c1ccccc1",
        "CH3COOH": "CC(=O)O",
        "CO": "[C-]#[O+]",
        "CH3": "[CH3]",
        "H": "[H]",
    }
    assert {name: smiles[name] for name in known} == known
    assert sum(text is not None for text in smiles.values()) == 139


@pytest.mark.parametrize(("symbol", "multiplicity"), [("C", 3), ("Be", 1), ("Al", 2)])
def test_an_atom_is_not_taken_for_its_hydride(symbol: str, multiplicity: int) -> None:
    """RDKit reads a lone C as methane; a triplet carbon atom has no SMILES that says so."""
    assert (
        perceive_smiles(np.array([SYMBOLS.index(symbol) + 1]), np.zeros((1, 3)), multiplicity)
        is None
    )


def test_g2_spins_and_labels() -> None:
    entries = {entry.source_id: entry for entry in g2.DATASET.entries()}
    assert {name: entries[name].spin for name in ("H2O", "O2", "CH3", "N")} == {
        "H2O": 1,
        "O2": 3,
        "CH3": 2,
        "N": 4,
    }
    enthalpy, ionization = entries["H2O"].labels
    assert (enthalpy.property, enthalpy.value, enthalpy.unit) == (
        "formation_enthalpy_298K",
        -57.8,
        "kcal/mol",
    )
    assert (ionization.value, ionization.unit) == (12.62, "eV")
    assert entries["C"].labels[0].property == "formation_enthalpy_0K"


def test_aflow_ids_say_prototype_formula_and_symbol() -> None:
    tags = [prototype.tag for prototype in aflow.load_prototypes()]
    assert len(set(tags)) == 288
    assert {"AB_cF8_225_a_b.ClNa.B1", "A_cF4_225_a.Cu.A1", "AB_oP8_62_c_c.FeB.B27"} <= set(tags)


def test_prototypes_are_many_distinct_and_small(crystals: list[Entry]) -> None:
    assert len(crystals) == find_dataset("prototypes").approx_systems == 2107
    assert (
        len({entry.source_id for entry in crystals})
        == len({content_hash(entry) for entry in crystals})
        == 2107
    )
    assert not {content_hash(entry) for entry in crystals} & {
        content_hash(entry) for entry in aflow.DATASET.entries()
    }
    assert all(isinstance(validate(entry), Entry) for entry in crystals)
    assert np.mean([len(entry.numbers) for entry in crystals]) < 10


def test_prototypes_replace_elements_by_their_role(crystals: list[Entry]) -> None:
    library = {prototype.tag: prototype for prototype in aflow.load_prototypes()}
    for entry in crystals:
        tag, elements = entry.source_id.split(":")
        old = [SYMBOLS[z - 1] for z in library[tag].numbers]
        new = [SYMBOLS[z - 1] for z in entry.numbers]
        assert list(dict.fromkeys(new)) == elements.split("-")
        assert all(b in prototypes.role_of(a) for a, b in zip(old, new, strict=True))
        assert len(set(zip(old, new, strict=True))) == len(set(old)) == len(set(new))
        assert Counter(old) != Counter(new)


def test_prototypes_touch_as_their_prototype_does(crystals: list[Entry]) -> None:
    """Compares with pymatgen's neighbors; the generator uses ASE's."""
    from ase.data import covalent_radii
    from pymatgen.core import Lattice, Structure

    def tightness(numbers: np.ndarray, positions: np.ndarray, cell: np.ndarray) -> float:
        structure = Structure(Lattice(cell), numbers, positions, coords_are_cartesian=True)
        i, j, _, distance = structure.get_neighbor_list(12.0)
        return float(((covalent_radii[numbers[i]] + covalent_radii[numbers[j]]) / distance).max())

    library = {prototype.tag: prototype for prototype in aflow.load_prototypes()}
    for entry in crystals[::100]:
        parent = library[entry.source_id.split(":")[0]]
        before = tightness(parent.numbers, parent.positions, parent.cell)
        assert tightness(entry.numbers, entry.positions, entry.cell) == pytest.approx(
            before, rel=1e-6
        )
        assert before <= prototypes.TIGHTEST


def test_a_prototype_is_decorated_without_regard_to_the_others(crystals: list[Entry]) -> None:
    rock_salt = next(p for p in aflow.load_prototypes() if p.tag == "AB_cF8_225_a_b.ClNa.B1")
    alone = [content_hash(entry) for entry in prototypes.decorations(rock_salt)]
    assert len(alone) == prototypes.DECORATIONS
    assert alone == [
        content_hash(entry) for entry in crystals if entry.source_id.startswith(rock_salt.tag + ":")
    ]


HASHES = """
from itertools import islice
from ingest.sources import nci, prototypes
from zoo.encoder import content_hash
molecules = map(nci.make_entry, islice(nci.distinct_molecules(), 12))
for entry in [*islice(prototypes.DATASET.entries(), 40), *molecules]:
    print(entry.source_id, content_hash(entry))
"""


def test_generated_systems_are_the_same_in_another_process(crystals: list[Entry]) -> None:
    again = subprocess.run(
        [sys.executable, "-c", HASHES], capture_output=True, text=True, check=True
    )
    here = [*crystals[:40], *map(nci.make_entry, islice(nci.distinct_molecules(), 12))]
    assert all(isinstance(entry, Entry) for entry in here)
    assert again.stdout.split() == [word for e in here for word in (e.source_id, content_hash(e))]


def test_nci_in_parallel_is_nci_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    few = list(islice(nci.distinct_molecules(), 20))
    monkeypatch.setattr(nci, "distinct_molecules", lambda: iter(few))
    parallel = [content_hash(entry) for entry in nci.DATASET.entries() if isinstance(entry, Entry)]
    assert parallel == [
        content_hash(entry) for entry in map(nci.make_entry, few) if isinstance(entry, Entry)
    ]


def test_nci_lists_each_molecule_once() -> None:
    listed = list(nci.distinct_molecules())
    smiles = [item[1] for item in listed if not isinstance(item, Unreadable)]
    assert len(smiles) == len(set(smiles)) == 4892
    assert len(listed) - len(smiles) == 8
    assert len(list(nci._lines())) == 4999


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("CC(=O)[O-].[Na+]", "2 fragments"),
        ("C[Hg]C", "MMFF94 has no parameters for an atom of this molecule .of C H Hg."),
    ],
)
def test_nci_records_what_has_no_conformer(smiles: str, reason: str) -> None:
    outcome = nci.make_entry(("1", smiles))
    assert isinstance(outcome, Unreadable)
    with pytest.raises(ValueError, match=reason):
        raise ValueError(outcome.reason)


def test_an_impossible_cage_has_no_conformer() -> None:
    """The search is bounded by attempts, so that it ends for every molecule."""
    with pytest.raises(ValueError, match="ETKDGv3 finds no conformer in 200 attempts"):
        make_conformer(parse_smiles("C[C@@]12[C@@]3(C)[C@]1(C)[C@]23C"))


def test_a_conformer_has_every_hydrogen_and_sane_bonds() -> None:
    entry = nci.make_entry(("1", "CC(=O)O"))
    assert isinstance(entry, Entry)
    assert sorted(entry.numbers.tolist()) == [1, 1, 1, 1, 6, 6, 8, 8]
    distances = np.linalg.norm(entry.positions[:, None] - entry.positions[None], axis=-1)[
        np.triu_indices(8, 1)
    ]
    assert 0.9 < distances.min() < 1.1
    assert (entry.charge, entry.spin) == (0, 1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "prototype",
            r"'prototype' is neither a dataset nor a file \(.*\.cif.*\); "
            r"did you mean 'prototypes' or 'proteins'\?",
        ),
        ("no/such.cif", r"there is no file /.*/no/such\.cif\. Of datasets, "),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        find_dataset(name)
