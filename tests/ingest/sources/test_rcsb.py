"""RCSB, from a small archive in the published format, with some atoms of real entries."""

from __future__ import annotations

import gzip
import re
import resource
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ingest.readers.shared.mmcif_atoms import MmcifError, read_chains
from ingest.readers.shared.packed import SystemFault
from ingest.sources.rcsb import DATASET, LIST, list_chains, read_entry
from ingest.sources.shared.downloaded import DownloadedDataset
from ingest.systems.entry import DatasetError, Entry, Unreadable
from ingest.systems.proteins import sequence_and_backbone
from ingest.systems.sample import first_ids
from tests.hub import Blob, Fault, Hub
from tests.ingest.downloaded import changed, read, served

COLUMNS = (
    "group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id"
    " label_entity_id label_seq_id pdbx_PDB_ins_code Cartn_x Cartn_y Cartn_z occupancy"
    " B_iso_or_equiv Cartn_x_esd Cartn_y_esd Cartn_z_esd occupancy_esd B_iso_or_equiv_esd"
    " pdbx_formal_charge auth_seq_id auth_comp_id auth_asym_id auth_atom_id pdbx_PDB_model_num"
)
HEAD = "data_1ABC\n# \n_entry.id   1ABC \n# \nloop_\n_atom_type.symbol \nN \nC \nO \n# \nloop_\n"
HEAD += "".join(f"_atom_site.{column} \n" for column in COLUMNS.split())
TAIL = "# \n_pdbx_entity_nonpoly.entity_id   2 \n_pdbx_entity_nonpoly.name        water \n# \n"
# Residues 4 and 5 of entry 3JQH (CC0): serine and proline in one place, the serine seldom.
TWO_IN_ONE_PLACE = """\
ATOM   1   N N   A PRO A 1 4  ? 3.278  21.202 20.087 0.83 56.23  ? ? ? ? ? ? 1   PRO A N   1
ATOM   2   C CA  A PRO A 1 4  ? 3.746  20.507 21.289 0.83 65.19  ? ? ? ? ? ? 1   PRO A CA  1
ATOM   3   C C   A PRO A 1 4  ? 4.699  19.352 20.954 0.83 68.81  ? ? ? ? ? ? 1   PRO A C   1
ATOM   4   O O   A PRO A 1 4  ? 4.356  18.523 20.105 0.83 62.06  ? ? ? ? ? ? 1   PRO A O   1
ATOM   8   N N   B SER A 1 4  ? 3.302  21.148 20.087 0.17 56.57  ? ? ? ? ? ? 1   SER A N   1
ATOM   9   C CA  B SER A 1 4  ? 3.772  20.496 21.302 0.17 64.89  ? ? ? ? ? ? 1   SER A CA  1
ATOM   10  C C   B SER A 1 4  ? 4.693  19.323 20.978 0.17 68.25  ? ? ? ? ? ? 1   SER A C   1
ATOM   11  O O   B SER A 1 4  ? 4.352  18.458 20.170 0.17 62.08  ? ? ? ? ? ? 1   SER A O   1
ATOM   14  N N   . GLU A 1 5  ? 5.863  19.303 21.612 1.00 64.84  ? ? ? ? ? ? 2   GLU A N   1
ATOM   15  C CA  . GLU A 1 5  ? 6.861  18.244 21.377 1.00 60.65  ? ? ? ? ? ? 2   GLU A CA  1
ATOM   16  C C   . GLU A 1 5  ? 6.977  17.223 22.503 1.00 61.35  ? ? ? ? ? ? 2   GLU A C   1
ATOM   17  O O   . GLU A 1 5  ? 6.607  17.489 23.657 1.00 61.06  ? ? ? ? ? ? 2   GLU A O   1
""".replace("\n", " \n")


def atom(residue: str, place: int | str, name: str, x: float = 0.0, **more: object) -> str:
    """Return a line of the loop of atoms."""
    given = {"mark": ".", "chain": "A", "occupancy": "1.00", "model": 1, "group": "ATOM", **more}
    quoted = f'"{name}"' if "'" in name else name
    return (
        f"{given['group']:<6} 1 {name[0]} {quoted} {given['mark']} {residue} Z 1 {place} ?"
        f" {x:.3f} 2.000 3.000 {given['occupancy']} 20.00 ? ? ? ? ? ? 1 {residue} {given['chain']}"
        f" {quoted} {given['model']} \n"
    )


def residue(name: str, place: int, skip: str = "", **more: object) -> str:
    """Return the lines of a backbone and of the first atom of a side chain."""
    return "".join(
        atom(name, place, a, float(place), **more) for a in ("N", "CA", "C", "O", "CB") if a != skip
    )


