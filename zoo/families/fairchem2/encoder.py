"""UMA (Wood et al. 2025): equivariant message passing with mixtures of experts.

The weights of its linear maps are mixed from experts for each system. The mixture depends on the
composition, the task, the charge and the spin of the system, and not on the rest of the batch. The
card names the task, which is the kind of calculation that the model imitates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import torch
from ase import Atoms
from fairchem.core.datasets.atomic_data import AtomicData, atomicdata_list_to_batch
from fairchem.core.models.uma.compat import apply_uma_compat_fixups
from fairchem.core.models.uma.escn_md import eSCNMDBackbone
from fairchem.core.units.mlip_unit import InferenceSettings
from fairchem.core.units.mlip_unit.utils import load_inference_model, update_configs

from zoo.encoder import Encoder, System

# Experts are not merged, because the systems of a batch differ. 'general' is the one implementation
# that every device has.
SETTINGS = InferenceSettings(activation_checkpointing=False, execution_mode="general")
# Forces and stress are not requested, so that no gradients are kept.
OVERRIDES = eSCNMDBackbone.build_inference_settings(SETTINGS) | {
    "regress_forces": False,
    "regress_stress": False,
}

CHARGED = "omol"  # the one task that was trained on charges and spins; the others were given zeros

# The published training configurations, from configs/uma/training_release/backbone of the package's
# repository, with 32 experts and a cutoff of 6 Å. The untrained twin is built from them, without
# the checkpoint.
COMMON = {
    "model": "fairchem.core.models.uma.escn_moe.eSCNMDMoeBackbone",
    "moe_dropout": 0.05,
    "moe_layer_type": "pytorch",
    "num_experts": 32,
    "use_composition_embedding": True,
    "max_num_elements": 100,
    "sphere_channels": 128,
    "mmax": 2,
    "max_neighbors": 300,
    "cutoff": 6,
    "edge_channels": 128,
    "distance_function": "gaussian",
    "direct_forces": False,
    "hidden_channels": 128,
    "norm_type": "rms_norm_sh",
    "act_type": "gate",
    "ff_type": "spectral",
    "chg_spin_emb_type": "rand_emb",
    "cs_emb_grad": True,
    "dataset_mapping": {task: task for task in ("oc20", "omol", "omat", "odac", "omc")},
    "model_version": 1.1,
}
ARCHITECTURES = {
    "K4L2": COMMON | {"num_layers": 4, "lmax": 2, "num_distance_basis": 64},
    "K10L4": COMMON | {"num_layers": 10, "lmax": 4, "num_distance_basis": 128},
}


class FamilyEncoder(Encoder):
    """A backbone of UMA, or its untrained twin.

    Two representations are the backbone's output per atom after its last norm, which every head
    reads. `invariant` is its part of degree zero. `all` holds every degree in rising order, so it
    begins with `invariant`. `layer-0`, `layer-1` and so on are the part of degree zero of what each
    block reads, and one more is `invariant`.

    The option `task` names the model's task for a `periodic` system (in any direction) and for an
    `open` one. The option `architecture` names the untrained twin's configuration where one is
    published; otherwise the checkpoint's configuration is used. The twin is the backbone that the
    package's constructor draws after torch.manual_seed.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        if dtype != "float32":
            raise ValueError(
                f"dtype {dtype!r}: these models were trained in float32; use DTYPE=float32"
            )
        self.tasks = model["options"]["task"]
        path = self.weights / model["weights"]["files"][0]["path"]
        if untrained_seed is None:
            network = trained(path)
        else:
            architecture = model["options"].get("architecture")
            backbone = ARCHITECTURES[architecture] if architecture else published(path)["backbone"]
            network = untrained(backbone, untrained_seed)
        self.network = network.to(device).eval().requires_grad_(False)
        self._read: list[torch.Tensor] = []  # by the blocks, for the last batch
        for block in network.blocks:
            block.register_forward_pre_hook(self._keep)

    def _keep(self, block: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        self._read.append(args[0][:, 0])

    def prepare(self, system: System) -> AtomicData:
        """Return the structure with its task.

        The task that was trained on charge and spin also gets these (by default 0 and 1).
        """
        atoms = Atoms(system.numbers, system.positions, cell=system.cell, pbc=system.pbc)
        if any(atoms.pbc & ~atoms.cell.any(axis=1)) or (all(atoms.pbc) and atoms.cell.rank < 3):
            raise ValueError(
                "the structure is periodic, but its cell "
                f"{atoms.cell.array.tolist()} spans no volume"
            )
        # Directions that are not periodic get unit vectors, which nothing reads.
        atoms.cell = atoms.cell.complete()
        task = self.tasks["periodic" if atoms.pbc.any() else "open"]
        atoms.info = {"charge": 0, "spin": 0}
        if task == CHARGED:
            charge, spin = system.charge, system.spin
            atoms.info = {
                "charge": 0 if charge is None else charge,
                "spin": 1 if spin is None else spin,
            }
        self.network.validate_atoms_data(atoms, task)  # checks the ranges of charge and spin
        return AtomicData.from_ase(atoms, task_name=task, r_data_keys=["charge", "spin"])

    def size(self, item: AtomicData) -> int:
        """Return the number of atoms."""
        return int(item.natoms)

    @torch.inference_mode()
    def encode(
        self, items: Sequence[AtomicData], representations: Sequence[str]
    ) -> dict[str, list[np.ndarray]]:
        """Run the backbone, which finds the neighbors of each system by its own periodicity."""
        batch = atomicdata_list_to_batch([item.clone() for item in items]).to(self.device)
        self._read.clear()
        embedding = self.network(batch)["node_embedding"]  # (atoms, degrees and orders, channels)
        rows = {"invariant": embedding[:, 0], "all": embedding.flatten(1)}
        layers = [*self._read, rows["invariant"]]
        rows |= {f"layer-{i}": layer for i, layer in enumerate(layers)}
        sizes = [self.size(item) for item in items]
        return {
            name: [r.cpu().numpy() for r in torch.split(rows[name], sizes)]
            for name in representations
        }


def trained(path: Path) -> torch.nn.Module:
    """Return the backbone of a published checkpoint, with its averaged weights."""
    overrides = {"backbone": OVERRIDES}
    return load_inference_model(
        str(path), overrides, use_ema=True, return_checkpoint=False
    ).module.backbone


def published(path: Path) -> dict[str, Any]:
    """Return the configuration from a checkpoint."""
    checkpoint = torch.load(path, map_location="cpu", weights_only=False)
    apply_uma_compat_fixups(checkpoint, str(path))
    return checkpoint.model_config


def untrained(backbone: Mapping[str, Any], seed: int) -> torch.nn.Module:
    """Return the backbone that the package's own constructor draws."""
    config = {"_target_": "fairchem.core.models.base.HydraModel", "backbone": backbone, "heads": {}}
    torch.manual_seed(seed)
    return hydra.utils.instantiate(update_configs(config, {"backbone": OVERRIDES})).backbone
