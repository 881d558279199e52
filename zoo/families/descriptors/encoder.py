"""Descriptors without training: SOAP, composition statistics and molecular fingerprints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from zoo.encoder import Encoder, NotApplicable, System


class Descriptor(Protocol):
    """The interface of the descriptors, which are constructed with their card's `options`."""

    def prepare(self, system: System) -> Any: ...

    def size(self, item: Any) -> int:
        """Return the size of an item in the unit of the card's `compute.scales_with`."""

    def vectors(self, item: Any, representation: str) -> np.ndarray: ...


class Soap:
    """Smooth overlap of atomic positions (SOAP), (n_atoms, d).

    The power spectrum is compressed so that it does not distinguish elements.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        from dscribe.descriptors import SOAP

        # The compression is element-blind, so the list of species decides neither the values nor
        # their number, and any element is allowed.
        species = range(1, 119)
        compression = {"mode": options["compression"], "species_weighting": None}
        lengths = {name: options[name] for name in ("r_cut", "n_max", "l_max", "sigma", "rbf")}
        self.soap = {
            periodic: SOAP(
                species=species,
                periodic=periodic,
                compression=compression,
                dtype="float64",
                **lengths,
            )
            for periodic in (False, True)
        }

    def prepare(self, system: System) -> Any:
        from ase import Atoms

        atoms = Atoms(system.numbers, positions=system.positions, cell=system.cell, pbc=system.pbc)
        if not atoms.pbc.any():
            return atoms
        if not atoms.cell.any(1)[atoms.pbc].all():
            raise ValueError(
                f"periodic along {atoms.pbc.tolist()}, but its cell is {atoms.cell.tolist()}"
            )
        atoms.cell = atoms.cell.complete()
        return atoms

    def size(self, item: Any) -> int:
        return len(item)

    def vectors(self, item: Any, representation: str) -> np.ndarray:
        return self.soap[bool(item.pbc.any())].create(item)


class Composition:
    """Statistics of tabulated element properties over the composition, (d,)."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        from matminer.featurizers.composition import ElementProperty

        self.featurizer = ElementProperty.from_preset(options["preset"], impute_nan=False)

    def prepare(self, system: System) -> Any:
        from pymatgen.core import Composition as Formula
        from pymatgen.core import Element

        numbers, counts = np.unique(system.numbers, return_counts=True)
        return Formula(
            {Element.from_Z(int(z)): int(n) for z, n in zip(numbers, counts, strict=True)}
        )

    def size(self, item: Any) -> int:
        return 1

    def vectors(self, item: Any, representation: str) -> np.ndarray:
        return np.asarray(self.featurizer.featurize(item), dtype=np.float64)


class Fingerprint:
    """A hashed fingerprint of the molecular graph, as bits or as counts, (d,)."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        from rdkit.Chem import rdFingerprintGenerator

        makers = {
            "morgan": rdFingerprintGenerator.GetMorganGenerator,
            "rdkit-path": rdFingerprintGenerator.GetRDKitFPGenerator,
        }
        settings = {name: value for name, value in options.items() if name != "descriptor"}
        self.generator = makers[options["descriptor"]](**settings)
        self.fewest_bonds = options.get("minPath", 0)

    def prepare(self, system: System) -> Any:
        molecule = read_smiles(system.smiles)
        bonds = molecule.GetNumBonds()
        if bonds < self.fewest_bonds:
            raise NotApplicable(
                f"{system.smiles!r} has {bonds} bonds; the shortest path has {self.fewest_bonds}"
            )
        return molecule

    def size(self, item: Any) -> int:
        return 1

    def vectors(self, item: Any, representation: str) -> np.ndarray:
        if representation == "counts":
            return self.generator.GetCountFingerprintAsNumPy(item).astype(np.float64)
        return self.generator.GetFingerprintAsNumPy(item).astype(np.float64)


def read_smiles(smiles: str) -> Any:
    """Return the RDKit molecule with implicit hydrogens.

    Raises:
        ValueError: RDKit cannot read the SMILES; the message gives RDKit's own diagnosis.
    """
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
        if molecule is None:
            raise ValueError(f"RDKit cannot read the SMILES {smiles!r}: {diagnose(smiles)}")
    if molecule.GetNumAtoms() == 0:
        raise ValueError(f"the SMILES {smiles!r} has no atoms")
    return molecule


def diagnose(smiles: str) -> str:
    """Return what RDKit finds wrong with a SMILES."""
    from rdkit import Chem

    raw = Chem.MolFromSmiles(smiles, sanitize=False)
    if raw is None:
        return "its syntax is wrong"
    return "; ".join(problem.Message() for problem in Chem.DetectChemistryProblems(raw))


DESCRIPTORS: dict[str, type[Descriptor]] = {
    "soap": Soap,
    "composition": Composition,
    "morgan": Fingerprint,
    "rdkit-path": Fingerprint,
}


class FamilyEncoder(Encoder):
    """The descriptor that the card's option `descriptor` names.

    The other options are its settings.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        self.descriptor = DESCRIPTORS[model["options"]["descriptor"]](model["options"])

    def prepare(self, system: System) -> Any:
        return self.descriptor.prepare(system)

    def size(self, item: Any) -> int:
        return self.descriptor.size(item)

    def encode(
        self, items: Sequence[Any], representations: Sequence[str]
    ) -> dict[str, list[np.ndarray]]:
        return {
            name: [self.descriptor.vectors(item, name) for item in items]
            for name in representations
        }
