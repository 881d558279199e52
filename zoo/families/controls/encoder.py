"""Controls with a known outcome: a descriptor, copies of it, and models that see nothing."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import product
from typing import IO, Any

import numpy as np

from zoo.encoder import Encoder, NotApplicable, System

CUTOFF = 6.0  # Å
CENTRES = np.linspace(0.6, 5.8, 24)  # Å; centers of the Gaussians that resolve distance
WIDTH = 0.35  # Å
CHANNELS = 4  # numbers per element's embedding; pairs of elements give 4 · 5 / 2 products
DIMENSION = 24 * 10 + 24  # the pairs, and 24 numbers for the composition
GRAM = 4  # the longest n-gram of a SMILES or sequence
BLOCK = 256  # atoms per block: their distances are held in memory together


class FamilyEncoder(Encoder):
    """The control that the card's option `kind` names."""

    def __init__(
        self, model: Mapping[str, Any], *, device: str, dtype: str, untrained_seed: int | None
    ) -> None:
        super().__init__(model, device=device, dtype=dtype, untrained_seed=untrained_seed)
        kinds: dict[str, type[Control]] = {
            "itself": Control,
            "shuffled": Shuffled,
            "rotated": Rotated,
            "scaled": Scaled,
            "random": Random,
            "constant": Constant,
        }
        self.control = kinds[model["options"]["kind"]](model["representation"][0]["dimension"])

    def survey(self, systems: Iterable[System]) -> None:
        self.control.survey(systems)

    def prepare(self, system: System) -> np.ndarray:
        return self.control.vector(system)

    def encode(
        self, items: Sequence[Any], representations: Sequence[str]
    ) -> dict[str, list[np.ndarray]]:
        return {name: list(items) for name in representations}


