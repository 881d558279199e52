"""What exists: list and explain the models, check and lock families, begin a new one."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn, get_args

from zoo.card import (
    ROOT,
    TWIN,
    CardError,
    Input,
    Licence,
    Representation,
    Selection,
    Weights,
    family_folders,
    find_families,
    find_family,
    find_model,
    load_models,
    nearest,
)
from zoo.check import find_faults
from zoo.lock import LockError, lock
from zoo.new import write_family

Row = tuple[str, ...]


class Parser(argparse.ArgumentParser):
    """Errors are one line."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}; see --help", file=sys.stderr)
        sys.exit(2)


def list_models(options: argparse.Namespace) -> None:
    if options.family is not None:
        find_family(options.family)
    if options.input is not None and options.input not in get_args(Input):
        raise CardError(f"no model's input is named {options.input!r}; {nearest(options.input, get_args(Input))}")
    found = [
        selection
        for selection in load_models().values()
        if options.family in (None, selection.family.name) and options.input in (None, selection.model.input)
    ]
    if options.json:
        print(json.dumps([summarise(selection) for selection in found], indent=1))
        return
    heading = ("model", "family", "input", "dimension", "parameters", "licence of weights", "title")
    print_table([heading, *(to_row(selection) for selection in found)])
    print(f"\n{len(found)} models. Those with parameters have an untrained twin, MODEL{TWIN}. `info MODEL` says more.")


def to_row(selection: Selection) -> Row:
    facts = summarise(selection)
    size = f"{facts['parameters']:,}" if facts["parameters"] else "-"
    names = ("model_id", "family", "input")
    return (
        *(str(facts[n]) for n in names),
        str(facts["dimension"]),
        size,
        licence_name(selection),
        str(facts["title"]),
    )


def licence_name(selection: Selection) -> str:
    licence = selection.model.licence_weights
    return licence.name + ("" if licence.commercial else ", non-commercial") + (", gated" if licence.gated else "")


def summarise(selection: Selection) -> dict[str, object]:
    """What a program wants to know of a model; the whole card is under 'card'."""
    family, model = selection.family, selection.model
    dimensions = {r.name: r.dimension for r in model.representation}
    return {
        "model_id": selection.model_id,
        "family": family.name,
        "title": model.title,
        "input": model.input,
        "default_representation": model.default_representation,
        "dimension": dimensions[model.default_representation],
        "parameters": model.compute.parameters,
        "untrained_twin": model.id + TWIN if model.trainable else None,
        "licence_code": family.licence_code.name,
        "licence_weights": model.licence_weights.name,
        "card": model.model_dump(mode="json"),
    }


def info(options: argparse.Namespace) -> None:
    selection = find_model(options.model)
    if options.json:
        print(json.dumps(summarise(selection), indent=1))
        return
    print(f"{selection.model_id}: {selection.model.title}\n")
    print_table(list(explain(selection)))


def explain(selection: Selection) -> Iterator[Row]:
    family, model = selection.family, selection.model
    yield "family", f"{family.name}: {family.title}, {family.homepage}"
    yield "input", model.input + (f"; at most {model.max_atoms} atoms" if model.max_atoms else "")
    yield "elements", model.elements or "any"
    for representation in model.representation:
        yield "representation", explain_representation(representation, model.default_representation)
    yield from explain_weights(model.weights, untrained=selection.untrained)
    yield "untrained twin", model.id + TWIN if model.trainable else "none: there is nothing to train"
    yield "licence of code", explain_licence(family.licence_code)
    yield "licence of weights", explain_licence(model.licence_weights)
    yield "environment", explain_environment(selection)
    yield from explain_compute(selection)
    provenance = model.provenance
    yield "architecture", provenance.architecture
    yield "training sets", ", ".join(provenance.training_sets) or "none"
    yield "level of theory", provenance.level_of_theory or "-"
    yield "citation", provenance.citation + (f" https://doi.org/{provenance.doi}" if provenance.doi else "")
    if provenance.note:
        yield "note", provenance.note
    for score in model.score:
        yield "score", f"{score.name} {score.value:g} {score.unit} on {score.test_set} ({score.source})"


def explain_representation(representation: Representation, default: str) -> str:
    level = "mean over nodes" if representation.level == "node" else "of the system"
    chosen = ", default" if representation.name == default else ""
    shape = f"{representation.dimension} numbers, {level}, {representation.channels} channels"
    return f"{representation.name}{chosen}: {shape}; {representation.layer}"


