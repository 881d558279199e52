"""Datasets too large to carry: published files, of which a sample is read.

A loader is a module of ingest/datasets with a TOML file of facts beside it:

    def ids(source: Source) -> Iterator[str]:
        '''Every id that the source lists, each once, in any order; cheap, and never held all at once.'''

    def read(source: Source, chosen: Sequence[str]) -> Iterator[Entry | Unreadable]:
        '''The entries of these ids, each once, in any order. What concerns one entry makes it Unreadable with its
        reason; what concerns a file (cut, altered, of another format) is a DatasetError.'''

    DATASET = published(__file__, ids, read, packages=("rdkit",))

`source.folder` holds the files of the TOML, downloaded and verified before either is called; `source.about` has the
facts. Memory may grow with the sample's ids, not with the source. Both may be called again, for the few that take the
place of unreadable ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ingest.sources.files import Say, Source
from ingest.systems import sample
from ingest.systems.dataset import Dataset
from ingest.systems.entry import DatasetError, Entry, Unreadable
from ingest.systems.validation import validate

__all__ = ["SAMPLE", "Loader", "Published", "Source", "published"]

SAMPLE = 50_000  # systems, where no limit is given: the size of the paper's samples


@dataclass(frozen=True)
class Loader:
    """How a published dataset's files become entries."""

    files: Source
    ids: Callable[[Source], Iterator[str]]
    read: Callable[[Source, Sequence[str]], Iterator[Entry | Unreadable]]

    def entries(self, size: int, say: Say) -> Iterator[Entry | Unreadable]:
        """As many systems as asked for, of the ids that come first, and what could not be read among them.

        Fetches the files. Holds `size` ids. Where some cannot be read, the next in the order are read in their place.
        """
        self.files.fetch(say)
        place = sample.LOWEST
        while size and (chosen := sample.first_ids(self.ids(self.files), size, place)):
            place = sample.rank(chosen[-1])
            for outcome in self._read(chosen):
                size -= isinstance(outcome, Entry)
                yield outcome

    def _read(self, chosen: Sequence[str]) -> Iterator[Entry | Unreadable]:
        """Each of these once. Raises DatasetError where the source lists what it does not hold."""
        missing = set(chosen)
        for outcome in self.read(self.files, chosen):
            missing.discard(outcome.source_id)
            yield validate(outcome) if isinstance(outcome, Entry) else outcome
        if missing:
            raise DatasetError(
                f"{self.files.about.name}: {min(missing)!r} and {len(missing) - 1} more entries that the source lists"
                f" are not there; is a file in {self.files.folder} not the one published?"
            )


@dataclass(frozen=True, kw_only=True)
class Published(Dataset):
    """A dataset of which a sample is materialized, of the default size if no other is drawn."""

    loader: Loader

    def sampled(self, limit: int | None, say: Say) -> Dataset:
        size = limit or SAMPLE
        return replace(self, sample=size, entries=partial(self.loader.entries, size, say))


def published(
    module: str,
    ids: Callable[[Source], Iterator[str]],
    read: Callable[[Source, Sequence[str]], Iterator[Entry | Unreadable]],
    packages: tuple[str, ...] = (),
    code: tuple[str, ...] = (),
) -> Published:
    """The dataset of a loader, from the TOML file beside its module. `code`: other files that decide the entries."""
    loader = Loader(Source.load(Path(module).with_suffix(".toml")), ids, read)
    files, about = loader.files, loader.files.about
    pins = (str(files.lock),) if files.lock.exists() else ()
    return Published(
        name=about.name,
        title=about.title,
        source=f"{about.homepage}; {about.citation}",
        license=about.license.name,
        packages=packages,
        entries=partial(loader.entries, SAMPLE, print),
        made_from=(module, __file__, sample.__file__, str(files.toml), *pins, *code),
        approx_systems=about.systems,
        approx_seconds=about.seconds,
        sample=SAMPLE,
        loader=loader,
    )
