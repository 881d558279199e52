"""NequIP (Batzner et al. 2022; Tan et al. 2025): equivariant message passing.

The files are packages made by nequip-package. A package holds the pickled network and the code that
it was trained with; both are loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from ase import Atoms
from hydra.utils import get_method
from nequip.data import AtomicDataDict, from_ase
from nequip.integrations.utils import basic_transforms
from nequip.model import ModelFromPackage
from nequip.model.utils import override_model_compile_mode
from nequip.utils.global_state import set_global_state

from zoo.encoder import ENERGY, Encoder, NotApplicable, System

# Counted from the last interaction layer, which keeps scalars only; the layer before it keeps all
# irreps.
LAYERS = {"last_hidden": -1, "equivariant": -2}


class FamilyEncoder(Encoder):
    """A NequIP network, or its untrained twin.

    All representations are per atom: `last_hidden` is the output of the last layer, which is
    invariant, and `equivariant` that of the layer before it, with all irreps. `layer-0` is the
    embedding of the elements; `layer-1` and so on are the scalars of even parity in the output of
    each layer, so that the last of them is `last_hidden`.

    The untrained twin is built by the installed package's constructor from the configuration in the
    file. Statistics of the training set stay as they are: the mean number of neighbors, which
    scales the messages, and the scales and shifts of the energy. The latter are applied after the
    representations are read and are part of the twin's energy.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        set_global_state(allow_tf32=False)
        path = self.weights / model["weights"]["files"][0]["path"]
        if untrained_seed is None:
            network = ModelFromPackage(str(path))["sole_model"]
        else:
            network = untrained(path, untrained_seed)
        metadata = network.metadata
        if dtype != metadata["model_dtype"]:
            raise ValueError(f"dtype {dtype!r}: this network computes in {metadata['model_dtype']}")
        self.inputs = list(network.model_input_fields)
        # This part of the network computes energies without forces.
        self.network = network.model.func.to(device).eval().requires_grad_(False)
        layers = [name for name, _ in self.network.named_children() if name.endswith("_convnet")]
        self.layers = {name: layers[index] for name, index in LAYERS.items()}
        self.convolutions = layers
        types = metadata["type_names"].split(" ")
        self.cutoff = float(metadata["r_max"])  # Å
        self.transforms = basic_transforms(
            metadata, self.cutoff, types, {name: name for name in types}
        )

    def prepare(self, system: System) -> AtomicDataDict.Type:
        """Return the graph of the structure; it may be periodic in any number of directions.

        Raises:
            NotApplicable: No atom has a neighbor, and the network's features would be zero.
        """
        atoms = Atoms(system.numbers, system.positions, cell=system.cell, pbc=system.pbc)
        if any(atoms.pbc & ~atoms.cell.any(axis=1)) or (all(atoms.pbc) and atoms.cell.rank < 3):
            raise ValueError(
                "the structure is periodic, but its cell "
                f"{atoms.cell.array.tolist()} spans no volume"
            )
        graph = from_ase(atoms)
        for transform in self.transforms:
            graph = transform(graph)
        if AtomicDataDict.num_edges(graph) == 0:
            reason = (
                f"no atom has a neighbour within {self.cutoff} Å, "
                "and without one this network's features are zero"
            )
            raise NotApplicable(reason)
        return graph

    def size(self, item: AtomicDataDict.Type) -> int:
        """Return the number of atoms."""
        return int(AtomicDataDict.num_nodes(item))

    @torch.no_grad()
    def encode(
        self, items: Sequence[AtomicDataDict.Type], representations: Sequence[str]
    ) -> dict[str, list[Any]]:
        """Run the layers in turn, up to the energy."""
        sizes = [self.size(item) for item in items]
        batch = AtomicDataDict.batched_from_list([dict(item) for item in items])
        data = AtomicDataDict.to_(
            {name: batch[name] for name in self.inputs if name in batch}, self.device
        )
        rows: dict[str, torch.Tensor] = {}
        for layer, module in self.network.named_children():
            if layer == self.convolutions[0]:
                rows["layer-0"] = data[AtomicDataDict.NODE_FEATURES_KEY]
            data = module(data)
            if layer in self.convolutions:
                rows[layer] = data[AtomicDataDict.NODE_FEATURES_KEY]
                scalars = scalar_columns(module.irreps_out[AtomicDataDict.NODE_FEATURES_KEY])
                number = self.convolutions.index(layer) + 1
                rows[f"layer-{number}"] = rows[layer][:, scalars]
        rows |= {name: rows[layer] for name, layer in self.layers.items()}
        found: dict[str, list[Any]] = {
            name: [atoms.numpy() for atoms in torch.split(rows[name].cpu(), sizes)]
            for name in representations
        }
        found[ENERGY] = data[AtomicDataDict.TOTAL_ENERGY_KEY].flatten().tolist()
        return found


def scalar_columns(irreps: Any) -> list[int]:
    """Return the columns of features that neither a rotation nor a reflection changes.

    The irreps are e3nn's, or those of a copy of it in a package.
    """
    return [
        column
        for (_, irrep), place in zip(irreps, irreps.slices(), strict=True)
        if irrep.is_scalar()
        for column in range(place.start, place.stop)
    ]


def untrained(path: Path, seed: int) -> torch.nn.Module:
    """Return the packaged network's architecture with weights drawn by its constructor."""
    importer = torch.package.PackageImporter(str(path))
    config = yaml.safe_load(importer.load_text("model", "config.yaml"))["training_module"]["model"]
    innermost = config
    while "model" in innermost:
        innermost = innermost["model"]
    innermost["seed"] = seed
    with override_model_compile_mode("eager"):
        return get_method(config.pop("_target_"))(**config)