def explain_weights(weights: Weights, *, untrained: bool) -> Iterator[Row]:
    if weights.source == "none":
        yield "weights", "none"
    elif untrained:
        yield "weights", "drawn at random with a fixed seed, in the published architecture"
    else:
        yield "weights", f"carried by the package {weights.package} ({weights.format})"
    for file in weights.files:
        size = f"{file.size / 1e6:,.1f} MB, sha256 {file.sha256}" if file.size else "not pinned"
        yield "", f"{file.path}, {size}"


def explain_licence(licence: Licence) -> str:
    use = "commercial use allowed" if licence.commercial else "NON-COMMERCIAL use only"
    gate = "; GATED: accept it before the download" if licence.gated else ""
    return f"{licence.name}, {use}{gate}; {licence.url or licence.no_url_because}"


def explain_environment(selection: Selection) -> str:
    family = selection.family
    parts = [f"Python {family.requires_python}", f"{family.installed_mb:,} MB installed"]
    parts.append("no torch, CPU only" if family.torch is None else f"{family.torch.replace('==', ' ')}, CPU or GPU")
    if family.cuda_capability:
        parts.append(f"GPU of compute capability {family.cuda_capability} or newer")
    parts.append("locked" if family.lock.exists() else f"NOT LOCKED: run `python -m zoo lock {family.name}`")
    return ", ".join(parts)


def explain_compute(selection: Selection) -> Iterator[Row]:
    compute = selection.model.compute
    yield "parameters", f"{compute.parameters:,}"
    speed = f"; about {compute.systems_per_second:g} systems/s on 2 CPU cores" if compute.systems_per_second else ""
    yield (
        "compute",
        f"memory grows with {compute.scales_with}, batches of {compute.batch:,} {compute.scales_with}{speed}",
    )


def print_table(rows: Sequence[Row]) -> None:
    """Columns as wide as their widest cell, the last one ragged."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def lock_family(options: argparse.Namespace) -> None:
    for family in find_families(options.family):
        changes = lock(family, upgrade=options.upgrade)
        print(f"{family.lock}: {', '.join(changes) if changes else 'nothing is new'}")


def new_family(options: argparse.Namespace) -> None:
    folder = write_family(options.name, options.folder.resolve())
    elsewhere = (
        "" if folder.parent == ROOT else f"export ZOO_PATH={folder.parent}   # where families are looked for too\n"
    )
    print(
        f"{folder} is a family that runs. Fill in its four files, then:\n{elsewhere}"
        f"python -m zoo lock {options.name}\npython -m zoo check {options.name}\n"
        f"python -m ingest {options.name}-composition aflow"
    )


def check(options: argparse.Namespace) -> None:
    folders = {folder.name: folder for folder in family_folders()}
    for name in options.family:
        if name not in folders:
            raise CardError(f"no family is named {name!r}; {nearest(name, folders)}")
    chosen = options.family or list(folders)
    faults = find_faults([folders[name] for name in chosen])
    if faults:
        raise CardError("\n".join(faults))
    models = [s for s in load_models().values() if s.family.name in chosen]
    print(f"{len(chosen)} families, {len(models)} models: no faults")


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m zoo", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)

    def command(name: str, act: Callable[[argparse.Namespace], None], help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        sub.set_defaults(act=act)
        return sub

    sub = command("list", list_models, "list the models, one a line")
    sub.add_argument("--family", help="only those of this family")
    sub.add_argument("--input", help="only those that take " + ", ".join(get_args(Input)))
    sub.add_argument("--json", action="store_true", help="as JSON, with the whole cards")
    sub = command("info", info, "explain one model: weights, licences, representations, compute, provenance")
    sub.add_argument("model", help=f"a model's id, or MODEL{TWIN} for its untrained twin")
    sub.add_argument("--json", action="store_true", help="as JSON, with the whole card")
    sub = command("lock", lock_family, "resolve a family's requirements.in into its requirements.lock, with hashes")
    sub.add_argument("family", help="the family's name, or all")
    sub.add_argument("--upgrade", action="store_true", help="take the newest versions, not those of the old lock")
    sub = command("new", new_family, "begin a new family: a folder that runs as it is, to be filled in")
    sub.add_argument("name", help="lower-case letters, digits, dots and dashes")
    sub.add_argument("--folder", type=Path, default=ROOT, help="where the folder is made (default: among the others)")
    sub = command("check", check, "list every fault of the families' cards, encoders and locks")
    sub.add_argument("family", nargs="*", help="names of families (default: all)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    parser = build_parser()
    known = ("list", "info", "lock", "new", "check")
    if arguments and not arguments[0].startswith("-") and arguments[0] not in known:
        parser.error(f"no command is named {arguments[0]!r}; {nearest(arguments[0], known)}")
    options = parser.parse_args(arguments)
    try:
        options.act(options)
    except (CardError, LockError) as error:
        print(f"python -m zoo: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `python -m zoo list | head`
        sys.stderr.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
