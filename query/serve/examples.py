"""What the page says of the store: statements to begin with, and what columns hold."""

from __future__ import annotations

import json

from query.serve.pool import Pool
from query.tables import find_table_functions

# The dataset with the most models, two of these, and a system.
_NAMES = """
WITH most AS (
    SELECT dataset FROM vector_files GROUP BY dataset ORDER BY count(DISTINCT model_id) DESC LIMIT 1
)
SELECT dataset, list(DISTINCT model_id ORDER BY model_id)[:2] AS models,
    (SELECT min(system_id) FROM systems WHERE starts_with(system_id, dataset || '/')) AS system
FROM vector_files SEMI JOIN most USING (dataset) GROUP BY dataset
"""
_COMMENTS = """
SELECT table_name, column_name, comment FROM duckdb_columns()
WHERE NOT internal AND comment IS NOT NULL
"""
_EXAMPLES = {
    "What is here?": """\
SELECT dataset, count(DISTINCT model_id) AS models, sum(rows) AS vectors
FROM vector_files GROUP BY dataset ORDER BY models DESC""",
    "Who is like {first}?": """\
SELECT rank, model_id, value, p_value, n
FROM nearest_models('{first}', dataset := '{dataset}')
ORDER BY rank LIMIT 10""",
    "How alike are two?": """\
SELECT metric, value, null_mean, p_value, calibrated, n
FROM alignment('{first}', '{second}', '{dataset}', metric := ['cka', 'cknna', 'rsa'])""",
    "As an aggregate": """\
SELECT count(*) AS n, cka(a.vector, b.vector) AS cka
FROM embeddings AS a JOIN embeddings AS b USING (system_id)
WHERE a.model_id = '{first}' AND b.model_id = '{second}'
  AND starts_with(system_id, '{dataset}/')""",
    "What does it see as nearest?": """\
FROM nearest_systems('{first}', '{system}') LIMIT 10""",
    "How many dimensions?": """\
SELECT model_id, measure, value, n
FROM dimensions('{dataset}') ORDER BY measure, value""",
    "Which tables are there?": """\
SELECT table_name AS "table", comment FROM duckdb_tables() WHERE NOT internal
UNION ALL SELECT view_name, comment FROM duckdb_views() WHERE NOT internal ORDER BY ALL""",
    "Which functions?": """\
SELECT function_name AS "function", comment, parameters
FROM duckdb_functions() WHERE NOT internal AND comment IS NOT NULL ORDER BY ALL""",
}


def examples(pool: Pool) -> list[dict[str, str]]:
    """Return statements to begin with, each with the question that it answers.

    Args:
        pool: Readers of the store, of which names are asked.

    Returns:
        Question and sql of each; only the first if the store has no vectors.

    Raises:
        Busy: No reader was free in time.
        TimedOut: The store's names took longer than a statement may.
    """
    found = json.loads(pool.ask(_NAMES))
    rows = found.get("rows") or [[None, [None], None]]
    dataset, models, system = rows[0]
    names = {"dataset": dataset, "system": system, "first": models[0], "second": models[-1]}
    quoted = {name: str(value).replace("'", "''") for name, value in names.items()}
    chosen = list(_EXAMPLES.items()) if dataset else list(_EXAMPLES.items())[:1]
    return [
        {"question": question.format(**names), "sql": sql.format(**quoted)}
        for question, sql in chosen
    ]


def column_meanings(pool: Pool) -> dict[str, dict[str, str]]:
    """Return what columns hold, by the table, view or table function and the column.

    Args:
        pool: Readers of the store, which has comments on its tables.

    Raises:
        Busy: No reader was free in time.
        TimedOut: The comments took longer than a statement may.
    """
    meanings = {name: function.meanings for name, function in find_table_functions().items()}
    for table, column, comment in json.loads(pool.ask(_COMMENTS)).get("rows", []):
        meanings.setdefault(table, {})[column] = comment
    return meanings
