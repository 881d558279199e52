"""A package that is left out looks missing to some modules, and to no others."""

from __future__ import annotations

import subprocess
import sys

from zoo.places import ROOT

PROGRAM = """
import sys
import duckdb
import pyarrow
from zoo.imports import leave_out

leave_out("pandas", ["query"])
ask = "bound = duckdb.execute('SELECT ? AS a, ?', [[1], 'b']).fetchall()"
for name in ("query.sql", "tests.query", "queries"):
    exec(ask, space := {"__name__": name, "duckdb": duckdb})
    print(name, space["bound"], "pandas" in sys.modules)
    if name == "query.sql":
        exec("made = pyarrow.array([[1]])", {"__name__": name, "pyarrow": pyarrow})
        print("pandas" in sys.modules)
        print(duckdb.execute("SELECT ? AS a", [1]).df().to_dict())
exec("import pandas", {"__name__": "query.sql"})
"""


def test_what_is_asked_for_inside_of_a_package_goes_without_pandas() -> None:
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines() == [
        "query.sql [([1], 'b')] False",
        "False",
        "{'a': {0: 1}}",
        "tests.query [([1], 'b')] True",
        "queries [([1], 'b')] True",
    ]


STOOD_IN = """
import sys
from zoo.imports import import_little

import_little()
import numpy as np
from query.tables.shared.planes import umap_plane

import torch

plane = umap_plane(np.random.default_rng(0).normal(size=(20, 3)), 5, seed=0)
print(np.isfinite(plane).all(), plane.shape)
print([name for name in ("pandas", "pynndescent.utils") if name in sys.modules])
shuffled = torch.randperm(5, generator=torch.Generator().manual_seed(0))
print(sorted(shuffled.tolist()), torch.cdist(torch.ones(1, 2), torch.zeros(1, 2)).item())
print(hasattr(sys.modules["torch.export"], "export"))
"""


def test_a_command_computes_without_what_it_never_needs() -> None:
    command = [sys.executable, "-c", STOOD_IN]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines() == [
        "True (20, 2)",
        "[]",
        "[0, 1, 2, 3, 4] 1.4142135381698608",
        "False",
    ]
