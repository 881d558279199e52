"""The folder of a site."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from query import assets
from query.site.addresses import dataset_page, model_page, pair_page, slug
from query.site.prompt import ASSETS
from query.site.prompt.parts import Prompt
from query.site.results import METRICS, Pair, Results
from query.site.tree_data import tree_data
from zoo.files import write_atomically

INDEX = "index.html"
_LIST = ".matterzoo-site"  # names the files of a site, so that the next one removes its own alone


def write_site(
    folder: Path,
    results: Results,
    pages: Iterable[tuple[str, str]],
    figures: dict[str, list[dict[str, Any]]],
    prompt: Prompt | None = None,
) -> Path:
    """Write all files of a site, the first page last, and remove those of an earlier one alone.

    Args:
        folder: The folder, which is there.
        results: What the pages show.
        pages: Path and HTML of each page.
        figures: By dataset, its figures; see `draw_figure`.
        prompt: The SQL prompt and the vectors that it has, None for a site without.

    Returns:
        The first page.
    """
    written = _Written(folder)
    tables = {f"results/{name}": table for name, table in results.tables.items()}
    for name, table in (tables if prompt is None else prompt.tables).items():
        written.write(f"{name}.parquet", functools.partial(pq.write_table, table))
    for name, script in ({} if prompt is None else prompt.files).items():
        written.write(f"assets/prompt/{name}", script)
    for name, content in _assets().items():
        written.write(f"assets/{name}", content)
    for path, content in _json_files(results, figures):
        written.write(path, content)
    rendered = dict(pages)
    for path in sorted(rendered, key=lambda path: path == INDEX):
        written.write(path, rendered[path])
    written.remove_others()
    return folder / INDEX


def vega_script() -> str:
    """Return Vega-Embed as a script: a page that is opened from disk loads no module."""
    return f"(() => {{{assets.vega_script()}}})();"


def site_style() -> str:
    """Return the style of all pages."""
    return assets.STYLE + (ASSETS / "site.css").read_text(encoding="utf-8")


def _assets() -> dict[str, str]:
    """Return scripts and style of the pages by the names of their files."""
    return {
        "site.css": site_style(),
        "site.js": assets.tables_script() + (ASSETS / "site.js").read_text(encoding="utf-8"),
        "figures.js": assets.figures_script(),
        "vega.js": vega_script(),
    }


class _Written:
    """The files of a site that are written so far."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: list[str] = []

    def write(self, name: str, content: str | bytes | Callable[[Path], object]) -> None:
        """Write a file, whole or not at all. After a power loss a site is made again."""
        file = self._folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, content, durable=False)
        self._names.append(name)

    def remove_others(self) -> None:
        """Remove what only an earlier site had, and list what is there now."""
        inside = self._folder.resolve()
        for name in _earlier(self._folder) - set(self._names):
            if (self._folder / name).resolve().is_relative_to(inside):  # a list may be anyone's
                (self._folder / name).unlink(missing_ok=True)
        listed = "".join(f"{name}\n" for name in sorted(self._names))
        write_atomically(self._folder / _LIST, listed)


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
            for version in figure["versions"]:
                yield f"figures/{slug(name)}/{version['file']}.vl.json", to_json(version["spec"])
        for metric in METRICS:
            path = f"results/{slug(name)}/tree-data-{metric}.json"
            yield path, to_json(tree_data(results, name, metric))
    for row in results.datasets:
        yield _beside(dataset_page(row["dataset"])), to_json(row)
    for model_id, model in results.models.items():
        yield _beside(model_page(model_id)), to_json(model)
    for pair, shown in results.pages.items():
        yield _beside(pair_page(*pair)), to_json(_of_pair(pair, shown))


def _of_pair(pair: Pair, shown: dict[Pair, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the alignments of a pair, and those of twins that stand for its models.

    What they have in common is left out, and so is NULL.
    """
    own, *twins = (_alignments(*names, shown[names]) for names in sorted(shown, key=pair.__ne__))
    return own | ({"of_twins": twins} if twins else {})


def _alignments(model_a: str, model_b: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    both = {"model_a": model_a, "model_b": model_b}
    known = [
        {name: v for name, v in row.items() if name not in both and v is not None} for row in rows
    ]
    return {**both, "alignments": known}


def _beside(page: str) -> str:
    return page.removesuffix(".html") + ".json"


def to_json(content: Any) -> str:
    """Return content as JSON, with null for what JSON lacks, and eight digits of each number.

    Files of thousands of pairs are half as large as with all digits, which the Parquet files have.

    Args:
        content: Lists, dictionaries, numbers, text.
    """
    return json.dumps(_plain(content), ensure_ascii=False, separators=(",", ":"))


def _plain(content: Any) -> Any:
    if isinstance(content, float):
        return float(f"{content:.8g}") if math.isfinite(content) else None
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    return content
