"""Where things lie: the store, and beside it the folder that the store can be made again from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ingest.integrity import ignore_full_disk, read_json, write_json
from schemas.errors import StoreError
from schemas.paths import (
    cache_folder,
    data_folder,
    default_store,
    is_duckdb,
    nodes_folder,
    vectors_folder,
)

OWNER = "store.json"  # in a data folder: the name of the store that the folder belongs to


@dataclass(frozen=True)
class Layout:
    """The places of a store and of the files beside it.

    Attributes:
        store: The DuckDB file, as an absolute path. It need not exist.
    """

    store: Path

    @classmethod
    def find(cls, store: str | None = None) -> Layout:
        """Find the store that a command works on.

        Args:
            store: The path that the user named. None takes the one in MATTERZOO_STORE, else
                `matter.duckdb` in the current folder.

        Returns:
            The layout of that store, which may not exist yet.

        Raises:
            StoreError: There is no folder to hold the store, or its data folder belongs to
                another store.
        """
        path = (Path(store) if store else default_store()).absolute()
        if not path.parent.is_dir():
            raise StoreError(
                f"there is no folder {path.parent} to hold the store {path.name}; make it first"
            )
        found = cls(path)
        found._refuse_foreign_folder()
        return found

    @property
    def data(self) -> Path:
        """The folder of datasets, runs, submissions and the cache, beside the store."""
        return data_folder(self.store)

    @property
    def runs(self) -> Path:
        """The folder with one folder per run; see ingest.runs.folder."""
        return self.data / "runs"

    @property
    def vectors(self) -> Path:
        """The folder of the vector files; see schemas.vectors."""
        return vectors_folder(self.store)

    @property
    def nodes(self) -> Path:
        """The folder of the vector files of atoms and residues."""
        return nodes_folder(self.store)

    @property
    def cache(self) -> Path:
        """The neighbor lists that queries keep."""
        return cache_folder(self.store)

    @property
    def spill(self) -> Path:
        """The folder where DuckDB puts what exceeds its memory limit."""
        return self.data / "tmp"

    @property
    def submissions(self) -> Path:
        """The folder with one folder per submission; see ingest.executors.shared.submission."""
        return self.data / "submissions"

    @property
    def strips(self) -> Path:
        """The folder with one folder per matrix that is found in strips; see query.strips."""
        return self.data / "strips"

    @property
    def matrices(self) -> Path:
        """The matrices that were found in strips; see query.tables.shared.stored."""
        return self.data / "matrices"

    def dataset(self, name: str) -> Path:
        """Return the folder of a dataset.

        Args:
            name: The name of the dataset.
        """
        return self.data / "datasets" / name

    def claim(self) -> None:
        """Note in the data folder which store it belongs to.

        On a full disk nothing is noted: the caller still has its own failure to record.
        """
        self.data.mkdir(parents=True, exist_ok=True)
        renamed = self._owner() != self.store.name  # together with its store
        if renamed or not (self.data / OWNER).exists():
            with ignore_full_disk():
                write_json(self.data / OWNER, {"store": self.store.name})

    def _refuse_foreign_folder(self) -> None:
        """Refuse a data folder of another store: it would get this one's runs, and lose them."""
        self._refuse_former_folder()
        owner = self._owner()
        if owner != self.store.name and self.store.with_name(owner).exists():
            raise StoreError(
                f"{self.data} belongs to the store {owner}; give this one another name"
            )

    def _refuse_former_folder(self) -> None:
        """Refuse a store whose runs lie where every store had them once, whatever its suffix."""
        former = self.store.with_suffix(".data")
        settled = self.runs.exists() or (self.data / OWNER).exists()
        if settled or not self.store.exists() or not (former / "runs").is_dir():
            return
        if not self._may_have_used(former):
            return
        others = self._others_in(former)
        remedy = f"mv {former} {self.data}"
        if others:
            shared = f"(not mv: {', '.join(others)} may have runs there, too)"
            remedy = f"cp -r {former} {self.data} {shared}"
        raise StoreError(
            f"Older versions kept the runs of {self.store.name} in {former.name}, shared with any "
            f"other store named {self.store.stem}.*; this version expects {self.data.name}: "
            + remedy
        )

    def _may_have_used(self, former: Path) -> bool:
        """Return whether no other store claims a folder where older versions kept runs."""
        if former == self.data:
            return False
        return (
            not (former / OWNER).exists()
            or read_json(former / OWNER).get("store") == self.store.name
        )

    def _others_in(self, former: Path) -> list[str]:
        """Return the names of other stores beside this one that may have runs in that folder."""
        files = [
            file for file in self.store.parent.iterdir() if file != self.store and file.is_file()
        ]
        near = [file for file in files if former in (file.with_suffix(".data"), data_folder(file))]
        return sorted(file.name for file in near if is_duckdb(file))

    def _owner(self) -> str:
        """Return the name of the store that owns the data folder, this one's if nothing says."""
        if (self.data / OWNER).exists():
            return str(read_json(self.data / OWNER).get("store"))
        namesake = self.store.with_name(f"{self.store.name}.duckdb")
        if data_folder(namesake) == self.data and self.data.exists():
            return namesake.name
        return self.store.name
