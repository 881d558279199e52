"""A folder or a glob of files is one dataset: what its ids are, and what becomes of each file."""

from __future__ import annotations

import gzip
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.layout import Layout
from ingest.readers.own import own_dataset
from ingest.readers.shared.packed import SystemFault
from ingest.runs.prepare import prepare_dataset, resolve_dataset, resolve_datasets, split_datasets
from ingest.sources.shared.discovery import find_dataset
from ingest.systems.entry import DatasetError, Entry, Remark, Unreadable
from ingest.systems.materialize import materialize
from ingest.systems.materialized import read_materialized
from tests.ingest.readers.test_inputs import FOLDER
from tests.ingest.readers.test_structures import NACL, POSCAR

H = "1\n\nH 0 0 0\n"
PDB = (FOLDER / "b47_segments.pdb").read_text()
File = Callable[[str, str | bytes], Path]


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[dict[str, str | bytes]], Path]:
    """Write a folder of these files, with subfolders where names have them."""

    def write(files: dict[str, str | bytes]) -> Path:
        root = tmp_path / "My set"
        root.mkdir(exist_ok=True)
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return root

    return write


Folder = Callable[[dict[str, str | bytes]], Path]


def given(source: Path | str) -> tuple[dict[str, str], list[str]]:
    """Return {id: reason, or '' of a system}, and the remarks."""
    found, remarks = dict[str, str](), list[str]()
    for item in find_dataset(str(source)).entries():
        if isinstance(item, Remark):
            remarks.append(item.text)
        else:
            assert item.source_id not in found
            found[item.source_id] = item.reason if isinstance(item, Unreadable) else ""
    return found, remarks


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        (".cif", NACL),
        (".vasp", POSCAR),
        (".xyz", H),
        (".mol", (FOLDER / "d12_crlf.sdf").read_text().split("$$$$")[0]),
        (".fasta", ">some header\nMKTAYIA\n"),
        (".smi", "CCO ethanol\n"),
        (".csv", "id,smiles\nx,CCO\n"),
        (".traj", (FOLDER / "t02_relaxation.traj").read_bytes()),
    ],
)
def test_the_id_is_the_files_name(suffix: str, content: str | bytes, folder: Folder) -> None:
    packed = gzip.compress(content if isinstance(content, bytes) else content.encode())
    root = folder({f"mp-2{suffix}": content, f"b.1{suffix}": content, f"c{suffix}.gz": packed})
    found, remarks = given(root)
    frames = ["/0", "/1"] if suffix == ".traj" else [""]
    assert list(found) == [f"{stem}{frame}" for stem in ("b.1", "c", "mp-2") for frame in frames]
    assert set(found.values()) == {""}
    assert remarks == []


def test_chains_of_proteins_have_the_name_of_the_file_and_of_the_chain(folder: Folder) -> None:
    mmcif = (FOLDER / "m05_ligand_and_variants.cif").read_text()
    found, _ = given(folder({"1abc.pdb": PDB, "2xyz.cif": mmcif, "none.pdb": "END\n"}))
    assert list(found)[:2] == ["1abc_PROA", "1abc_PROB"]
    assert all(name.startswith("2xyz_") for name in list(found)[2:-1])
    assert "expected a protein structure" in found["none"]


def test_one_chain_has_its_name_too(folder: Folder) -> None:
    one = "".join(line for line in PDB.splitlines(keepends=True) if "PROB" not in line)
    assert list(given(folder({"1abc.pdb": one}))[0]) == ["1abc_PROA"]


def test_entries_of_one_file_are_told_apart_by_their_own_ids(folder: Folder) -> None:
    found, _ = given(folder({"a.xyz": H * 2, "b.cif": NACL + NACL.replace("data_x", "data_y")}))
    assert list(found) == ["a/0", "a/1", "b/x", "b/y"]


