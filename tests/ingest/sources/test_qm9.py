"""QM9, from a small archive in exactly the published format."""

from __future__ import annotations

import bz2
import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from ingest.sources.qm9 import ARCHIVE, DATASET, LEFT_OUT, read_uncharacterized
from ingest.sources.shared.downloaded import DownloadedDataset
from ingest.systems.entry import DatasetError, Entry, Unreadable
from ingest.systems.sample import first_ids
from tests.hub import Hub
from tests.ingest.downloaded import changed, read, served

METHANE = """5
gdb 1\t157.7118\t157.70997\t157.70699\t0.\t13.21\t-0.3877\t0.1171\t0.5048\
\t35.3641\t0.044749\t-40.47893\t-40.476062\t-40.475117\t-40.498597\t6.469\t
C\t-0.0126981359\t 1.0858041578\t 0.0080009958\t-0.535689
H\t 0.002150416\t-0.0060313176\t 0.0019761204\t 0.133921
H\t 1.0117308433\t 1.4637511618\t 0.0002765748\t 0.133922
H\t-0.540815069\t 1.4475266138\t-0.8766437152\t 0.133923
H\t-0.5238136345\t 1.4379326443\t 0.9063972942\t 0.133923
1341.307\t1341.3284\t1341.365\t1562.6731\t1562.7453\t3038.3205\t3151.6034\t3151.6788\t3151.7078
C\tC\t
InChI=1S/CH4/h1H4\tInChI=1S/CH4/h1H4
"""  # dsgdb9nsd_000001.xyz
TABLE = """



List of molecules among the 133885 GDB9 molecules for which the Corina generated Cartesian \
coordinates and the
different SMILES and InChI strings when parsed through the program Openbabel. Given are the \
indices of these molecules
corresponding to the Corina and B3LYP coordinates.

==========================================================================================\
====================
#   Index                     GDB17 SMILES           SMILES for B3LYP XYZ    SMILES for Corina \
XYZ        D_IJ
==========================================================================================\
====================
      58                         NC(=N)C#N                     NC(=N)C#N         \
[NH]C(=[NH2])C#N    6.036217
      80                  [NH3+]CC([O-])=O                      NCC(=O)O          \
[NH3]CC(=O)[O]    10.09360
==========================================================================================\
====================
"""


def molecule(index: int, **changes: str) -> bytes:
    """Return methane under another index, with parts of its text replaced."""
    text = METHANE.replace("gdb 1\t", f"gdb {index}\t")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text.encode()


