"""Cards: the hand-written TOML that describes a family and its models, and their discovery."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from zoo.code import code_hash
from zoo.encoder import ENERGY
from zoo.encoder import SYMBOLS as SYMBOLS
from zoo.places import FAMILIES

TWIN = "@untrained"
SEED_BITS = 31  # of a twin's seed: what torch, numpy's older generator and packages with a signed 32-bit integer take

SOURCE = (
    r"^[\w.\-]+ *@ *git\+(?:https|file)://\S+@[0-9a-f]{40}(?=\s|$)"  # a line of requirements.in
)

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.\-]*$")]
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
Input = Literal["structure", "smiles", "selfies", "sequence", "backbone", "text", "any"]


class CardError(Exception):
    """A card that is wrong (every fault listed), or a family or model that does not exist."""


class Card(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ignored_types=(cached_property,))


class License(Card):
    """A license is never defaulted: SPDX identifier or the license's own name, and where it was read."""

    name: str = Field(min_length=2)
    url: str | None = Field(default=None, pattern=r"^https://")
    no_url_because: str | None = None
    commercial: bool = Field(description="may it be used commercially")
    gated: bool = Field(
        default=False, description="must a user accept it somewhere before the download"
    )
    share: bool | None = Field(
        default=None, description="does it let others have the vectors; None: nobody looked"
    )

    @model_validator(mode="after")
    def _url_or_reason(self) -> License:
        if (self.url is None) == (self.no_url_because is None):
            raise ValueError("give either url or no_url_because")
        return self

    @property
    def shareable(self) -> bool:
        """May vectors be published? Where nobody looked, only under a license without conditions of these kinds."""
        return self.commercial and not self.gated if self.share is None else self.share


class PublishedFile(Card):
    """A file that somebody publishes: the path that it is given, and what is known of its content."""

    path: str = Field(pattern=r"^[^/]")
    sha256: Sha256 | None = None
    size: int | None = Field(default=None, gt=0, description="bytes")

    @field_validator("path")
    @classmethod
    def _stays_in_its_folder(cls, value: str) -> str:
        if ".." in Path(value).parts:
            raise ValueError("a path may not leave its folder")
        return value


class WeightsFile(PublishedFile):
    """One file of weights, by the name that the encoder opens it with.

    path: in the hub's repository, or under site-packages where source is 'package'. twin: whether the untrained twin
    needs it too (a vocabulary, a configuration). What nobody could look up, sha256 and size, stands in weights.lock.
    """

    url: str | None = Field(default=None, pattern=r"^https://")
    git_blob: Commit | None = Field(default=None, description="git's own SHA-1 of the content")
    twin: bool = True

    @property
    def pinned(self) -> bool:
        return self.sha256 is not None and self.size is not None


