"""How any two trained models are related, and how alike models of one relation are."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from query.reading.selection import Source
from query.statistics import mantel
from query.statistics.mantel import Numbers, Values
from zoo import training_sets
from zoo.terminal import first_of, plural
from zoo.training_sets import sets_by_name, training_relation

RELATIONS = ("same-family", training_sets.SHARED, training_sets.NEITHER, training_sets.UNKNOWN)
FAMILY, TRAINING, NEITHER, UNKNOWN = range(len(RELATIONS))

_TESTED = (FAMILY, TRAINING)
_PERMUTED = {
    FAMILY: "all models",
    TRAINING: "models within families, and families of one size",
}
_LEAST_MODELS = 5  # that a bootstrap starts from
_NAMED = 3  # pairs that a warning names
_COARSE = 0.01  # a row says what the smallest possible p is if it is above this


@dataclass(frozen=True)
class TrainedModel:
    """A model that was trained.

    Attributes:
        source: The model.
        family: Its family.
        training: The sets that it was trained on.
        input: What it reads of a system: 'structure', 'smiles', …
        weights: The SHA-256 of the files of its weights; empty if it has none.
    """

    source: Source
    family: str
    training: frozenset[str]
    input: str
    weights: frozenset[str] = frozenset()

    @cached_property
    def matter(self) -> frozenset[str]:
        """What its training sets hold: crystals, molecules, text, …; empty if nobody knows."""
        known = sets_by_name()
        return frozenset(
            kind for name in self.training if name in known for kind in known[name].matter
        )


@dataclass(frozen=True)
class Summary:
    """What is known of the pairs of one relation; None where it is undefined.

    Attributes:
        n_models: Models that are compared, of any relation.
        n_pairs: Pairs of this relation.
        mean: The mean of their values.
        median: The median of their values.
        low: Lower end of the 95 % interval of the mean.
        high: Upper end.
        difference: The mean less that of the pairs they are compared with.
        p_value: How often permuted models differ as much, toward likeness.
        p_least: The smallest p_value that these models and permutations can give.
        permuted: What changes places.
        common_model: The model that all these pairs have in common, if there are several.
        one_network: Pairs of models that have the same weights, as 'a and b'.
        warning: What weakens these numbers.
        reason: Why some are None.
    """

    n_models: int | None = None
    n_pairs: int | None = None
    mean: float | None = None
    median: float | None = None
    low: float | None = None
    high: float | None = None
    difference: float | None = None
    p_value: float | None = None
    p_least: float | None = None
    permuted: str | None = None
    common_model: str | None = None
    one_network: list[str] | None = None
    warning: str | None = None
    reason: str | None = None


def relate(families: Sequence[str], sets: Sequence[frozenset[str]]) -> Numbers:
    """Return the relation of any two models.

    Args:
        families: The families of n models.
        sets: What they were trained on.

    Returns:
        (n, n), places in RELATIONS.
    """
    kinds = np.full((len(families), len(families)), FAMILY)
    for i, j in np.ndindex(kinds.shape):
        if families[i] != families[j]:
            kinds[i, j] = RELATIONS.index(training_relation(sets[i], sets[j]))
    return kinds


class RelatedModels:
    """Models that are all aligned with each other, and how any two are related."""

    def __init__(
        self,
        models: Sequence[TrainedModel],
        values: Values,
        toward: int,
        permutations: int,
        seed: int,
    ) -> None:
        """Relate n models.

        Args:
            models: The models.
            values: Their alignments, (n, n), symmetric and finite.
            toward: 1 if the metric grows with likeness, -1 if it falls.
            permutations: How many orders of the models a test takes.
            seed: Of what is drawn at random.
        """
        self._values, self._toward = values, toward
        self._permutations, self._seed = permutations, seed
        self._models = models
        self._families = [model.family for model in models]
        self._kinds = relate(self._families, [model.training for model in models])
        self._upper = np.triu(np.ones(values.shape, dtype=bool), 1)

    def values_of(self, kind: int) -> Values:
        """Return the values of the pairs of one relation.

        Args:
            kind: The place of the relation in RELATIONS.

        Returns:
            (pairs,).
        """
        found: Values = self._values[self._upper & (self._kinds == kind)]
        return found

    def summarize(self, kind: int) -> Summary:
        """Return what is known of the pairs of one relation.

        Args:
            kind: The place of the relation in RELATIONS.
        """
        pairs = self.values_of(kind)
        found = Summary(n_models=len(self._families), n_pairs=pairs.size)
        if not pairs.size:
            return replace(found, reason=f"no two models are related by: {RELATIONS[kind]}")
        found = replace(found, mean=float(pairs.mean()), median=float(np.median(pairs)))
        found = self._add_interval(self._add_confounders(found, kind), kind)
        return self._add_test(found, kind) if kind in _TESTED else found

    def _add_confounders(self, found: Summary, kind: int) -> Summary:
        """Say what pairs of a relation have in common besides it, or differ in."""
        places = [tuple(pair) for pair in np.argwhere(self._upper & (self._kinds == kind))]
        pairs = [(self._models[i], self._models[j]) for i, j in places]
        every = plural(len(pairs), "pair")
        if len(pairs) > 1 and (members := set(places[0]).intersection(*places)):
            name = self._models[members.pop()].source.label
            found = replace(found, common_model=name)
            found = _warn(found, f"all {every} are of {name} with another model")
        for difference in _differences(pairs):
            found = _warn(found, difference)
        if kind == FAMILY:
            both = sum(
                training_relation(a.training, b.training) == training_sets.SHARED for a, b in pairs
            )
            if both:
                verb = "shares" if both == 1 else "share"
                found = _warn(found, f"{both} of {every} {verb} training data, too")
        same = [
            f"{a.source.label} and {b.source.label}"
            for a, b in pairs
            if a.weights and a.weights == b.weights
        ]
        if same:
            found = replace(found, one_network=same)
            found = _warn(found, f"one network counts as two: {first_of(same, _NAMED)}")
        return found

    def _add_interval(self, found: Summary, kind: int) -> Summary:
        mask = self._kinds == kind
        np.fill_diagonal(mask, False)
        models = np.count_nonzero(mask.any(axis=0))
        if models < _LEAST_MODELS:
            return _warn(
                found,
                f"no interval: {models} models are in such pairs, expected {_LEAST_MODELS} or more",
            )
        low, high = mantel.mean_interval(self._values, mask, self._seed)
        return replace(found, low=low, high=high)

    def _add_test(self, found: Summary, kind: int) -> Summary:
        reference = self._reference(kind)
        if reference is None:
            none = "no two models are related by neither, which is what the mean is compared with"
            return replace(found, reason=none)
        found = replace(
            found,
            difference=float(self.values_of(kind).mean() - self.values_of(reference).mean()),
            permuted=_PERMUTED[kind],
        )
        if reference != NEITHER:
            other = RELATIONS[reference]
            found = _warn(found, f"compared with {other}, as no pair is of neither")
        if not self._permutations:
            return replace(found, reason="no p-value: permutations = 0")
        groups = self._groups() if kind == TRAINING else [range(len(self._families))]
        moved = mantel.orders(groups, self._permutations, self._seed)
        values = self._toward * self._values
        p, least = mantel.p_value(values, self._kinds, kind, reference, moved)
        if least == 1:
            stuck = "no p-value: all permutations leave these pairs as they are"
            return replace(found, reason=stuck)
        if least > _COARSE:
            found = _warn(
                found, f"with these {len(self._families)} models p cannot be below {least:.2g}"
            )
        return replace(found, p_value=p, p_least=least)

    def _reference(self, kind: int) -> int | None:
        """Return the relation that a relation is compared with.

        It is 'neither'. Where all models share data, a family is compared with those.
        """
        kinds = (NEITHER, TRAINING) if kind == FAMILY else (NEITHER,)
        return next((other for other in kinds if self.values_of(other).size), None)

    def _groups(self) -> list[list[int]]:
        """Return the places of the models of each family."""
        return [
            [i for i, own in enumerate(self._families) if own == family]
            for family in sorted(set(self._families))
        ]


def pairs_by_relation(models: Sequence[TrainedModel]) -> list[list[tuple[int, int]]]:
    """Return the places of the two models of every pair, by relation.

    Args:
        models: The models.
    """
    kinds = relate([model.family for model in models], [model.training for model in models])
    found: list[list[tuple[int, int]]] = [[] for _ in RELATIONS]
    for i, j in itertools.combinations(range(len(models)), 2):
        found[kinds[i, j]].append((i, j))
    return found


def _differences(pairs: Sequence[tuple[TrainedModel, TrainedModel]]) -> Iterator[str]:
    """Say of how many pairs the two models read something else, or learned from other matter."""
    every = plural(len(pairs), "pair")
    inputs = [(a.input, b.input) for a, b in pairs if a.input != b.input]
    if inputs:
        kinds = _join(itertools.chain(*inputs))
        yield f"in {len(inputs)} of {every} the models read different input: {kinds}"
    matter = [(a.matter, b.matter) for a, b in pairs if a.matter and b.matter]
    apart = [a | b for a, b in matter if not a & b]
    if apart:
        kinds = _join(itertools.chain(*apart))
        yield f"in {len(apart)} of {every} the models learned from different matter: {kinds}"


def _join(words: Iterable[str]) -> str:
    return ", ".join(sorted(set(words)))


def _warn(found: Summary, warning: str) -> Summary:
    return replace(found, warning="; ".join(filter(None, (found.warning, warning))))
