"""models_on(dataset): the models that have vectors on a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from query.reading.selection import KIND
from query.tables.shared.declare import REQUIRED, Parameter, TableFunction


@dataclass(frozen=True)
class Row:
    """A model, by what it is good for in a comparison."""

    model_id: Annotated[str, "the model"]
    kind: Annotated[str, "'model' (trained), 'descriptor', 'twin' (untrained) or 'control'"]
    family: Annotated[str, "the family of the model"]
    input: Annotated[str, "what the model sees: structure, composition, smiles, sequence …"]
    training_sets: Annotated[list[str] | None, "what it was trained on; NULL if nobody knows"]
    untrained_of: Annotated[str | None, "the model that it is the untrained twin of"]
    control_of: Annotated[str | None, "the model that it is a control of"]
    expected: Annotated[str | None, "what a control must show: 'same', 'chance' or 'undefined'"]
    n: Annotated[int, "systems that it has vectors of"]
    dimension: Annotated[int, "the length of its vectors"]


TABLE_FUNCTION = TableFunction(
    "The models that have vectors on a dataset, each a trained model, a descriptor, "
    "an untrained twin or a control",
    Row,
    (Parameter("dataset", "VARCHAR", REQUIRED, "the dataset"),),
    sql=f"""
    SELECT m.model_id, {KIND} AS kind,
           m.family, m.input, m.training_sets, m.untrained_of,
           m.card->>'$.control.of' AS control_of, m.card->>'$.control.expect' AS expected,
           seen.n, seen.dimension
    FROM models m JOIN (
        SELECT model_id, representation, count(*) AS n, any_value(len(vector)) AS dimension
        FROM embeddings WHERE starts_with(system_id, dataset || '/') GROUP BY ALL
    ) seen ON seen.model_id = m.model_id AND seen.representation = m.default_representation
    ORDER BY m.model_id
    """,
)
