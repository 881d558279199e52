"""Compare the rows of a run with those that it should have.

Memory does not grow with the number of rows: sets of them are compared by how many they are and by
the sum of their hashes, and only if that differs are the rows looked for that are to blame.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from ingest.runs.errors import ShardError
from schemas.vectors import NODES

FINGERPRINT = """
SELECT count(*), coalesce(sum(hash(system_id, content_hash, representation)::HUGEINT), 0) FROM {}
"""
# Of systems that are ok: each of their nodes by its name. A system that is fetched, and is not in
# the dataset on this machine, has no known number of nodes.
NODES_OF = f"""
SELECT system_id || ' node ' || node AS system_id, content_hash,
    representation || '{NODES}' AS representation
FROM {{nodes}} SEMI JOIN (SELECT system_id FROM {{sent}} WHERE {{field}} IS NOT NULL)
USING (system_id)
"""
EXPECTED_NODES = f"""
SELECT system_id || ' node ' || node AS system_id, content_hash, representation
FROM (
    SELECT system_id, content_hash, representation, unnest(range(len({{field}}))) AS node
    FROM done JOIN (SELECT system_id, {{field}} FROM {{sent}}) USING (system_id)
    WHERE suffix(representation, '{NODES}')
)
"""
UNLIKE_EXPECTED = {
    "is there more than once": """
        SELECT system_id FROM nodes GROUP BY system_id, representation HAVING count(*) > 1
    """,
    "has a vector, and is no atom or residue of a system that is ok": """
        SELECT system_id FROM nodes
        ANTI JOIN expected_nodes USING (system_id, content_hash, representation)
    """,
    "has no vector": """
        SELECT system_id FROM expected_nodes ANTI JOIN nodes USING (system_id, representation)
    """,
}


def compare_nodes(connection: duckdb.DuckDBPyConnection, nodes: str, sent: str, field: str) -> None:
    """Refuse nodes that are not 0, 1, … for the atoms or residues of each system that is ok.

    Args:
        connection: Has the view `done`, see `ingest.runs.check`; gets `nodes`, `expected_nodes`.
        nodes: SQL for the rows of nodes.
        sent: SQL for the systems.
        field: The field of a system that has one element per node.

    Raises:
        ShardError: They are not; the message names one of them.
    """
    for name, rows in {"nodes": NODES_OF, "expected_nodes": EXPECTED_NODES}.items():
        query = rows.format(nodes=nodes, sent=sent, field=field)
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {query}")
    compare_rows(connection, "nodes", "expected_nodes", UNLIKE_EXPECTED)


def compare_rows(
    connection: duckdb.DuckDBPyConnection, these: str, those: str, faults: Mapping[str, str]
) -> None:
    """Refuse two relations of different rows, by what is found wrong with them.

    Args:
        connection: Has both.
        these: A relation of system_id, content_hash and representation.
        those: What its rows should be.
        faults: What may be wrong, and a query for the rows of which it is.

    Raises:
        ShardError: They differ.
    """
    first, second = (
        connection.execute(FINGERPRINT.format(name)).fetchall() for name in (these, those)
    )
    if first != second:
        find_faults(connection, faults)
        raise ShardError(f"its {these} are other rows than {those}")


def find_faults(connection: duckdb.DuckDBPyConnection, faults: Mapping[str, str]) -> None:
    """Refuse the first fault that any row has.

    Args:
        connection: Has what the queries read.
        faults: What may be wrong, and a query for the system_id of the rows of which it is.

    Raises:
        ShardError: There is such a row.
    """
    for what, query in faults.items():
        ((count, first),) = connection.execute(
            f"SELECT count(*), min(system_id) FROM ({query})"
        ).fetchall()
        refuse_rows(count, first, what)


def refuse_rows(count: int, first: str, what: str) -> None:
    """Refuse rows of which something is wrong.

    Args:
        count: How many there are; none are not refused.
        first: The system of the first of them.
        what: What is wrong with it.

    Raises:
        ShardError: There are some.
    """
    if count:
        raise ShardError(f"{first} {what}" + (f" (and {count - 1} more)" if count > 1 else ""))
