"""What `matterzoo list` and `matterzoo info` print of a model: one row, or all of its card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from zoo.cards.family import Selection
from zoo.cards.licenses import License
from zoo.cards.representations import Representation
from zoo.cards.schema import Model
from zoo.cards.twins import TWIN
from zoo.cards.weights_source import Weights
from zoo.terminal import megabytes, short_count
from zoo.training_sets import explain_set, find_all_origins, short_origins
from zoo.verify.records import is_current, read_records
from zoo.weights.local import PICKLE, find_weights, weights_status
from zoo.worker.pooling import NODE_FIELDS

Row = tuple[str, ...]
GATED = {"automatic": "gated", "manual": "gated by hand"}  # by a license's approval
HEADING = (
    "model",
    "family",
    "input",
    "dim",
    "layers",
    "nodes",
    "parameters",
    "trained on",
    "weights",
    "checked",
    "license of weights",
)


def list_row(selection: Selection) -> Row:
    """Return a model's row of the list, with the columns of HEADING.

    Args:
        selection: The model.
    """
    facts = summarize(selection)
    license = selection.model.license_weights
    terms = ("" if license.commercial else ", non-commercial") + (
        f", {GATED[license.approval]}" if license.gated else ""
    )
    return (
        *(str(facts[name]) for name in ("model_id", "family", "input", "dimension")),
        "-" if selection.model.layers is None else f"0-{selection.model.layers.last}",
        str(facts["nodes"] or "-"),
        short_count(selection.model.compute.parameters),
        short_origins(_sets(selection)),
        str(facts["weights"]),
        str(facts["checked"] or "-"),
        license.name + terms,
    )


def _sets(selection: Selection) -> Sequence[str]:
    """Return the names of what a model was trained on; an untrained twin on nothing."""
    return () if selection.untrained else selection.model.provenance.training_sets


def last_check(selection: Selection) -> str | None:
    """Return when a model last passed `matterzoo check`, on what device and with which weights.

    Args:
        selection: The model.

    Returns:
        Such as '2026-11-22 cpu, real'; 'stale' if the model has changed since; None if it never
        was checked.
    """
    record = read_records(selection.family).get(selection.model_id)
    if record is None:
        return None
    if not is_current(selection, record):
        return "stale"
    return f"{record['date']} {record['device']}, {record['weights']}"


def summarize(selection: Selection) -> dict[str, object]:
    """Return what a program wants to know of a model; the whole card is under 'card'.

    Args:
        selection: The model.
    """
    family, model = selection.family, selection.model
    dimensions = {r.name: r.dimension for r in model.representation}
    return {
        "model_id": selection.model_id,
        "family": family.name,
        "title": model.title,
        "input": model.input,
        "default_representation": model.default_representation,
        "dimension": dimensions[model.default_representation],
        "representations": list(dimensions),
        "nodes": node_kind(model),
        "parameters": model.compute.parameters,
        "training_sets": list(_sets(selection)),
        "training_origins": find_all_origins(_sets(selection)),
        "untrained_twin": model.id + TWIN if model.trainable else None,
        "license_code": family.license_code.name,
        "license_weights": model.license_weights.name,
        "commercial": model.license_weights.commercial,
        "gated": model.license_weights.gated,
        "gate": model.license_weights.gate,
        "weights": weights_status(selection),
        "checked": last_check(selection),
        "card": model.model_dump(mode="json"),
    }


def node_kind(model: Model) -> str | None:
    """Return what a model has vectors of, if it is asked for those of nodes: atoms or residues.

    Args:
        model: The model's card.

    Returns:
        'atoms', 'residues', or None if its default representation has none.
    """
    if model.why_no_nodes(model.default_representation) is not None:
        return None
    return "atoms" if NODE_FIELDS[model.input] == "numbers" else "residues"


def explain(selection: Selection) -> Iterator[Row]:
    """Explain all that is known of a model.

    Args:
        selection: The model.

    Yields:
        Pairs of what is explained and its explanation.
    """
    family, model = selection.family, selection.model
    yield "family", f"{family.name}: {family.title}, {family.homepage}"
    yield "input", model.input + (f"; at most {model.max_atoms} atoms" if model.max_atoms else "")
    yield "elements", model.elements or "any"
    for representation in model.representation:
        if not representation.is_layer:
            text = _explain_representation(representation, model.default_representation)
            yield "representation", text
    yield from _explain_layers(model)
    reason = model.why_no_nodes(model.default_representation)
    yield "nodes", f"{node_kind(model)}, with --nodes" if reason is None else f"none: {reason}"
    if model.energy is not None:
        yield "energy", ". ".join(filter(None, (model.energy.reference, model.energy.note)))
    yield from _explain_weights(selection)
    yield "checked", last_check(selection) or f"no: `matterzoo check {model.id}`"
    twin = model.id + TWIN
    more = f"{twin}; drawn again: {twin}-2, {twin}-3, …"
    yield "untrained twin", more if model.trainable else "none: there is nothing to train"
    yield "license of code", _explain_license(family.license_code)
    yield "license of weights", _explain_license(model.license_weights)
    yield "environment", _explain_environment(selection)
    yield from _explain_compute(selection)
    yield from _explain_provenance(selection)


def _explain_representation(representation: Representation, default: str) -> str:
    level = "of the system"
    if representation.level == "node":
        level = "mean over nodes (or :sum, :std, :max)"
    chosen = ", default" if representation.name == default else ""
    shape = f"{representation.dimension} numbers, {level}, {representation.channels} channels"
    return f"{representation.name}{chosen}: {shape}; {representation.layer}"


def _explain_layers(model: Model) -> Iterator[Row]:
    if model.layers is None:
        reason = "they are not named" if model.trainable else "it has no weights"
        yield "layers", f"none: {model.no_layers or reason}"
        return
    layers = model.layers
    lengths = ", ".join(map(str, dict.fromkeys(layers.dimensions)))
    shape = f"{lengths} numbers each, {layers.channels} channels"
    yield "layers", f"layer-0 to layer-{layers.last}, all of them as 'layers': {shape}"
    yield "", f"layer-0: {layers.first}"
    yield "", f"layer-i: {layers.others.replace('{i}', 'i')}"


def _explain_weights(selection: Selection) -> Iterator[Row]:
    weights = selection.model.weights
    yield "weights", _explain_source(weights)
    if selection.untrained:
        yield "", "drawn at random with a fixed seed, in the published architecture"
    if weights.format == "pickle" and not selection.untrained:
        yield "", PICKLE
    if weights.source in ("hub", "url"):
        yield "", _explain_status(selection)
    for file in weights.needed(untrained=selection.untrained):
        size = f"{megabytes(file.size)}, " if file.size else ""
        content = f"{size}sha256 {file.sha256}" if file.pinned else "not pinned"
        yield "", f"{file.path}, {content}" + (f"; {file.url}" if file.url else "")


def _explain_source(weights: Weights) -> str:
    match weights.source:
        case "none":
            return "none"
        case "package":
            return f"carried by the package {weights.package} ({weights.format})"
        case "url":
            return f"files that their authors serve ({weights.format})"
        case "hub":
            pinned = f"revision {weights.revision}"
            revision = pinned if weights.revision else "a revision that nobody has pinned"
            return f"https://huggingface.co/{weights.repo} at {revision} ({weights.format})"


def _explain_status(selection: Selection) -> str:
    local = find_weights(selection)
    if local is not None:
        return f"downloaded to {local.folder}"
    command = f"`matterzoo weights {selection.model_id}`"
    remedies = {
        "not pinned": f"{command} downloads them, and records their hashes",
        "pinned": f"{command} downloads them",
    }
    found = weights_status(selection)
    return f"{found}: {remedies[found]}" if found in remedies else "no file is needed"


def _explain_license(license: License) -> str:
    use = "commercial use allowed" if license.commercial else "NON-COMMERCIAL use only"
    gate = f"; GATED: {license.gate}" if license.gated else ""
    return f"{license.name}, {use}{gate}; {license.url or license.no_url_because}"


def _explain_environment(selection: Selection) -> str:
    family = selection.family
    torch = family.torch
    parts = [f"Python {family.requires_python}", f"{family.installed_mb:,} MB installed"]
    parts.append(f"{torch.replace('==', ' ')}, CPU or GPU" if torch else "no torch, CPU only")
    if family.cuda_capability:
        newest = f" to {family.cuda_capability_max}" if family.cuda_capability_max else " or newer"
        parts.append(f"GPU of compute capability {family.cuda_capability}{newest}")
    lacking = f"NOT LOCKED: run `matterzoo lock {family.name}`"
    parts.append("locked" if family.lock.exists() else lacking)
    return ", ".join(parts)


def _explain_compute(selection: Selection) -> Iterator[Row]:
    compute = selection.model.compute
    yield "parameters", f"{compute.parameters:,}"
    batches = f"batches of {compute.batch:,} {compute.scales_with}"
    speed = compute.systems_per_second
    measured = f"; about {speed:g} systems/s on 2 CPU cores" if speed else ""
    yield "compute", f"memory grows with {compute.scales_with}, {batches}{measured}"


def _explain_provenance(selection: Selection) -> Iterator[Row]:
    provenance = selection.model.provenance
    yield "architecture", provenance.architecture
    lines = [explain_set(name) for name in _sets(selection)] or ["none"]
    yield from zip(["training sets", *[""] * len(lines)], lines, strict=False)
    yield "level of theory", provenance.level_of_theory or "-"
    doi = f" https://doi.org/{provenance.doi}" if provenance.doi else ""
    yield "citation", provenance.citation + doi
    if provenance.note:
        yield "note", provenance.note
    for score in selection.model.score:
        figure = f"{score.name} {score.value:g} {score.unit}"
        yield "score", f"{figure} on {score.test_set} ({score.source})"