def test_files_that_cannot_be_read_do_not_stop_the_others(folder: Folder) -> None:
    root = folder(
        {
            "good.xyz": H,
            "empty.cif": "",
            "text.cif": "no crystal\n",
            "cut.xyz.gz": gzip.compress(H.encode())[:-9],
            "not.fasta": "MKT\n",
            "labels.csv": "id,gap\nx,1.0\n",
            "package.json": "{}",
        }
    )
    (root / "gone.cif").symlink_to(root / "nowhere.cif")
    found, _ = given(root)
    assert found.pop("good") == ""
    assert found.pop("empty") == "the file is empty (0 bytes)"
    assert "no data block has an _atom_site loop" in found.pop("text")
    assert "is compressed, and cannot be unpacked" in found.pop("cut")
    assert "is not FASTA" in found.pop("not")
    assert "needs a column 'smiles'" in found.pop("labels")
    assert "is not a database of ASE" in found.pop("package")
    assert "No such file" in found.pop("gone")
    assert found == {}


def test_what_is_left_out_is_said(folder: Folder) -> None:
    root = folder(
        {"a.xyz": H, "README.md": "x", "INCAR": "x", "old/b.xyz": H, ".hidden.xyz": H, ".git/c": H}
    )
    found, remarks = given(root)
    assert list(found) == ["a"]
    assert remarks == [
        "no reader for 2 files: INCAR, README.md",
        f"not read: 1 subfolder: old; '{root}/**/*' would, or '{root}/*/*.cif'",
    ]


def test_a_folder_of_mixed_formats_is_one_dataset(folder: Folder) -> None:
    found, _ = given(folder({"a.cif": NACL, "POSCAR_2": POSCAR, "c.xyz": H, "d.pdb": PDB}))
    assert list(found) == ["POSCAR_2", "a", "c", "d_PROA", "d_PROB"]
    assert set(found.values()) == {""}


@pytest.mark.parametrize("second", ["a.xyz", "a.cif.gz", "a.mmcif"])
def test_two_files_of_one_stem_are_refused(second: str, folder: Folder) -> None:
    root = folder({"a.cif": NACL, second: H})
    with pytest.raises(
        DatasetError, match=r"a\.cif and .* would both have the id 'a': rename one, or give a glob"
    ):
        find_dataset(str(root))
    assert list(given(f"{root}/*.cif")[0]) == ["a"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "has no file that can be read .*; it has no files"),
        ({"notes.txt": "x"}, r"has no file that can be read .*; it has 1 file: notes\.txt"),
        ({"run1/POSCAR": "x"}, r"no files and 1 subfolder: run1: '.*/\*/\*\.cif' would read"),
    ],
)
def test_a_folder_without_files_is_refused(
    files: dict[str, str | bytes], message: str, folder: Folder
) -> None:
    with pytest.raises(DatasetError, match=message):
        find_dataset(str(folder(files)))


def test_a_folder_of_which_nothing_can_be_read_says_why(folder: Folder, tmp_path: Path) -> None:
    root = folder({"a.cif": "", "b.cif": "x"})
    with pytest.raises(
        DatasetError, match=r"can be read: the first of its entries, a: the file is"
    ):
        materialize(find_dataset(str(root)), tmp_path / "out")


def test_a_glob_gives_the_paths_from_its_last_fixed_folder(folder: Folder) -> None:
    root = folder(
        {"run1/CONTCAR": POSCAR, "run2/CONTCAR": POSCAR, "run2/POSCAR": "", "a.xyz": H, "b.cif": ""}
    )
    assert list(given(f"{root}/*/CONTCAR")[0]) == ["run1/CONTCAR", "run2/CONTCAR"]
    assert list(given(f"{root}/run[2]/CON*")[0]) == ["run2/CONTCAR"]
    assert list(given(f"{root}/**/[!b]*")[0]) == [
        "a",
        "run1/CONTCAR",
        "run2/CONTCAR",
        "run2/POSCAR",
    ]
    with pytest.raises(DatasetError, match=r"no file matches '.*/\*\.sdf'"):
        find_dataset(f"{root}/*.sdf")


def test_a_file_with_a_wildcard_in_its_name_is_that_file(file: File) -> None:
    assert find_dataset(str(file("a[1]*.xyz", H))).name == "a-1"


