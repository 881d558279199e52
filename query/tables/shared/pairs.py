"""Alignments of models in a store.

Each model is read once, and its neighbors are found once for every set of systems it shares.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import duckdb

from query.engine.suggestions import unknown_name
from query.metrics import Alignment, Comparison, align_all
from query.metrics.alignment import align_conditioned
from query.reading.kept.alignments import KeptAlignments, Side
from query.reading.kept.finds import open_finds
from query.reading.selection import Selection, Source
from query.reading.vectors import Codes
from query.tables.shared.options import Options
from query.tables.shared.plans import Group, ModelPair, Plan, intersect, places
from query.tables.shared.rows import Aligned

MISSING = ("pairwise", "common")

Found = tuple[tuple[str, ModelPair], Alignment]


def align_pairs(
    connection: duckdb.DuckDBPyConnection,
    pairs: Mapping[Selection, Sequence[ModelPair]],
    options: Options,
    missing: str = MISSING[0],
) -> list[Aligned]:
    """Align pairs of models.

    Args:
        connection: A connection to a store.
        pairs: The pairs, by the systems on which they are compared.
        options: How to compare.
        missing: 'pairwise' compares two models on all systems that they share, 'common' on those
            that all models share, so that all values are of equal n and can be compared. A model
            without any vector takes no part in 'common'.

    Returns:
        One row per selection of systems, metric and pair, in their order.

    Raises:
        ValueError: If `missing` is neither of the two.
    """
    if missing not in MISSING:
        raise ValueError(unknown_name("way to treat missing systems", missing, MISSING))
    plans = [
        Plan(connection, selection, asked, options, missing) for selection, asked in pairs.items()
    ]
    if options.progress is not None:
        options.progress.expect(sum(plan.products() for plan in plans))
    return [row for plan in plans for row in make_rows(plan, dict(_align(plan)))]


def make_rows(plan: Plan, values: Mapping[tuple[str, ModelPair], Alignment]) -> list[Aligned]:
    """Return one row per metric and pair that is asked for, in their order.

    Args:
        plan: What is asked for.
        values: What was computed, by metric and pair.
    """
    rows = []
    for pair, (metric, computed) in plan.asked:
        rows.append(to_row(pair, plan, values[metric, computed], swapped=pair != computed))
    return rows


def common_rows(pair: ModelPair, keys: Mapping[Source, Codes]) -> tuple[Codes, Codes]:
    """Return which systems two models share.

    Args:
        pair: The models.
        keys: Their systems.

    Returns:
        For each model the rows of its vectors, (n,), ascending.
    """
    a, b = (keys[source] for source in pair)
    common = intersect(a, b)
    return places(a, common), places(b, common)


def why_nothing(pair: ModelPair, keys: Mapping[Source, Codes], selection: Selection) -> str:
    """Return the reason why two models have no systems in common.

    Args:
        pair: The models.
        keys: Their systems.
        selection: The systems that were asked for.
    """
    absent = [source.label for source in dict.fromkeys(pair) if not keys[source].size]
    where = selection.dataset
    if selection.systems is not None:
        where = f"the chosen systems of {where}"
    if not absent:
        return f"nothing in common on {where}"
    return f"nothing in common: no vectors of {' or '.join(absent)} on {where}"


def _align(plan: Plan) -> Iterator[Found]:
    """Yield every metric and pair with its alignment.

    The neighbor lists of a model serve every set of systems that it shares.
    """
    comparisons, finds = plan.comparisons(), open_finds()
    kept = None
    if finds is not None and plan.given is None:  # which depends on more
        kept = KeptAlignments(finds, plan.options.for_pairs | plan.options.of_models)
    for group in plan.groups:
        if kept is None:
            yield from _align_group(plan, group, comparisons)
        else:
            yield from _align_unknown(plan, group, comparisons, kept)


def _align_group(
    plan: Plan, group: Group, comparisons: Mapping[Source, Comparison]
) -> Iterator[Found]:
    align = aligner(plan, group, comparisons)
    for metrics, pairs in group.together:
        found = align(metrics, group.numbered(pairs), **plan.options.for_pairs)
        for metric, (a, b), alignment in found:
            yield (metric, (group.sources[a], group.sources[b])), alignment


def _align_unknown(
    plan: Plan, group: Group, comparisons: Mapping[Source, Comparison], kept: KeptAlignments
) -> Iterator[Found]:
    """Yield what is kept of a group, then the rest, which is kept, too."""
    sides = {source: side for source in group.sources if (side := _side(plan, group, source))}
    rest = Group(group.common)
    for metric, pairs in group.wanted.items():
        for pair in pairs:
            a, b = (sides.get(source) for source in pair)
            known = kept.get(metric, a, b) if a and b else None
            if known is None:
                rest.wanted.setdefault(metric, []).append(pair)
            else:
                yield (metric, pair), known
    for (metric, pair), found in _align_group(plan, rest, comparisons) if rest.wanted else ():
        a, b = (sides.get(source) for source in pair)
        if a and b:
            kept.put(metric, a, b, found)
        yield (metric, pair), found


def _side(plan: Plan, group: Group, source: Source) -> Side | None:
    """Return what tells a model and its systems in a group; None if files do not tell it."""
    vectors, codes = plan.fingerprint(source), plan.keys[source]
    if vectors is None:
        return None
    if len(group.common) == len(codes):
        return Side(source.label, vectors, None)
    rows = places(codes, group.common)
    return Side(source.label, vectors, hashlib.blake2b(rows.tobytes(), digest_size=16).digest())


def aligner(
    plan: Plan, group: Group, comparisons: Mapping[Source, Comparison]
) -> Callable[..., Iterator[tuple[str, tuple[int, int], Alignment]]]:
    """Return what aligns pairs of a group by metrics, as `align_all` does.

    Args:
        plan: What is asked for.
        group: The models, and the systems that they share.
        comparisons: A comparison of every model alone on all its systems.
    """
    if plan.given is None:
        return partial(align_all, group.compare(comparisons, plan.keys))

    def rows(source: Source) -> Codes:
        return places(plan.keys[source], group.common)

    conditioned = plan.given.condition(group.sources, comparisons, rows, plan.options)
    return partial(align_conditioned, conditioned)


def to_row(pair: ModelPair, plan: Plan, found: Alignment, *, swapped: bool = False) -> Aligned:
    """Return the row of a pair.

    Args:
        pair: The models.
        plan: What is asked for.
        found: The alignment of the models.
        swapped: Whether it was found of the second and the first.
    """
    (a, b), keys = pair, plan.keys
    shares = found.given_share_a, found.given_share_b
    reason = found.reason
    if not found.n:
        missing = None if plan.given is None else plan.given.why_nothing(keys)
        reason = missing or why_nothing(pair, keys, plan.selection)
    return Aligned(
        model_a=a.label,
        model_b=b.label,
        dataset=plan.selection.dataset,
        value=found.value,
        calibrated=found.calibrated,
        p_value=found.p_value,
        n=found.n,
        n_distinct=found.n_distinct,
        dropped_a=keys[a].size - found.n,
        dropped_b=keys[b].size - found.n,
        metric=found.metric,
        estimator=found.estimator,
        normalization=found.normalization,
        k=found.k,
        null_mean=found.null_mean,
        null_std=found.null_std,
        low=found.low,
        high=found.high,
        standard_error=found.standard_error,
        rows=found.n if found.rows is None else found.rows,
        given=", ".join(plan.options.given_names) or None,
        given_share_a=shares[swapped],
        given_share_b=shares[not swapped],
        given_shuffled=found.given_shuffled,
        warning=found.warning,
        reason=reason,
    )
