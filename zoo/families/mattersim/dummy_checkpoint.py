"""A small network in the published format, as the package's own Potential saves it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms

NMS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
if torch.version.cuda is None:  # as in encoder.py
    torch.library.define("torchvision::nms", NMS)
    torch.library.define("torchvision::qnms", NMS)

from mattersim.forcefield import MatterSimCalculator, Potential  # noqa: E402
from mattersim.forcefield.m3gnet.m3gnet import M3Gnet  # noqa: E402

from zoo.encoder import System  # noqa: E402

ARGUMENTS = {
    "units": 16,
    "max_l": 4,
    "max_n": 4,
    "cutoff": 5.0,
    "max_z": 94,
    "threebody_cutoff": 4.0,
}


def write(folder: Path, model: Mapping[str, Any], seed: int) -> dict[str, int]:
    """Write the checkpoint that the card names.

    Returns:
        The dimensions of the representations.
    """
    torch.manual_seed(seed + 1)  # the untrained twin may use `seed`
    blocks = len(model["layers"]["dimensions"]) - 1
    potential = Potential(M3Gnet(device="cpu", num_blocks=blocks, **ARGUMENTS), device="cpu")
    checkpoint = {
        "model_name": "m3gnet",
        "model": potential.model.state_dict(),
        "model_args": potential.model.model_args,
        "optimizer": potential.optimizer.state_dict(),
        "ema": potential.ema.state_dict(),
        "scheduler": potential.scheduler.state_dict(),
        "last_epoch": -1,
        "validation_metrics": potential.validation_metrics,
        "description": "",
    }
    torch.save(checkpoint, folder / model["weights"]["files"][0]["path"])
    return {each["name"]: ARGUMENTS["units"] for each in model["representation"]}


def reference(folder: Path, model: Mapping[str, Any], system: System) -> dict[str, np.ndarray]:
    """Return the inputs of the blocks and of the readout, and the energy of the calculator.

    The calculator builds its own graphs, and its own box for molecules.
    """
    atoms = Atoms(system.numbers, system.positions, cell=system.cell, pbc=system.pbc)
    path = folder / model["weights"]["files"][0]["path"]
    potential = Potential.from_checkpoint(str(path), device="cpu", load_training_state=False)
    read: list[torch.Tensor] = []
    for module in (*potential.model.graph_conv, potential.model.final):
        module.register_forward_pre_hook(lambda _, args: read.append(args[0].detach()))
    atoms.calc = MatterSimCalculator(potential=potential, device="cpu")
    energy = np.array(atoms.get_potential_energy())
    means = [rows.mean(0).numpy() for rows in read]
    layers = {f"layer-{i}": mean for i, mean in enumerate(means)}
    return layers | {"last_hidden": means[-1], "energy": energy}
