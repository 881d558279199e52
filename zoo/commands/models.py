"""Handlers of the commands about models: list, info, weights, and the pins of their weights."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from typing import get_args

from zoo.cards.base import CardError
from zoo.cards.discovery import find_family, find_model, load_models
from zoo.cards.family import Selection
from zoo.cards.schema import Input
from zoo.cards.twins import TWIN
from zoo.command_line import agrees, split_names
from zoo.description import HEADING, explain, list_row, summarize
from zoo.errors import did_you_mean
from zoo.terminal import log, print_table
from zoo.weights.errors import WeightsError
from zoo.weights.local import weights_status
from zoo.weights.obtain import obtain_weights
from zoo.weights.pins import pin


def list_models(options: argparse.Namespace) -> int:
    """Print a line per model, or all cards as JSON.

    Args:
        options: Family, input, json.

    Returns:
        The exit code.

    Raises:
        CardError: There is no such family or kind of input.
    """
    if options.family is not None:
        find_family(options.family)
    kinds = get_args(Input)
    if options.input is not None and options.input not in kinds:
        hint = did_you_mean(options.input, kinds)
        raise CardError(f"no model takes an input named {options.input!r}; {hint}")
    found = [
        selection
        for selection in load_models().values()
        if options.family in (None, selection.family.name)
        and options.input in (None, selection.model.input)
    ]
    if options.json:
        print(json.dumps([summarize(selection) for selection in found], indent=1))
        return 0
    print_table([HEADING, *(list_row(selection) for selection in found)])
    print(
        f"\n{len(found)} models. Those with parameters have untrained twins: MODEL{TWIN}, and "
        f"MODEL{TWIN}-2, … drawn again. `matterzoo info MODEL` says more."
    )
    return 0


def info(options: argparse.Namespace) -> int:
    """Print all that the card of one model says.

    Args:
        options: Model, json.

    Returns:
        The exit code.
    """
    selection = find_model(options.model)
    if options.json:
        print(json.dumps(summarize(selection), indent=1))
        return 0
    print(f"{selection.model_id}: {selection.model.title}\n")
    print_table(list(explain(selection)))
    return 0


def fetch_weights(options: argparse.Namespace) -> int:
    """Download and verify the weights of models, and record what nobody has recorded yet.

    Args:
        options: Models, yes.

    Returns:
        The exit code.
    """

    def one(selection: Selection) -> None:
        place = obtain_weights(selection, log, partial(agrees, yes=options.yes))
        where = f"verified, in {place.folder}" if place else weights_status(selection)
        print(f"{selection.model_id}: {where}")

    for_each(options.models, one)
    return 0


def pin_weights(models: str, *, again: bool) -> int:
    """Download the weights of models once and record their hashes.

    Args:
        models: Model ids, separated by commas, or all.
        again: Whether what is found now may replace what was pinned.

    Returns:
        The exit code.
    """

    def one(selection: Selection) -> None:
        print(f"{selection.model.id}: {pin(selection, log, again=again)}")

    for_each(models, one)
    return 0


def for_each(models: str, act: Callable[[Selection], None]) -> None:
    """Act on every model that is named, whatever happens to the others.

    Args:
        models: Model ids, separated by commas, or all.
        act: What is done with each.

    Raises:
        WeightsError: What went wrong with some of them, after all were tried.
    """
    chosen = load_models().values() if models == "all" else map(find_model, split_names(models))
    faults = []
    for selection in list(chosen):
        try:
            act(selection)
        except WeightsError as error:
            known = selection.model.id in str(error)
            faults.append(str(error) if known else f"{selection.model_id}: {error}")
    if faults:
        raise WeightsError("\n".join(faults))
