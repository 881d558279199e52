"""Runs inside the environment of descriptors: what the encoder and the packages give."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from dscribe.descriptors import SOAP
from inside import encoder, fault, given
from matminer.featurizers.composition import ElementProperty
from pymatgen.core import Element

from zoo.encoder import System


def system(atoms: Atoms) -> System:
    return System("x/1", "0" * 64, atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)


def soap() -> dict[str, Any]:
    model = encoder("soap")

    def rows(atoms: Atoms) -> np.ndarray:
        return model.encode([model.prepare(system(atoms))], ["atoms"])["atoms"][0]

    silicon = bulk("Si", a=5.43)
    silicon.rattle(0.1, seed=0)
    slab = bulk("Au")
    slab.pbc = (True, True, False)
    lengths = {
        name: given["models"]["soap"]["options"][name]
        for name in ("r_cut", "n_max", "l_max", "sigma")
    }
    uncompressed = SOAP(species=["Si"], periodic=True, **lengths)
    return {name: rows(atoms).mean(0).tolist() for name, atoms in variants().items()} | {
        "silicon": rows(silicon).mean(0).tolist(),
        "silicon, uncompressed": uncompressed.create(silicon).mean(0).tolist(),
        "one atom": rows(Atoms("Ar"))[0].tolist(),
        "2,000 atoms": rows(bulk("Si", cubic=True) * (10, 5, 5)).shape,
        "slab": rows(slab).shape,
        "no cell": fault(lambda: rows(Atoms("Si", pbc=True))),
    }


def variants() -> dict[str, Atoms]:
    """Return one distorted crystal, written in different ways."""
    atoms = bulk("NaCl", "rocksalt", 5.64, cubic=True)
    atoms.rattle(0.1, seed=0)
    rotated, moved, wrapped, others = (atoms.copy() for _ in range(4))
    rotated.rotate(77, (1, 2, 3), rotate_cell=True)
    moved.translate((1.7, -31.0, 4.4))
    wrapped.translate((1.7, -31.0, 4.4))
    wrapped.wrap()
    others.numbers[:] = 79
    forms = {
        "as is": atoms,
        "rotated": rotated,
        "moved": moved,
        "wrapped": wrapped,
        "permuted": atoms[::-1],
    }
    return forms | {"supercell": atoms * (2, 1, 3), "other elements": others}


def composition() -> dict[str, Any]:
    model = encoder("composition")
    featurizer = ElementProperty.from_preset("magpie", impute_nan=False)
    table = featurizer.data_source
    elements = [Element.from_Z(z) for z in range(1, 119)]
    gaps = [
        e.Z
        for e in elements
        if any(np.isnan(table.get_elemental_property(e, p)) for p in featurizer.features)
    ]
    labels = [label.removeprefix("MagpieData ") for label in featurizer.feature_labels()]

    def features(formula: str) -> dict[str, float]:
        item = model.prepare(system(Atoms(formula)))
        return dict(
            zip(labels, model.encode([item], ["statistics"])["statistics"][0].tolist(), strict=True)
        )

    return {"gaps": gaps} | {
        formula: features(formula) for formula in ("NaCl", "Cl4Na4", "Al2O3", "Fe")
    }


def fingerprints(model_id: str) -> dict[str, Any]:
    model = encoder(model_id)

    def vectors(smiles: str) -> dict[str, list[float]]:
        item = model.prepare(System("x/1", "0" * 64, smiles=smiles))
        return {name: v[0].tolist() for name, v in model.encode([item], ["bits", "counts"]).items()}

    found: dict[str, Any] = {smiles: vectors(smiles) for smiles in given["smiles"]}
    return found | {smiles: fault(lambda s=smiles: vectors(s)) for smiles in given["faulty"]}


models = {"soap": soap(), "composition": composition()}
models |= {model_id: fingerprints(model_id) for model_id in ("morgan", "rdkit-fingerprint")}
print(json.dumps(models))
