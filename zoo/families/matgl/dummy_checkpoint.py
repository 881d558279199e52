"""Checkpoints with random weights in the published format, and the package's own outputs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ["MATGL_BACKEND"] = "DGL"
os.environ["DGLBACKEND"] = "pytorch"

import matgl.models
import numpy as np
import torch
from ase import Atoms
from matgl.apps.pes import Potential
from matgl.data.transformer import Normalizer
from matgl.ext.ase import PESCalculator
from matgl.models import TransformedTargetModel
from matgl.utils.io import load_model
from pymatgen.io.ase import AseAtomsAdaptor

from zoo.encoder import NotApplicable, System


def write(folder: Path, model: Mapping[str, Any], seed: int) -> dict[str, int]:
    """Write model.pt, state.pt and model.json, as the package saves them.

    They hold a potential, or a property with its scale.
    """
    torch.manual_seed(seed)
    options = model["options"]
    network = getattr(matgl.models, options["network"])(**options["arguments"])
    if options["saved_as"] == "Potential":
        saved = Potential(
            network,
            element_refs=np.linspace(-3, -1, len(network.element_types)),
            calc_stresses=False,
        )
    else:
        saved = TransformedTargetModel(network, Normalizer(mean=-1.5, std=2.0))
    saved.save(folder)
    return {r["name"]: r["dimension"] for r in model["representation"]}


def reference(folder: Path, model: Mapping[str, Any], system: System) -> dict[str, np.ndarray]:
    """Return the pooled features of a crystal.

    `predict_structure` returns features of two of the networks. If the network is part of a
    potential, the energy of the package's calculator is returned too.
    """
    feature = {
        "M3GNet": f"gc_{model['options']['arguments'].get('nblocks', 3)}",
        "TensorNet": "readout",
    }
    name = feature.get(model["options"]["network"])
    atoms = Atoms(system.numbers, system.positions, cell=system.cell, pbc=system.pbc)
    if name is None or not atoms.pbc.all():
        raise NotApplicable(
            "the package returns no features of this network, or none of what is not a crystal"
        )
    loaded = load_model(folder)
    network = loaded.model.eval()
    with torch.no_grad():
        structure = AseAtomsAdaptor.get_structure(atoms)
        found = network.predict_structure(structure, output_layers=[name], return_features=True)[
            name
        ]
    rows = found["node_feat"] if name.startswith("gc_") else found
    means = {"last_hidden": rows.numpy().mean(0)}
    if not isinstance(loaded, Potential):
        return means
    return means | {
        "energy": np.array(PESCalculator(loaded, stress_unit="eV/A3").get_potential_energy(atoms))
    }
