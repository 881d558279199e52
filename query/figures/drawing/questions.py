"""Statements asked for a figure, where the store may lack what they need."""

from __future__ import annotations

from typing import Any

import duckdb

from query.sql.output import error_sentence
from query.statements import Answer, ask
from zoo.errors import MatterzooError

Row = dict[str, Any]  # of an answer: values by column


class NothingToDraw(MatterzooError, ValueError):
    """The store lacks what a figure needs; the message says what, and how to get it."""


def ask_unless_missing(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    complaints: str | tuple[str, ...],
    remedy: str = "",
    **values: Any,
) -> Answer:
    """Ask a statement that complains if the store lacks what it needs.

    Args:
        connection: A connection to a store, with our functions.
        name: The statement's name.
        complaints: How its messages begin that mean that something is missing.
        remedy: What is added to such a message: how to get what is missing.
        values: The statement's words and options.

    Returns:
        The statement's answer.

    Raises:
        NothingToDraw: If it complains so.
    """
    try:
        return ask(connection, name, **values)
    except duckdb.InvalidInputException as error:
        reason = error_sentence(error)
        if not reason.startswith(complaints):
            raise
        raise NothingToDraw(reason + remedy) from error


def ask_for_tree(connection: duckdb.DuckDBPyConnection, name: str, **values: Any) -> Answer:
    """Ask a statement that needs the tree of the models.

    Args:
        connection: A connection to a store, with our functions.
        name: The statement's name.
        values: The statement's words and options, dataset among them.

    Returns:
        The statement's answer.

    Raises:
        NothingToDraw: If there are not two models to make a tree of.
    """
    remedy = f": matterzoo ingest MODEL {values['dataset']}"
    return ask_unless_missing(connection, name, "a tree needs two models", remedy, **values)
