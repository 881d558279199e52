"""A site on a store: pages on its models, pairs of models, datasets and families, for any host.

    site(query.connect("matter.duckdb"), ["aflow", "g2"], Path("site"))

`gathered` finds what is shown of each dataset, by one process or several, `results` the rest.
`pages` makes the HTML from `templates/`, `addresses` says where each page is, `files` writes the
folder: pages, JSON beside them, figures, and results as Parquet.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from query.processes.helpers import Helpers
from query.reading.selection import find_dataset
from query.report.files import check_folder
from query.site.files import write_site
from query.site.gathered import gather
from query.site.pages import render_pages
from query.site.prompt.parts import Sources, make_prompt
from query.site.results import read_results
from query.statements import keep_answers

__all__ = ["Sources", "site"]


def site(
    connection: duckdb.DuckDBPyConnection,
    datasets: Sequence[str],
    folder: Path,
    title: str = "How alike do models see the same matter?",
    sources: Sources | None = None,
    helpers: Helpers | None = None,
) -> Path:
    """Write the site on some datasets.

    Args:
        connection: A connection to a store, with our functions; it is only read.
        datasets: Names of datasets.
        folder: Where the site is written. Pages of an earlier site there are replaced, and those
            that it alone had are removed; other files stay.
        title: The title of the site.
        sources: What a SQL prompt is made from; None leaves it out.
        helpers: Processes that take part, if the store is a file that is open to be read only.

    Returns:
        Its first page, `folder/index.html`.

    Raises:
        MatterzooError: A process that takes part was killed.
        ValueError: The store does not know a dataset, or the folder cannot be written or has a
            page that is not ours.
    """
    for dataset in datasets:
        find_dataset(connection, dataset)
    check_folder(folder)
    with keep_answers():
        parts, figures = gather(connection, datasets, helpers)
        results = read_results(connection, datasets, parts)
        prompt = None if sources is None else make_prompt(connection, results, sources)
    pages = render_pages(results, figures, title, None if prompt is None else prompt.about)
    return write_site(folder, results, pages, figures, prompt)
