"""The rival of `matterzoo ingest`: a plain batched loop over the bare model.

It is what a user's own script would be, and runs inside a family's environment: `python
bare_loop.py PACKAGE SYSTEMS.parquet BATCH`. It takes batches of BATCH structures in the dataset's
order and the mean over atoms of the last hidden layer; it checks and stores nothing.
"""

from __future__ import annotations

import sys

import numpy as np
import pyarrow.parquet as pq
import torch


def chgnet_vectors(systems: list[dict], batch: int) -> np.ndarray:
    from chgnet.model.model import CHGNet
    from pymatgen.core import Lattice, Structure

    model = CHGNet.load(model_name="0.3.0", use_device="cpu", verbose=False)
    captured: list[torch.Tensor] = []
    model.mlp.register_forward_pre_hook(lambda module, inputs: captured.append(inputs[0].detach()))
    means = []
    for start in range(0, len(systems), batch):
        part = systems[start : start + batch]
        structures = [
            Structure(Lattice(s["cell"]), s["numbers"], s["positions"], coords_are_cartesian=True)
            for s in part
        ]
        captured.clear()
        model.predict_graph(
            [model.graph_converter(s) for s in structures], task="e", batch_size=batch
        )
        means.append(mean_over_atoms(torch.cat(captured), [len(s) for s in structures]))
    return np.concatenate(means)


def sevenn_vectors(systems: list[dict], batch: int) -> np.ndarray:
    import sevenn._keys as keys
    from ase import Atoms
    from sevenn.atom_graph_data import AtomGraphData
    from sevenn.train.dataload import unlabeled_atoms_to_graph
    from sevenn.util import load_checkpoint
    from torch_geometric.data import Batch

    checkpoint = load_checkpoint("7net-0")
    model = checkpoint.build_model().eval()
    model.set_is_batch_data(True)
    last = [name for name in model._modules if name.endswith("equivariant_gate")][-1]
    means = []
    for start in range(0, len(systems), batch):
        atoms = [
            Atoms(s["numbers"], s["positions"], cell=s["cell"], pbc=s["pbc"])
            for s in systems[start : start + batch]
        ]
        graphs = [
            AtomGraphData.from_numpy_dict(
                unlabeled_atoms_to_graph(a, checkpoint.config["cutoff"], with_shift=False)
            )
            for a in atoms
        ]
        with torch.no_grad():
            data = model._preprocess(Batch.from_data_list(graphs))
            for name, module in model._modules.items():
                data = module(data)
                if name == last:
                    break
        means.append(mean_over_atoms(data[keys.NODE_FEATURE], [len(a) for a in atoms]))
    return np.concatenate(means)


def mean_over_atoms(rows: torch.Tensor, sizes: list[int]) -> np.ndarray:
    return np.stack([part.numpy().mean(0) for part in torch.split(rows, sizes)])


if __name__ == "__main__":
    package, path, batch = sys.argv[1:]
    table = pq.read_table(path, columns=["numbers", "positions", "cell", "pbc"]).to_pylist()
    vectors = {"chgnet": chgnet_vectors, "sevenn": sevenn_vectors}[package](table, int(batch))
    print(f"{len(vectors)} vectors of {vectors.shape[1]}")
