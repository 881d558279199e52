"""Molecules by RDKit: SMILES checked and made canonical, bonds perceived, conformers made."""

from __future__ import annotations

from typing import Any

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import Descriptors, rdDetermineBonds, rdDistGeom, rdForceFieldHelpers

SEED = 42
EMBED_ITERATIONS = (
    200  # per molecule, instead of a time limit: what fails must not depend on the machine's speed
)
RELAX_ITERATIONS = 5000
# RDKit descends one call per atom when it writes a SMILES: 8 MiB of stack, which is usual, hold about 15,000 atoms, and
# beyond that the process ends without a word. Time grows with the square: 4,000 atoms take up to 15 s.
MOST_ATOMS = 4_000
LONGEST_SMILES = 100_000  # characters; a string is read by its length's square at worst, this long one within a second


class NoMolecule(ValueError):
    """Text or atoms that are no molecule; the message is the reason."""


def parse_smiles(smiles: str) -> Chem.Mol:
    """A sanitized molecule. Raises NoMolecule with RDKit's reason."""
    if len(smiles) > LONGEST_SMILES:
        raise NoMolecule(f"a SMILES of {len(smiles)} characters; expected at most {LONGEST_SMILES}")
    with rdBase.BlockLogs():  # RDKit prints its reasons to stderr; here they are in the exception
        molecule = Chem.MolFromSmiles(smiles, sanitize=False)
        if molecule is None or not molecule.GetNumAtoms():
            raise NoMolecule(f"{smiles!r:.200} is not a SMILES string")
    return sanitized(molecule)


def sanitized(molecule: Chem.Mol) -> Chem.Mol:
    """The molecule without its explicit hydrogens, aromaticity perceived. Raises NoMolecule with RDKit's reason."""
    if molecule.GetNumAtoms() > MOST_ATOMS:
        raise NoMolecule(
            f"a molecule of {molecule.GetNumAtoms()} atoms; RDKit may end the process beyond {MOST_ATOMS}:"
            " give a structure, or a protein's sequence"
        )
    with rdBase.BlockLogs():
        try:
            Chem.SanitizeMol(molecule)
        except Chem.MolSanitizeException as error:
            raise NoMolecule(f"impossible chemistry: {error}") from error
        plain = Chem.RemoveHs(molecule)
        Chem.AssignStereochemistry(plain, cleanIt=True, force=True)
        return plain


def canonical_smiles(molecule: Chem.Mol) -> str:
    """RDKit's canonical isomeric SMILES, of the molecule as its SMILES is read again (so that it is a fixed point)."""
    with rdBase.BlockLogs():
        again = Chem.MolFromSmiles(Chem.MolToSmiles(molecule))
        if again is None:
            raise NoMolecule("RDKit cannot read the SMILES string that it wrote for this molecule")
        return Chem.MolToSmiles(again)


def charge_of(molecule: Chem.Mol) -> int:
    return int(Chem.GetFormalCharge(molecule))


def multiplicity_of(molecule: Chem.Mol) -> int:
    """2S + 1, every radical electron unpaired and parallel."""
    return int(Descriptors.NumRadicalElectrons(molecule)) + 1


def conformer(molecule: Chem.Mol) -> tuple[np.ndarray, np.ndarray]:
    """One conformer with all hydrogens: atomic numbers (n,) and positions (n, 3) in Å.

    ETKDGv3 with a fixed seed, relaxed by MMFF94 to convergence. Raises ValueError with the reason.
    """
    full = Chem.AddHs(molecule)
    if not rdForceFieldHelpers.MMFFHasAllMoleculeParams(full):
        symbols = sorted({atom.GetSymbol() for atom in full.GetAtoms()})
        raise ValueError(
            f"MMFF94 has no parameters for an atom of this molecule (of {' '.join(symbols)})"
        )
    settings: Any = rdDistGeom.ETKDGv3()
    settings.randomSeed = SEED
    settings.maxIterations = EMBED_ITERATIONS
    with rdBase.BlockLogs():
        if rdDistGeom.EmbedMolecule(full, settings) != 0:
            raise ValueError(f"ETKDGv3 finds no conformer in {EMBED_ITERATIONS} attempts")
        if rdForceFieldHelpers.MMFFOptimizeMolecule(full, maxIters=RELAX_ITERATIONS) != 0:
            raise ValueError(f"MMFF94 does not converge in {RELAX_ITERATIONS} steps")
    return atoms_of(full)


def atoms_of(molecule: Chem.Mol) -> tuple[np.ndarray, np.ndarray]:
    """Atomic numbers (n,) and the first conformer's positions (n, 3) in Å."""
    numbers = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()])
    return numbers, np.array(molecule.GetConformer().GetPositions())


def perceived_smiles(numbers: np.ndarray, positions: np.ndarray, multiplicity: int) -> str | None:
    """The SMILES of a neutral geometry, None where bonds cannot be perceived.

    A perceived molecule counts only if it has the geometry's atoms (RDKit turns a lone carbon atom into methane),
    no charge, and as many radical electrons as the multiplicity says.
    """
    for candidate in _candidates(numbers, positions):
        full = Chem.AddHs(candidate)
        same_atoms = sorted(atom.GetAtomicNum() for atom in full.GetAtoms()) == sorted(
            numbers.tolist()
        )
        if same_atoms and charge_of(candidate) == 0 and multiplicity_of(candidate) == multiplicity:
            return Chem.MolToSmiles(candidate)
    return None


def _candidates(numbers: np.ndarray, positions: np.ndarray) -> list[Chem.Mol]:
    """Molecules that the geometry may be: with formal charges, with radicals instead, a bare atom."""
    found = []
    with rdBase.BlockLogs():
        for charged in (True, False):
            raw = _without_bonds(numbers, positions)
            try:
                rdDetermineBonds.DetermineBonds(raw, charge=0, allowChargedFragments=charged)
                found.append(parse_smiles(canonical_smiles(sanitized(raw))))
            except ValueError:
                continue
    if len(numbers) == 1:
        found.append(parse_smiles(f"[{Chem.GetPeriodicTable().GetElementSymbol(int(numbers[0]))}]"))
    return found


def _without_bonds(numbers: np.ndarray, positions: np.ndarray) -> Chem.Mol:
    molecule = Chem.RWMol()
    places = Chem.Conformer(len(numbers))
    for i, (number, position) in enumerate(zip(numbers.tolist(), positions.tolist(), strict=True)):
        molecule.AddAtom(Chem.Atom(number))
        places.SetAtomPosition(i, position)
    molecule.AddConformer(places)
    return molecule.GetMol()