def chain_of(n: int, name: str = "ALA", **more: object) -> str:
    return "".join(residue(name, place, **more) for place in range(1, n + 1))


def cif(*atoms: str) -> bytes:
    return gzip.compress((HEAD + "".join(atoms) + TAIL).encode())


def seqres(**chains: str) -> bytes:
    """Make the list, with records of proteins and of one nucleic acid."""
    records = [
        f">{name} mol:protein length:{len(s)}  A PROTEIN\n{s}\n" for name, s in chains.items()
    ]
    return gzip.compress(
        (">100d_A mol:na length:40  DNA/RNA\n" + "CG" * 20 + "\n" + "".join(records)).encode()
    )


def parsed(tmp_path: Path, *atoms: str, chain: str = "A") -> tuple[str, np.ndarray]:
    path = tmp_path / "1abc.cif.gz"
    path.write_bytes(cif(*atoms))
    return sequence_and_backbone(read_chains(path, [chain]).get(chain, {}))


Make = Callable[..., DownloadedDataset]


@pytest.fixture
def rcsb(hub: Hub) -> Make:
    """Make the dataset of a list and of the files of entries."""

    def make(sequences: bytes, entries: Mapping[str, bytes]) -> DownloadedDataset:
        for name, content in entries.items():
            hub.files[f"mmCIF/{name[1:3]}/{name}.cif.gz"] = Blob(content)
        return served(
            DATASET, hub, {LIST: sequences}, entry=f"{hub.url}/files/mmCIF/{{middle}}/{{id}}.cif.gz"
        )

    return make


def listed(dataset: DownloadedDataset) -> list[str]:
    dataset.loader.source.fetch(lambda text: None)
    return list(list_chains(dataset.loader.source))


# The list


def test_the_list_is_of_proteins_each_sequence_once_in_an_entry(rcsb: Make) -> None:
    long, other = "MK" * 20, "MR" * 20
    names = {
        "1abc_A": long,
        "1abc_B": long,
        "1abc_C": other,
        "1abc_D": long,
        "2abc_A": long,
        "3abc_A": "M" * 29,
    }
    assert listed(rcsb(seqres(**names), {})) == ["1ABC_A", "1ABC_C", "2ABC_A"]


def test_chains_have_the_case_that_their_authors_gave_them(rcsb: Make) -> None:
    assert listed(rcsb(seqres(**{"6abc_aB": "MK" * 20, "6abc_Ab": "MR" * 20}), {})) == [
        "6ABC_aB",
        "6ABC_Ab",
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<html>moved</html>", "Not a gzipped file"),
        (
            seqres(**{"1abc_A": "MK" * 2000})[:-20],
            "Compressed file ended before the end-of-stream marker",
        ),
        (
            gzip.compress(b"sp|P12345\nMKV\n"),
            "expected '>1ubq_A mol:protein length:76 …', got 'sp|P12345'",
        ),
    ],
    ids=range(3),  # the bytes of a gzip file hold the time
)
def test_another_list_is_an_error(rcsb: Make, content: bytes, reason: str) -> None:
    with pytest.raises(
        DatasetError, match=r"pdb_seqres.txt.gz is not the PDB's list of sequences: .*remove it"
    ) as error:
        listed(rcsb(content, {}))
    assert reason in str(error.value)


# A chain


def test_a_chain_is_its_sequence_and_backbone(rcsb: Make) -> None:
    found = read(rcsb(seqres(**{"1abc_A": "A" * 33}), {"1abc": cif(chain_of(33))}))
    entry = found["1ABC_A"]
    assert isinstance(entry, Entry)
    assert entry.sequence == "A" * 33
    assert entry.backbone is not None and entry.backbone.shape == (33, 4, 3)
    assert entry.backbone[6].tolist() == [[7.0, 2.0, 3.0]] * 4
    assert (entry.numbers, entry.smiles, entry.charge) == (None, None, None)


def test_what_was_not_observed_is_left_out(tmp_path: Path) -> None:
    sequence, backbone = parsed(
        tmp_path,
        residue("MET", 3),
        residue("LYS", 4, skip="O"),
        residue("VAL", 5),
        residue("GLY", 90),
    )
    assert sequence == "MVG"
    assert backbone[:, 0, 0].tolist() == [3.0, 5.0, 90.0]


def test_modified_residues_are_their_parents_and_strange_ones_x(tmp_path: Path) -> None:
    sequence, _ = parsed(
        tmp_path,
        residue("MSE", 1, group="HETATM"),
        residue("SEP", 2, group="HETATM"),
        residue("QQQ", 3),
    )
    assert sequence == "MSX"


