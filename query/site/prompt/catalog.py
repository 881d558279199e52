"""What the page of the prompt says: its tables, and statements to begin with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from query.site.prompt import prompt_html
from query.site.prompt.packages import PACKAGES
from query.site.results import FUNCTIONS, METRICS, Results
from query.tables import find_table_functions

# What a row of each table is.
ROWS = {
    "datasets": "a dataset",
    "models": (
        "a model, with its family, training sets and licenses; kind 'twin' is an untrained twin"
    ),
    "alignments": (
        f"an ordered pair of models on a dataset, by {' and '.join(METRICS)}; column calibrated is "
        "what pages call above chance"
    ),
    "dimensions": "an intrinsic dimension of a model's vectors on a dataset",
    "exposure": "a model and a dataset: was it trained on these systems?",
    "scores": "a published score of a model",
    "runs": "a model and a dataset: how it was run, and what came of it",
    "failures": "a reason why systems have no vector",
    "vector_sets": "a model and a dataset: which vectors are here, or why there are none",
    "vectors": "a vector of a system by a model",
}
_PAIR = """\
SELECT count(*) AS n, cka(a.vector, b.vector) AS cka,
  mutual_knn(a.vector, b.vector, k := 10) AS mutual_knn
FROM vectors AS a JOIN vectors AS b USING (dataset, system_id)
WHERE dataset = '{dataset}' AND a.model_id = '{first}' AND b.model_id = '{second}'"""
_EXAMPLES = {  # the first runs when the page opens, so it takes a single table
    "Who is like {first}?": """\
SELECT model_b AS model, value AS cknna, calibrated, p_value, n
FROM alignments
WHERE dataset = '{dataset}' AND metric = 'cknna' AND model_a = '{first}' AND model_b <> model_a
ORDER BY value DESC NULLS LAST""",
    "Which models are most alike?": """\
SELECT model_a, model_b, value AS cknna, calibrated, p_value, n, x.family = y.family AS same_family
FROM alignments JOIN models AS x ON x.model_id = model_a JOIN models AS y ON y.model_id = model_b
WHERE dataset = '{dataset}' AND metric = 'cknna' AND model_a < model_b
  AND x.kind = 'model' AND y.kind = 'model'
ORDER BY value DESC NULLS LAST LIMIT 20""",
    "Do the two metrics agree?": """\
SELECT a.model_a, a.model_b, a.value AS cka, b.value AS cknna
FROM alignments AS a JOIN alignments AS b USING (dataset, model_a, model_b)
WHERE a.metric = 'cka' AND b.metric = 'cknna' AND dataset = '{dataset}' AND model_a < model_b""",
    "Which families agree?": """\
SELECT least(x.family, y.family) AS family_a, greatest(x.family, y.family) AS family_b,
  avg(value) AS mean_cknna, count(*) AS pairs
FROM alignments JOIN models AS x ON x.model_id = model_a JOIN models AS y ON y.model_id = model_b
WHERE dataset = '{dataset}' AND metric = 'cknna' AND model_a < model_b
  AND x.kind = 'model' AND y.kind = 'model'
GROUP BY ALL ORDER BY mean_cknna DESC""",
    "Were models trained on these systems?": """\
SELECT dataset, exposure, count(*) AS models FROM exposure GROUP BY ALL ORDER BY ALL""",
}
_OF_VECTORS = {
    "Compute metrics from the vectors": _PAIR,
    "Which vectors are here?": "FROM vector_sets ORDER BY dataset, model_id",
}


def describe_prompt(
    results: Results, tables: Mapping[str, pa.Table], files: Mapping[str, bytes]
) -> dict[str, Any]:
    """Return what the template of the page shows.

    Args:
        results: What the site shows.
        tables: All tables of the site, by their paths without their ending.
        files: The files of the prompt.
    """
    paths: dict[str, list[str]] = {}
    for path in tables:
        folder, _, name = path.partition("/")
        paths.setdefault("vectors" if folder == "vectors" else name, []).append(f"{path}.parquet")
    rows = [
        {
            "name": name,
            "about": ROWS[name],
            "rows": sum(tables[path.removesuffix(".parquet")].num_rows for path in of_table),
            "paths": of_table,
        }
        for name, of_table in paths.items()
    ]
    return {
        "html": prompt_html(),
        "packages": PACKAGES,
        "megabytes": sum(map(len, files.values())) / 1e6,
        "tables": rows,
        "about_vectors": _about_vectors(tables),
        "catalog": {
            "tables": paths,
            "columns": _columns(),
            "examples": _examples(results, tables),
        },
    }


def _columns() -> dict[str, dict[str, str]]:
    """Return what the columns of tables hold, by table and column."""
    functions = find_table_functions()
    return {table: functions[function].meanings for table, function in FUNCTIONS.items()}


def _about_vectors(tables: Mapping[str, pa.Table]) -> str:
    sets = tables["results/vector_sets"].to_pylist()
    shared = [row for row in sets if row["left_out"] is None]
    if not shared:
        return "No license lets this site have vectors; table vector_sets has the reasons."
    left = len(sets) - len(shared)
    are = "is" if left == 1 else "are"
    without = f"; {left} more {are} left out because of a license, as table vector_sets says"
    return (
        f"Table vectors has {len(shared)} sets, each of one model on one dataset"
        f"{without if left else ''}. They are of at most {max(row['systems'] for row in shared)} "
        "systems of each dataset, chosen by the hashes of their names, and stored as float16: each "
        "element is rounded to 11 significant bits, which moves it by 0.05 % of itself at most. "
        "Before that, all vectors of a model are multiplied by one power of two (factor in "
        "vector_sets), which changes no cosine."
    )


def _examples(results: Results, tables: Mapping[str, pa.Table]) -> list[dict[str, str]]:
    """Return statements about the dataset with the most models, and two models of it."""
    counts = {
        row["dataset"]: len(results.rows("exposure", dataset=row["dataset"]))
        for row in results.datasets
    }
    names = {"dataset": max(counts, key=lambda name: counts[name])}
    chosen = dict(_EXAMPLES)
    held = [row for row in tables["results/vector_sets"].to_pylist() if row["left_out"] is None]
    with_vectors = [row["model_id"] for row in held if row["dataset"] == names["dataset"]]
    ranked = [model for model in results.models if model in with_vectors] or list(results.models)
    names |= {"first": ranked[0], "second": ranked[min(1, len(ranked) - 1)]}
    if with_vectors:
        chosen |= _OF_VECTORS
    quoted = {name: value.replace("'", "''") for name, value in names.items()}
    return [
        {"question": question.format(**names), "sql": sql.format(**quoted)}
        for question, sql in chosen.items()
    ]