class Control:
    """The reference itself: the descriptor of a system, float64 of shape (dimension,)."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension

    def survey(self, systems: Iterable[System]) -> None:
        """Do nothing, because most controls look at one system at a time."""

    def vector(self, system: System) -> np.ndarray:
        return describe(system)


class Shuffled(Control):
    """The reference vector of another system of the same run.

    Systems exchange their vectors by a seeded derangement in the order of their content hashes.
    Memory holds 40 bytes per system; the vectors themselves wait in a temporary file. Systems of
    equal content count as one, so that no system is its own partner.
    """

    def survey(self, systems: Iterable[System]) -> None:
        with tempfile.TemporaryFile() as file:
            hashes = np.array(list(self._store(systems, file)), dtype="S32")
            self.hashes, self.rows = np.unique(hashes, return_index=True)
            if len(hashes):
                # The mapping outlives the file's name.
                self.vectors = np.memmap(
                    file, dtype=np.float64, mode="r", shape=(len(hashes), self.dimension)
                )
        # Each system follows another one in the cycle, so there is no fixed point.
        cycle = np.random.default_rng(0).permutation(len(self.hashes))
        self.partner = np.empty_like(cycle)
        self.partner[cycle] = np.roll(cycle, -1)

    def _store(self, systems: Iterable[System], file: IO[bytes]) -> Iterator[bytes]:
        for system in systems:
            try:
                vector = describe(system)
            except Exception:
                continue  # `prepare` meets this system again and gives the reason
            file.write(vector.tobytes())
            yield to_key(system)
        file.flush()

    def vector(self, system: System) -> np.ndarray:
        # A system without a descriptor raises here, with the reason.
        describe(system)
        if len(self.hashes) < 2:
            raise NotApplicable("the run holds no other system to exchange it with")
        partner = self.partner[np.searchsorted(self.hashes, to_key(system))]
        return np.array(self.vectors[self.rows[partner]])


class Rotated(Control):
    """The reference vector times a fixed random orthogonal matrix."""

    def __init__(self, dimension: int) -> None:
        super().__init__(dimension)
        q, r = np.linalg.qr(np.random.default_rng(1).standard_normal((dimension, dimension)))
        # QR leaves the signs open, and they differ between LAPACKs.
        self.rotation = q * np.sign(np.diag(r))

    def vector(self, system: System) -> np.ndarray:
        return np.asarray(describe(system) @ self.rotation)


class Scaled(Control):
    """The reference vector times 1,000."""

    def vector(self, system: System) -> np.ndarray:
        return 1e3 * describe(system)


class Random(Control):
    """A random vector that depends on the content hash of the system alone."""

    def vector(self, system: System) -> np.ndarray:
        return draw(system.content_hash, self.dimension)


class Constant(Control):
    """One random vector, the same for every system."""

    def vector(self, system: System) -> np.ndarray:
        return draw("constant", self.dimension)


def to_key(system: System) -> bytes:
    """Return 32 bytes that stand for a system's content.

    They never end in a zero byte, which numpy's 'S' type would drop.
    """
    return hashlib.sha256(system.content_hash.encode()).digest()[:31] + b"."


def draw(seed: str, n: int) -> np.ndarray:
    """Return n standard normal numbers that depend on the text alone, on every machine."""
    return np.random.default_rng(
        int(hashlib.sha256(seed.encode()).hexdigest(), 16)
    ).standard_normal(n)


def describe(system: System) -> np.ndarray:
    """Return the reference descriptor of a system, (DIMENSION,).

    It describes the atoms if the system has positions, and the SMILES or the sequence otherwise.
    """
    if system.numbers is not None and system.positions is not None and len(system.numbers):
        return describe_atoms(system.numbers, system.positions, system.cell, system.pbc)
    text = system.smiles or system.sequence
    if not text:
        raise NotApplicable("has neither atoms with positions, nor SMILES, nor a sequence")
    return describe_text(text)


def describe_text(text: str) -> np.ndarray:
    """Return the mean of random vectors, one per n-gram of the text and one for the whole text."""
    grams = [text[i : i + n] for n in range(1, GRAM + 1) for i in range(len(text) - n + 1)]
    vectors = [embed_gram(g) for g in grams] + [draw("whole " + text, DIMENSION)]
    return np.asarray(np.mean(vectors, axis=0))


@lru_cache(maxsize=20_000)
def embed_gram(gram: str) -> np.ndarray:
    """Return the random vector of an n-gram."""
    return draw("gram " + gram, DIMENSION)


@lru_cache(maxsize=256)
def embed_element(number: int, n: int) -> np.ndarray:
    """Return the random vector of an element, (n,)."""
    return draw(f"element {number} in {n}", n)


def describe_atoms(
    numbers: np.ndarray, positions: np.ndarray, cell: np.ndarray | None, pbc: np.ndarray | None
) -> np.ndarray:
    """Return the pair distribution resolved by element, and the composition.

    Both are intensive, so a supercell has the same descriptor.

        pairs[r, c, d] = mean over atoms i of Σ_j e_i[c] e_j[d] g_r(|r_ij|) f(|r_ij|)

    Here e is an element's random embedding, g_r are Gaussians, f is a cosine cutoff, and j runs
    over periodic images too. The result is symmetric in c and d.
    """
    elements = np.array([embed_element(z, CHANNELS) for z in numbers.tolist()])
    pairs = np.zeros((len(CENTRES), CHANNELS, CHANNELS))
    for atoms, neighbours, distances in neighbour_blocks(positions, cell, pbc):
        smeared = np.exp(-0.5 * ((distances[:, None] - CENTRES) / WIDTH) ** 2)
        smeared *= 0.5 + 0.5 * np.cos(np.pi * distances[:, None] / CUTOFF)
        products = elements[atoms][:, :, None] * elements[neighbours][:, None, :]
        pairs += np.tensordot(smeared, products, axes=(0, 0))
    c, d = np.triu_indices(CHANNELS)
    rest = DIMENSION - len(CENTRES) * len(c)
    composition = np.mean([embed_element(z, rest) for z in numbers.tolist()], axis=0)
    return np.concatenate([pairs[:, c, d].ravel() / len(elements), composition])


def neighbour_blocks(
    positions: np.ndarray, cell: np.ndarray | None, pbc: np.ndarray | None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield (atom, neighbor, distance in Å) of all pairs within the cutoff, block by block.

    Periodic images are included.
    """
    everywhere, index = with_images(positions, cell, pbc)
    home = everywhere[: len(positions)]
    for start in range(0, len(home), BLOCK):
        distances = np.linalg.norm(home[start : start + BLOCK, None] - everywhere, axis=-1)
        near = distances < CUTOFF
        rows = np.arange(len(near))
        near[rows, start + rows] = False  # an atom is not its own neighbor, but its images are
        atom, image = np.nonzero(near)
        yield start + atom, index[image], distances[near]


def with_images(
    positions: np.ndarray, cell: np.ndarray | None, pbc: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions with all periodic images within the cutoff, and the atom of each.

    The positions of the atoms, wrapped into the cell, come first.
    """
    index = np.arange(len(positions))
    if cell is None or pbc is None or not pbc.any():
        return positions, index
    axes = cell[pbc]  # (periodic, 3)
    if np.linalg.matrix_rank(axes) < len(axes):
        raise ValueError(f"the cell {cell.tolist()} has no volume")
    inverse = np.linalg.pinv(axes)
    margin = CUTOFF * np.linalg.norm(inverse, axis=0)  # the cutoff in units of the lattice vectors
    inside = positions @ inverse
    home = positions - np.floor(inside) @ axes
    inside -= np.floor(inside)
    images, owners = [home], [index]
    for shift in product(*(range(-n, n + 1) for n in np.ceil(margin).astype(int).tolist())):
        moved = inside + shift
        near = ((moved > -margin) & (moved < 1 + margin)).all(axis=1)
        if any(shift) and near.any():
            images.append(home[near] + np.array(shift) @ axes)
            owners.append(index[near])
    return np.concatenate(images), np.concatenate(owners)