def test_waters_ligands_other_chains_and_later_models_are_not_the_chain(tmp_path: Path) -> None:
    sequence, backbone = parsed(
        tmp_path,
        residue("MET", 1),
        residue("GLY", 1, chain="B"),
        atom("HOH", ".", "O", group="HETATM"),
        atom("ATP", ".", "C", group="HETATM"),
        atom("DA", 2, "O5'", chain="C"),
        residue("MET", 1, model=2),
        residue("TRP", 2, model=2),
    )
    assert (sequence, backbone.shape) == ("M", (1, 4, 3))


def test_the_most_occupied_of_several_residues_in_one_place(tmp_path: Path) -> None:
    """Atoms of 3JQH: Biopython, which takes the last, would call the first residue a serine."""
    sequence, backbone = parsed(tmp_path, TWO_IN_ONE_PLACE)
    assert sequence == "PE"
    assert backbone[0].tolist() == [
        [3.278, 21.202, 20.087],
        [3.746, 20.507, 21.289],
        [4.699, 19.352, 20.954],
        [4.356, 18.523, 20.105],
    ]


def test_alternate_locations_are_not_mixed(tmp_path: Path) -> None:
    """N is in one place; of the two locations of the rest, the likelier is taken whole."""
    atoms = [atom("LEU", 1, "N", 9.0)]
    for mark, occupancy, x in (("A", "0.40", 1.0), ("B", "0.60", 2.0)):
        atoms += [
            atom("LEU", 1, name, x, mark=mark, occupancy=occupancy) for name in ("CA", "C", "O")
        ]
    sequence, backbone = parsed(tmp_path, *atoms)
    assert sequence == "L"
    assert backbone[0, :, 0].tolist() == [9.0, 2.0, 2.0, 2.0]


def test_the_first_of_equally_likely_ways(tmp_path: Path) -> None:
    both = [residue("LEU", 1, mark=mark, occupancy="0.50") for mark in "AB"]
    _, backbone = parsed(tmp_path, both[0].replace("1.000", "5.000"), both[1])
    assert backbone[0, 0, 0] == 5.0


def test_the_backbone_agrees_with_biopython(tmp_path: Path) -> None:
    from Bio.PDB.MMCIFParser import MMCIFParser

    atoms = (
        TWO_IN_ONE_PLACE.split("ATOM   14")[1],
        residue("MSE", 6, group="HETATM"),
        residue("TRP", 7),
    )
    text = HEAD + "ATOM   14" + "".join(atoms) + TAIL
    (tmp_path / "plain.cif").write_text(text)
    (tmp_path / "1abc.cif.gz").write_bytes(gzip.compress(text.encode()))
    _, backbone = sequence_and_backbone(read_chains(tmp_path / "1abc.cif.gz", ["A"])["A"])
    model = next(iter(MMCIFParser(QUIET=True).get_structure("x", tmp_path / "plain.cif")))
    expected = [[residue[name].coord for name in ("N", "CA", "C", "O")] for residue in model["A"]]
    np.testing.assert_allclose(backbone, expected, atol=1e-4)
    assert len(backbone) == 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<html>", "BadGzipFile: Not a gzipped file"),
        (
            cif(chain_of(500))[:-2000],
            "EOFError: Compressed file ended before the end-of-stream marker",
        ),
        (gzip.compress(b"data_1ABC\n#\n"), "it has no atoms"),
        (
            cif("ATOM 1 N N . ALA\n"),
            "an atom with 6 values, where 26 are named: 'ATOM 1 N N . ALA'",
        ),
        (
            gzip.compress(HEAD.replace("_atom_site.Cartn_x \n", "").encode() + b"#\n"),
            "its atoms have no Cartn_x",
        ),
        (
            cif(residue("ALA", 1).replace("2.000", "x.000")),
            "could not convert string to float: 'x.000'",
        ),
    ],
    ids=range(6),
)
def test_a_file_that_is_broken_says_how(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "1abc.cif.gz").write_bytes(content)
    with pytest.raises(MmcifError, match=re.escape(reason)):
        read_chains(tmp_path / "1abc.cif.gz", ["A"])


def test_what_the_machine_refuses_is_no_fault_of_an_entry(tmp_path: Path) -> None:
    path = tmp_path / "mmCIF" / "ab" / "1abc.cif.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(cif(chain_of(3)))
    read = partial(read_entry, tmp_path, "http://127.0.0.1:9/{middle}/{id}", 1, "1ABC", ["A"])
    assert [type(found) for found in read()] == [Entry]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Path("/dev/null").open() as file:
        resource.setrlimit(resource.RLIMIT_NOFILE, (file.fileno() + 1, hard))
        try:
            with pytest.raises(SystemFault, match=r"1abc\.cif\.gz cannot be read now, .* Too many"):
                read()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# The entries


