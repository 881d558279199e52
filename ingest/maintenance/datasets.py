"""`make datasets`: what there is, how large, whether it is here, on which terms."""

from __future__ import annotations

from collections.abc import Iterator

from ingest.sources.discovery import load_datasets
from ingest.sources.shared.downloaded import DEFAULT_SAMPLE, DownloadedDataset
from ingest.sources.shared.source import describe_files
from ingest.systems.dataset import Dataset


def lines() -> Iterator[str]:
    """Those we carry, then those to be downloaded, each by size."""
    datasets = sorted(
        load_datasets().values(),
        key=lambda d: (isinstance(d, DownloadedDataset), d.approx_systems or 0, d.name),
    )
    for dataset in datasets:
        count = f"{dataset.approx_systems:,}" if dataset.approx_systems else "?"
        yield f"{dataset.name:<12} {count:>9} systems  {dataset.title} ({_terms(dataset)})"
        if isinstance(dataset, DownloadedDataset):
            yield f"{'':<30} {_files(dataset)}"
    yield f"LIMIT=n takes n systems of one that is downloaded, or {DEFAULT_SAMPLE:,}; a larger n contains a smaller one's."


def _terms(dataset: Dataset) -> str:
    if not isinstance(dataset, DownloadedDataset):
        return dataset.license
    license = dataset.loader.source.facts.license
    gated = [", to be accepted first"] if license.gated else []
    return "".join([license.name, *gated, "" if license.commercial else ", not for commercial use"])


def _files(dataset: DownloadedDataset) -> str:
    files = dataset.loader.source
    missing, besides = files.missing, files.facts.besides
    if not all(file.pinned for file in files.facts.file):
        where = f"first `make pin DATASET={dataset.name}`, which downloads them"
    elif not missing:
        where = f"here, in {files.folder}"
    elif len(missing) < len(files.facts.file):
        where = f"{describe_files(missing)} of them to download"
    else:
        where = "to download"
    return f"{describe_files(files.facts.file)}{', ' + besides if besides else ''}: {where}"
