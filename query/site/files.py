"""The folder of a site."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from query.site.addresses import dataset_page, model_page, pair_page, slug
from query.site.results import METRICS, Results
from query.site.tree_data import tree_data
from zoo.files import write_atomically

INDEX = "index.html"
_LIST = ".matterzoo-site"  # names the files of a site, so that the next one removes its own alone
_ASSETS = ("site.css", "site.js")


def write_site(
    folder: Path,
    results: Results,
    pages: Iterable[tuple[str, str]],
    figures: dict[str, list[dict[str, Any]]],
) -> Path:
    """Write all files of a site, the first page last, and remove those of an earlier one alone.

    Args:
        folder: The folder, which is there.
        results: What the pages show.
        pages: Path and HTML of each page.
        figures: By dataset, its figures; see `draw_figures`.

    Returns:
        The first page.
    """
    import vl_convert

    written: list[str] = []

    def write(path: str, content: str | bytes) -> None:
        content = content.encode() if isinstance(content, str) else content
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / path, lambda file: file.write_bytes(content))
        written.append(path)

    earlier = _earlier(folder)
    for name, table in results.tables.items():
        path = folder / "results" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda file, table=table: pq.write_table(table, file))
        written.append(f"results/{name}.parquet")
    for asset in _ASSETS:
        write(f"assets/{asset}", (Path(__file__).parent / "assets" / asset).read_bytes())
    # A module would not be loaded by a page that is opened from disk.
    write("assets/vega.js", f"(() => {{{vl_convert.javascript_bundle()}}})();")
    for path, content in _json_files(results, figures):
        write(path, content)
    first = ""
    for path, html in pages:
        if path == INDEX:
            first = html
        else:
            write(path, html)
    write(INDEX, first)
    for path in earlier - set(written):
        (folder / path).unlink(missing_ok=True)
    listed = "".join(f"{path}\n" for path in sorted(written))
    write_atomically(folder / _LIST, lambda file: file.write_text(listed))
    return folder / INDEX


def _earlier(folder: Path) -> set[str]:
    """Return the files of the site that is in a folder."""
    try:
        return set((folder / _LIST).read_text().splitlines())
    except FileNotFoundError:
        return set()


def _json_files(
    results: Results, figures: dict[str, list[dict[str, Any]]]
) -> Iterable[tuple[str, str]]:
    """Yield path and content of what is beside pages for programs."""
    for name, drawn in figures.items():
        for figure in drawn:
            if figure["spec"] is not None:
                path = f"figures/{slug(name)}/{figure['name']}.vl.json"
                yield path, to_json(figure["spec"])
        for metric in METRICS:
            path = f"results/{slug(name)}/tree-data-{metric}.json"
            yield path, to_json(tree_data(results, name, metric))
    for row in results.datasets:
        yield _beside(dataset_page(row["dataset"])), to_json(row)
    for model_id, model in results.models.items():
        yield _beside(model_page(model_id)), to_json(model)
    for (a, b), rows in results.pairs().items():
        yield _beside(pair_page(a, b)), to_json(rows)


def _beside(page: str) -> str:
    return page.removesuffix(".html") + ".json"


def to_json(content: Any) -> str:
    """Return content as JSON, with null for what JSON lacks.

    Args:
        content: Lists, dictionaries, numbers, text.
    """
    return json.dumps(_plain(content), ensure_ascii=False)


def _plain(content: Any) -> Any:
    if isinstance(content, float) and not math.isfinite(content):
        return None
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    return content