class Weights(Card):
    """Where the weights come from.

    'hub': a repository of the Hugging Face hub, at one revision; 'url': files that somebody serves; 'package': the
    family's own package carries them; 'none': nothing is learned.
    """

    source: Literal["hub", "url", "package", "none"]
    package: str | None = None
    repo: str | None = Field(default=None, pattern=r"^[\w.\-]+/[\w.\-]+$")
    revision: Commit | None = None
    format: Literal["safetensors", "pickle", "torchscript", "tensorflow", "zip"] | None = None
    files: tuple[WeightsFile, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Weights:
        needed = {"hub": {"repo"}, "url": set(), "package": {"package"}, "none": set()}[self.source]
        for name in ("repo", "package"):
            if (getattr(self, name) is not None) != (name in needed):
                raise ValueError(
                    f"source {self.source!r} {'needs a' if name in needed else 'has no'} {name}"
                )
        if self.revision is not None and self.source != "hub":
            raise ValueError(f"source {self.source!r} has no revision")
        if (self.source == "none") != (self.format is None) or (self.source == "none") != (
            not self.files
        ):
            verb = "has no" if self.source == "none" else "needs a"
            raise ValueError(f"source {self.source!r} {verb} format and files")
        if any((file.url is not None) != (self.source == "url") for file in self.files):
            raise ValueError("each file of source 'url', and of no other, has a url")
        if self.source == "package" and not all(file.pinned for file in self.files):
            raise ValueError("each file of source 'package' needs sha256 and size")
        return self

    def needed(self, *, untrained: bool) -> tuple[WeightsFile, ...]:
        """The files that a model needs, or its untrained twin."""
        return tuple(file for file in self.files if file.twin or not untrained)

    def pinned(self, *, untrained: bool) -> bool:
        """Whether it is fixed, to the byte, what is loaded."""
        files = self.needed(untrained=untrained)
        fixed = self.source != "hub" or self.revision is not None
        return not files or (fixed and all(file.pinned for file in files))

    def with_pins(self, pins: Mapping[str, Any]) -> Weights:
        """With what `make pin` found out. ValueError where a card says something else."""
        if self.source not in ("hub", "url"):
            return self
        revision = self.revision
        if self.repo is not None and self.repo in pins:
            revision = _agreed("revision", self.revision, pins[self.repo]["revision"])
        files = tuple(self._pinned_file(file, pins) for file in self.files)
        return self.model_copy(update={"revision": revision, "files": files})

    def _pinned_file(self, file: WeightsFile, pins: Mapping[str, Any]) -> WeightsFile:
        found = (
            pins.get(self.repo or "", {}).get("files", {}).get(file.path)
            if self.source == "hub"
            else None
        )
        found = pins.get(file.url or "") if self.source == "url" else found
        if found is None:
            return file
        checked = WeightsFile.model_validate(
            {"path": file.path, "sha256": found["sha256"], "size": found["size"]}
        )
        facts = {
            name: _agreed(name, getattr(file, name), getattr(checked, name))
            for name in ("sha256", "size")
        }
        return file.model_copy(update=facts)


def _agreed(name: str, card: Any, lock: Any) -> Any:
    if card is not None and card != lock:
        raise ValueError(f"models.toml says {name} {card}, but weights.lock says {lock}")
    return lock


class Representation(Card):
    """Which vector: where in the network it is read, how nodes become one vector, which channels, how long it is."""

    name: Identifier
    layer: str = Field(min_length=3, description="hook or API call that gives it, in words")
    level: Literal["node", "system"]
    pooling: Literal["mean", "none"]
    channels: Literal["invariant", "all"]
    dimension: int = Field(gt=0)
    paper_row: int | None = Field(
        default=None, ge=1, le=59, description="of the paper's Table 1, which this is"
    )
    paper_row_of_twin: int | None = Field(
        default=None, ge=1, le=59, description="which the untrained twin is"
    )

    @model_validator(mode="after")
    def _pooling_fits_level(self) -> Representation:
        if (self.level == "node") != (self.pooling == "mean"):
            raise ValueError("pooling is 'mean' for level 'node' and 'none' for level 'system'")
        return self


class Energy(Card):
    """The total energy, in eV, that a potential predicts in the same forward pass."""

    reference: str = Field(
        min_length=10, description="what its zero is, and which corrections it was trained on"
    )
    note: str | None = None


class Compute(Card):
    parameters: int = Field(ge=0)
    scales_with: Literal["atoms", "tokens", "systems"]
    batch: int = Field(gt=0, description="batch budget on a CPU, in the unit of scales_with")
    systems_per_second: float | None = Field(
        default=None, gt=0, description="on 2 CPU cores, dataset 'aflow' or 'g2'"
    )


class Provenance(Card):
    architecture: str
    training_sets: tuple[str, ...]
    level_of_theory: str | None = None
    citation: str
    doi: str | None = None
    note: str | None = None


class Score(Card):
    """A published performance figure."""

    name: Identifier
    value: float
    unit: str
    test_set: str
    source: str


class Tolerance(Card):
    """Largest relative difference (of the vector's norm) that other batches, an order, or a rotation may make."""

    batch: float = Field(gt=0)
    rotation: float | None = Field(default=None, gt=0)


class Control(Card):
    """A model whose alignment with another is known in advance, whatever the systems."""

    of: Name = Field(description="the model that it is to be compared with")
    expect: Literal["same", "chance", "undefined"] = Field(
        description="1; inside the permutation null; NULL"
    )


class Model(Card):
    """One checkpoint, and where a family offers several, one task head or prompt."""

    id: Name
    title: str
    input: Input
    elements: str | None = Field(
        default=None, description="such as 'H-Rn, Ac-Cm'; nothing means any"
    )
    max_atoms: int | None = Field(
        default=None, gt=0, description="larger systems are not applicable"
    )
    default_representation: Identifier
    weights: Weights
    license_weights: License
    representation: tuple[Representation, ...] = Field(min_length=1)
    energy: Energy | None = Field(
        default=None, description="what energy it predicts; nothing means none"
    )
    compute: Compute
    provenance: Provenance
    tolerance: Tolerance
    score: tuple[Score, ...] = ()
    control: Control | None = None
    options: dict[str, Any] = Field(
        default_factory=dict, description="passed to the encoder as they are"
    )

    @field_validator("elements")
    @classmethod
    def _elements_parse(cls, value: str | None) -> str | None:
        if value is not None:
            parse_elements(value)
        return value

    @model_validator(mode="after")
    def _default_exists(self) -> Model:
        names = [r.name for r in self.representation]
        if self.default_representation not in names:
            raise ValueError(
                f"default_representation {self.default_representation!r} is not one of {names}"
            )
        if len(set(names)) != len(names):
            raise ValueError(f"representation names repeat: {names}")
        if ENERGY in names:
            raise ValueError(
                f"a representation is named {ENERGY!r}, which is what an encoder calls its energies"
            )
        return self

    @property
    def trainable(self) -> bool:
        return self.weights.source != "none"

    @property
    def bundled(self) -> bool:
        """Whether it needs no download of its own."""
        return self.weights.source in ("package", "none")

    def hash(self, *, untrained: bool) -> str:
        """Return the sha256 of what decides the vectors.

        That is the input, limits, files of weights (and a twin's seed), representations, energy and options.
        """
        names = {"id", "input", "elements", "max_atoms", "options"}
        deciding = self.model_dump(mode="json", include=names)
        not_deciding = {"paper_row", "paper_row_of_twin"}
        deciding["representation"] = [
            r.model_dump(mode="json", exclude=not_deciding) for r in self.representation
        ]
        if self.energy is not None:
            deciding[ENERGY] = "eV"  # that there is one; what is said of it decides nothing
        deciding["weights"] = {
            file.path: file.sha256 for file in self.weights.needed(untrained=untrained)
        }
        if untrained:
            deciding["untrained_seed"] = twin_seed(self.id)
        return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()

    def for_worker(self) -> dict[str, Any]:
        """The card as the worker and the encoder get it: plain data, elements as atomic numbers."""
        card = self.model_dump(mode="json")
        card["elements"] = None if self.elements is None else parse_elements(self.elements)
        return card


class Family(Card):
    """Models that share one environment: one lock, one image, one encoder."""

    name: Name
    title: str
    homepage: str = Field(pattern=r"^https://")
    license_code: License
    requires_python: str = Field(description="PEP 440, what the lock resolves for")
    cuda_capability: str | None = Field(
        default=None, pattern=r"^\d+\.\d$", description="oldest GPU that runs it"
    )
    installed_mb: int = Field(gt=0, description="size of the installed environment, CPU build")
    path: Path = Field(exclude=True)
    models: tuple[Model, ...] = Field(min_length=1)

    @property
    def bundled(self) -> bool:
        """Whether a model of it needs no download of its own."""
        return any(model.bundled for model in self.models)

    @property
    def lock(self) -> Path:
        return self.path / "requirements.lock"

    @property
    def pins(self) -> Path:
        return self.path / "weights.lock"

    @property
    def lock_hash(self) -> str:
        if not self.lock.exists():
            raise CardError(
                f"family {self.name} has no {self.lock.name}; `python -m zoo lock {self.name}` writes it"
            )
        return hashlib.sha256(self.lock.read_bytes()).hexdigest()

    @property
    def torch(self) -> str | None:
        """'torch==2.13.0' where requirements.in names it. The lock leaves it out: its build depends on the machine."""
        requirements = (self.path / "requirements.in").read_text()
        found = re.search(r"^torch(?![\w.\-\[]) *(==[^\s;#]+)?", requirements, re.MULTILINE)
        return None if found is None else f"torch{found[1] or ''}"

    @property
    def sources(self) -> tuple[str, ...]:
        """Requirements that no index has: 'name@git+https://…@<40 hex>', whose commit is their hash.

        The lock leaves them out, as it does torch.
        """
        requirements = (self.path / "requirements.in").read_text()
        found = re.findall(SOURCE, requirements, re.MULTILINE)
        return tuple(line.replace(" ", "") for line in found)

    @property
    def encoder_hash(self) -> str:
        """The hash of the encoder's code; its comments, docstrings and layout do not count."""
        return code_hash((self.path / "encoder.py").read_bytes())


class Selection(BaseModel):
    """A model as a user names it: a card, and whether its untrained twin is meant."""

    model_config = ConfigDict(frozen=True)

    family: Family
    model: Model
    untrained: bool

    @property
    def model_id(self) -> str:
        return self.model.id + (TWIN if self.untrained else "")

    def twin(self) -> Selection:
        """Its untrained twin. CardError where there is nothing to train."""
        if not self.model.trainable:
            raise CardError(
                f"{self.model.id} has no weights to draw at random, so it has no untrained twin"
            )
        return self.model_copy(update={"untrained": True})

    @property
    def card_hash(self) -> str:
        return self.model.hash(untrained=self.untrained)

    @property
    def untrained_seed(self) -> int | None:
        return twin_seed(self.model.id) if self.untrained else None


def twin_seed(model_id: str) -> int:
    """Return the seed of a model's untrained twin: the first 31 bits of the SHA-256 of the model's id.

    Two models of one architecture would have the same twin if all twins had one seed, and the likeness of a network
    with itself would pass for what an architecture shares before it is trained.
    """
    digest = hashlib.sha256(model_id.encode()).digest()
    return int.from_bytes(digest, "big") >> (8 * len(digest) - SEED_BITS)


def parse_elements(text: str) -> list[int]:
    """'H-Xe, Cs, Ac-Cm' -> atomic numbers, sorted."""
    numbers: set[int] = set()
    for part in text.split(","):
        ends = [end.strip() for end in part.split("-")]
        for end in ends:
            if end not in SYMBOLS:
                raise ValueError(f"elements: {end!r} is not a chemical symbol (in {text!r})")
        first, last = SYMBOLS.index(ends[0]) + 1, SYMBOLS.index(ends[-1]) + 1
        if len(ends) > 2 or last < first:
            raise ValueError(
                f"elements: {part.strip()!r} is not a symbol or a rising range such as 'H-Xe'"
            )
        numbers.update(range(first, last + 1))
    return sorted(numbers)


def search_path() -> list[Path]:
    """Folders whose sub-folders are families: this one, and those in MATTERZOO_FAMILIES (separated like PATH)."""
    extra = os.environ.get("MATTERZOO_FAMILIES", "")
    return [FAMILIES, *(Path(p) for p in extra.split(os.pathsep) if p)]


def family_folders() -> list[Path]:
    """Every family on the search path. A family is a folder that holds family.toml."""
    return [file.parent for root in search_path() for file in sorted(root.glob("*/family.toml"))]


def read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CardError(f"family {path.parent.name}: {path} cannot be read: {error}") from error


def load_family(path: Path) -> Family:
    """Read one family's folder. Raises CardError with every fault of both files."""
    family, models = read_toml(path / "family.toml"), read_toml(path / "models.toml")
    faults = [
        f"  family.toml: unknown key {key!r}" for key in sorted(set(family) & {"path", "models"})
    ]
    faults += [
        f"  models.toml: unknown key {key!r}, expected [[model]]"
        for key in sorted(set(models) - {"model"})
    ]
    try:
        card = Family.model_validate({**family, "path": path, "models": models.get("model", [])})
        card = with_pins(card)
    except ValueError as error:
        if not isinstance(error, ValidationError):
            raise CardError(f"family {path.name}: {error}") from error
        for fault in error.errors():
            follows = (
                fault["type"] == "too_short" and fault["input"]
            )  # its items are wrong, and listed themselves
            if not follows:
                where = ".".join(map(str, fault["loc"]))
                faults.append(f"  {where}: {fault['msg']} (got {fault['input']!r:.60})")
    if family.get("name", path.name) != path.name:
        faults.append(f"  name: {family['name']!r} is not the name of its folder, {path.name!r}")
    if faults:
        raise CardError(
            f"family {path.name}: {len(faults)} faults in its cards:\n" + "\n".join(faults)
        )
    return card


def with_pins(family: Family) -> Family:
    """The family with the hashes that `make pin` has written to its weights.lock. ValueError if they do not fit."""
    if not family.pins.exists():
        return family
    try:
        pins = json.loads(family.pins.read_text())
        pinned = [
            model.model_copy(update={"weights": model.weights.with_pins(pins)})
            for model in family.models
        ]
    except (KeyError, TypeError, AttributeError, OSError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{family.pins} cannot be read: {error!r}; `make pin` writes it"
        ) from error
    return family.model_copy(update={"models": tuple(pinned)})


def load_families() -> dict[str, Family]:
    """Every family on the search path, by name."""
    found = [load_family(folder) for folder in family_folders()]
    families = {family.name: family for family in found}
    ids = [model.id for family in found for model in family.models]
    for kind, names in (("family", [f.name for f in found]), ("model", ids)):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise CardError(
                f"{kind} names must be unique, but these appear twice: {', '.join(twice)}"
            )
    return families


def load_models() -> dict[str, Selection]:
    """Every model of every family, by model_id; untrained twins are not listed."""
    return {
        model.id: Selection(family=family, model=model, untrained=False)
        for family in load_families().values()
        for model in family.models
    }


def find_family(name: str) -> Family:
    """The family of that name, or CardError with the nearest right one. What is wrong with others is no matter."""
    folders = {folder.name: folder for folder in family_folders()}
    if name not in folders:
        raise CardError(
            f"no family is named {name!r}; {nearest(name, folders)} (`make list` shows all)"
        )
    return load_family(folders[name])


def find_families(name: str) -> list[Family]:
    """The family of that name; all for 'all'; for 'bundled' those with a model that needs no download."""
    if name not in ("all", "bundled"):
        return [find_family(name)]
    return [family for family in load_families().values() if name == "all" or family.bundled]


def _sound_models() -> dict[str, Selection]:
    """The models of every family without faults, by id."""
    found: dict[str, Selection] = {}
    for folder in family_folders():
        with suppress(CardError):
            family = load_family(folder)
            found |= {
                model.id: Selection(family=family, model=model, untrained=False)
                for model in family.models
            }
    return found


def find_model(model_id: str) -> Selection:
    """The model of that id, 'x@untrained' its untrained twin; CardError with the nearest right id otherwise."""
    base = model_id.removesuffix(TWIN)
    selection = _sound_models().get(base)
    if selection is None:
        models = load_models()  # raises where a family has faults: it may be one of its models
        raise CardError(
            f"no model is named {base!r}; {nearest(base, models)} (`make list` shows all)"
        )
    return selection.twin() if model_id.endswith(TWIN) else selection


def nearest(name: str, names: Any) -> str:
    """'did you mean a, b?' for a name that does not exist."""
    close = difflib.get_close_matches(name, list(names), n=3, cutoff=0.4)
    return (
        f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(sorted(names))}"
    )
