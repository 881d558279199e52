"""Pinning: what is downloaded is recorded as what is expected from then on.

`matterzoo pin MODEL` does it, and `matterzoo weights MODEL` where nobody has yet. The format is
that of `zoo.cards.weights_source`, and `zoo.cards.loading` merges the records into the cards.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from zoo.cards.family import Selection
from zoo.cards.loading import read_models
from zoo.cards.weights_source import (
    PINS_FILE,
    Pins,
    Weights,
    WeightsFile,
    known_pins,
    read_pins,
)
from zoo.errors import did_you_mean
from zoo.files import file_lock, write_atomically
from zoo.weights import hub
from zoo.weights.digest import cached_digests
from zoo.weights.download import Log
from zoo.weights.errors import WeightsError
from zoo.weights.local import announce_download, download_file, weights_errors, weights_folder


@weights_errors()
def pin(selection: Selection, log: Log, *, again: bool = False) -> Path:
    """Download a model's files once, and record their revision, hashes and sizes.

    Args:
        selection: The model; of an untrained twin, only the files that it needs.
        log: Called with each line that a user should see.
        again: Whether what is found may replace what weights.lock says. What the card itself says
            always has to agree, and so has what an installed program carries.

    Returns:
        The file that holds the records.

    Raises:
        WeightsError: The files cannot be downloaded, or are not those of the card or the lock.
    """
    weights = _weights_of_card(selection)
    needed = weights.needed(untrained=selection.untrained)
    weights = weights.model_copy(update={"files": needed})
    family = selection.family
    if weights.source not in ("hub", "url"):
        raise WeightsError(
            f"{selection.model.id} has no weights to pin: their source is {weights.source!r}"
        )
    if again:
        _refuse_carried(selection, weights)
    announce_download(selection, list(weights.files), log)
    if weights.source == "hub":
        found = _pin_repository(weights, {} if again else known_pins(family.path), log)
        _record(selection, found, log, again=again)
    else:
        _pin_urls(selection, weights, log, again=again)
    return family.pins


def _refuse_carried(selection: Selection, weights: Weights) -> None:
    """Refuse to record what would not count: what an installed program carries wins."""
    family, carried = selection.family, selection.family.path / PINS_FILE
    if family.pins == carried:
        return
    known = read_pins(carried)
    fixed = [key for key in (weights.repo, *(file.url for file in weights.files)) if key in known]
    if fixed:
        raise WeightsError(
            f"{fixed[0]} is pinned in {carried}, which matterzoo carries, and --again moves only "
            "what you have pinned yourself; a checkout of matterzoo's repository can move it"
        )


def _weights_of_card(selection: Selection) -> Weights:
    """Return what the card says of the weights, without weights.lock."""
    cards = read_models(selection.family.path)
    return Weights.model_validate(
        next(card["weights"] for card in cards if card["id"] == selection.model.id)
    )


def _pin_repository(weights: Weights, known: Pins, log: Log) -> Pins:
    """Pin a repository at the card's revision, else at that of weights.lock, else at main's."""
    repo = str(weights.repo)
    locked = known.get(repo, {}).get("revision")
    revision = weights.revision or locked
    info = hub.model_info(repo, revision)
    newest = hub.model_info(repo, None).sha if locked and not weights.revision else info.sha
    if info.sha is None or info.sha != (revision or info.sha):
        raise WeightsError(
            f"{repo} is refused: the hub answered with commit {info.sha} for revision {revision}"
        )
    if newest != info.sha:
        log(
            f"{repo} stays pinned at {info.sha}; its main branch is at {newest} now, "
            "`matterzoo pin MODEL --again` moves the pin there"
        )
    blob_ids = {sibling.rfilename: sibling.blob_id for sibling in info.siblings or []}
    at = weights.model_copy(update={"revision": info.sha})
    files = {file.path: _measure(at, file, blob_ids, log) for file in weights.files}
    return {repo: {"revision": info.sha, "files": files}}


def _measure(
    weights: Weights, file: WeightsFile, blob_ids: Mapping[str, str | None], log: Log
) -> Pins:
    """Download a file of a repository, in which git knows the files by these ids."""
    if file.path not in blob_ids:
        raise WeightsError(
            f"{weights.repo} has no file {file.path} at {weights.revision}; "
            f"{_where_else(weights, file) or did_you_mean(file.path, blob_ids)}"
        )
    if file.git_blob not in (None, blob_ids[file.path]):
        raise WeightsError(
            f"{weights.repo}/{file.path} is refused: its git_blob is {blob_ids[file.path]}, "
            f"the card says {file.git_blob}"
        )
    return _facts(download_file(weights, file, Path(), log))


def _where_else(weights: Weights, file: WeightsFile) -> str | None:
    """Say that the main branch has a file which the card's revision lacks; None if it has not."""
    newest = hub.model_info(str(weights.repo), None)
    if file.path not in {sibling.rfilename for sibling in newest.siblings or []}:
        return None
    return f'its main branch has it: write revision = "{newest.sha}" into the card'