def test_an_entry_is_fetched_once_for_all_its_chains(rcsb: Make, hub: Hub) -> None:
    sequences = seqres(**{"1abc_A": "A" * 31, "1abc_B": "G" * 32, "2xyz_Q": "A" * 31})
    entries = {
        "1abc": cif(chain_of(31), chain_of(32, "GLY", chain="B")),
        "2xyz": cif(chain_of(31, chain="Q")),
    }
    dataset = rcsb(sequences, entries)
    for _ in range(2):
        found = read(dataset)
        assert {
            name: len(e.sequence or "") for name, e in found.items() if isinstance(e, Entry)
        } == {
            "1ABC_A": 31,
            "1ABC_B": 32,
            "2XYZ_Q": 31,
        }
    assert [len(hub.asked(name)) for name in ("ab/1abc.cif.gz", "xy/2xyz.cif.gz")] == [1, 1]


def test_entries_that_cannot_be_read_are_counted_and_replaced(rcsb: Make) -> None:
    """Others replace what is missing, cut, a trace of CA alone, or not observed."""
    names = [f"{digit}{letters}" for digit in "123" for letters in ("aaa", "bbb", "ccc", "ddd")]
    order = [
        name.removesuffix("_A").lower()
        for name in first_ids([f"{name.upper()}_A" for name in names], len(names))
    ]
    whole = cif(chain_of(31))
    entries = dict.fromkeys(names, whole)
    del entries[order[0]]
    entries[order[1]] = whole[:-300]
    entries[order[2]] = cif("".join(atom("ALA", place, "CA") for place in range(1, 40)))
    entries[order[3]] = cif(chain_of(31, chain="X"))
    found = read(rcsb(seqres(**{f"{name}_A": "A" * 31 for name in names}), entries), 2)
    reasons = {name: entry.reason for name, entry in found.items() if isinstance(entry, Unreadable)}
    assert list(reasons) == [f"{name.upper()}_A" for name in order[:4]]
    for reason, expected in zip(
        reasons.values(),
        [
            "the entry is not in the archive: http://127.0.0.1",
            "cif.gz cannot be read: EOFError: Compressed file ended",
            "0 of the 39 observed residues have N, CA, C and O; expected at least 30",
            "the entry's file has no observed backbone atoms of this chain",
        ],
        strict=True,
    ):
        assert expected in reason
    assert sum(isinstance(entry, Entry) for entry in found.values()) == 2


def test_a_busy_server_is_asked_again(rcsb: Make, hub: Hub) -> None:
    hub.faults = [Fault("1abc.cif.gz", status=503), Fault("1abc.cif.gz", cut=100)]
    found = read(rcsb(seqres(**{"1abc_A": "A" * 31}), {"1abc": cif(chain_of(31))}))
    assert isinstance(found["1ABC_A"], Entry)
    assert len(hub.asked("1abc.cif.gz")) == 3


def test_a_server_that_refuses_is_no_fault_of_the_entry(rcsb: Make, hub: Hub) -> None:
    """Otherwise a sample made while the network is down would lack what others have."""
    hub.faults = [Fault("1abc.cif.gz", status=403, times=99)]
    with pytest.raises(
        DatasetError, match="dataset rcsb: .*1abc.cif.gz could not be downloaded: .* 403"
    ):
        read(rcsb(seqres(**{"1abc_A": "A" * 31}), {"1abc": cif(chain_of(31))}))


def test_a_user_s_own_archive_needs_no_network(rcsb: Make, hub: Hub) -> None:
    dataset = rcsb(seqres(**{"1abc_A": "A" * 31}), {})
    folder = dataset.loader.source.folder
    (folder / "mmCIF" / "ab").mkdir(parents=True)
    (folder / "mmCIF" / "ab" / "1abc.cif.gz").write_bytes(cif(chain_of(31)))
    (folder / LIST).write_bytes(hub.files[LIST].data)
    assert isinstance(read(dataset)["1ABC_A"], Entry)
    assert hub.log == []


def test_the_real_facts() -> None:
    about = DATASET.loader.source.facts
    assert (
        about.options["entry"]
        .format(middle="ub", id="1ubq")
        .endswith("/divided/mmCIF/ub/1ubq.cif.gz")
    )
    assert {file.path for file in about.file} == {LIST}
    assert changed(DATASET, title="x").loader.source.facts.title == "x"
