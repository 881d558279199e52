"""Pins: what is fixed of weights in a family's weights.lock, written by `matterzoo pin MODEL` and merged into the cards.

weights.lock is JSON: {repository of the hub: {revision, files: {path: {sha256, size}}}, url: {sha256, size}}.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo.cards.discovery import nearest
from zoo.cards.family import Family, Selection
from zoo.cards.loading import read_models
from zoo.cards.weights_source import Weights, WeightsFile
from zoo.files import file_lock, write_atomically
from zoo.weights import hub
from zoo.weights.digest import remembered
from zoo.weights.hub import Say
from zoo.weights.obtain import WeightsError, announce, folder_of, obtain, told

Pins = dict[str, Any]


@told()
def pin(selection: Selection, say: Say, *, again: bool = False) -> Path:
    """Download a model's files once and record their revision, hashes and sizes. Returns the family's weights.lock.

    What the card or weights.lock fixes already has to agree; `again` lets what is found replace what weights.lock says.
    """
    weights = as_written(selection)
    family = selection.family
    if weights.source not in ("hub", "url"):
        raise WeightsError(
            f"{selection.model.id} has no weights to pin: their source is {weights.source!r}"
        )
    announce(selection, list(weights.files), say)
    if weights.source == "hub":
        record(
            selection, from_hub(weights, {} if again else read_pins(family), say), say, again=again
        )
    else:
        pin_urls(selection, weights, say, again=again)
    return family.pins


def as_written(selection: Selection) -> Weights:
    """What the card itself says of the weights, without weights.lock."""
    cards = read_models(selection.family.path)
    return Weights.model_validate(
        next(card["weights"] for card in cards if card["id"] == selection.model.id)
    )


def from_hub(weights: Weights, known: Pins, say: Say) -> Pins:
    """Pins of a repository: at the card's revision, else at that of weights.lock, else at what main is now."""
    repo = str(weights.repo)
    locked = known.get(repo, {}).get("revision")
    revision = weights.revision or locked
    described = hub.describe(repo, revision)
    moved = hub.describe(repo, None).sha if locked and not weights.revision else described.sha
    if described.sha is None or described.sha != (revision or described.sha):
        raise WeightsError(
            f"{repo} is refused: the hub answered with commit {described.sha} for revision {revision}"
        )
    if moved != described.sha:
        say(
            f"{repo} stays pinned at {described.sha}; its main branch is at {moved} now, `matterzoo pin MODEL --again` moves the pin there"
        )
    ids = {sibling.rfilename: sibling.blob_id for sibling in described.siblings or []}
    at = weights.model_copy(update={"revision": described.sha})
    files = {file.path: measure(at, file, ids, say) for file in weights.files}
    return {repo: {"revision": described.sha, "files": files}}


def measure(weights: Weights, file: WeightsFile, ids: Mapping[str, str | None], say: Say) -> Pins:
    """Hash and size of one file of a repository, in which git knows the files by these ids."""
    if file.path not in ids:
        raise WeightsError(
            f"{weights.repo} has no file {file.path} at {weights.revision}; {nearest(file.path, ids)}"
        )
    if file.git_blob not in (None, ids[file.path]):
        raise WeightsError(
            f"{weights.repo}/{file.path} is refused: its git_blob is {ids[file.path]}, the card says {file.git_blob}"
        )
    return facts(obtain(weights, file, Path(), say))


def pin_urls(selection: Selection, weights: Weights, say: Say, *, again: bool) -> None:
    """Pin files behind URLs. again: what lies here is not trusted to be what is there.

    What is downloaded takes its place only when it is pinned.
    """
    folder = folder_of(selection)
    fresh = folder / ".new"
    found = {}
    for file in weights.files:
        path = folder / file.path
        path = fresh / file.path if again or not path.exists() else path
        found[str(file.url)] = facts(obtain(weights, file, path, say))
    try:
        record(selection, found, say, again=again)
        for file in weights.files:
            if (fresh / file.path).exists():
                (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
                (fresh / file.path).replace(folder / file.path)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def facts(path: Path) -> Pins:
    """What is recorded of a file."""
    return {"sha256": remembered(path, ["sha256"])["sha256"], "size": path.stat().st_size}


def record(selection: Selection, found: Pins, say: Say, *, again: bool) -> None:
    """Add what was found to the family's weights.lock."""
    family = selection.family
    with file_lock(family.path):  # only one process at a time changes a family's pins
        pins = merged(read_pins(family), found, again=again, selection=selection)
        write_atomically(family.pins, json.dumps(pins, indent=1, sort_keys=True) + "\n")
    for other in left_out(selection, pins):
        say(
            f"{other} is no longer pinned, because its repository is at another revision now; `matterzoo pin {other}`"
        )


def merged(old: Pins, found: Pins, *, again: bool, selection: Selection) -> Pins:
    """Old pins and new ones. WeightsError if they contradict each other, unless the new ones shall win."""
    result = dict(old)
    for key, new in found.items():
        before = old.get(key) or new
        changes = list(differences(before, new, key))
        if changes and not again:
            mend = f"`matterzoo pin {selection.model.id} --again` takes the new"
            raise WeightsError(f"{selection.family.pins}: {'; '.join(changes)}; {mend}")
        same = before.get("revision") == new.get("revision")
        result[key] = new | (
            {"files": before["files"] | new["files"]} if same and "files" in new else {}
        )
    return result


def differences(before: Pins, new: Pins, name: str) -> Iterator[str]:
    """What two pins of the same thing say otherwise."""
    for fact in sorted(before.keys() & new.keys() - {"files"}):
        if before[fact] != new[fact]:
            yield f"{name} has {fact} {new[fact]} now, but it was pinned with {before[fact]}"
    for path in sorted(before.get("files", {}).keys() & new.get("files", {}).keys()):
        yield from differences(before["files"][path], new["files"][path], f"{name}/{path}")


def left_out(selection: Selection, pins: Pins) -> list[str]:
    """Other models of the family whose files of the same repository are not among its pins any more."""
    repo = selection.model.weights.repo
    if repo is None:
        return []
    others = [
        m
        for m in selection.family.models
        if m.weights.repo == repo and m.weights.pinned(untrained=False)
    ]
    return [
        m.id
        for m in others
        if not {file.path for file in m.weights.files} <= set(pins[repo]["files"])
    ]


def read_pins(family: Family) -> Pins:
    pins: Pins = json.loads(family.pins.read_text()) if family.pins.exists() else {}
    return pins