def test_the_name_is_that_of_the_folder_or_the_one_given(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder({"a.xyz": H})
    monkeypatch.chdir(root)
    sources = [str(root), f"{root}/", f"{root}/*.xyz", ".", "*.xyz"]
    assert [find_dataset(source).name for source in sources] == ["my-set"] * 5
    assert find_dataset(str(root), "crystals_2.1").name == "crystals_2.1"
    assert find_dataset(str(root / "a.xyz"), "mine").name == "mine"
    for name in ("My set", "", "../x", "x" * 101):
        with pytest.raises(DatasetError, match=r"cannot be a dataset's name; expected a-z, 0-9"):
            own_dataset(str(root), name)
    with pytest.raises(DatasetError, match=r"would be called 'aflow', which is a known dataset"):
        find_dataset(str(root), "aflow")
    with pytest.raises(DatasetError, match=r"aflow has its name; --name mine is for your own"):
        find_dataset("aflow", "mine")


def test_a_file_that_is_added_changed_or_renamed_is_read(folder: Folder, tmp_path: Path) -> None:
    root = folder({"a.xyz": H})
    made = materialize(find_dataset(str(root)), tmp_path / "out")
    assert materialize(find_dataset(str(root)), tmp_path / "out") == made
    seen = {made.fingerprint}
    folder({"b.xyz": H})
    seen.add(materialize(find_dataset(str(root)), tmp_path / "out").fingerprint)
    folder({"b.xyz": H.replace("H", "He")})
    seen.add(materialize(find_dataset(str(root)), tmp_path / "out").fingerprint)
    (root / "b.xyz").rename(root / "c.xyz")
    made = materialize(find_dataset(str(root)), tmp_path / "out")
    assert len({*seen, made.fingerprint}) == 4
    assert made.n_systems == 2


def test_a_file_that_gets_the_suffix_of_its_content_is_read(folder: Folder, tmp_path: Path) -> None:
    tabs = "id\tsmiles\na\tC\n"
    root = folder({"good.csv": "id,smiles\nb,C\n", "wrong.csv": tabs})
    made = materialize(find_dataset(str(root)), tmp_path / "out")
    assert (made.n_systems, made.n_unreadable) == (1, 1)
    (root / "wrong.csv").rename(root / "wrong.tsv")
    made = materialize(find_dataset(str(root)), tmp_path / "out")
    assert (made.n_systems, made.n_unreadable) == (2, 0)


def test_a_file_that_is_renamed_is_another_dataset_of_the_same_name(folder: Folder) -> None:
    """Its ids are made of the file's name."""
    root = folder({"POSCAR_a": POSCAR})
    seen = {own_dataset(str(root / "POSCAR_a"), "mine").fingerprint}
    (root / "POSCAR_a").rename(root / "POSCAR_b")
    seen.add(own_dataset(str(root / "POSCAR_b"), "mine").fingerprint)
    assert len(seen) == 2


def test_numbers_of_rows_are_asked_for_in_vain_where_none_are_given(folder: Folder) -> None:
    root = folder({"a.xyz": H})
    for source in (root, root / "a.xyz"):
        plain, asked = own_dataset(str(source)), own_dataset(str(source), numbered=True)
        assert (plain.fingerprint, plain.numbered) == (asked.fingerprint, asked.numbered)
    folder({"b.csv": "smiles\nC\n"})
    for source in (root, root / "b.csv"):
        asked = own_dataset(str(source), numbered=True)
        assert asked.numbered and asked.fingerprint != own_dataset(str(source)).fingerprint


def test_globs_and_homes_that_mean_nothing_are_refused(folder: Folder) -> None:
    root = folder({"a.xyz": H})
    for source in (f"{root}/**.xyz", f"{root}/a**/*.xyz"):
        for look in (find_dataset, split_datasets):
            with pytest.raises(DatasetError, match=r"\*\* must stand alone, as in 'calc"):
                look(source)
    for look in (find_dataset, split_datasets):
        with pytest.raises(DatasetError, match="~nobody-here/x: there is no home folder of that"):
            look("~nobody-here/x")


@pytest.mark.parametrize("packed", [False, True])
def test_what_fails_for_want_of_open_files_is_no_fault_of_a_file(
    packed: bool, folder: Folder
) -> None:
    content = gzip.compress(H.encode()) if packed else H
    root = folder({f"{name}.xyz{'.gz' if packed else ''}": content for name in "ab"})
    assert given(root)[0] == {"a": "", "b": ""}
    many, single = find_dataset(str(root)), find_dataset(str(next(root.iterdir())))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for dataset in (many, single):
        with Path("/dev/null").open() as file:
            resource.setrlimit(resource.RLIMIT_NOFILE, (file.fileno() + 1, hard))
            try:
                with pytest.raises(SystemFault, match=r"\.xyz.* cannot be read now, .*: Too many"):
                    list(dataset.entries())
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("pattern", ["", "/*.xyz"])
def test_a_name_that_was_given_is_found_again(
    pattern: str, folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout.find(str(tmp_path / "matter.duckdb"))
    root = folder({"a.xyz": H, "b.xyz": H})
    monkeypatch.chdir(tmp_path)
    made = prepare_dataset(layout, resolve_dataset(layout, f"My set{pattern}", "mine"))
    monkeypatch.chdir("/")
    assert (made.dataset, made.n_systems, made.source) == ("mine", 2, f"{root}{pattern}")
    assert prepare_dataset(layout, resolve_dataset(layout, "mine")) == made
    with pytest.raises(DatasetError, match=f"mine was made of .*{root.name}.* with --name other"):
        resolve_dataset(layout, "mine", "other")
    with pytest.raises(DatasetError, match=r"'mine' is there already, .* give it another --name"):
        prepare_dataset(layout, resolve_dataset(layout, f"{root}/a*", "mine"))
    for path in root.iterdir():
        path.unlink()
    if pattern:
        with pytest.raises(DatasetError, match="which is not there now: give the path"):
            resolve_dataset(layout, "mine")


def test_a_dataset_that_matterzoo_brings_replaces_none_of_a_user(
    folder: Folder, tmp_path: Path
) -> None:
    layout = Layout.find(str(tmp_path / "matter.duckdb"))
    root = folder({"a.xyz": H})
    # As a store has it that was filled before there was a dataset s22.
    made = prepare_dataset(layout, own_dataset(str(root), "s22"))
    for _ in ("the folder is there", "it is gone"):
        with pytest.raises(DatasetError, match=f"own dataset of the name 's22', from {root}"):
            prepare_dataset(layout, resolve_dataset(layout, "s22"))
        assert read_materialized(layout.dataset("s22")) == made
        shutil.rmtree(root, ignore_errors=True)


def test_several_datasets_may_be_named_at_once(folder: Folder, tmp_path: Path) -> None:
    layout = Layout.find(str(tmp_path / "matter.duckdb"))
    root = folder({"a.xyz": H, "b,c.xyz": H})
    found = resolve_datasets(layout, f"{root}/a.xyz, g2,{root}")
    assert [dataset.name for dataset in found] == ["a", "g2", "my-set"]
    assert split_datasets(f"{root}/b,*.xyz") == [f"{root}/b,*.xyz"]
    with pytest.raises(DatasetError, match="--name mine is of one dataset, not of 2: g2,aflow"):
        resolve_datasets(layout, "g2,aflow", "mine")


def test_remarks_of_many_files_are_few(folder: Folder) -> None:
    frame = '1\nProperties=species:S:1:pos:R:3 note="x"\nH 0 0 0\n'
    root = folder({f"{number}.xyz": frame for number in range(9)})
    found, remarks = given(root)
    assert len(found) == 9
    assert len(remarks) == 4
    assert remarks[0].startswith("0.xyz: not read, ")
    assert remarks[3] == "and 6 more files hold what is not read"


def test_a_file_without_entries_is_one_unreadable_entry(folder: Folder) -> None:
    found, _ = given(folder({"a.xyz": H, "blank.xyz": "\n\n"}))
    assert found == {"a": "", "blank": "blank.xyz has no entries"}


def test_systems_of_a_folder_are_those_of_its_files(folder: Folder) -> None:
    root = folder({"a.cif": NACL, "b.vasp": POSCAR})
    (whole,) = (e for e in find_dataset(str(root / "a.cif")).entries() if isinstance(e, Entry))
    first = next(e for e in find_dataset(str(root)).entries() if isinstance(e, Entry))
    assert whole.numbers is not None and first.numbers is not None
    assert first.numbers.tolist() == whole.numbers.tolist()
    assert (first.positions == whole.positions).all()
