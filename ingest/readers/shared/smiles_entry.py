"""The entry of a SMILES string, made canonical by RDKit."""

from __future__ import annotations

from ingest.readers.shared.reader import RecordError
from ingest.systems.entry import Entry


def smiles_entry(name: str, smiles: str) -> Entry:
    """Return a molecule of which only the SMILES string is known.

    Args:
        name: The id of the entry.
        smiles: Any SMILES string.

    Returns:
        The entry, with the charge and the multiplicity that the string says.

    Raises:
        RecordError: The string is not SMILES, or describes impossible chemistry.
    """
    from ingest.systems import molecules  # here so that listing formats does not import RDKit

    try:
        molecule = molecules.parse_smiles(smiles)
        return Entry(
            name,
            charge=molecules.formal_charge(molecule),
            spin=molecules.multiplicity(molecule),
            smiles=molecules.canonical_smiles(molecule),
        )
    except molecules.MoleculeError as error:
        raise RecordError(str(error)) from error
