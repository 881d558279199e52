"""The pages of a site, from templates."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from query.assets import structure_html
from query.figures.drawing.glossary import explain_numbers
from query.figures.drawing.labels import (
    format_number,
    method_label,
    metric_label,
    score_label,
)
from query.figures.drawing.model_kinds import KINDS, count_kinds, note_networks
from query.report.page import GENERATOR
from query.site import addresses
from query.site.answers import Answers
from query.site.files import site_style
from query.site.headlines import find_headline
from query.site.results import METRICS, Pair, Results
from query.site.words import fixed, is_least, p_text

TEMPLATES = Path(__file__).parent / "templates"
Row = dict[str, Any]
_ABOUT = {
    "descriptor": " (rules, nothing learned)",
    "twin": " (the same networks, their weights drawn at random)",
    "control": " (such as random vectors, and a descriptor with copies that must see the same)",
}
_GROUPS = {
    "Trained models and descriptors": ("model", "descriptor"),
    "Untrained twins and controls, to compare with": ("twin", "control"),
}
# Ends that the next cell or row implies: left out, a site of 120 models is 3 MB smaller.
_IMPLIED = re.compile("</t[dhr]>")
_INPUTS = {"smiles": "SMILES", "selfies": "SELFIES", "any": "anything"}  # others are words


def render_pages(
    results: Results,
    figures: dict[str, list[Row]],
    title: str,
    prompt: Mapping[str, Any] | None = None,
) -> Iterator[tuple[str, str]]:
    """Make all pages of a site.

    Args:
        results: What they show.
        figures: By dataset, its figures; see `draw_figures`.
        title: The site's title.
        prompt: What the page of the SQL prompt shows, None for a site without.

    Yields:
        The path of each page, and its HTML.
    """
    environment = _environment(results, title)
    environment.globals["has_prompt"] = prompt is not None

    def page(path: str, template: str, **content: Any) -> tuple[str, str]:
        root = "../" * path.count("/")
        html = environment.get_template(template).render(root=root, here=path, **content)
        return path, _IMPLIED.sub("", html)

    answers = Answers(results)
    heads = {row["dataset"]: find_headline(results, row["dataset"]) for row in results.datasets}
    environment.globals["heads"] = heads
    families = sorted({model["family"] for model in results.models.values()})
    overview = _overview(results, figures)
    every = results.models.values()
    kinds = count_kinds((model["kind"] for model in every), _ABOUT | note_networks(every))
    counts = {"families": families, "kind_counts": kinds}
    yield page("index.html", "index.html", overview=overview, **counts)
    yield page("submit.html", "submit.html")
    yield page("404.html", "404.html", style=site_style())
    if prompt is not None:
        yield page("sql.html", "sql.html", prompt=prompt)
    for dataset in results.datasets:
        name = dataset["dataset"]
        models = [row for row in results.rows("exposure", dataset=name)]
        failures = results.rows("failures", dataset=name)
        content = {"dataset": dataset, "exposure": models, "failures": failures}
        yield page(addresses.dataset_page(name), "dataset.html", **content, figures=figures[name])
    for family in families:
        models = [model for model in results.models.values() if model["family"] == family]
        about = {"family": family, "near": _nearest_elsewhere(results, models)}
        yield page(addresses.family_page(family), "family.html", models=models, **about)
    for model_id, model in results.models.items():
        yield page(addresses.model_page(model_id), "model.html", **_about_model(results, model))
    for pair, shown in results.pages.items():
        content = _about_pair(results, answers, pair, shown)
        yield page(addresses.pair_page(*pair), "pair.html", **content)


def _about_pair(
    results: Results, answers: Answers, pair: Pair, shown: Mapping[Pair, list[Row]]
) -> Row:
    a, b = (results.models[name] for name in pair)
    rows, of_twins = shown[pair], _rows_of_twins(pair, shown)
    said = answers.on_each_dataset(rows, of_twins)
    return {"a": a, "b": b, "rows": rows, "of_twins": of_twins, "said": said}


def _overview(results: Results, figures: dict[str, list[Row]]) -> Row:
    """Return the first figure of the dataset that most models have vectors of, None if none is."""
    names = [dataset["dataset"] for dataset in results.datasets]
    most = max(names, key=lambda name: len(results.rows("exposure", dataset=name)))
    drawn = (figure for figure in figures[most] if figure["versions"])
    return {"dataset": most, "figure": next(drawn, None)}


def _nearest_elsewhere(results: Results, models: Sequence[Row]) -> list[Row]:
    """Return the trained model of another family that is most like each model on each dataset.

    Returns:
        Alignments by the first of METRICS, with `model` and `other`; none where none is defined.
    """
    found = []
    for model, dataset in product(models, results.datasets):
        for near in results.neighbors(model["model_id"], dataset["dataset"]):
            other, row = results.models[near["other"]], near[METRICS[0]]
            is_elsewhere = other["family"] != model["family"] and other["kind"] == "model"
            if is_elsewhere and row["value"] is not None:
                found.append(row | {"model": model["model_id"], "other": other["model_id"]})
                break
    return found


def _rows_of_twins(pair: Pair, shown: Mapping[Pair, list[Row]]) -> dict[tuple[str, str], list[Row]]:
    """Return alignments in which an untrained twin takes the place of one model or both.

    Returns:
        By dataset and metric, rows of `alignment_matrix` with `twins`, the names of the twins.
    """
    found: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for names, rows in shown.items():
        twins = " and ".join(name for name in names if name not in pair)
        for row in rows if twins else ():
            found[row["dataset"], row["metric"]].append(row | {"twins": twins})
    return dict(found)


def _about_model(results: Results, model: Row) -> Row:
    model_id = model["model_id"]
    names = [dataset["dataset"] for dataset in results.datasets]
    on = [{"dataset": name, "groups": _grouped(results, model_id, name)} for name in names]
    twins = [other for other in results.models.values() if other["untrained_of"] == model_id]
    return {
        "model": model,
        "on": [each for each in on if each["groups"]],
        "twins": twins,
        "scores": results.rows("scores", model_id=model_id),
        "exposure": results.rows("exposure", model_id=model_id),
        "dimensions": results.rows("dimensions", model_id=model_id),
        "runs": results.rows("runs", model_id=model_id),
        "failures": [row for row in results.rows("failures") if model_id in _names(row)],
    }


def _grouped(results: Results, model: str, dataset: str) -> list[Row]:
    """Return the neighbors of a model, those that mean something by themselves before others."""
    neighbors = results.neighbors(model, dataset)
    groups = [
        {
            "title": title,
            "rows": _join_copies(
                results, [row for row in neighbors if results.models[row["other"]]["kind"] in kinds]
            ),
        }
        for title, kinds in _GROUPS.items()
    ]
    return [group for group in groups if group["rows"]]


def _join_copies(results: Results, rows: Sequence[Row]) -> list[Row]:
    """Return a row per model, and one of all models of a family that have the same values.

    Returns:
        The rows with `names`, the models of each.
    """
    found: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        values = [row[metric]["value"] for metric in METRICS]
        family = results.models[row["other"]]["family"]
        same = (family, row[METRICS[0]]["n"], *(value and round(value, 6) for value in values))
        kept = found.setdefault(row["other"] if None in values else same, row | {"names": []})
        kept["names"].append(row["other"])
    return list(found.values())


def _names(failure: Row) -> list[str]:
    """Return the models and untrained twins that a failure is of."""
    return [*(failure["models"] or ()), *(failure["twins"] or ())]


def _weights_license(model: Row) -> str:
    """Return the license of a model's weights: none of what has no weights."""
    return "none: no weights" if model["parameters"] == 0 else str(model["license_weights"])


def _environment(results: Results, title: str) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["input"] = lambda value: _INPUTS.get(value, value)
    environment.filters["score"] = score_label
    environment.filters["metric"] = metric_label
    environment.filters["slug"] = addresses.slug
    environment.filters["fixed"] = fixed
    environment.filters["count"] = lambda value: "" if value is None else f"{value:,}"
    environment.filters["p"] = p_text
    environment.filters["method"] = method_label
    environment.tests["least"] = is_least
    environment.filters["number"] = lambda value: "" if value is None else format_number(value)
    environment.globals |= {
        "site": title,
        "metrics": METRICS,
        "explained": explain_numbers(*METRICS),
        "results": results,
        "kinds": KINDS,
        "weights_license": _weights_license,
        "names_of": _names,
        "generator": GENERATOR,
        "structure_html": structure_html(),
        "version": version("matterzoo"),
        "model_page": addresses.model_page,
        "family_page": addresses.family_page,
        "dataset_page": addresses.dataset_page,
        "pair_page": lambda a, b: addresses.pair_page(*results.page_of(a, b)),
    }
    return environment
