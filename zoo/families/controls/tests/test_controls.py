"""The controls align with their reference as is known: perfectly, or by chance."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.collections import g2
from ase.neighborlist import neighbor_list
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.sources import aflow
from zoo.cards.loading import load_family
from zoo.encoder import Encoder, NotApplicable, System
from zoo.places import FAMILIES
from zoo.verify.suite import FamilySuite


def load_module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("controls_encoder", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FAMILY = load_family(FAMILIES / "controls")
MODELS = {model.id: model for model in FAMILY.models}
controls = load_module(FAMILY.path / "encoder.py")


def to_system(atoms: Atoms, name: str = "s") -> System:
    periodic = bool(atoms.pbc.any())
    return System(
        system_id=name,
        content_hash=hashlib.sha256(name.encode()).hexdigest(),
        numbers=atoms.numbers,
        positions=atoms.positions,
        cell=np.array(atoms.cell) if periodic else None,
        pbc=np.array(atoms.pbc) if periodic else None,
    )


def text(smiles: str | None = None, sequence: str | None = None) -> System:
    return System(
        "t",
        hashlib.sha256(f"{smiles}{sequence}".encode()).hexdigest(),
        smiles=smiles,
        sequence=sequence,
    )


def load(model_id: str) -> Encoder:
    encoder: Encoder = controls.FamilyEncoder(
        MODELS[model_id].for_worker(), device="cpu", dtype="float32", untrained_seed=None
    )
    return encoder


def embed(model_id: str, systems: list[System]) -> np.ndarray:
    """Return the vectors as the store keeps them, float32 (n, d)."""
    return embed_once(model_id, tuple(systems))


@cache
def embed_once(model_id: str, systems: tuple[System, ...]) -> np.ndarray:
    encoder = load(model_id)
    encoder.survey(iter(systems))
    vectors = encoder.encode([encoder.prepare(s) for s in systems], ["vector"])["vector"]
    return np.array(vectors, dtype=np.float32)


@pytest.fixture(scope="module")
def crystals() -> list[System]:
    return [
        to_system(Atoms(p.numbers, p.positions, cell=p.cell, pbc=True), str(i))
        for i, p in enumerate(list(aflow.load_prototypes())[::3])
    ]


@pytest.fixture(scope="module")
def molecules() -> list[System]:
    return [to_system(g2[name], name) for name in g2.names]


@pytest.fixture(params=["crystals", "molecules"])
def systems(request: pytest.FixtureRequest) -> list[System]:
    found: list[System] = request.getfixturevalue(request.param)
    return found


def kernel(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x @ x.T


def hsic(k: np.ndarray, q: np.ndarray) -> float:
    """Return the unbiased HSIC of Song et al. 2012, equation 5."""
    n = len(k)
    k, q = k - np.diag(np.diag(k)), q - np.diag(np.diag(q))
    mean = k.sum() * q.sum() / ((n - 1) * (n - 2)) - 2 * (k.sum(axis=0) @ q.sum(axis=1)) / (n - 2)
    return float(((k * q.T).sum() + mean) / (n * (n - 3)))


def nearest(k: np.ndarray, count: int = 25) -> np.ndarray:
    order = np.argsort(-(k - 9 * np.eye(len(k))), axis=1)[:, :count]
    mask = np.zeros_like(k)
    np.put_along_axis(mask, order, 1.0, axis=1)
    return mask


def cknna(a: np.ndarray, b: np.ndarray) -> float:
    k, q = kernel(a), kernel(b)
    mk, mq = nearest(k), nearest(q)
    both = mk * mq
    return hsic(both * k, both * q) / np.sqrt(hsic(mk * k, mk * k) * hsic(mq * q, mq * q))


def cka(a: np.ndarray, b: np.ndarray) -> float:
    k, q = kernel(a), kernel(b)
    return hsic(k, q) / np.sqrt(hsic(k, k) * hsic(q, q))


@pytest.mark.parametrize("model_id", ["reference-rotated", "reference-scaled"])
def test_copies_align_perfectly(model_id: str, systems: list[System]) -> None:
    reference, copy = embed("reference", systems), embed(model_id, systems)
    assert not np.allclose(reference, copy)
    assert abs(cknna(reference, copy) - 1) < 1e-5
    assert abs(cka(reference, copy) - 1) < 1e-5


@pytest.mark.parametrize("model_id", ["reference-shuffled", "random"])
def test_the_rest_align_by_chance(model_id: str, systems: list[System]) -> None:
    reference, other = embed("reference", systems), embed(model_id, systems)
    null = [cka(reference, np.random.default_rng(i).permutation(other)) for i in range(40)]
    assert abs(cka(reference, other) - np.mean(null)) < 5 * np.std(null)


def test_neighbors_are_no_near_ties(systems: list[System]) -> None:
    """Rounding to float32 moves a kernel by about 1e-8; the 25th and 26th are farther apart."""
    k = kernel(embed("reference", systems)) - 9 * np.eye(len(systems))
    ranked = -np.sort(-k, axis=1)
    assert (ranked[:, 24] - ranked[:, 25]).min() > 1e-6


def test_different_systems_have_different_vectors(systems: list[System]) -> None:
    x = embed("reference", systems).astype(np.float64)
    distances = np.linalg.norm(x[:, None] - x, axis=-1) + 9 * np.eye(len(x))
    assert distances.min() > 1e-3


def test_shuffled_is_a_derangement_of_the_run(systems: list[System]) -> None:
    reference, shuffled = embed("reference", systems), embed("reference-shuffled", systems)
    rows = {vector.tobytes(): i for i, vector in enumerate(reference)}
    partner = [rows[vector.tobytes()] for vector in shuffled]
    assert sorted(partner) == list(range(len(systems)))
    assert all(i != j for i, j in enumerate(partner))
    backwards = embed("reference-shuffled", systems[::-1])[::-1]
    assert np.array_equal(backwards, shuffled)


def test_shuffling_one_system_is_not_applicable() -> None:
    with pytest.raises(NotApplicable, match="no other system"):
        embed("reference-shuffled", [text("CCO")])


def test_random_depends_on_the_content_alone(molecules: list[System]) -> None:
    one, two = embed("random", molecules[:5]), embed("random", molecules[:5][::-1])[::-1]
    assert np.array_equal(one, two)
    assert abs(embed("random", molecules).mean()) < 0.03
    assert abs(embed("random", molecules).std() - 1) < 0.03


def test_constant_is_constant_and_not_zero(molecules: list[System]) -> None:
    vectors = embed("constant", molecules)
    assert (vectors == vectors[0]).all() and vectors[0].all()


@pytest.mark.parametrize(
    "atoms",
    [
        bulk("Cu"),
        bulk("NaCl", "rocksalt", a=5.64, cubic=True),
        bulk("Ti") * (2, 1, 1),
        molecule("C6H6"),
        Atoms("HC", [[0, 0, 0.5], [1, 9, 7.5]], cell=[3, 20, 8], pbc=[True, False, True]),
        Atoms("Fe", [[-7, 30, 0.1]], cell=[[2, 0, 0], [9, 2.5, 0], [0, -7, 3]], pbc=True),
        Atoms("He"),
    ],
    ids=str,
)
def test_neighbors_are_those_of_an_independent_implementation(atoms: Atoms) -> None:
    i, j, d = neighbor_list("ijd", atoms, controls.CUTOFF)
    system = to_system(atoms)
    blocks = list(controls.neighbour_blocks(system.positions, system.cell, system.pbc))
    ours = sorted(
        zip(*(np.concatenate(parts).tolist() for parts in zip(*blocks, strict=True)), strict=True)
    )
    theirs = sorted(zip(i.tolist(), j.tolist(), d.tolist(), strict=True))
    key = [(a, round(c, 6), b) for a, b, c in ours]
    assert sorted(key) == sorted((a, round(c, 6), b) for a, b, c in theirs)


rotations = st.tuples(st.floats(0, 360), st.floats(0, 360), st.floats(0, 360))


@settings(deadline=None, max_examples=20)
@given(rotations, st.tuples(*[st.floats(-20, 20)] * 3), st.randoms())
def test_reference_sees_neither_rotation_nor_origin_nor_order(
    angles: Any, shift: Any, random: Any
) -> None:
    atoms = bulk("ZnS", "wurtzite", a=3.82, c=6.26)
    atoms.rattle(0.1, seed=1)
    expected = controls.describe(to_system(atoms))
    rotated = atoms.copy()
    for axis, angle in zip("xyz", angles, strict=True):
        rotated.rotate(angle, axis, rotate_cell=True)
    rotated = rotated[random.sample(range(len(atoms)), len(atoms))]
    rotated.translate(shift)
    found = controls.describe(to_system(rotated))
    assert np.linalg.norm(found - expected) < 1e-6 * np.linalg.norm(expected)


def test_a_supercell_has_the_same_descriptor() -> None:
    cell, large = bulk("NaCl", "rocksalt", a=5.64), bulk("NaCl", "rocksalt", a=5.64) * (3, 2, 1)
    np.testing.assert_allclose(
        controls.describe(to_system(large)), controls.describe(to_system(cell)), rtol=1e-9
    )


def test_a_cell_without_volume_is_named() -> None:
    flat = Atoms("He", cell=[[1, 0, 0], [2, 0, 0], [0, 0, 1]], pbc=True)
    with pytest.raises(ValueError, match=r"the cell \[\[1.0, 0.0, 0.0\].* has no volume"):
        controls.describe(to_system(flat))


def test_text_stands_in_where_there_are_no_positions() -> None:
    vectors = embed("reference", [text("CCO"), text("OCC"), text("CCN"), text(sequence="ACD")])
    assert vectors.shape == (4, MODELS["reference"].representation[0].dimension)
    assert len({v.tobytes() for v in vectors}) == 4
    alike, unlike = controls.describe(text("CCCCCCCO")), controls.describe(text("c1ccncc1F"))
    base = controls.describe(text("CCCCCCCN"))
    assert base @ alike / np.linalg.norm(alike) > base @ unlike / np.linalg.norm(unlike)


def test_nothing_to_look_at_is_not_applicable() -> None:
    with pytest.raises(
        NotApplicable, match="neither atoms with positions, nor SMILES, nor a sequence"
    ):
        controls.describe(text())


class TestFamily(FamilySuite):
    family = "controls"
