"""What is said of a model: a line of the list, and the whole of its card."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.cards.family import Selection
from zoo.cards.licenses import License
from zoo.cards.schema import Representation
from zoo.cards.twins import TWIN
from zoo.cards.weights_source import Weights
from zoo.terminal import megabytes, short_count
from zoo.verify.records import holds, records
from zoo.weights.obtain import PICKLE, at_hand, status

Row = tuple[str, ...]
HEADING = (
    "model",
    "family",
    "input",
    "dim",
    "parameters",
    "weights",
    "checked",
    "license of weights",
)


def to_row(selection: Selection) -> Row:
    facts = summarize(selection)
    return (
        *(str(facts[name]) for name in ("model_id", "family", "input", "dimension")),
        short_count(selection.model.compute.parameters),
        str(facts["weights"]),
        str(facts["checked"] or "-"),
        license_name(selection.model.license_weights),
    )


def license_name(license: License) -> str:
    return (
        license.name
        + ("" if license.commercial else ", non-commercial")
        + (", gated" if license.gated else "")
    )


def checked(selection: Selection) -> str | None:
    """When `make check` last found a model well, on what and with which weights; 'stale' if it has changed since."""
    record = records(selection.family).get(selection.model_id)
    if record is None:
        return None
    return (
        f"{record['date']} {record['device']}, {record['weights']}"
        if holds(selection, record)
        else "stale"
    )


def summarize(selection: Selection) -> dict[str, object]:
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
        "license_code": family.license_code.name,
        "license_weights": model.license_weights.name,
        "commercial": model.license_weights.commercial,
        "gated": model.license_weights.gated,
        "weights": status(selection),
        "checked": checked(selection),
        "card": model.model_dump(mode="json"),
    }


def explain(selection: Selection) -> Iterator[Row]:
    family, model = selection.family, selection.model
    yield "family", f"{family.name}: {family.title}, {family.homepage}"
    yield "input", model.input + (f"; at most {model.max_atoms} atoms" if model.max_atoms else "")
    yield "elements", model.elements or "any"
    for representation in model.representation:
        yield "representation", explain_representation(representation, model.default_representation)
    if model.energy is not None:
        yield "energy", ". ".join(filter(None, (model.energy.reference, model.energy.note)))
    yield from explain_weights(selection)
    yield "checked", checked(selection) or f"no: `matterzoo check {model.id}`"
    yield (
        "untrained twin",
        model.id + TWIN if model.trainable else "none: there is nothing to train",
    )
    yield "license of code", explain_license(family.license_code)
    yield "license of weights", explain_license(model.license_weights)
    yield "environment", explain_environment(selection)
    yield from explain_compute(selection)
    provenance = model.provenance
    yield "architecture", provenance.architecture
    yield "training sets", ", ".join(provenance.training_sets) or "none"
    yield "level of theory", provenance.level_of_theory or "-"
    yield (
        "citation",
        provenance.citation + (f" https://doi.org/{provenance.doi}" if provenance.doi else ""),
    )
    if provenance.note:
        yield "note", provenance.note
    for score in model.score:
        yield (
            "score",
            f"{score.name} {score.value:g} {score.unit} on {score.test_set} ({score.source})",
        )


def explain_representation(representation: Representation, default: str) -> str:
    level = "mean over nodes" if representation.level == "node" else "of the system"
    chosen = ", default" if representation.name == default else ""
    shape = f"{representation.dimension} numbers, {level}, {representation.channels} channels"
    return f"{representation.name}{chosen}: {shape}; {representation.layer}"


def explain_weights(selection: Selection) -> Iterator[Row]:
    weights = selection.model.weights
    yield "weights", whence(weights)
    if selection.untrained:
        yield "", "drawn at random with a fixed seed, in the published architecture"
    if weights.format == "pickle" and not selection.untrained:
        yield "", PICKLE
    if weights.source in ("hub", "url"):
        yield "", explain_status(selection)
    for file in weights.needed(untrained=selection.untrained):
        size = f"{megabytes(file.size)}, sha256 {file.sha256}" if file.size else "not pinned"
        yield "", f"{file.path}, {size}" + (f"; {file.url}" if file.url else "")


def whence(weights: Weights) -> str:
    """Where weights come from."""
    match weights.source:
        case "none":
            return "none"
        case "package":
            return f"carried by the package {weights.package} ({weights.format})"
        case "url":
            return f"files that their authors serve ({weights.format})"
        case "hub":
            at = (
                f"revision {weights.revision}"
                if weights.revision
                else "no revision that anybody has pinned"
            )
            return f"https://huggingface.co/{weights.repo} at {at} ({weights.format})"


def explain_status(selection: Selection) -> str:
    place, name = at_hand(selection), selection.model_id
    if place is not None:
        return f"at hand in {place.folder}"
    mend = {
        "not pinned": f"`matterzoo pin {selection.model.id}`",
        "pinned": f"`matterzoo weights {name}`",
    }
    found = status(selection)
    return f"{found}: {mend[found]} downloads them" if found in mend else "no file is needed"


def explain_license(license: License) -> str:
    use = "commercial use allowed" if license.commercial else "NON-COMMERCIAL use only"
    gate = "; GATED: accept it before the download" if license.gated else ""
    return f"{license.name}, {use}{gate}; {license.url or license.no_url_because}"


def explain_environment(selection: Selection) -> str:
    family = selection.family
    parts = [f"Python {family.requires_python}", f"{family.installed_mb:,} MB installed"]
    parts.append(
        "no torch, CPU only"
        if family.torch is None
        else f"{family.torch.replace('==', ' ')}, CPU or GPU"
    )
    if family.cuda_capability:
        parts.append(f"GPU of compute capability {family.cuda_capability} or newer")
    parts.append(
        "locked" if family.lock.exists() else f"NOT LOCKED: run `matterzoo lock {family.name}`"
    )
    return ", ".join(parts)


def explain_compute(selection: Selection) -> Iterator[Row]:
    compute = selection.model.compute
    yield "parameters", f"{compute.parameters:,}"
    speed = (
        f"; about {compute.systems_per_second:g} systems/s on 2 CPU cores"
        if compute.systems_per_second
        else ""
    )
    yield (
        "compute",
        f"memory grows with {compute.scales_with}, batches of {compute.batch:,} {compute.scales_with}{speed}",
    )
