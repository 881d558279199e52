"""`make datasets`: what there is, how large, whether it is here, on which terms."""

from __future__ import annotations

from collections.abc import Iterator

from ingest.sources import load_datasets
from ingest.sources.files import amount
from ingest.sources.published import SAMPLE, Published
from ingest.systems.dataset import Dataset


def lines() -> Iterator[str]:
    """Those we carry, then those to be downloaded, each by size."""
    datasets = sorted(
        load_datasets().values(),
        key=lambda d: (isinstance(d, Published), d.approx_systems or 0, d.name),
    )
    for dataset in datasets:
        count = f"{dataset.approx_systems:,}" if dataset.approx_systems else "?"
        yield f"{dataset.name:<12} {count:>9} systems  {dataset.title} ({_terms(dataset)})"
        if isinstance(dataset, Published):
            yield f"{'':<30} {_files(dataset)}"
    yield f"LIMIT=n takes n systems of one that is downloaded, or {SAMPLE:,}; a larger n contains a smaller one's."


def _terms(dataset: Dataset) -> str:
    if not isinstance(dataset, Published):
        return dataset.license
    license = dataset.loader.files.about.license
    gated = [", to be accepted first"] if license.gated else []
    return "".join([license.name, *gated, "" if license.commercial else ", not for commercial use"])


def _files(dataset: Published) -> str:
    files = dataset.loader.files
    missing, besides = files.missing, files.about.besides
    if not all(file.pinned for file in files.about.file):
        where = f"first `make pin DATASET={dataset.name}`, which downloads them"
    elif not missing:
        where = f"here, in {files.folder}"
    elif len(missing) < len(files.about.file):
        where = f"{amount(missing)} of them to download"
    else:
        where = "to download"
    return f"{amount(files.about.file)}{', ' + besides if besides else ''}: {where}"