def _pin_urls(selection: Selection, weights: Weights, log: Log, *, again: bool) -> None:
    """Pin files of other servers; `again` downloads them even if they are on this machine.

    What is downloaded takes its place only when it is pinned.
    """
    folder = weights_folder(selection)
    fresh = folder / ".new"
    found = {}
    for file in weights.files:
        path = folder / file.path
        path = fresh / file.path if again or not path.exists() else path
        found[str(file.url)] = _facts(download_file(weights, file, path, log))
    try:
        _record(selection, found, log, again=again)
        for file in weights.files:
            if (fresh / file.path).exists():
                (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
                (fresh / file.path).replace(folder / file.path)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _facts(path: Path) -> Pins:
    return {"sha256": cached_digests(path, ["sha256"])["sha256"], "size": path.stat().st_size}


def _record(selection: Selection, found: Pins, log: Log, *, again: bool) -> None:
    """Add what was found to the family's weights.lock."""
    family = selection.family
    family.pins.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(family.pins.parent):  # only one process at a time changes a family's pins
        pins = _merge(known_pins(family.path), found, again=again, selection=selection)
        own = {key: pins[key] for key in [*read_pins(family.pins), *found]}
        write_atomically(family.pins, json.dumps(own, indent=1, sort_keys=True) + "\n")
    for other in _unpinned_models(selection, pins):
        log(
            f"{other} is no longer pinned, because its repository is at another revision now; "
            f"`matterzoo pin {other}`"
        )


def _merge(old: Pins, found: Pins, *, again: bool, selection: Selection) -> Pins:
    """Merge old pins and new ones; if they contradict each other, only `again` lets the new win."""
    result = dict(old)
    for key, new in found.items():
        before = old.get(key) or new
        changes = list(_list_changes(before, new, key))
        if changes and not again:
            remedy = f"`matterzoo pin {selection.model.id} --again` takes the new"
            raise WeightsError(f"{selection.family.pins}: {'; '.join(changes)}; {remedy}")
        same = before.get("revision") == new.get("revision")
        files = {"files": before["files"] | new["files"]} if same and "files" in new else {}
        result[key] = new | files
    return result


def _list_changes(before: Pins, new: Pins, name: str) -> Iterator[str]:
    """Yield where two pins of the same thing differ."""
    for fact in sorted(before.keys() & new.keys() - {"files"}):
        if before[fact] != new[fact]:
            yield f"{name} has {fact} {new[fact]} now, but it was pinned with {before[fact]}"
    for path in sorted(before.get("files", {}).keys() & new.get("files", {}).keys()):
        yield from _list_changes(before["files"][path], new["files"][path], f"{name}/{path}")


def _unpinned_models(selection: Selection, pins: Pins) -> list[str]:
    """Return the family's models of the same repository with files that are not pinned any more."""
    repo = selection.model.weights.repo
    if repo is None:
        return []
    others = [
        model
        for model in selection.family.models
        if model.weights.repo == repo and model.weights.pinned(untrained=False)
    ]
    pinned = set(pins[repo]["files"])
    return [m.id for m in others if not {file.path for file in m.weights.files} <= pinned]
