"""Cards: the hand-written TOML that describes a family and its models, and their discovery."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from zoo.encoder import SYMBOLS as SYMBOLS

ROOT = Path(__file__).resolve().parent
TWIN = "@untrained"
TWIN_SEED = 0

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.\-]*$")]
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Input = Literal["structure", "smiles", "selfies", "sequence", "backbone", "text", "any"]


class CardError(Exception):
    """A card that is wrong (every fault listed), or a family or model that does not exist."""


class Card(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ignored_types=(cached_property,))


class Licence(Card):
    """A licence is never defaulted: SPDX identifier or the licence's own name, and where it was read."""

    name: str = Field(min_length=2)
    url: str | None = Field(default=None, pattern=r"^https://")
    no_url_because: str | None = None
    commercial: bool = Field(description="may it be used commercially")
    gated: bool = Field(default=False, description="must a user accept it somewhere before the download")

    @model_validator(mode="after")
    def _url_or_reason(self) -> Licence:
        if (self.url is None) == (self.no_url_because is None):
            raise ValueError("give either url or no_url_because")
        return self


class WeightsFile(Card):
    """path: relative to site-packages where source is 'package'."""

    path: str
    sha256: Sha256
    size: int = Field(gt=0, description="bytes")


class Weights(Card):
    """Where the weights come from: 'package', the family's own package carries them; 'none', nothing is learned."""

    source: Literal["package", "none"]
    package: str | None = None
    format: str | None = None
    files: tuple[WeightsFile, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Weights:
        if self.source == "package" and not (self.package and self.format and self.files):
            raise ValueError("source 'package' needs package, format and at least one file")
        if self.source == "none" and (self.package or self.format or self.files):
            raise ValueError("source 'none' has no package, format or files")
        return self


class Representation(Card):
    """Which vector: where in the network it is read, how nodes become one vector, which channels, how long it is."""

    name: Identifier
    layer: str = Field(min_length=3, description="hook or API call that gives it, in words")
    level: Literal["node", "system"]
    pooling: Literal["mean", "none"]
    channels: Literal["invariant", "all"]
    dimension: int = Field(gt=0)

    @model_validator(mode="after")
    def _pooling_fits_level(self) -> Representation:
        if (self.level == "node") != (self.pooling == "mean"):
            raise ValueError("pooling is 'mean' for level 'node' and 'none' for level 'system'")
        return self


class Compute(Card):
    parameters: int = Field(ge=0)
    scales_with: Literal["atoms", "tokens", "systems"]
    batch: int = Field(gt=0, description="batch budget on a CPU, in the unit of scales_with")
    systems_per_second: float | None = Field(default=None, gt=0, description="on 2 CPU cores, dataset 'aflow' or 'g2'")


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


class Model(Card):
    """One checkpoint, and where a family offers several, one task head or prompt."""

    id: Name
    title: str
    input: Input
    elements: str | None = Field(default=None, description="such as 'H-Rn, Ac-Cm'; nothing means any")
    max_atoms: int | None = Field(default=None, gt=0, description="larger systems are not applicable")
    default_representation: Identifier
    weights: Weights
    licence_weights: Licence
    representation: tuple[Representation, ...] = Field(min_length=1)
    compute: Compute
    provenance: Provenance
    tolerance: Tolerance
    score: tuple[Score, ...] = ()
    options: dict[str, Any] = Field(default_factory=dict, description="passed to the encoder as they are")

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
            raise ValueError(f"default_representation {self.default_representation!r} is not one of {names}")
        if len(set(names)) != len(names):
            raise ValueError(f"representation names repeat: {names}")
        return self

    @property
    def trainable(self) -> bool:
        return self.weights.source != "none"

    @property
    def hash(self) -> str:
        """sha256 of what decides the vectors: input, limits, weights, representations, options."""
        deciding = self.model_dump(
            mode="json",
            include={"id", "input", "elements", "max_atoms", "weights", "representation", "options"},
        )
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
    licence_code: Licence
    requires_python: str = Field(description="PEP 440, what the lock resolves for")
    cuda_capability: str | None = Field(default=None, pattern=r"^\d+\.\d$", description="oldest GPU that runs it")
    installed_mb: int = Field(gt=0, description="size of the installed environment, CPU build")
    path: Path = Field(exclude=True)
    models: tuple[Model, ...] = Field(min_length=1)

    @property
    def lock(self) -> Path:
        return self.path / "requirements.lock"

    @property
    def lock_hash(self) -> str:
        return hashlib.sha256(self.lock.read_bytes()).hexdigest()

    @property
    def torch(self) -> str | None:
        """'torch==2.13.0' where requirements.in names it. The lock leaves it out: its build depends on the machine."""
        requirements = (self.path / "requirements.in").read_text()
        found = re.search(r"^torch(?![\w.\-\[]) *(==[^\s;#]+)?", requirements, re.MULTILINE)
        return None if found is None else f"torch{found[1] or ''}"

    @property
    def encoder_hash(self) -> str:
        return hashlib.sha256((self.path / "encoder.py").read_bytes()).hexdigest()


class Selection(BaseModel):
    """A model as a user names it: a card, and whether its untrained twin is meant."""

    model_config = ConfigDict(frozen=True)

    family: Family
    model: Model
    untrained: bool

    @property
    def model_id(self) -> str:
        return self.model.id + (TWIN if self.untrained else "")

    @property
    def untrained_seed(self) -> int | None:
        return TWIN_SEED if self.untrained else None


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
            raise ValueError(f"elements: {part.strip()!r} is not a symbol or a rising range such as 'H-Xe'")
        numbers.update(range(first, last + 1))
    return sorted(numbers)


def search_path() -> list[Path]:
    """Folders whose sub-folders are families: this one, and those in ZOO_PATH (separated like PATH)."""
    extra = os.environ.get("ZOO_PATH", "")
    return [ROOT, *(Path(p) for p in extra.split(os.pathsep) if p)]


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
    faults = [f"  family.toml: unknown key {key!r}" for key in sorted(set(family) & {"path", "models"})]
    faults += [f"  models.toml: unknown key {key!r}, expected [[model]]" for key in sorted(set(models) - {"model"})]
    try:
        card = Family.model_validate({**family, "path": path, "models": models.get("model", [])})
    except ValidationError as error:
        for fault in error.errors():
            follows = fault["type"] == "too_short" and fault["input"]  # its items are wrong, and listed themselves
            if not follows:
                where = ".".join(map(str, fault["loc"]))
                faults.append(f"  {where}: {fault['msg']} (got {fault['input']!r:.60})")
    if family.get("name", path.name) != path.name:
        faults.append(f"  name: {family['name']!r} is not the name of its folder, {path.name!r}")
    if faults:
        raise CardError(f"family {path.name}: {len(faults)} faults in its cards:\n" + "\n".join(faults))
    return card


def load_families() -> dict[str, Family]:
    """Every family on the search path, by name."""
    found = [load_family(folder) for folder in family_folders()]
    families = {family.name: family for family in found}
    ids = [model.id for family in found for model in family.models]
    for kind, names in (("family", [f.name for f in found]), ("model", ids)):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise CardError(f"{kind} names must be unique, but these appear twice: {', '.join(twice)}")
    return families


def load_models() -> dict[str, Selection]:
    """Every model of every family, by model_id; untrained twins are not listed."""
    return {
        model.id: Selection(family=family, model=model, untrained=False)
        for family in load_families().values()
        for model in family.models
    }


def find_family(name: str) -> Family:
    """The family of that name, or CardError with the nearest right one."""
    families = load_families()
    if name not in families:
        raise CardError(f"no family is named {name!r}; {nearest(name, families)} (`make list` shows all)")
    return families[name]


def find_families(name: str) -> list[Family]:
    """The family of that name, or every one for 'all'. CardError as find_family."""
    return list(load_families().values()) if name == "all" else [find_family(name)]


def find_model(model_id: str) -> Selection:
    """The model of that id, 'x@untrained' its untrained twin; CardError with the nearest right id otherwise."""
    models = load_models()
    base = model_id.removesuffix(TWIN)
    if base not in models:
        raise CardError(f"no model is named {base!r}; {nearest(base, models)} (`make list` shows all)")
    selection = models[base]
    if model_id.endswith(TWIN):
        if not selection.model.trainable:
            raise CardError(f"{base} has no weights to draw at random, so it has no untrained twin")
        return selection.model_copy(update={"untrained": True})
    return selection


def nearest(name: str, names: Any) -> str:
    """'did you mean a, b?' for a name that does not exist."""
    close = difflib.get_close_matches(name, list(names), n=3, cutoff=0.4)
    return f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(sorted(names))}"
