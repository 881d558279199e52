"""Many files as one dataset: a folder, or a glob such as `calculations/*/CONTCAR`.

An entry's id is the path of its file, from the folder or from the last folder before the glob's
first wildcard, without the suffix. A file of several entries gives `<path>/<id in the file>`, and
the chains of a protein `<path>_<chain>`. A file that cannot be read is an unreadable entry, and the
others are read. Subfolders, hidden files and formats that are not known are left out with a remark.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ingest.readers.shared.discovery import expected_files, load_readers, reader_of
from ingest.readers.shared.guard import read_entries
from ingest.readers.shared.packed import plain_name, raise_system_fault
from ingest.readers.shared.reader import Reader
from ingest.readers.shared.text import printable
from ingest.systems.dataset import Item
from ingest.systems.entry import DatasetError, Remark, Unreadable

_NAMED = 5  # names of files in one remark
_REMARKS = 3  # of what files hold that is not read; the others are counted


@dataclass(frozen=True)
class Member:
    """One file of a dataset of many.

    Attributes:
        path: The file.
        key: Its path from the common folder, without the suffix of its format.
        reader: The reader of its format.
    """

    path: Path
    key: str
    reader: Reader

    def entry_id(self, given: str, *, alone: bool) -> str:
        """Return the id of an entry of the file.

        Args:
            given: The id that the reader gives.
            alone: Whether it is the file's only entry.
        """
        stem = plain_name(self.path).stem
        if self.reader.chains and given.startswith(f"{stem}_"):
            return f"{self.key.removesuffix(stem)}{given}"
        return self.key if alone or given == stem else f"{self.key}/{given}"


@dataclass(frozen=True)
class Files:
    """The files of a folder or of a glob.

    Attributes:
        source: The folder or the glob, with its absolute path.
        root: The folder that their ids begin from.
        members: Those of a known format, by their ids.
        others: The names of those of no known format.
        folders: The names of subfolders, which are not read.
    """

    source: str
    root: Path
    members: Sequence[Member]
    others: Sequence[str] = field(default=())
    folders: Sequence[str] = field(default=())

    def entries(self, *, numbered: bool = False) -> Iterator[Item]:
        """Read every file.

        Args:
            numbered: Whether rows of tables that have no ids are numbered from 0.

        Yields:
            Entries, readable or not, and remarks.
        """
        remarks = list[str]()
        for given in self.members:
            member = replace(given, reader=given.reader.with_numbers()) if numbered else given
            for item in _entries(member):
                if isinstance(item, Remark):
                    remarks.append(f"{member.path.name}: {item.text}")
                else:
                    yield item
        yield from map(Remark, remarks[:_REMARKS])
        if len(remarks) > _REMARKS:
            yield Remark(f"and {len(remarks) - _REMARKS} more files hold what is not read")
        if self.others:
            yield Remark(f"no reader for {_count(self.others, 'file')}")
        if self.folders:
            yield Remark(
                f"not read: {_count(self.folders, 'subfolder')}; "
                f"'{self.root}/**/*' would, or '{self.root}/*/*.cif'"
            )


def expand_home(source: str) -> str:
    """Return what a user typed with the home folder in the place of `~`.

    Args:
        source: A path, a glob, or the name of a dataset.

    Raises:
        DatasetError: There is no user of the name that follows `~`.
    """
    try:
        return str(Path(source).expanduser())
    except RuntimeError as error:
        raise DatasetError(f"{source}: there is no home folder of that user") from error


def is_glob(source: str) -> bool:
    """Return whether a text is a glob, and not the path of a file that has a wildcard in its name.

    Args:
        source: What a user typed, with its folder.
    """
    return glob.has_magic(source) and not Path(source).exists()


def source_exists(source: str) -> bool:
    """Return whether a file or a folder is there, or any file that a glob matches.

    Args:
        source: A path or a glob.

    Raises:
        DatasetError: It is a glob that means nothing.
    """
    return Path(source).exists() or (is_glob(source) and any(_matches(source)))


def find_files(source: str) -> Files:
    """Find the files of a folder or of a glob; none is read yet.

    Args:
        source: The folder, or the glob.

    Returns:
        The files in the order of their ids.

    Raises:
        DatasetError: None is of a known format, or two would have the same id.
    """
    root = _root(source)
    found = _matches(source) if is_glob(source) else root.iterdir()
    paths = sorted(path for path in found if not path.name.startswith("."))
    files = [path for path in paths if path.is_file() or not path.exists()]  # a broken link, too
    readers = load_readers()
    chosen = {path: reader_of(path, readers) for path in files}
    members = [_member(path, root, reader) for path, reader in chosen.items() if reader is not None]
    others = [path.name for path, reader in chosen.items() if reader is None]
    folders = [] if is_glob(source) else [path.name for path in paths if path.is_dir()]
    if not members:
        has = f"it has {_count(others, 'file')}" if others else "it has no files"
        if folders:
            has += f" and {_count(folders, 'subfolder')}: '{root}/*/*.cif' would read those"
        raise DatasetError(f"{source} has no file that can be read ({expected_files()}); {has}")
    _refuse_repeated(members)
    members = sorted(members, key=lambda member: member.key)
    full = root.resolve() / Path(source).relative_to(root)
    return Files(str(full), root, members, others, folders)


def _root(source: str) -> Path:
    """Return the folder, or the last folder before the first wildcard of a glob."""
    if not is_glob(source):
        return Path(source)
    parts = Path(source).parts
    fixed = next(place for place, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:fixed])


def _matches(source: str) -> Iterator[Path]:
    """Yield the paths that a glob matches, but nothing that is hidden.

    Raises:
        DatasetError: It has ** beside other letters, which Python's versions take differently.
    """
    root = _root(source)
    if any("**" in part and part != "**" for part in Path(source).parts):
        raise DatasetError(f"{source}: ** must stand alone, as in 'calculations/**/*.cif'")
    for path in root.glob(str(Path(source).relative_to(root))):
        if not any(part.startswith(".") for part in path.relative_to(root).parts):
            yield path


def _member(path: Path, root: Path, reader: Reader) -> Member:
    name = plain_name(path).name
    stem = name[: len(name) - len(reader.suffix_of(path))] or name
    return Member(path, (path.relative_to(root).parent / stem).as_posix(), reader)


def _refuse_repeated(members: Sequence[Member]) -> None:
    seen = dict[str, Path]()
    for member in members:
        first = seen.setdefault(member.key, member.path)
        if first != member.path:
            raise DatasetError(
                f"{first} and {member.path} would both have the id {member.key!r}: rename one, or "
                f"give a glob of one format, such as '{member.path.parent}/*{member.path.suffix}'"
            )


def _entries(member: Member) -> Iterator[Item]:
    """Yield the entries of a file with their ids in the dataset."""
    held: Item | None = None  # the first entry; its id depends on whether there is a second
    alone = True
    for item in _safely(member):
        if isinstance(item, Remark):
            yield item
        elif held is None and alone:
            held = item
        else:
            if held is not None:
                yield _renamed(held, member, alone=False)
            held, alone = None, False
            yield _renamed(item, member, alone=False)
    if held is not None:
        yield _renamed(held, member, alone=True)
    elif alone:
        yield Unreadable(member.key, f"{member.path.name} has no entries")


def _renamed(item: Item, member: Member, *, alone: bool) -> Item:
    if isinstance(item, Remark):
        return item
    return replace(item, source_id=member.entry_id(item.source_id, alone=alone))


def _safely(member: Member) -> Iterator[Item]:
    """Read a file; what is wrong with it as a whole is an entry, since there are other files."""
    try:
        if not member.path.stat().st_size:
            raise DatasetError("the file is empty (0 bytes)")
        yield from read_entries(member.reader, member.path)
    except (DatasetError, OSError) as error:
        raise_system_fault(member.path, error)
        yield Unreadable(plain_name(member.path).stem, printable(str(error)))


def _count(names: Sequence[str], what: str) -> str:
    """Return a number of things and the names of the first, such as '2 files: a, b'."""
    shown = ", ".join(map(printable, names[:_NAMED])) + (", …" if len(names) > _NAMED else "")
    return f"{len(names)} {what}{'s' if len(names) > 1 else ''}: {shown}"
