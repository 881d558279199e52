"""Pins: what is fixed of weights in a family's weights.lock, written by `make pin` and merged into the cards.

weights.lock is JSON: {repository of the hub: {revision, files: {path: {sha256, size}}}, url: {sha256, size}}.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo import hub
from zoo.card import Family, Selection, Weights, WeightsFile, nearest, read_toml
from zoo.content import remembered
from zoo.download import DownloadError
from zoo.hub import Say
from zoo.weights import WeightsError, announce, folder_of, obtain

Pins = dict[str, Any]


def pin(selection: Selection, say: Say, *, again: bool = False) -> Path:
    """Download a model's files once and record their revision, hashes and sizes. Returns the family's weights.lock.

    What the card or weights.lock fixes already has to agree; `again` lets what is found replace what weights.lock says.
    """
    weights = as_written(selection)
    family = selection.family
    if weights.source not in ("hub", "url"):
        raise WeightsError(f"{selection.model.id} has no weights to pin: their source is {weights.source!r}")
    announce(selection, list(weights.files), say)
    known = {} if again else read_pins(family)
    found = (
        from_hub(weights, known, say) if weights.source == "hub" else from_urls(selection, weights, say, again=again)
    )
    with alone(family):
        old = read_pins(family)
        write_pins(family, merged(old, found, again=again, where=f"{family.pins}", model_id=selection.model.id))
    for other in left_out(family, selection, found):
        say(f"{other} is no longer pinned, because its repository is at another revision now; `make pin MODEL={other}`")
    return family.pins


def as_written(selection: Selection) -> Weights:
    """What the card itself says of the weights, without weights.lock."""
    cards = read_toml(selection.family.path / "models.toml")["model"]
    return Weights.model_validate(next(card["weights"] for card in cards if card["id"] == selection.model.id))


def from_hub(weights: Weights, known: Pins, say: Say) -> Pins:
    """Pins of a repository: at the card's revision, else at that of weights.lock, else at what main is now."""
    repo = str(weights.repo)
    locked = known.get(repo, {}).get("revision")
    revision = weights.revision or locked
    try:
        described = hub.describe(repo, revision)
        main = described.sha if weights.revision else hub.describe(repo, None).sha
    except DownloadError as error:
        raise WeightsError(str(error)) from error
    if described.sha is None or described.sha != (revision or described.sha):
        raise WeightsError(f"{repo} is refused: the hub answered with commit {described.sha} for revision {revision}")
    if main != described.sha:
        say(f"{repo} stays pinned at {described.sha}; its main branch is at {main} now, AGAIN=1 moves the pin there")
    ids = {sibling.rfilename: sibling.blob_id for sibling in described.siblings or []}
    at = weights.model_copy(update={"revision": described.sha})
    files = {file.path: measure(at, file, ids, say) for file in weights.files}
    return {repo: {"revision": described.sha, "files": files}}


def measure(weights: Weights, file: WeightsFile, ids: Mapping[str, str | None], say: Say) -> Pins:
    """Hash and size of one file of a repository, in which git knows the files by these ids."""
    if file.path not in ids:
        raise WeightsError(f"{weights.repo} has no file {file.path} at {weights.revision}; {nearest(file.path, ids)}")
    if file.git_blob not in (None, ids[file.path]):
        raise WeightsError(
            f"{weights.repo}/{file.path} is refused: its git_blob is {ids[file.path]}, the card says {file.git_blob}"
        )
    return facts(obtain(weights, file, Path(), say))


def from_urls(selection: Selection, weights: Weights, say: Say, *, again: bool) -> Pins:
    """Pins of files behind URLs. again: what lies here is not trusted to be what is there."""
    folder = folder_of(selection)
    found = {}
    for file in weights.files:
        path = folder / file.path
        fresh = folder / ".again" / file.path if again else path
        found[str(file.url)] = facts(obtain(weights, file, fresh, say))
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.replace(path)
    shutil.rmtree(folder / ".again", ignore_errors=True)
    return found


def facts(path: Path) -> Pins:
    """What is recorded of a file."""
    return {"sha256": remembered(path, ["sha256"])["sha256"], "size": path.stat().st_size}


def merged(old: Pins, found: Pins, *, again: bool, where: str, model_id: str) -> Pins:
    """Old pins and new ones. WeightsError if they contradict each other, unless the new ones shall win."""
    result = dict(old)
    for key, new in found.items():
        before = old.get(key) or new
        changes = list(differences(before, new, key))
        if changes and not again:
            raise WeightsError(f"{where}: {'; '.join(changes)}; `make pin MODEL={model_id} AGAIN=1` takes the new")
        same = before.get("revision") == new.get("revision")
        result[key] = new | ({"files": before["files"] | new["files"]} if same and "files" in new else {})
    return result


def differences(before: Pins, new: Pins, name: str) -> Iterator[str]:
    """What two pins of the same thing say otherwise."""
    for fact in sorted(before.keys() & new.keys() - {"files"}):
        if before[fact] != new[fact]:
            yield f"{name} has {fact} {new[fact]} now, but it was pinned with {before[fact]}"
    for path in sorted(before.get("files", {}).keys() & new.get("files", {}).keys()):
        yield from differences(before["files"][path], new["files"][path], f"{name}/{path}")


def left_out(family: Family, selection: Selection, found: Pins) -> list[str]:
    """Other models of the family whose files of the same repository are not among its pins any more."""
    pins = read_pins(family)
    same = [m for m in family.models if m.weights.repo in found and m.id != selection.model.id]
    return [m.id for m in same if not {f.path for f in m.weights.files} <= set(pins[str(m.weights.repo)]["files"])]


def read_pins(family: Family) -> Pins:
    pins: Pins = json.loads(family.pins.read_text()) if family.pins.exists() else {}
    return pins


def write_pins(family: Family, pins: Pins) -> None:
    fresh = family.pins.with_name(f".{family.pins.name}.{os.getpid()}")
    fresh.write_text(json.dumps(pins, indent=1, sort_keys=True) + "\n")
    fresh.replace(family.pins)


@contextlib.contextmanager
def alone(family: Family) -> Iterator[None]:
    """Only one process at a time changes a family's pins."""
    folder = os.open(family.path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