def archive(members: Mapping[int, bytes]) -> bytes:
    """Return a .tar.bz2 with one file per molecule, as the published one."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:bz2") as tar:
        for index, text in members.items():
            info = tarfile.TarInfo(f"dsgdb9nsd_{index:06}.xyz")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
    return packed.getvalue()


Make = Callable[..., DownloadedDataset]


@pytest.fixture
def qm9(hub: Hub) -> Make:
    """Make QM9 of these molecules, or with these bytes as its archive."""

    def make(members: Mapping[int, bytes], packed: bytes | None = None) -> DownloadedDataset:
        contents = {ARCHIVE: packed or archive(members), LEFT_OUT: TABLE.encode()}
        return served(DATASET, hub, contents, molecules=max(members))

    return make


def test_a_molecule_is_what_its_file_says(qm9: Make) -> None:
    entry = read(qm9({1: molecule(1)}))["gdb_1"]
    assert isinstance(entry, Entry)
    assert entry.numbers is not None and entry.numbers.tolist() == [6, 1, 1, 1, 1]
    assert entry.positions is not None and entry.positions[0].tolist() == [
        -0.0126981359,
        1.0858041578,
        0.0080009958,
    ]
    assert (entry.smiles, entry.charge, entry.spin, entry.cell) == ("C", 0, 1, None)
    labels = {label.property: (label.value, label.unit) for label in entry.labels}
    assert len(labels) == len(entry.labels) == 15
    assert labels["internal_energy_0K"] == (-40.47893, "Hartree")
    assert labels["rotational_constant_A"] == (157.7118, "GHz")
    assert labels["dipole_moment"] == (0.0, "D")
    assert labels["isotropic_polarizability"] == (13.21, "a0^3")
    assert labels["heat_capacity_298K"] == (6.469, "cal/(mol K)")
    assert {label.source for label in entry.labels} == {"QM9, B3LYP/6-31G(2df,p)"}


def test_gap_is_lumo_less_homo(qm9: Make) -> None:
    """Three columns agree only if each is what it is taken for."""
    entry = read(qm9({1: molecule(1)}))["gdb_1"]
    assert isinstance(entry, Entry)
    value = {label.property: label.value for label in entry.labels}
    assert value["homo_lumo_gap"] == pytest.approx(
        value["lumo_energy"] - value["homo_energy"], abs=1e-4
    )
    assert value["internal_energy_0K"] < value["internal_energy_298K"] < value["enthalpy_298K"]
    assert value["free_energy_298K"] < value["enthalpy_298K"]


def test_mathematica_s_exponents(qm9: Make) -> None:
    text = molecule(1, **{"\t0.\t": "\t1.5*^-6\t", " 0.002150416": "2.1997*^-6"})
    entry = read(qm9({1: text}))["gdb_1"]
    assert isinstance(entry, Entry) and entry.positions is not None
    assert entry.positions[1, 0] == 2.1997e-6
    assert entry.labels[3].value == 1.5e-6


def test_the_smiles_string_is_the_relaxed_geometry_s_and_canonical(qm9: Make) -> None:
    entry = read(qm9({1: molecule(1, **{"C\tC\t\n": "CC([NH3+])C([O-])=O\tC[C@H](C(=O)O)N\t\n"})}))[
        "gdb_1"
    ]
    assert isinstance(entry, Entry) and entry.smiles == "C[C@@H](N)C(=O)O"


def test_what_the_authors_call_uncharacterized_is_left_out(qm9: Make) -> None:
    assert set(read(qm9({index: molecule(index) for index in (57, 58, 59, *range(1, 57))}))) == {
        f"gdb_{index}" for index in range(1, 60) if index != 58
    }


def test_a_list_without_molecules_is_refused(tmp_path: Path) -> None:
    (tmp_path / LEFT_OUT).write_text("<html>moved</html>")
    with pytest.raises(
        DatasetError, match=r"uncharacterized.txt lists no molecules; expected the table"
    ):
        read_uncharacterized(tmp_path / LEFT_OUT)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"5\ngdb": "x\ngdb"}, "not a file of QM9: invalid literal for int"),
        ({"5\ngdb": "50\ngdb"}, "not a file of QM9: it has 10 lines, and 50 atoms need 55"),
        (
            {"\t6.469\t": "\t"},
            "its second line has 16 words and begins with 'gdb 2', expected 17 and 'gdb 2'",
        ),
        (
            {"gdb 2\t": "gdb 3\t"},
            "its second line has 17 words and begins with 'gdb 3', expected 17 and 'gdb 2'",
        ),
        ({"-40.47893": "?"}, "could not convert string to float: '.'"),
        (
            {"C\t-0.0126981359": "Cx\t-0.0126981359"},
            "not a file of QM9: 'Cx' is not an element's symbol",
        ),
        ({"1.0858041578": "nan"}, "position of atom 0 is nan"),
        ({"C\tC\t\n": "C\tC(\t\n"}, r"'C\(' is not a SMILES string"),
        ({"C\tC\t\n": "C\n"}, "not a file of QM9: list index out of range"),
        ({"gdb 2": "gdb \u00b2"}, "not a file of QM9: 'ascii' codec can't decode"),
    ],
)
def test_a_member_that_does_not_parse_is_unreadable(
    qm9: Make, changes: dict[str, str], reason: str
) -> None:
    found = read(qm9({1: molecule(1), 2: molecule(2, **changes), 3: molecule(3)}))
    broken = found["gdb_2"]
    assert isinstance(broken, Unreadable)
    with pytest.raises(ValueError, match=reason):
        raise ValueError(broken.reason)
    assert isinstance(found["gdb_1"], Entry) and isinstance(found["gdb_3"], Entry)


def test_a_limit_takes_the_first_by_hash_and_no_more_of_the_archive(qm9: Make) -> None:
    members = {index: molecule(index) for index in range(1, 40)}
    dataset = qm9(members)
    assert set(read(dataset, 7)) == set(first_ids([f"gdb_{index}" for index in members], 7))


def test_unreadable_molecules_are_replaced_by_the_next(qm9: Make) -> None:
    """A limit of seven gives seven systems, whatever is broken among them."""
    order = first_ids([f"gdb_{index}" for index in range(1, 40)], 39)
    broken = {int(name.removeprefix("gdb_")) for name in (order[0], order[6], order[7])}
    members = {index: b"torn" if index in broken else molecule(index) for index in range(1, 40)}
    found = read(qm9(members), 7)
    assert list(found) and {name for name, entry in found.items() if isinstance(entry, Entry)} == {
        *order[1:6],
        *order[8:10],
    }
    assert {name for name, entry in found.items() if isinstance(entry, Unreadable)} == {
        order[0],
        order[6],
        order[7],
    }


@pytest.mark.parametrize("keep", [0.2, 0.99])
def test_a_truncated_archive_is_an_error(qm9: Make, keep: float) -> None:
    noise = np.random.default_rng(0)
    comments = (f"gdb {i}\t" + " ".join(map(str, noise.random(40))) for i in range(1, 200))
    members = {i: text.encode() for i, text in enumerate(comments, start=1)}
    whole = archive(members)
    dataset = qm9(members, packed=whole[: int(keep * len(whole))])
    with pytest.raises(
        DatasetError,
        match=r"tar.bz2 is not a whole .tar.bz2 archive: .*; remove it, and run this again",
    ):
        read(dataset)


@pytest.mark.parametrize("packed", [b"<html>", bz2.compress(b"no tar at all")])
def test_what_is_no_archive_is_an_error(qm9: Make, packed: bytes) -> None:
    with pytest.raises(DatasetError, match="is not a whole .tar.bz2 archive"):
        read(qm9({1: molecule(1)}, packed=packed))


def test_an_archive_that_lacks_molecules_is_an_error(qm9: Make) -> None:
    with pytest.raises(
        DatasetError, match="qm9: 'gdb_1' and 0 more entries that the source lists are not there"
    ):
        read(qm9({2: molecule(2)}))


def test_the_real_facts() -> None:
    about = DATASET.loader.source.facts
    assert {file.path for file in about.file} == {ARCHIVE, LEFT_OUT}
    assert all(file.pinned and file.size and file.url.startswith("https://") for file in about.file)
    assert about.options["molecules"] - 3_054 == about.systems == 130_831
    assert [column.key for column in about.label][10:14] == ["U0", "U", "H", "G"]


def test_another_checksum_is_another_dataset(qm9: Make) -> None:
    dataset = qm9({1: molecule(1)})
    files = tuple(
        file.model_copy(update={"sha256": "0" * 64}) for file in dataset.loader.source.facts.file
    )
    with pytest.raises(
        DatasetError, match=f"is not the file expected: its sha256 is .*, expected {'0' * 64}"
    ):
        read(changed(dataset, file=files))
    assert not (dataset.loader.source.folder / ARCHIVE).exists()
