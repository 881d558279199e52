"""Datasets too large to carry: published files that are downloaded, and of which a sample is read.

A module of ingest/sources with a TOML file of facts beside it defines two functions:

    def ids(source: Source) -> Iterator[str]:
        '''List every id of the source, each once, in any order.

        This is cheap, and the ids are never held in memory all at once.
        '''

    def read(source: Source, chosen: Sequence[str]) -> Iterator[Entry | Unreadable]:
        '''Read the entries of these ids, each once, in any order.

        A fault of one entry makes it Unreadable with its reason. A fault of a file (it is cut,
        altered, or of another format) is a DatasetError.
        '''

    DATASET = downloaded(__file__, ids, read, packages=("rdkit",))

`source.folder` holds the files of the TOML file, which are downloaded and verified before either
function is called; `source.facts` has the facts. Memory may grow with the ids of the sample, but
not with the source. Both functions may be called again, for the few entries that replace unreadable
ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ingest.callbacks import Log
from ingest.sources.shared.source import Source
from ingest.systems import sample
from ingest.systems.dataset import Dataset
from ingest.systems.entry import DatasetError, Entry, Unreadable
from ingest.systems.validation import validate

DEFAULT_SAMPLE = 50_000  # systems; the paper samples as many of each dataset

ListIds = Callable[[Source], Iterator[str]]
ReadEntries = Callable[[Source, Sequence[str]], Iterator[Entry | Unreadable]]


@dataclass(frozen=True)
class Loader:
    """How the files of a published dataset become entries.

    Attributes:
        source: The facts and the files.
        ids: Lists every id of the source.
        read: Reads the entries of some ids.
    """

    source: Source
    ids: ListIds
    read: ReadEntries

    def entries(self, size: int, log: Log) -> Iterator[Entry | Unreadable]:
        """Download the files, and read as many systems as are asked for.

        Ids are taken in the order of samples. If some cannot be read, the next ones in that order
        are read in their place. Holds `size` ids in memory.

        Args:
            size: The number of readable systems.
            log: Prints one line.

        Yields:
            The systems, and the entries among them that could not be read.

        Raises:
            DatasetError: A file cannot be downloaded or read, or lacks an entry that is listed.
        """
        self.source.fetch(log)
        place = sample.LOWEST
        while size and (chosen := sample.first_ids(self.ids(self.source), size, place)):
            place = sample.rank(chosen[-1])
            for outcome in self._read(chosen):
                size -= isinstance(outcome, Entry)
                yield outcome

    def _read(self, chosen: Sequence[str]) -> Iterator[Entry | Unreadable]:
        missing = set(chosen)
        for outcome in self.read(self.source, chosen):
            missing.discard(outcome.source_id)
            yield validate(outcome) if isinstance(outcome, Entry) else outcome
        if missing:
            raise DatasetError(
                f"{self.source.facts.name}: {min(missing)!r} and {len(missing) - 1} more entries "
                f"that the source lists are not there; is a file in {self.source.folder} not the "
                "one published?"
            )


@dataclass(frozen=True, kw_only=True)
class DownloadedDataset(Dataset):
    """A dataset of which a sample is materialized, by default one of DEFAULT_SAMPLE systems.

    Attributes:
        loader: Reads the sample.
    """

    loader: Loader

    def sampled(self, limit: int | None, log: Log) -> Dataset:
        """Return the dataset with a sample of another size.

        Args:
            limit: The number of systems, None for the default.
            log: Prints one line, for what has to be downloaded.

        Returns:
            A dataset that downloads and reads the sample when its entries are asked for.
        """
        size = limit or DEFAULT_SAMPLE
        return replace(self, sample=size, entries=partial(self.loader.entries, size, log))


def downloaded(
    module: str,
    ids: ListIds,
    read: ReadEntries,
    packages: tuple[str, ...] = (),
    code: tuple[str, ...] = (),
) -> DownloadedDataset:
    """Return the dataset of a module, with the facts of the TOML file beside it.

    Args:
        module: The file of the module.
        ids: Lists every id of the source; see the module's docstring.
        read: Reads the entries of some ids; see the module's docstring.
        packages: Packages whose versions decide the entries.
        code: Other files of code that decide the entries.

    Raises:
        DatasetError: The TOML file or its lock is wrong.
    """
    loader = Loader(Source.load(Path(module).with_suffix(".toml")), ids, read)
    source, facts = loader.source, loader.source.facts
    pins = (str(source.lock),) if source.lock.exists() else ()
    return DownloadedDataset(
        name=facts.name,
        title=facts.title,
        source=f"{facts.homepage}; {facts.citation}",
        license=facts.license.name,
        packages=packages,
        entries=partial(loader.entries, DEFAULT_SAMPLE, print),
        made_from=(module, __file__, sample.__file__, str(source.toml), *pins, *code),
        approx_systems=facts.systems,
        approx_seconds=facts.seconds,
        sample=DEFAULT_SAMPLE,
        loader=loader,
    )
