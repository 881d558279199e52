"""Systems: what one is, how it is validated and hashed, and how a dataset of them is written.

- `entry`: one system as its source gives it
- `validation`: why an entry cannot be embedded, if it cannot
- `geometry`: cells, and the two nearest atoms
- `dataset`: a named list of entries, and the fingerprint of what decides them
- `sample`: which systems a limit means
- `tables`: the Parquet files of a dataset's folder
- `materialized`: a dataset that has been written, read again
- `materialize`: writing it
- `molecules`: SMILES strings, bonds and conformers, by RDKit
- `proteins`: chains of residues out of atoms
"""
