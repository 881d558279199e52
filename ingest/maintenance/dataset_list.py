"""List the datasets, how large they are, whether they are here, and on which terms."""

from __future__ import annotations

from collections.abc import Iterator

from ingest.sources.shared.discovery import load_datasets
from ingest.sources.shared.downloaded import DEFAULT_SAMPLE, DownloadedDataset
from ingest.sources.shared.source import describe_files
from ingest.systems.dataset import Dataset


def describe_datasets() -> Iterator[str]:
    """Describe every dataset: those that are carried, then those that are downloaded, by size.

    Yields:
        One line per dataset, one more for its files if it is downloaded, and one on --limit.
    """
    datasets = sorted(
        load_datasets().values(),
        key=lambda d: (isinstance(d, DownloadedDataset), d.approx_systems or 0, d.name),
    )
    for dataset in datasets:
        count = f"{dataset.approx_systems:,}" if dataset.approx_systems else "?"
        yield f"{dataset.name:<12} {count:>9} systems  {dataset.title} ({_terms(dataset)})"
        if isinstance(dataset, DownloadedDataset):
            yield f"{'':<30} {_files(dataset)}"
    yield (
        f"--limit N takes N systems of one that is downloaded ({DEFAULT_SAMPLE:,} by default); "
        "a larger N contains the systems of a smaller one"
    )


def _terms(dataset: Dataset) -> str:
    if not isinstance(dataset, DownloadedDataset):
        return dataset.license
    terms = dataset.loader.source.facts.license
    gate = f", {terms.gate}" if terms.gated else ""
    use = "" if terms.commercial else ", not for commercial use"
    return f"{terms.name}{gate}{use}"


def _files(dataset: DownloadedDataset) -> str:
    files = dataset.loader.source
    missing, besides = files.missing, files.facts.besides
    if not all(file.pinned for file in files.facts.file):
        where = f"first `matterzoo pin --dataset {dataset.name}`, which downloads them"
    elif not missing:
        where = f"here, in {files.folder}"
    elif len(missing) < len(files.facts.file):
        where = f"{describe_files(missing)} of them to download"
    else:
        where = "to download"
    return f"{describe_files(files.facts.file)}{', ' + besides if besides else ''}: {where}"
