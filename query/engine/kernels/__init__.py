"""Inner loops for which torch has no operation, compiled by numba for the CPU.

What a GPU needs of them is restated in torch operations; the tests hold the two against each other.
"""

from query.engine.kernels.candidates import (
    inner_products,
    order_by_value,
    push_columns,
    push_rows,
    squared_distances,
)
from query.engine.kernels.float_pages import begins_rows, join_bytes
from query.engine.kernels.pair_tiles import (
    TWIN,
    distances,
    mean_places,
    shuffled_products,
    tally_columns,
    tally_rows,
    thresholds,
)
from query.engine.kernels.row_terms import (
    centered_by_row,
    place_sums,
    returned_weights,
    shared_by_row,
    unbiased_by_row,
)
from query.engine.kernels.shared_neighbors import (
    centered_products,
    reciprocated,
    sum_places,
    sum_shared,
    unbiased_terms,
)
from query.engine.kernels.tied_lists import cut_lists, expand_lists, keep_near
from query.engine.kernels.vector_rows import (
    center_rows,
    group_close,
    hash_rows,
    mark_close,
    measure_rows,
    project_rows,
    scale_rows,
)

__all__ = [
    "TWIN",
    "begins_rows",
    "center_rows",
    "centered_by_row",
    "centered_products",
    "cut_lists",
    "distances",
    "expand_lists",
    "group_close",
    "hash_rows",
    "inner_products",
    "join_bytes",
    "keep_near",
    "mark_close",
    "mean_places",
    "measure_rows",
    "order_by_value",
    "place_sums",
    "project_rows",
    "push_columns",
    "push_rows",
    "reciprocated",
    "returned_weights",
    "scale_rows",
    "shared_by_row",
    "shuffled_products",
    "squared_distances",
    "sum_places",
    "sum_shared",
    "tally_columns",
    "tally_rows",
    "thresholds",
    "unbiased_by_row",
    "unbiased_terms",
]
