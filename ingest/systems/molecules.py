"""Molecules by RDKit: SMILES checked and made canonical, bonds perceived, conformers made."""

from __future__ import annotations

from typing import Any

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import Descriptors, rdDetermineBonds, rdDistGeom, rdForceFieldHelpers

from zoo.errors import MatterzooError

_SEED = 42
# Attempts per molecule, not a time limit: which molecules fail must not depend on the machine.
_EMBED_ITERATIONS = 200
_RELAX_ITERATIONS = 5000
# RDKit calls itself once per atom when it writes a SMILES string: the usual stack of 8 MiB holds
# about 15,000 atoms, and beyond that the process ends without a message. Time grows with the
# square: 4,000 atoms take up to 15 s.
MAX_ATOMS = 4_000
# Characters; reading takes a time that grows with the square of the length at worst, and this
# length takes less than a second.
MAX_SMILES = 100_000


class MoleculeError(MatterzooError, ValueError):
    """Text or atoms are not a molecule; the message is the reason."""


def parse_smiles(smiles: str) -> Chem.Mol:
    """Return the molecule that a SMILES string stands for, sanitized.

    Args:
        smiles: Any SMILES string.

    Returns:
        The molecule without explicit hydrogens.

    Raises:
        MoleculeError: The string is too long, is not SMILES, or describes impossible chemistry.
    """
    if len(smiles) > MAX_SMILES:
        raise MoleculeError(f"a SMILES of {len(smiles)} characters; expected at most {MAX_SMILES}")
    with rdBase.BlockLogs():  # RDKit prints its reasons to stderr; here they are in the exception
        molecule = Chem.MolFromSmiles(smiles, sanitize=False)
        if molecule is None or not molecule.GetNumAtoms():
            raise MoleculeError(f"{smiles!r:.200} is not a SMILES string")
    return sanitize(molecule)


def sanitize(molecule: Chem.Mol) -> Chem.Mol:
    """Return a molecule without its explicit hydrogens, with aromaticity and stereochemistry.

    Args:
        molecule: A molecule as RDKit reads it; it is changed.

    Returns:
        A new molecule.

    Raises:
        MoleculeError: It has too many atoms, or its chemistry is impossible.
    """
    if molecule.GetNumAtoms() > MAX_ATOMS:
        raise MoleculeError(
            f"a molecule of {molecule.GetNumAtoms()} atoms; RDKit may end the process beyond "
            f"{MAX_ATOMS}: give a structure, or a protein's sequence"
        )
    with rdBase.BlockLogs():
        try:
            Chem.SanitizeMol(molecule)
        except Chem.MolSanitizeException as error:
            raise MoleculeError(f"impossible chemistry: {error}") from error
        plain = Chem.RemoveHs(molecule)
        Chem.AssignStereochemistry(plain, cleanIt=True, force=True)
        return plain


def canonical_smiles(molecule: Chem.Mol) -> str:
    """Return RDKit's canonical isomeric SMILES string of a molecule.

    The string is read and written once more, so that reading and writing the result again gives the
    same string.

    Args:
        molecule: A sanitized molecule.

    Raises:
        MoleculeError: RDKit cannot read what it wrote.
    """
    with rdBase.BlockLogs():
        again = Chem.MolFromSmiles(Chem.MolToSmiles(molecule))
        if again is None:
            raise MoleculeError(
                "RDKit cannot read the SMILES string that it wrote for this molecule"
            )
        return Chem.MolToSmiles(again)


def formal_charge(molecule: Chem.Mol) -> int:
    """Return the sum of the formal charges, in elementary charges.

    Args:
        molecule: A molecule.
    """
    return int(Chem.GetFormalCharge(molecule))


def multiplicity(molecule: Chem.Mol) -> int:
    """Return 2S + 1, taking every radical electron as unpaired and parallel.

    Args:
        molecule: A molecule.
    """
    return int(Descriptors.NumRadicalElectrons(molecule)) + 1


def make_conformer(
    molecule: Chem.Mol, attempts: int = _EMBED_ITERATIONS
) -> tuple[np.ndarray, np.ndarray]:
    """Make one conformer with all hydrogens, by ETKDGv3 and MMFF94 with a fixed seed.

    Args:
        molecule: A sanitized molecule.
        attempts: How often ETKDGv3 may start anew. Nearly all molecules need one.

    Returns:
        Atomic numbers (n,) and positions (n, 3) in Å, relaxed to convergence.

    Raises:
        ValueError: MMFF94 lacks parameters, or one of the two methods fails; the message says
        which.
    """
    full = Chem.AddHs(molecule)
    if not rdForceFieldHelpers.MMFFHasAllMoleculeParams(full):
        symbols = sorted({atom.GetSymbol() for atom in full.GetAtoms()})
        raise ValueError(
            f"MMFF94 has no parameters for an atom of this molecule (of {' '.join(symbols)})"
        )
    settings: Any = rdDistGeom.ETKDGv3()
    settings.randomSeed = _SEED
    settings.maxIterations = attempts
    with rdBase.BlockLogs():
        if rdDistGeom.EmbedMolecule(full, settings) != 0:
            raise ValueError(f"ETKDGv3 finds no conformer in {attempts} attempts")
        if rdForceFieldHelpers.MMFFOptimizeMolecule(full, maxIters=_RELAX_ITERATIONS) != 0:
            raise ValueError(f"MMFF94 does not converge in {_RELAX_ITERATIONS} steps")
    return atoms_of(full)


def atoms_of(molecule: Chem.Mol) -> tuple[np.ndarray, np.ndarray]:
    """Return the atoms of a molecule's first conformer.

    Args:
        molecule: A molecule with a conformer.

    Returns:
        Atomic numbers (n,) and positions (n, 3) in Å.
    """
    numbers = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()])
    return numbers, np.array(molecule.GetConformer().GetPositions())


def perceive_smiles(numbers: np.ndarray, positions: np.ndarray, spin: int) -> str | None:
    """Return the SMILES string of a neutral geometry.

    A perceived molecule counts only if it has the atoms of the geometry (RDKit turns a lone carbon
    atom into methane), no charge, and as many radical electrons as the multiplicity says.

    Args:
        numbers: (n,) atomic numbers.
        positions: (n, 3) in Å.
        spin: The multiplicity, 2S + 1.

    Returns:
        A canonical SMILES string, None if the bonds cannot be perceived.
    """
    for candidate in _candidates(numbers, positions):
        full = Chem.AddHs(candidate)
        atoms = sorted(atom.GetAtomicNum() for atom in full.GetAtoms())
        same_atoms = atoms == sorted(numbers.tolist())
        if same_atoms and formal_charge(candidate) == 0 and multiplicity(candidate) == spin:
            return Chem.MolToSmiles(candidate)
    return None


def _candidates(numbers: np.ndarray, positions: np.ndarray) -> list[Chem.Mol]:
    """List what a geometry may be: with formal charges, with radicals instead, or a bare atom."""
    found = []
    with rdBase.BlockLogs():
        for charged in (True, False):
            raw = _without_bonds(numbers, positions)
            try:
                rdDetermineBonds.DetermineBonds(raw, charge=0, allowChargedFragments=charged)
                found.append(parse_smiles(canonical_smiles(sanitize(raw))))
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
